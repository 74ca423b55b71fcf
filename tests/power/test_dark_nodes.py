"""A whole rollout whose activation is an AC cycle by outlets: whoever dies in it leaves a node that the next process relights."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from fed_machine import FedMachine, ModelOutlet
from support.clock import VirtualClock
from support.machine import Crash, Process
from support.rollout import OFFERS, ROLLOUT, Hall, baseline, book, component, digest, node, profile, survey

from fleet.edges import Edges, Outlet
from fleet.errors import Reason
from fleet.exits import Exit
from fleet.journal import Request, Verb
from fleet.planning import build
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.ports import PowerState
from fleet.state import NodeState, NodeStatus
from inventory.baseline import Activation
from inventory.model import Node

NAMES = ("pdu-A/1", "pdu-B/1")
WHOLE = [("pdu-A/1", "off"), ("pdu-B/1", "off"), ("pdu-A/1", "on"), ("pdu-B/1", "on")]


@dataclass(slots=True)
class Feeds:
    """The edges of a hall that has PDUs and nothing else."""

    machine: FedMachine
    process: Process
    names: tuple[str, ...] = NAMES

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """See fleet.edges.Edges."""
        return tuple(ModelOutlet(name, self.machine, self.process) for name in self.names)

    async def leave(self, node: Node) -> None:
        """Nothing is kept open."""


def fed_hall(folder: Path, *faults: str, on_failure: OnFailure = OnFailure.QUARANTINE) -> Hall:
    """One machine on an old BIOS that only AC activates, and that has no AC cycle of its own."""
    clock = VirtualClock()
    bios = replace(component("bios"), activation=frozenset({Activation.AC_CYCLE}))
    wanted, declared = baseline(bios), node("n1", feeds=("A", "B"))
    spec = RolloutSpec(waves=(1,), max_in_flight=1, rack=None, failure_budget=1, on_failure=on_failure)
    seen = survey(declared, {"bios": "old"}, profile("bios"), OFFERS | {Activation.AC_CYCLE})
    machine = FedMachine(
        clock=clock,
        active={"bios": "old"},
        images={digest("bios", version): ("bios", version) for version in ("old", "new")},
        activated_by={"bios": Activation.AC_CYCLE},
        faults=set(faults),
    )
    return Hall(
        path=folder / "journal.db",
        clock=clock,
        plan=build(playbook="p", baseline=wanted, spec=spec, surveys=[seen], recipe_for=book(wanted)),
        nodes={"n1": declared},
        machines={"n1": machine},
        edges=lambda process: cast("Edges", Feeds(machine, process)),
    )


async def _lives(place: Hall, dies_at: int, *, written: bool) -> Exit:
    await place.prepare()
    try:
        return await place.run(dies_at=dies_at, written=written)
    except Crash:
        return await place.run()


def _end(place: Hall) -> tuple[FedMachine, NodeState]:
    return cast("FedMachine", place.machines["n1"]), asyncio.run(place.state()).nodes["n1"]


def _appends(folder: Path) -> int:
    folder.mkdir()
    place = fed_hall(folder)
    assert place.clock.run(_lives(place, 0, written=False)) is Exit.OK
    return place.appends[0]


@pytest.mark.parametrize("written", [False, True])
def test_whoever_dies_at_any_append_the_node_is_relit_and_cycled_once(tmp_path: Path, *, written: bool) -> None:
    total = _appends(tmp_path / "calm")
    assert total > len(WHOLE) * 2
    for dies_at in range(1, total + 1):
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        place = fed_hall(folder)
        result = place.clock.run(_lives(place, dies_at, written=written))
        machine, state = _end(place)
        assert (result, state.status) == (Exit.OK, NodeStatus.CONFIRMED), (dies_at, state.reason, state.message)
        assert machine.switched == WHOLE, dies_at
        assert (machine.active, machine.power, machine.cuts) == ({"bios": "new"}, PowerState.ON, 0)


def test_an_abort_of_a_dead_process_relights_the_node_first(tmp_path: Path) -> None:
    total = _appends(tmp_path / "calm")
    dark = 0
    for dies_at in range(1, total + 1):
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        place = fed_hall(folder)

        async def aborted(place: Hall = place, dies_at: int = dies_at) -> None:
            await place.prepare()
            with pytest.raises(Crash):
                await place.run(dies_at=dies_at, written=True)
            nonlocal dark
            dark += not cast("FedMachine", place.machines["n1"]).live
            await place.run(ask=Request(id=0, rollout=ROLLOUT, verb=Verb.ABORT, by="test"))

        place.clock.run(aborted())
        machine, state = _end(place)
        assert machine.live == set(NAMES), dies_at
        assert machine.power is PowerState.ON, dies_at
        if state.admitted_at is not None:
            assert state.status in {NodeStatus.QUARANTINED, NodeStatus.CONFIRMED}, dies_at
    assert dark, "no death left the node dark: the test proves nothing"


def test_an_outlet_that_stays_off_after_a_death_is_named_and_the_rest_is_relit(tmp_path: Path) -> None:
    total, tried = _appends(tmp_path / "calm"), 0
    for dies_at in range(1, total + 1):
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        place = fed_hall(folder, "pdu-A/1 on:stuck")
        place.clock.run(place.prepare())
        with pytest.raises(Crash):
            place.clock.run(place.run(dies_at=dies_at, written=True))
        if cast("FedMachine", place.machines["n1"]).live:
            continue
        tried += 1
        assert place.clock.run(place.run()) is Exit.NODES_FAILED
        machine, state = _end(place)
        assert state.reason == Reason.POWER_IGNORED
        assert "pdu-A/1" in state.message
        assert (machine.live, machine.power) == ({"pdu-B/1"}, PowerState.ON)
    assert tried, "no death left the node dark: the test proves nothing"


def test_whoever_comes_late_cuts_no_host_that_runs_again(tmp_path: Path) -> None:
    total, tried = _appends(tmp_path / "calm"), 0
    for dies_at in range(1, total + 1):
        for written in (False, True):
            folder = tmp_path / f"{dies_at}{written}"
            folder.mkdir()
            place = fed_hall(folder)
            machine = cast("FedMachine", place.machines["n1"])
            place.clock.run(place.prepare())
            with pytest.raises(Crash):
                place.clock.run(place.run(dies_at=dies_at, written=written))
            if not machine.live or machine.power is PowerState.ON:
                continue
            tried += 1
            machine.power = PowerState.ON  # somebody needed the node, hours later
            place.clock.run(place.run())
            _, state = _end(place)
            assert not machine.busy_when_cut, dies_at
            assert (machine.live, machine.power) == (set(NAMES), PowerState.ON), dies_at
            assert state.status in {NodeStatus.CONFIRMED, NodeStatus.QUARANTINED}, dies_at
    assert tried, "no death left a host off with a feed on: the test proves nothing"


def test_an_outlet_that_the_inventory_names_since_is_never_cut(tmp_path: Path) -> None:
    total, tried = _appends(tmp_path / "calm"), 0
    for dies_at in range(1, total + 1):
        folder = tmp_path / f"{dies_at}"
        folder.mkdir()
        place = fed_hall(folder)
        machine = cast("FedMachine", place.machines["n1"])
        place.clock.run(place.prepare())
        with pytest.raises(Crash):
            place.clock.run(place.run(dies_at=dies_at, written=True))
        if ("pdu-A/1", "off") not in machine.switched or ("pdu-A/1", "on") in machine.switched:
            continue
        tried += 1
        machine.live |= {"pdu-A/9"}  # feeds another machine
        place.edges = lambda process, machine=machine: cast("Edges", Feeds(machine, process, ("pdu-A/9", "pdu-B/1")))  # type: ignore[misc]
        place.clock.run(place.run())
        _, state = _end(place)
        assert {"pdu-A/9", "pdu-B/1"} <= machine.live, dies_at
        assert "pdu-A/9" not in {outlet for outlet, _ in machine.switched}, dies_at
        assert (state.status, state.reason) == (NodeStatus.QUARANTINED, Reason.POWER_IGNORED), dies_at
        assert "pdu-A/1" in state.message, dies_at
    assert tried, "no death was in the dark: the test proves nothing"


def test_a_machine_that_was_cut_by_mistake_is_not_cut_again_on_the_way_back(tmp_path: Path) -> None:
    place = fed_hall(tmp_path, on_failure=OnFailure.ROLL_BACK_NODE)
    machine = cast("FedMachine", place.machines["n1"])
    machine.live |= {"the feed that no outlet of the map switches"}
    place.clock.run(place.prepare())
    assert place.clock.run(place.run()) is Exit.NODES_FAILED
    _, state = _end(place)
    assert (state.status, state.reason) == (NodeStatus.QUARANTINED, Reason.POWER_IGNORED)
    assert "outlet map" in state.message
    assert machine.switched == WHOLE
    assert machine.power is PowerState.ON
