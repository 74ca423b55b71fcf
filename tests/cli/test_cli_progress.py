"""What somebody who watches sees, and that watching costs the rollout nothing."""

import io
import re
import sys

import pytest
from rich.console import Console
from rollout_builder import NODE_S, START, Story, Watch, begins, confirms, make_plan, mixed, opening

from fleet import events as ev
from fleet.cli.progress import Progress
from fleet.cli.screen import line, look
from fleet.state import NodeStatus
from fleet.tally import Tally


def terminal(**more: object) -> tuple[io.StringIO, Console]:
    file = io.StringIO()
    return file, Console(file=file, force_terminal=True, width=120, height=40, _environ={"TERM": "xterm", **more})  # type: ignore[dict-item]


def pipe() -> tuple[io.StringIO, Console]:
    file = io.StringIO()
    return file, Console(file=file, width=40, _environ={})


async def test_the_tally_agrees_with_a_walk_over_the_nodes() -> None:
    story = Story()
    tally = Tally(story.state)
    for item in mixed().recorded:
        story.at = item.at
        (told,) = story.tell(item.event)
        tally.follow(told)
        assert tally.counts == story.state.count() or not story.state.nodes
    assert [(wave.size, wave.done, wave.failed) for wave in tally.waves] == [(1, 1, 0), (3, 2, 2), (4, 0, 0)]
    again = Tally(story.state)
    assert (again.counts, again.waves) == (tally.counts, tally.waves)
    assert (tally.in_flight, tally.done, tally.total) == (1, 3, 8)


async def test_time_left_follows_the_plan_and_then_the_pace() -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    tally = Tally(story.state)
    assert tally.left_s(START) == make_plan().expected_s()
    assert tally.left_s(START + 100) == make_plan().expected_s() - 100
    # The canary takes twice as long: everything that is left is expected to.
    for item in story.after(2 * NODE_S).tell(ev.NodeConfirmed(node="gpu0001"), ev.WaveOpened(wave=1, nodes=3)):
        tally.follow(item)
    assert tally.left_s(story.at) == pytest.approx(2 * (3 / 2 + 2) * NODE_S)


async def test_before_the_first_wave_there_is_no_guess() -> None:
    assert Tally(Story(opening(make_plan())).state).left_s(START) is None


async def test_plain_lines_have_no_escape_codes_and_tell_notable_events_at_once() -> None:
    file, console = pipe()
    story = Story()
    with Progress(story.state, Watch(), console) as progress:
        for item in mixed().recorded:
            story.at = item.at
            progress(*story.tell(item.event))
    text = file.getvalue()
    assert "\x1b" not in text
    assert "gpu0002 quarantined: update-failed: bmc: device refused\n" in text
    assert "halted (budget): 2 nodes failed, 1 are tolerated" in text
    assert text.splitlines()[-1].endswith("halted: wave 2 of 3, 3 of 8 done, 1 in flight, 2 failures (1 tolerated)")


async def test_plain_lines_come_every_ten_seconds_of_the_operators_time() -> None:
    file, console = pipe()
    watch, story = Watch(), Story()
    with Progress(story.state, watch, console) as progress:
        for item in opening(make_plan()):
            progress(*story.tell(item))
        await watch.beaten(4)
    assert set(watch.beats) == {10.0}
    assert len(file.getvalue().splitlines()) >= 3


async def test_the_display_shows_waves_counts_limits_and_the_last_events() -> None:
    file, console = terminal(NO_COLOR="1")
    story = mixed()
    with Progress(story.state, Watch(story.at), console) as progress:
        progress(*story.after(5).tell(ev.RolloutPaused(by="bob@ops2")))
    assert "38;2" not in file.getvalue()
    text = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    for part in (
        "hgx-2026.10-20260921-141320  hgx  halted (2 nodes failed",
        "wave 1 canary",
        "2/3",
        "2 failed",
        "4 pending, 1 uncertain, 1 confirmed, 2 quarantined",
        "in flight 1 of at most 2, failures 2 of 1 tolerated",
        "paused by bob@ops2: no new effect begins",
    ):
        assert part in text


async def test_colour_is_there_where_it_is_wanted() -> None:
    file, console = terminal(COLORTERM="truecolor")
    story = mixed()
    with Progress(story.state, Watch(story.at), console):
        pass
    assert "38;2;213;94;0m2 quarantined" in file.getvalue()


async def test_a_thousand_events_are_painted_once_a_beat() -> None:
    file, console = terminal()
    story = Story(opening(make_plan(count=1_000, waves=(1, 1_000), cap=1_000)))
    watch = Watch()
    with Progress(story.state, watch, console) as progress:
        painted_before = file.getvalue().count("in flight")
        for number in range(1, 1_001):
            for item in story.tell(*confirms(f"gpu{number:04}")):
                progress(item)
        assert file.getvalue().count("in flight") == painted_before
        await watch.beaten(3)
        assert file.getvalue().count("in flight") == painted_before + 1
    assert "1000 confirmed" in file.getvalue()
    assert set(watch.beats) == {0.1}


async def test_standard_output_stays_what_it_is_while_the_display_runs() -> None:
    _, console = terminal()
    story = mixed()
    before = sys.stdout
    with Progress(story.state, Watch(), console):
        assert sys.stdout is before


class Gone(io.StringIO):
    """A pipe whose reader left."""

    def write(self, _text: str) -> int:
        """As the system answers."""
        raise BrokenPipeError


async def test_a_reader_that_went_away_does_not_stop_the_rollout() -> None:
    story = mixed()
    with Progress(story.state, Watch(), Console(file=Gone(), _environ={})) as progress:
        progress(*story.tell(ev.RolloutPaused(by="bob")))


async def test_progress_of_a_step_needs_no_journal() -> None:
    file, console = pipe()
    story = mixed()
    with Progress(story.state, Watch(), console) as progress:
        progress(ev.StepProgress(node="gpu0004", step="1 firmware.update bmc", percent=40, text="flashing"))
    assert "1 in flight" in file.getvalue()


async def test_a_failure_among_a_thousand_is_seen_in_the_bar() -> None:
    file, console = terminal()
    story = Story(opening(make_plan(count=1_000, waves=(1, 1_000), cap=1_000, budget=5)))
    story.tell(ev.WaveOpened(wave=1, nodes=999), *begins("gpu0002", 1))
    story.tell(ev.NodeQuarantined(node="gpu0002", reason="update-failed", message="x"))
    with Progress(story.state, Watch(), console):
        pass
    assert "▒" in file.getvalue()


async def test_the_operators_time_stands_beside_a_halls() -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    tally = Tally(story.state)
    said = line(story.state, tally, look(START, 600.0, "utf-8"))
    assert said.endswith("about 50 min (5 s here) left")
    assert "here" not in line(story.state, tally, look(START, 1.0, "ascii"))
    assert tally.counts[NodeStatus.RUNNING] == 1


async def test_a_node_on_its_way_back_is_one_failure_and_stays_one() -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1))
    tally = Tally(story.state)
    failed = ("update-failed", "x")
    for event in (
        *begins("gpu0001"),
        ev.NodeRollingBack(node="gpu0001", reason=failed[0], message=failed[1]),
        ev.NodeRolledBack(node="gpu0001", reason=failed[0], message=failed[1]),
    ):
        for item in story.tell(event):
            tally.follow(item)
    assert (tally.waves[0].failed, tally.waves[0].done, story.state.failures) == (1, 1, 1)
