"""`fleet status`, `report`, `why`, `events` over real journals."""

import asyncio
import io
import json
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from rich.console import Console
from rollout_builder import ROLLOUT, Story, Watch, begins, confirms, make_plan, mixed, opening, quarantines
from typer.testing import CliRunner, Result

from fleet import events as ev
from fleet.cli import commands_look, views
from fleet.errors import UsageError
from fleet.events import RolloutId
from fleet.journal import Lease, SqliteJournal, Verb
from fleet.journal.reading import look
from fleet.report import make_report

app = typer.Typer()
commands_look.register(app)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    mixed().write(path)
    return path


def fleet(*arguments: str, journal: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--journal", str(journal)])


def said(*arguments: str, journal: Path) -> str:
    result = fleet(*arguments, journal=journal)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: str, journal: Path) -> str:
    error = fleet(*arguments, journal=journal).exception
    assert isinstance(error, UsageError), error
    return str(error)


def test_status_lists_rollouts_newest_first(journal: Path) -> None:
    later = Story(opening(make_plan()), RolloutId("later"))
    later.after(5_000).tell(ev.RolloutEnded(outcome="completed"))
    later.write(journal)
    lines = said("status", journal=journal).splitlines()
    assert [line.split()[0] for line in lines] == ["ROLLOUT", "later", ROLLOUT] or lines[1].startswith(ROLLOUT)
    document = json.loads(said("status", "--json", journal=journal))
    assert {row["rollout"]: row["status"] for row in document["rollouts"]} == {"later": "completed", ROLLOUT: "halted"}


def test_status_of_one_rollout(journal: Path) -> None:
    text = said("status", "hgx", journal=journal)
    assert "in flight 1 of at most 2; failures 2 of 1 tolerated" in text
    assert "quarantined  2" in text
    assert "\x1b" not in text
    document = json.loads(said("status", "last", "--json", journal=journal))
    assert (document["nodes"]["quarantined"], document["wave"], document["process"]) == (2, 1, "none")
    assert document["waves"][1] == {"size": 3, "done": 2, "failed": 2}


def test_a_living_process_is_seen(journal: Path) -> None:
    with Lease(journal, ROLLOUT):
        assert json.loads(said("status", "last", "--json", journal=journal))["process"] == "runs"


def test_status_tells_how_long_a_running_rollout_will_take(tmp_path: Path) -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    story.write(tmp_path / "journal.db")
    document = json.loads(said("status", "last", "--json", journal=tmp_path / "journal.db"))
    assert document["left_s"] == make_plan().expected_s()


def test_report_prints_for_people_and_for_machines(journal: Path) -> None:
    text = said("report", journal=journal)
    for part in (
        "halted (budget): 2 nodes failed",
        "quarantined  update-failed  2      gpu[0002-0003]  bmc: device refused",
        "update-failed: Read its firmware inventory first",
        "duration   50 min     15 min",
        "1 outcome not known at first: 0 found done, 0 found not done, 1 open",
        "bmc        24.01.05  not activated  2      gpu[0002-0003]",
    ):
        assert part in text
    document = json.loads(said("report", "--json", journal=journal))
    assert document["pace"]["in_flight_peak"] == 2


def test_a_report_on_a_terminal_is_coloured_and_takes_no_markup_from_hardware() -> None:
    story = Story(opening(make_plan()))
    story.tell(*begins("gpu0001"), ev.NodeQuarantined(node="gpu0001", reason="update-failed", message="[red]x[/oops]"))
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=140, _environ={"TERM": "xterm", "COLORTERM": "truecolor"})
    views.show_report(console, make_report(story.state, story.recorded))
    assert "[red]x[/oops]" in file.getvalue()
    assert "38;2;213;94;0mquarantined" in file.getvalue()


def test_why_a_rollout_is_halted(journal: Path) -> None:
    lines = json.loads(said("why", "--json", journal=journal))["lines"]
    told = {line["topic"]: line["text"] for line in reversed(lines)}
    assert told["status"].startswith(f"{ROLLOUT} (hgx): halted by its budget: 2 nodes failed")
    assert told["wave"].startswith("wave 2 of 3: 2 of 3 ended, 1 in flight (at most 2), 0 not started; 4 in later")
    assert told["budget"] == "2 failures of 1 tolerated; 1 more than that"
    assert told["failures"] == "2 quarantined (update-failed): gpu[0002-0003]: bmc: device refused"
    assert "resume" in lines[-2]["text"]


@pytest.fixture
def paced(tmp_path: Path) -> Path:
    """Two of three nodes failed in a rollout that is paced by evidence, half an hour after the first success."""
    story = Story(opening(make_plan(8, waves=(8,), budget=8, cap=8, risk=6)))
    story.tell(ev.WaveOpened(wave=0, nodes=8), *confirms("gpu0001"))
    story.after(1_800).tell(*quarantines("gpu0002"), *quarantines("gpu0003"), *begins("gpu0004"))
    story.write(tmp_path / "paced.db")
    return tmp_path / "paced.db"


def test_why_tells_the_numbers_that_pacing_and_halting_rest_on(paced: Path) -> None:
    lines = json.loads(said("why", "--json", journal=paced))["lines"]
    told = {line["topic"]: line for line in lines}
    whole, stratum = told["evidence"], told["stratum"]
    assert whole["text"].startswith("k = 2 of n = 4 nodes failed; tolerated 1.00%: e = ")
    assert (whole["data"]["strata"][0]["n_eff"], whole["data"]["needed"]) == (1.0, pytest.approx(100))
    assert whole["data"]["e"] > 100
    assert "s1: n = 3, k = 2, n_eff = 1, U = 98.3%, 1 of at most 6 at risk" in stratum["text"]
    assert "DGXH100 from bmc 23.09.20" in stratum["text"]
    events = [json.loads(line) for line in said("events", "last", journal=paced).splitlines()]
    failed = [event["seq"] for event in events if event["kind"] == "node.quarantined"]
    assert whole["events"] == stratum["events"] == failed
    assert told["waits"]["text"].startswith("it will halt: 2 of 4 nodes failed alike")


def test_why_answers_for_a_moment_of_the_past(paced: Path) -> None:
    first = json.loads(said("events", "last", journal=paced).splitlines()[0])
    before = datetime.fromtimestamp(first["at"] + 60, UTC).isoformat()
    told = {
        line["topic"]: line["text"]
        for line in json.loads(said("why", "--json", "--at", before, journal=paced))["lines"]
    }
    assert told["evidence"].startswith("k = 0 of n = 1 nodes failed")
    assert told["waits"].startswith("nothing holds it: 6 nodes may start")
    assert said("why", "--at", "3", journal=paced) == said("why", "--at", str(first["seq"] + 2), journal=paced)
    assert "had no event yet" in refusal("why", "--at", "2001-01-01", journal=paced)
    assert "neither the number of an event" in refusal("why", "--at", "noon", journal=paced)


def test_why_a_running_rollout_does_not_start_more(tmp_path: Path) -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *confirms("gpu0001"), ev.WaveOpened(wave=1, nodes=3))
    story.tell(*begins("gpu0002", 1), *begins("gpu0003", 1))
    story.write(tmp_path / "j.db")
    assert "waits     2 in flight of at most 2\n" in said("why", journal=tmp_path / "j.db")


def test_why_a_node_is_where_it_is(journal: Path) -> None:
    text = said("why", "last", "gpu0002", journal=journal)
    assert "quarantined in wave 2: update-failed: bmc: device refused" in text
    assert text.index("announced: hand over the image of bmc") < text.index("done: hand over the image of bmc (task")
    assert "versions decide, tasks do not" in text
    assert "its result is not known: hand over the image of bmc" in said("why", "last", "gpu0004", journal=journal)
    assert "it was not touched" in said("why", "last", "gpu0008", journal=journal)


def test_an_unknown_node_names_the_nearest(journal: Path) -> None:
    assert "has no node 'gpu00002'; did you mean 'gpu0002'?" in refusal("why", "last", "gpu00002", journal=journal)


def test_events_are_one_json_object_a_line(journal: Path) -> None:
    everything = [json.loads(line) for line in said("events", journal=journal).splitlines()]
    assert [line["seq"] for line in everything] == sorted(line["seq"] for line in everything)
    assert everything[0]["kind"] == "rollout.created"
    of_one = [json.loads(line) for line in said("events", "--node", "gpu0004", journal=journal).splitlines()]
    assert {line["node"] for line in of_one} == {"gpu0004"}


def test_follow_ends_with_the_rollout(journal: Path) -> None:
    story = mixed()
    end = story.after(1).tell(ev.RolloutAborting(by="bob"), ev.RolloutEnded(outcome="aborted"))
    late = Story()
    late.recorded = end
    late.write(journal)
    assert json.loads(said("events", "--follow", journal=journal).splitlines()[-1])["kind"] == "rollout.ended"


async def test_follow_sees_what_another_process_appends(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    writer = SqliteJournal(journal, watch)
    with look(journal) as view:
        following = asyncio.create_task(commands_look.tail(view, ROLLOUT, None, None, watch))
        await watch.beaten(2)
        await writer.append(ROLLOUT, ev.RolloutEnded(outcome="aborted"))
        await following
    await writer.close()
    assert capsys.readouterr().out.splitlines()[-1].endswith('"kind":"rollout.ended","outcome":"aborted"}')


def test_a_rollout_is_named_by_its_beginning(journal: Path) -> None:
    for name in ("hgx-2026.10-2026", "hgx-2027"):
        Story(opening(make_plan()), RolloutId(name)).write(journal)
    assert f"{ROLLOUT}: " in said("status", ROLLOUT, journal=journal)
    assert "hgx-2026.10-2026: " in said("status", "hgx-2026.10-2026", journal=journal)
    assert "'hgx-2026' is the beginning of 2 rollouts: " in refusal("status", "hgx-2026", journal=journal)
    assert "did you mean 'hgx-2027'?" in refusal("status", "hgx-2028", journal=journal)


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert "no journal there" in refusal("status", journal=tmp_path / "none" / "journal.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database, and long enough to tell" * 30])
def test_another_file_is_no_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    assert "journal" in refusal("status", journal=path)


def test_a_newer_journal_is_refused(journal: Path) -> None:
    link = sqlite3.connect(journal)
    link.execute("PRAGMA user_version = 99")
    link.close()
    assert "a newer Fleetwave wrote this journal (schema 99)" in refusal("status", journal=journal)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_journal_that_may_not_be_written_can_be_read(journal: Path) -> None:
    journal.chmod(0o400)
    journal.parent.chmod(0o500)
    try:
        assert "quarantined  2" in said("status", "last", journal=journal)
    finally:
        journal.parent.chmod(0o700)


async def test_looking_cannot_write(journal: Path) -> None:
    with look(journal) as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._read.execute("DELETE FROM events")


def test_an_empty_journal_has_no_rollout(tmp_path: Path) -> None:
    Story().write(tmp_path / "j.db")
    result = fleet("status", journal=tmp_path / "j.db")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "holds no rollout yet" in refusal("report", journal=tmp_path / "j.db")


async def test_a_reader_sees_requests_too(journal: Path) -> None:
    writer = SqliteJournal(journal, Watch())
    number = await writer.request(ROLLOUT, Verb.PAUSE, "ann")
    with look(journal) as view:
        assert view.last_request(ROLLOUT) == number
    await writer.close()
