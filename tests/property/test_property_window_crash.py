"""A window that closes in the middle of a rollout, in virtual time: nothing begins that would not be over, whoever dies when."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clock import START
from support.machine import Crash
from support.rollout import ROLLOUT, Hall, hall, plan_for

from fleet import events as ev
from fleet.events import Recorded
from fleet.exits import Exit
from fleet.journal import Request, SqliteJournal, Verb
from fleet.plan import Plan
from fleet.policy.spec import RolloutSpec
from fleet.policy.window import DAYS, Window
from fleet.state import NodeStatus
from inventory.model import Node

_ENDS_S = 2 * 3600
"""From the opening of the window to its end; one node needs about 40 minutes (q99) and takes about 18."""


def window(opened_s: float) -> Window:
    """Daily, open for two hours; at START it has been open for so long already."""
    opened = datetime.fromtimestamp(START - opened_s, UTC)
    return Window(days=DAYS, start=f"{opened:%H:%M}", length_s=_ENDS_S, tz="UTC")


def site(folder: Path, opened_s: float, *, nodes: Sequence[str] = ("n1",), patient: str = "yes") -> Hall:
    def plan(declared: list[Node]) -> Plan:
        spec = RolloutSpec(waves=(len(declared),), max_in_flight=1, rack=None, window=window(opened_s))
        return plan_for(declared, spec=spec)

    made = hall(folder / "journal.db", nodes, plan=plan)
    made.wait_for_window = patient
    return made


async def wrote(place: Hall) -> list[Recorded]:
    journal = SqliteJournal(place.path, place.clock)
    try:
        return list(journal.read(ROLLOUT))
    finally:
        await journal.close()


def effects(recorded: Sequence[Recorded]) -> list[tuple[str, float]]:
    """What disturbs the machine, and when it was announced."""
    return [(item.event.effect, item.at) for item in recorded if isinstance(item.event, ev.IntentRecorded)]


async def first(place: Hall) -> Exit:
    await place.prepare()
    return await place.run()


def test_a_node_that_would_overrun_is_not_touched_and_goes_on_at_the_next_opening(tmp_path: Path) -> None:
    place = site(tmp_path, opened_s=_ENDS_S - 30 * 60)
    hours = window(_ENDS_S - 30 * 60)
    assert place.clock.run(first(place)) == Exit.OK
    recorded = asyncio.run(wrote(place))
    (parked,) = [item for item in recorded if isinstance(item.event, ev.NodeParked)]
    opening = hours.next_opening(START)
    assert parked.event.waits_for == "window"
    assert parked.event.until == opening
    assert "the window closes at" in parked.event.why
    assert "what remains needs" in parked.event.why
    assert opening is not None
    assert all(at >= opening for _, at in effects(recorded))
    assert all(item.at >= opening for item in recorded if isinstance(item.event, ev.StepStarted))
    assert asyncio.run(place.state()).nodes["n1"].status is NodeStatus.CONFIRMED
    assert place.machines["n1"].flashes == ["bmc new", "bios new"]


def test_without_patience_the_process_ends_and_a_resume_in_time_goes_on(tmp_path: Path) -> None:
    place = site(tmp_path, opened_s=_ENDS_S - 30 * 60, patient="")
    assert place.clock.run(first(place)) == Exit.WINDOW_CLOSED
    assert place.machines["n1"].flashes == []
    state = asyncio.run(place.state())
    assert (state.cause, state.nodes["n1"].status) == ("window", NodeStatus.PARKED)
    resumed = Request(id=0, rollout=ROLLOUT, verb=Verb.RESUME, by="test")
    assert place.clock.run(place.run(ask=resumed)) == Exit.WINDOW_CLOSED  # still half an hour left, still too short
    assert place.machines["n1"].flashes == []
    place.clock.run(place.clock.sleep(24 * 3600 - 60 * 60))
    assert place.clock.run(place.run(ask=resumed)) == Exit.OK
    assert place.machines["n1"].flashes == ["bmc new", "bios new"]


def test_an_abort_ends_a_node_that_waits_for_its_window(tmp_path: Path) -> None:
    place = site(tmp_path, opened_s=_ENDS_S - 30 * 60, patient="")
    assert place.clock.run(first(place)) == Exit.WINDOW_CLOSED
    aborted = Request(id=0, rollout=ROLLOUT, verb=Verb.ABORT, by="test")
    assert place.clock.run(place.run(ask=aborted)) == Exit.ABORTED
    node = asyncio.run(place.state()).nodes["n1"]
    assert (node.status, node.reason) == (NodeStatus.QUARANTINED, "aborted")


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("opened_s", [0, _ENDS_S - 30 * 60])
def test_a_process_that_dies_anywhere_and_is_followed_after_the_window_has_closed(
    tmp_path: Path,
    opened_s: int,
    written: bool,  # noqa: FBT001 (as Hall.run has it)
) -> None:
    hours = window(opened_s)
    sample = site(tmp_path / "whole", opened_s)
    assert sample.clock.run(first(sample)) == Exit.OK
    for dies_at in range(1, sample.appends[0] + 1, 4):
        place = site(tmp_path / str(dies_at), opened_s)
        place.path.parent.mkdir()

        async def lived(place: Hall = place, dies_at: int = dies_at) -> Exit:
            await place.prepare()
            try:
                return await place.run(dies_at=dies_at, written=written)
            except Crash:
                died = place.clock.now()
                await place.clock.sleep((hours.closes_at(died) or died) - died + 600)
                return await place.run()

        assert place.clock.run(lived()) == Exit.OK, dies_at
        state = asyncio.run(place.state())
        assert state.nodes["n1"].status is NodeStatus.CONFIRMED, dies_at
        assert place.machines["n1"].flashes == ["bmc new", "bios new"], dies_at
        # A host that is off is turned on whenever that is; nothing else begins outside the window.
        late = [effect for effect, at in effects(asyncio.run(wrote(place))) if not hours.open_at(at)]
        assert [effect for effect in late if not effect.endswith("/host-on")] == [], dies_at
