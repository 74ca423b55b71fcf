"""`fleet pause`, `abort`, `approve`, `resume`: what is asked, what is answered, and what happens where no process runs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from rollout_builder import ROLLOUT, Story, Watch, begins, confirms, make_plan, mixed, opening
from typer.testing import CliRunner, Result

from fleet import events as ev
from fleet.cli import commands_control
from fleet.clock import SystemClock
from fleet.engine import Engine, Ledger
from fleet.errors import UsageError
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.journal import Lease, SqliteJournal, Verb
from fleet.journal.reading import look
from fleet.state import replay

app = typer.Typer()
commands_control.register(app)


def fleet(*arguments: str, journal: Path) -> Result:
    return CliRunner().invoke(app, [*arguments, "--journal", str(journal)])


def refusal(*arguments: str, journal: Path) -> str:
    error = fleet(*arguments, journal=journal).exception
    assert isinstance(error, UsageError), error
    return str(error)


class Endless:
    """An executor whose nodes never end: the engine's answers are what is tested."""

    async def execute(self, _node: str) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()

    async def look(self, node: str) -> None:
        """None ends, so that none is looked at."""
        raise NotImplementedError(node)


@contextmanager
def engine(path: Path) -> Iterator[None]:
    """The real engine over the journal, in a thread as another process would be, until the block ends."""
    ready, leave = threading.Event(), threading.Event()

    async def run() -> None:
        clock = SystemClock()
        journal = SqliteJournal(path, clock)
        state = replay(ROLLOUT, journal.read(ROLLOUT))
        running = Engine(
            plan=make_plan(approve=(1,)),
            ledger=Ledger(journal, state),
            journal=journal,
            executor=Endless(),
            gate=Gate(),
            clock=clock,
        )
        task = asyncio.create_task(running.run())
        ready.set()
        await asyncio.to_thread(leave.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()

    with Lease(path, ROLLOUT):
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            leave.set()
            thread.join()


@pytest.fixture
def running(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    story = Story(opening(make_plan(approve=(1,))))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    story.write(path)
    return path


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    story = Story(opening(make_plan(approve=(1,))))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *confirms("gpu0001"), ev.ApprovalNeeded(wave=1))
    story.write(path)
    return path


def status(path: Path) -> str:
    with look(path) as view:
        return replay(ROLLOUT, view.read(ROLLOUT)).status.value


def test_pause_is_confirmed_by_the_engine_and_resume_too(running: Path) -> None:
    with engine(running):
        paused = fleet("pause", journal=running)
        assert (paused.exit_code, paused.stdout) == (Exit.OK, "")
        assert "paused by" in paused.stderr
        assert status(running) == "paused"
        again = fleet("pause", journal=running)
        assert "is paused already: nothing new starts" in again.stderr
        assert commands_control.resume(running, ROLLOUT) is Exit.OK
        assert status(running) == "running"


def test_resume_of_a_running_rollout_changes_nothing(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine(running):
        assert commands_control.resume(running, ROLLOUT) is Exit.OK
        assert "is running in another process already" in capsys.readouterr().err
        with look(running) as view:
            assert view.last_request(ROLLOUT) == 0


def test_abort_is_confirmed_by_the_engine(running: Path) -> None:
    with engine(running):
        result = fleet("abort", journal=running)
        assert (result.exit_code, result.stdout) == (Exit.OK, "")
        assert "1 node in flight will stop at a safe point" in result.stderr
        assert status(running) == "aborting"
        with pytest.raises(UsageError, match="is final"):
            commands_control.resume(running, ROLLOUT)


def test_approve_lets_exactly_the_waiting_wave_through(waiting: Path) -> None:
    with engine(waiting):
        assert "wave 2 waits for a person, not wave 3; nothing was approved" in refusal(
            "approve", "--wave", "3", journal=waiting
        )
        assert status(waiting) == "waiting-approval"
        result = fleet("approve", "--wave", "2", journal=waiting)
        assert "wave 2 approved by" in result.stderr
        assert status(waiting) == "running"


def test_nothing_waits_for_a_person(running: Path) -> None:
    assert "is running: no wave waits for a person" in refusal("approve", journal=running)


def test_pause_where_no_process_runs_says_so_and_asks_nobody(running: Path) -> None:
    result = fleet("pause", journal=running)
    assert result.exit_code == Exit.OK
    assert "no process runs it, so nothing starts until `fleet resume`; it will read 1 node first" in result.stderr
    with look(running) as view:
        assert view.last_request(ROLLOUT) == 0


async def test_a_process_that_does_not_answer_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.db"
    story = mixed()
    await asyncio.to_thread(story.write, path)
    watch = Watch()
    here = commands_control.place(path, clock=watch)
    seen = commands_control.living(path, "last")
    assert await commands_control.ask(here, seen, Verb.RESUME) is Exit.BUSY
    assert len(watch.beats) == 30
    assert "asked to resume, and ops1:4711 has not answered within 3 s" in capsys.readouterr().err


def test_an_ended_rollout_cannot_be_stopped(tmp_path: Path) -> None:
    story = mixed()
    story.tell(ev.RolloutEnded(outcome="aborted"))
    story.write(tmp_path / "j.db")
    for verb in ("pause", "abort", "approve"):
        assert "has ended (aborted); nothing of it runs" in refusal(verb, journal=tmp_path / "j.db")
    with pytest.raises(UsageError, match="has ended"):
        commands_control.resume(tmp_path / "j.db", ROLLOUT)


def test_a_rollout_that_still_reads_nodes_is_ended_where_it_runs(tmp_path: Path) -> None:
    Story(opening(make_plan())[:1]).write(tmp_path / "j.db")
    with Lease(tmp_path / "j.db", ROLLOUT):
        assert "still reads nodes and changes nothing: end it with Ctrl-C" in refusal(
            "abort", journal=tmp_path / "j.db"
        )


def test_the_newest_that_has_not_ended_is_meant(tmp_path: Path) -> None:
    Story(opening(make_plan())).write(tmp_path / "j.db")
    dry = Story(opening(make_plan())[:1], ROLLOUT.__class__("dry"))
    dry.tell(ev.RolloutEnded(outcome="aborted"))
    dry.write(tmp_path / "j.db")
    assert ROLLOUT in fleet("pause", journal=tmp_path / "j.db").stderr
