"""Pause, halt, abort and stop: after the gate moved no effect begins, and what was parked goes on."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.machine import Process
from support.rollout import ROLLOUT, Hall, HeldJournal, Running, hall, plan_for

from fleet import events as ev
from fleet.engine import Watcher
from fleet.events import Event, Recorded
from fleet.exits import Exit
from fleet.gate import Gate, Mode
from fleet.journal import Request, Verb
from fleet.plan import Plan
from fleet.policy.spec import RolloutSpec
from fleet.state import NodeStatus, RolloutStatus
from inventory.model import Node


def request(verb: Verb) -> Request:
    return Request(id=99, rollout=ROLLOUT, verb=verb, by="test")


def intents(place: Hall, after: type[Event]) -> list[str]:
    """Effects that were announced after the first event of this kind."""
    found, seen = [], False
    for item in place.clock.run(_read(place)):
        seen = seen or isinstance(item.event, after)
        if seen and isinstance(item.event, ev.IntentRecorded):
            found.append(item.event.effect)
    return found


async def _read(place: Hall) -> list[Recorded]:
    journal = HeldJournal(place.path, place.clock, Process())
    try:
        return list(journal.read(ROLLOUT))
    finally:
        await journal.close()


def when(kind: type[Event], act: Callable[[Running], None], nth: int = 1) -> Callable[[Running], Watcher]:
    """Act at the n-th event of this kind."""

    def watch(running: Running) -> Watcher:
        seen = 0

        def told(item: Recorded | Event) -> None:
            nonlocal seen
            if isinstance(item, Recorded) and isinstance(item.event, kind):
                seen += 1
                if seen == nth:
                    act(running)

        return told

    return watch


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_stopped_process_parks_its_nodes_and_the_next_one_finishes(tmp_path: Path, nth: int) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2"))

    async def story() -> tuple[Exit, Exit]:
        await place.prepare()
        first = await place.run(watch=when(ev.IntentRecorded, lambda running: running.engine.stop("sigterm"), nth))
        assert not any(machine.flashing() for machine in place.machines.values())
        assert not any(machine.sessions for machine in place.machines.values())
        return first, await place.run()

    first, last = place.clock.run(story())
    assert first in {Exit.PAUSED, Exit.OK}
    assert last is Exit.OK
    for machine in place.machines.values():
        assert machine.active == {"bmc": "new", "bios": "new"}
        assert sorted(machine.flashes) == ["bios new", "bmc new"]
        assert machine.cuts == 0


@pytest.mark.parametrize("nth", range(1, 6))
def test_after_an_abort_no_effect_begins_but_that_of_the_step_under_way(tmp_path: Path, nth: int) -> None:
    place = hall(tmp_path / "j.db")

    def abort(running: Running) -> None:
        asyncio.get_running_loop().create_task(running.engine._obey(request(Verb.ABORT)))

    async def story() -> Exit:
        await place.prepare()
        return await place.run(watch=when(ev.IntentRecorded, abort, nth))

    assert place.clock.run(story()) is Exit.ABORTED
    steps = {effect.rsplit("/", 1)[0] for effect in intents(place, ev.RolloutAborting)}
    assert len(steps) <= 1
    node = place.clock.run(place.state()).nodes["n1"]
    machine = place.machines["n1"]
    if nth <= 2:
        assert (node.status, node.reason) == (NodeStatus.QUARANTINED, "aborted")
        assert not steps
        assert "next reset will activate" in node.message
    assert machine.cuts == 0
    assert not machine.sessions


def test_a_resume_does_not_undo_an_abort(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2"), plan=one_at_a_time)

    def abort_and_resume(running: Running) -> None:
        async def both() -> None:
            await running.engine._obey(request(Verb.ABORT))
            await running.engine._obey(request(Verb.RESUME))

        asyncio.get_running_loop().create_task(both())

    async def story() -> Exit:
        await place.prepare()
        return await place.run(watch=when(ev.IntentRecorded, abort_and_resume))

    assert place.clock.run(story()) is Exit.ABORTED
    state = place.clock.run(place.state())
    assert state.status is RolloutStatus.ABORTED
    assert state.nodes["n2"].status is NodeStatus.PENDING
    assert not place.machines["n2"].effects


@pytest.mark.timeout(30)  # undone, it would wait for an approval for ever
@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.PAUSE])
def test_a_decision_that_is_being_written_undoes_neither_abort_nor_pause(tmp_path: Path, verb: Verb) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2"), plan=approved_first)

    async def asked_meanwhile(journal: HeldJournal, events: Sequence[Event]) -> None:
        if any(isinstance(event, ev.ApprovalNeeded) for event in events):
            await journal.request(ROLLOUT, verb, "test")
            await place.clock.sleep_wall(10)  # the engine looks for requests meanwhile
        if any(isinstance(event, ev.RolloutPaused) for event in events):
            await journal.request(ROLLOUT, Verb.ABORT, "test")  # or the process would wait for ever

    async def story() -> Exit:
        await place.prepare()
        return await place.run(slow=asked_meanwhile)

    assert place.clock.run(story()) is Exit.ABORTED
    kinds = [type(item.event) for item in place.clock.run(_read(place))]
    asked = ev.RolloutAborting if verb is Verb.ABORT else ev.RolloutPaused
    assert kinds.index(ev.ApprovalNeeded) < kinds.index(asked)
    assert not place.machines["n2"].effects


def approved_first(nodes: list[Node]) -> Plan:
    spec = RolloutSpec(waves=(1, len(nodes)), max_in_flight=1, rack=None, failure_budget=0, approve=(1,))
    return plan_for(nodes, spec=spec)


def one_at_a_time(nodes: list[Node]) -> Plan:
    return plan_for(nodes, spec=RolloutSpec(waves=(len(nodes),), max_in_flight=1, rack=None, failure_budget=0))


def together(nodes: list[Node]) -> Plan:
    spec = RolloutSpec(waves=(len(nodes),), max_in_flight=len(nodes), rack=None, failure_budget=0)
    return plan_for(nodes, spec=spec)


def test_a_halt_parks_the_others_and_a_resume_while_they_park_takes_them_all_up(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2", "n3"), plan=together)
    place.machines["n1"].faults.add("fails:bmc")
    place.machines["n2"].flash_s = 200.0
    place.machines["n3"].flash_s = 900.0

    def resume(running: Running) -> None:
        asyncio.get_running_loop().create_task(running.engine._obey(request(Verb.RESUME)))

    async def story() -> Exit:
        await place.prepare()
        return await place.run(watch=when(ev.NodeParked, resume))

    assert place.clock.run(story()) is Exit.NODES_FAILED
    statuses = {name: node.status for name, node in place.clock.run(place.state()).nodes.items()}
    assert statuses == {"n1": NodeStatus.QUARANTINED, "n2": NodeStatus.CONFIRMED, "n3": NodeStatus.CONFIRMED}


def test_a_halted_rollout_ends_its_process_and_touches_no_more_nodes(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2", "n3"), plan=one_at_a_time)
    place.machines["n1"].faults.add("fails:bmc")

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.HALTED
    assert not place.machines["n2"].effects
    assert not place.machines["n3"].effects


def test_a_pause_holds_every_node_at_its_safe_point_until_the_resume(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db")
    moments: list[float] = []

    def pause(running: Running) -> None:
        async def later() -> None:
            await running.engine._obey(request(Verb.PAUSE))
            moments.append(place.clock.now())
            await place.clock.sleep(50_000)
            moments.append(place.clock.now())
            await running.engine._obey(request(Verb.RESUME))
            running.engine._wake.set()

        asyncio.get_running_loop().create_task(later())

    async def story() -> Exit:
        await place.prepare()
        return await place.run(watch=when(ev.IntentRecorded, pause))

    assert place.clock.run(story()) is Exit.OK
    paused, resumed = moments
    during = [effect for at, effect in place.machines["n1"].effects if paused + 60 < at < resumed]
    assert not during
    assert place.machines["n1"].active == {"bmc": "new", "bios": "new"}


def test_a_bmc_that_is_silent_at_the_start_fails_its_node_and_not_the_rollout(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2"))
    place.machines["n1"].away_until = place.clock.now() + 10_000_000

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.NODES_FAILED
    nodes = place.clock.run(place.state()).nodes
    assert (nodes["n1"].status, nodes["n1"].reason) == (NodeStatus.QUARANTINED, "unreachable")
    assert nodes["n2"].status is NodeStatus.CONFIRMED


@pytest.mark.parametrize("broken", ["identify", "observe"])
def test_a_first_read_that_fails_is_the_nodes_own_trouble(tmp_path: Path, broken: str) -> None:
    place = hall(tmp_path / "j.db", ("n1", "n2"))
    place.machines["n1"].broken_reads = {broken}

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.NODES_FAILED
    assert place.clock.run(place.state()).nodes["n2"].status is NodeStatus.CONFIRMED


def test_another_machine_behind_the_address_is_not_touched(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db")
    place.machines["n1"].serial = "S2"

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.NODES_FAILED
    assert place.clock.run(place.state()).nodes["n1"].reason == "identity-mismatch"
    assert not place.machines["n1"].effects


def test_vanished_tasks_are_waited_out_and_nothing_is_flashed_twice(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", faults=("vanish",))

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.OK
    assert place.machines["n1"].flashes == ["bmc new", "bios new"]
    assert place.machines["n1"].cuts == 0


def test_abort_is_final_for_the_gate() -> None:
    gate = Gate()
    gate.move(Mode.ABORT, "why")
    gate.move(Mode.OPEN)
    assert gate.mode is Mode.ABORT
