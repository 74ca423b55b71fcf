"""Whole rollouts below a breaker that bears one start at a time: nobody starts without room, over crashes too."""

import asyncio
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

from support.machine import Crash, Machine, Process
from support.rollout import ROLLOUT, Hall, hall

from fleet import events as ev
from fleet.edges import Edges, Outlet
from fleet.exits import Exit
from fleet.explain import explain
from fleet.journal import SqliteJournal
from fleet.policy.power.pacing import JITTER
from fleet.policy.power.spec import Others, PowerSpec
from fleet.ports import PowerState
from fleet.power_desk import START_S
from fleet.state import NodeStatus
from fleet.watts import PowerReading
from inventory.model import Node
from inventory.power import START_EVERY_S, DomainKind, ModelPower, PowerDomain, PowerTree

NAMES = ("n1", "n2", "n3")
PLATE_W, IDLE_W, OFF_W = 10_000, 2_000, 100
ONE_START_W = PLATE_W + 2 * IDLE_W + 500
SPEC = PowerSpec(others=Others.MEASURED, period_s=30)


def below(budget_w: int) -> PowerTree:
    """Three nodes on one branch circuit."""
    limit_w = budget_w / (1 - SPEC.headroom.percent / 100)
    branch = PowerDomain(id="b1", kind=DomainKind.BRANCH, ratings_w=(round(limit_w) + 1,), derate=1.0)
    figures = ModelPower(nameplate_w=PLATE_W, idle_w=IDLE_W)
    return PowerTree(domains={"b1": branch}, on=dict.fromkeys(NAMES, ("b1",)), models={"M": figures})


def draws_w(machine: Machine) -> int:
    """Off, idle, or in a start: then it draws all that it can."""
    ons = [at for at, effect in machine.effects if effect == "on"]
    if machine.power is PowerState.OFF:
        return OFF_W
    return PLATE_W if ons and machine.clock.now() < ons[-1] + START_S else IDLE_W


@dataclass(slots=True)
class MeteredOutlet:
    """The only outlet of one machine, which is never switched here."""

    machine: Machine
    process: Process
    name: str = "pdu/1"

    async def reading(self) -> PowerReading | None:
        """See fleet.edges.Outlet.reading."""
        self.process.must_live()
        return PowerReading(watts=draws_w(self.machine), at=self.machine.clock.now())


@dataclass(slots=True)
class Metered:
    """The edges of a hall whose outlets are metered."""

    machines: dict[str, Machine]
    process: Process

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """See fleet.edges.Edges."""
        return (cast("Outlet", MeteredOutlet(self.machines[str(node.id)], self.process)),)

    async def leave(self, node: Node) -> None:
        """Nothing is kept open."""


def metered_hall(folder: Path, budget_w: int) -> Hall:
    place = hall(folder / "journal.db", NAMES)
    return replace(
        place,
        edges=lambda process: cast("Edges", Metered(place.machines, process)),
        power=below(budget_w),
        power_spec=SPEC,
    )


def starts(place: Hall) -> list[float]:
    """Ground truth: when a host was turned on, all machines together."""
    return sorted(at for machine in place.machines.values() for at, effect in machine.effects if effect == "on")


def told(place: Hall) -> list[ev.Event]:
    journal = SqliteJournal(place.path, place.clock)
    return [recorded.event for recorded in journal.read(ROLLOUT)]


def test_starts_wait_for_one_another_and_say_for_what(tmp_path: Path) -> None:
    place = metered_hall(tmp_path, ONE_START_W)

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.OK
    at = starts(place)
    assert len(at) == len(NAMES)
    assert all(later - earlier >= START_S for earlier, later in pairwise(at))
    events = told(place)
    waiting = [event for event in events if isinstance(event, ev.PowerWaiting)]
    assert {event.domain for event in waiting} == {"b1"}
    assert waiting[0].why == "branch b1 has 0.5 kW of 14.5 kW left, 8.0 kW needed"
    for name in NAMES:
        mine = [event for event in events if isinstance(event, ev.NodeEvent) and event.node == name]
        reserved = next(at for at, event in enumerate(mine) if isinstance(event, ev.PowerReserved))
        off = next(
            at
            for at, event in enumerate(mine)
            if isinstance(event, ev.IntentRecorded) and event.effect.endswith("/host-off")
        )
        assert reserved < off


def test_where_there_is_room_for_all_a_branch_still_turns_on_one_after_the_other(tmp_path: Path) -> None:
    place = metered_hall(tmp_path, len(NAMES) * PLATE_W)

    async def story() -> Exit:
        await place.prepare()
        return await place.run()

    assert place.clock.run(story()) is Exit.OK
    at = starts(place)
    assert at[-1] - at[0] < START_S
    assert all(later - earlier >= START_EVERY_S * (1 - JITTER) for earlier, later in pairwise(at))
    assert not [event for event in told(place) if isinstance(event, ev.PowerWaiting)]


def test_nothing_starts_where_not_one_start_has_room(tmp_path: Path) -> None:
    place = metered_hall(tmp_path, PLATE_W + IDLE_W)

    async def story() -> tuple[str, ...]:
        await place.prepare()
        running = asyncio.create_task(place.run())
        await place.clock.sleep(7_200)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        state = await place.state()
        assert {node.status for node in state.nodes.values()} == {NodeStatus.RUNNING}
        journal = SqliteJournal(place.path, place.clock)
        lines = explain(state, journal.read(ROLLOUT))
        await journal.close()
        return tuple(line.text for line in lines if line.topic == "waits")

    waits = place.clock.run(story())
    assert starts(place) == []
    assert "3 nodes for power: branch b1 has 6.0 kW of 12.0 kW left, 8.0 kW needed" in waits


def test_a_crash_at_any_moment_gives_nobody_the_room_of_a_start(tmp_path: Path) -> None:
    for dies_at in range(20, 120, 9):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        place = metered_hall(folder, ONE_START_W)

        async def story(place: Hall = place, dies_at: int = dies_at) -> Exit:
            await place.prepare()
            try:
                return await place.run(dies_at=dies_at, written=dies_at % 2 == 0)
            except Crash:
                return await place.run()

        assert place.clock.run(story()) is Exit.OK
        at = starts(place)
        assert len(at) == len(NAMES)
        assert all(later - earlier >= START_S for earlier, later in pairwise(at)), dies_at
