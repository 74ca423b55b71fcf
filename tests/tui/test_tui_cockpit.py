"""The cockpit on real journals, driven by keys."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.rollout_builder import ROLLOUT, Story, activates, begins, make_plan, mixed, opening
from cockpit_rig import LARGE, SMALL, Rig, append, cockpit

from fleet import events as ev
from fleet.journal import Lease, Request, Verb
from fleet.journal.reading import look
from fleet.state import NodeStatus
from tui.app import Cockpit
from tui.confirm_screen import ConfirmScreen
from tui.feed import ReplayFeed
from tui.hall_map import HallMap
from tui.log_screen import EventLines
from tui.node_screen import NodeScreen


def story() -> Story:
    """Two of eight nodes out in the second wave, one of them uncertain."""
    told = Story(opening(make_plan(approve=(2,))))
    told.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    told.after(600).tell(*activates("gpu0001"), ev.NodeConfirmed(node="gpu0001"))
    told.tell(ev.WaveOpened(wave=1, nodes=3), *begins("gpu0002", 1), *begins("gpu0003", 1)[:3])
    told.after(60).tell(ev.NodeUncertain(node="gpu0003", effect="1 firmware.update bmc/submit", why="the link broke"))
    return told


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    story().write(path)
    return path


@pytest.fixture
def run(journal: Path) -> Iterator[Path]:
    """A living process has the rollout."""
    with Lease(journal, ROLLOUT):
        yield journal


@pytest.fixture
def halted(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    mixed().write(path)
    return path


def requests(path: Path) -> tuple[Request, ...]:
    with look(path) as view:
        return view.requests(ROLLOUT, after=0)


def chosen(rig: Rig) -> str | None:
    return rig.app.screen.query_one(HallMap).chosen


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_what_happens_in_the_journal_is_seen_at_the_next_beat(run: Path, size: tuple[int, int]) -> None:
    at = story().at
    async with cockpit(run, size, at=at) as rig:
        await rig.sees("2/2")
        assert "8 nodes in 2 racks" in rig.text()
        await append(run, at, [ev.NodeQuarantined(node="gpu0003", reason="bmc-gone", message="it is silent")])
        assert "bmc-gone" not in rig.text()
        await rig.beat()
        assert "gpu0003 quarantined: bmc-gone: it is silent" in rig.text()
        assert "1/2" in rig.text()


async def test_only_lines_on_which_a_node_changed_are_painted_again(run: Path) -> None:
    at = story().at
    async with cockpit(run, at=at) as rig:
        hall = rig.app.screen.query_one(HallMap)
        old = hall._seen
        await append(run, at, [*begins("gpu0006", 1)])
        await rig.beat()
        assert old is not None
        assert hall._seen is not None
        assert hall._changed(old, hall._seen) == {hall._placing.spots[5][1]}
        assert hall._changed(hall._seen, hall._seen) == set()
        assert hall._seen.statuses[5] is NodeStatus.RUNNING


async def test_keys_move_over_the_hall_and_find_trouble(run: Path) -> None:
    async with cockpit(run) as rig:
        await rig.press("right", "right", "left")
        assert chosen(rig) == "gpu0002"
        await rig.press("n")
        assert chosen(rig) == "gpu0003"
        await rig.press("slash", *"0007", "enter")
        assert chosen(rig) == "gpu0007"
        await rig.press("slash", *"nobody", "enter", "left")
        assert chosen(rig) == "gpu0006"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_node_is_told_whole_and_followed(run: Path, size: tuple[int, int]) -> None:
    at = story().at
    async with cockpit(run, size, at=at) as rig:
        await rig.press("n", "enter")
        assert isinstance(rig.app.screen, NodeScreen)
        await rig.sees("the hardware is being read")
        assert "UNCERTAIN" in rig.text()
        assert "23.09.20" in rig.text()
        await append(run, at, [ev.NodeQuarantined(node="gpu0003", reason="outcome-unknown", message="two slots")])
        await rig.beat()
        await rig.sees("QUARANTINED")
        assert "read slots, tasks and logs" in rig.text()
        await rig.press("right")
        await rig.sees("gpu0004")
        await rig.press("escape")
        assert chosen(rig) == "gpu0003"


async def test_a_pause_is_asked_for_only_after_a_yes(run: Path) -> None:
    async with cockpit(run) as rig:
        await rig.press("p")
        await rig.sees("2 nodes in flight: each goes on")
        await rig.press("enter")
        await rig.sees("steps in progress")
        assert requests(run) == ()
        await rig.press("p")
        await rig.sees("2 nodes in flight: each goes on")
        await rig.press("y")
        await rig.sees("asked to pause")
        assert [(item.verb, item.by) for item in requests(run)] == [(Verb.PAUSE, "ann@ops1")]


async def test_the_answer_is_told(run: Path) -> None:
    at = story().at
    async with cockpit(run, at=at) as rig:
        await rig.press("p")
        await rig.sees("each goes on")
        await rig.press("y")
        await rig.sees("asked to pause")
        await append(run, at, [ev.RolloutPaused(by="ann@ops1")])
        await rig.beat()
        assert "paused by ann@ops1: no new effect begins" in rig.text()
        assert "PAUSED" in rig.text()


async def test_every_verb_reaches_the_journal(run: Path) -> None:
    at = story().at
    async with cockpit(run, at=at) as rig:
        for key, words, before in (
            ("A", "This is final", []),
            ("a", "Wave 3 of 3 opens: 4 nodes", [ev.ApprovalNeeded(wave=2)]),
            ("r", "go on", [ev.RolloutPaused(by="x")]),
        ):
            await append(run, at, [*before, ev.NodeObserved(node="gpu0002", when="before", versions={})])
            await rig.beat()
            await rig.press(key)
            await rig.sees(words)
            await rig.press("y")
            await rig.sees("asked to")
            await rig.beat()
    assert [item.verb for item in requests(run)] == [Verb.ABORT, Verb.APPROVE, Verb.RESUME]


async def test_where_no_process_runs_a_command_is_shown_and_nothing_written(halted: Path) -> None:
    async with cockpit(halted) as rig:
        assert "no process runs it" in rig.text()
        await rig.press("r")
        await rig.sees("fleet resume hgx-2026.10")
        await rig.press("y")
        assert isinstance(rig.app.screen, ConfirmScreen)
        await rig.press("escape")
    assert requests(halted) == ()


async def test_an_ended_rollout_offers_the_way_back_as_a_command(tmp_path: Path) -> None:
    told = mixed()
    told.tell(ev.RolloutEnded(outcome="aborted"))
    await asyncio.to_thread(told.write, tmp_path / "j.db")
    async with cockpit(tmp_path / "j.db") as rig:
        await rig.press("p", "A", "r")
        assert not isinstance(rig.app.screen, ConfirmScreen)
        await rig.press("b")
        await rig.sees("fleet rollback hgx-2026.10")


async def test_the_log_shows_more_or_less_and_follows(run: Path) -> None:
    at = story().at
    async with cockpit(run, at=at) as rig:
        await rig.press("l")
        await rig.sees("hand over the image of bmc")
        await rig.press("f", "f")
        assert rig.app.screen.query_one(EventLines).sieve == "notable"
        assert "hand over the image of bmc (" not in rig.text()
        await append(run, at, [ev.RolloutHalted(cause="budget", message="enough")])
        await rig.beat()
        assert "halted (budget): enough" in rig.text()
        await rig.press("escape")
        assert chosen(rig) == "gpu0001"


async def test_a_replay_plays_holds_and_seeks(journal: Path) -> None:
    async with cockpit(journal, replay_speed=60.0) as rig:
        assert isinstance(rig.feed, ReplayFeed)
        assert "REPLAY" in rig.text()
        assert "gpu0001 " in rig.text()
        assert "wave 2 opened" not in rig.text()
        await rig.beat(11)
        assert "wave 2 opened" in rig.text()
        await rig.press("space", "home")
        await rig.beat()
        assert "wave 2 opened" not in rig.text()
        await rig.press("greater_than_sign")
        await rig.beat()
        assert "wave 2 opened" in rig.text()
        await rig.press("end")
        await rig.beat()
        assert "not known whether it happened" in rig.text()
        await rig.press("p", "A")
        assert not isinstance(rig.app.screen, ConfirmScreen)


async def test_help_names_every_mark(run: Path) -> None:
    async with cockpit(run, SMALL) as rig:
        await rig.press("question_mark")
        assert all(word in rig.text() for word in ("quarantined", "uncertain", "approve the wave", "rolling back"))
        await rig.press("escape")
        assert chosen(rig) == "gpu0001"


async def test_the_window_may_change_its_size(run: Path) -> None:
    async with cockpit(run, LARGE) as rig:
        assert "steps in progress" in rig.text()
        await rig.pilot.resize_terminal(*SMALL)
        await rig.pilot.pause()
        assert "steps in progress" not in rig.text()
        assert "8 nodes in 2 racks" in rig.text()


async def test_a_journal_that_a_newer_version_writes_ends_it_with_the_reason(journal: Path) -> None:
    rig_app: Cockpit
    async with cockpit(journal) as rig:
        rig_app = rig.app
        with look(journal):
            await _future(journal)
        await rig.wall.idle()
        rig.wall._go.set()
        await asyncio.wait_for(_gone(rig), 60)
    assert "a newer Fleetwave wrote it" in str(rig_app.return_value)


async def _future(path: Path) -> None:
    import sqlite3  # noqa: PLC0415 (only here is a journal written behind Fleetwave's back)

    with sqlite3.connect(path) as link:
        link.execute("INSERT INTO events(rollout, at, kind, data) VALUES(?, 0, 'node.teleported', '{}')", (ROLLOUT,))
    link.close()


async def _gone(rig: Rig) -> None:
    while rig.app.is_running and rig.app.return_value is None:
        await rig.pilot.pause()
