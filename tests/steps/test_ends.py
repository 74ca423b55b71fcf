"""What a failure in the middle of a journey leads to: firmware goes back for its own sake only, and ports go back with it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from step_rig import Leaf, leaf
from support.around import link
from support.clock import VirtualClock
from support.machine import Machine
from support.rollout import NEEDS, Hall, baseline, book, component, digest, node, profile, survey

from fleet.edges import Edges, Scheduler, SchedulerNode, SchedulerState, SwitchCli
from fleet.errors import NodeFault, Reason
from fleet.exits import Exit
from fleet.planning import build
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.state import NodeState, NodeStatus
from fleet.step import StepSpec
from inventory.baseline import Activation
from inventory.exporters.snapshot import Sighting
from inventory.model import Node

NETWORK = StepSpec("network.config", {"vlan": "100"})
TENANT = StepSpec("network.config", {"vlan": "200"})
FIRMWARE = (StepSpec("firmware.update", {"component": "bmc"}), StepSpec("firmware.update", {"component": "bios"}))
VERIFY, EXPORT = StepSpec("verify"), StepSpec("inventory.export", {"to": "json"})


@dataclass(slots=True)
class Beside:
    """A leaf, and an export that may be refused (fleet.edges.Edges, as far as these steps go)."""

    leaf: Leaf
    refuses: str = ""
    published: list[Sighting] = field(default_factory=list)
    then: Callable[[], object] = lambda: None
    """What somebody else does whenever the switch is about to be asked."""
    given_back: Callable[[], bool] = lambda: False
    """Whether somebody has resumed the node by now."""
    asked_to_drain: list[str] = field(default_factory=list)

    @property
    def scheduler(self) -> Scheduler:
        """See fleet.edges.Edges."""
        return self

    async def look(self, node: str) -> SchedulerNode:
        """See fleet.edges.Scheduler."""
        drained = self.asked_to_drain and not self.given_back()
        state = SchedulerState.DRAINED if drained else SchedulerState.IN_SERVICE
        return SchedulerNode(state=state, reason=self.asked_to_drain[-1] if drained else "")

    async def drain(self, node: str, reason: str) -> None:
        """See fleet.edges.Scheduler."""
        self.asked_to_drain.append(reason)

    async def resume(self, node: str) -> None:
        """See fleet.edges.Scheduler."""
        self.asked_to_drain.clear()

    def outlets(self, node: Node) -> tuple[()]:
        """None."""
        return ()

    async def switch(self, switch: str) -> SwitchCli:
        """The only one."""
        self.then()
        return self.leaf

    async def publish(self, exporter: str, sighting: Sighting) -> str:
        """See fleet.edges.Edges."""
        if self.refuses:
            raise NodeFault(Reason.EXPORT_REFUSED, self.refuses)
        self.published.append(sighting)
        return "there"

    async def leave(self, node: Node) -> None:
        """Nothing is kept open."""


def journey(folder: Path, steps: Sequence[StepSpec], *faults: str, refuses: str = "") -> tuple[Hall, Beside]:
    """One machine behind one leaf whose port is in VLAN 7."""
    clock = VirtualClock()
    wanted, declared = baseline(component("bmc"), component("bios")), node("n1")
    spec = RolloutSpec(waves=(1,), max_in_flight=1, rack=None, failure_budget=1, on_failure=OnFailure.ROLL_BACK_NODE)
    seen = survey(declared, {"bmc": "old", "bios": "old"}, profile("bmc", "bios"))
    beside = Beside(leaf("a", "arista_eos", {"Ethernet1": 7}), refuses)
    machine = Machine(
        clock=clock,
        active=dict.fromkeys(NEEDS, "old"),
        images={digest(key, version): (key, version) for key in NEEDS for version in ("old", "new")},
        activated_by=cast("dict[str, Activation]", dict(NEEDS)),
        faults=set(faults),
    )
    recipes = replace(book(wanted, "bmc", "bios"), steps=tuple(steps))
    return Hall(
        path=folder / "journal.db",
        clock=clock,
        plan=build(playbook="p", baseline=wanted, spec=spec, surveys=[seen], recipe_for=recipes),
        nodes={"n1": declared},
        machines={"n1": machine},
        edges=lambda _: cast("Edges", beside),
        links={"n1": (link("n1:eth0", "a:Ethernet1"),)},
    ), beside


def ended(place: Hall) -> tuple[Exit, NodeState]:
    """Run it, and what became of the node."""

    async def live() -> Exit:
        await place.prepare()
        return await place.run()

    return place.clock.run(live()), asyncio.run(place.state()).nodes["n1"]


def test_a_whole_journey_is_verified_and_handed_on_as_it_is_now(tmp_path: Path) -> None:
    place, beside = journey(tmp_path, [NETWORK, *FIRMWARE, TENANT, VERIFY, EXPORT])
    result, state = ended(place)
    assert (result, state.status) == (Exit.OK, NodeStatus.CONFIRMED), state.message
    assert beside.leaf.vlans == {"Ethernet1": 200}
    (sighting,) = beside.published
    assert (sighting.status, sighting.versions) == ("confirmed", {"bmc": "new", "bios": "new"})


def test_firmware_that_fails_goes_back_and_the_port_with_it(tmp_path: Path) -> None:
    place, beside = journey(tmp_path, [NETWORK, *FIRMWARE, TENANT, VERIFY, EXPORT], "fails:bios")
    result, state = ended(place)
    assert (result, state.status, state.reason) == (Exit.NODES_FAILED, NodeStatus.ROLLED_BACK, "update-failed")
    assert (place.machines["n1"].active, beside.leaf.vlans) == ({"bmc": "old", "bios": "old"}, {"Ethernet1": 7})
    assert beside.published == []


def test_firmware_that_is_in_force_stays_when_something_else_fails(tmp_path: Path) -> None:
    place, beside = journey(tmp_path, [NETWORK, *FIRMWARE, TENANT, VERIFY, EXPORT], refuses="another rack")
    result, state = ended(place)
    assert (result, state.status, state.reason) == (Exit.NODES_FAILED, NodeStatus.QUARANTINED, "export-refused")
    assert (place.machines["n1"].active, beside.leaf.vlans) == ({"bmc": "new", "bios": "new"}, {"Ethernet1": 200})
    assert place.machines["n1"].flashes == ["bmc new", "bios new"]


def test_a_verification_reads_again_and_finds_what_somebody_changed_meanwhile(tmp_path: Path) -> None:
    place, beside = journey(tmp_path, [NETWORK, *FIRMWARE, VERIFY, EXPORT])

    def meddle() -> None:
        running = beside.leaf.switch.running
        beside.leaf.switch.running = running.with_vlan(55).with_port("Ethernet1", vlan=55)

    beside.then = lambda: place.machines["n1"].active == {"bmc": "new", "bios": "new"} and meddle()
    result, state = ended(place)
    assert (result, state.status, state.reason) == (Exit.NODES_FAILED, NodeStatus.QUARANTINED, "drifted")
    assert "a:Ethernet1 is in VLAN 55" in state.message
    assert place.machines["n1"].active == {"bmc": "new", "bios": "new"}


@pytest.mark.parametrize(
    ("by_hand", "ends", "flashes"),
    [("sideways", NodeStatus.QUARANTINED, []), ("new", NodeStatus.CONFIRMED, ["bios new"])],
)
def test_firmware_that_somebody_changed_since_the_plan_holds_the_node_unless_it_is_at_its_goal(
    tmp_path: Path, by_hand: str, ends: NodeStatus, flashes: list[str]
) -> None:
    place, _ = journey(tmp_path, FIRMWARE)
    place.machines["n1"].active["bmc"] = by_hand
    _, state = ended(place)
    assert (state.status, place.machines["n1"].flashes) == (ends, flashes)
    if ends is NodeStatus.QUARANTINED:
        assert state.message == (
            "bmc: bmc was old when the plan was made and is sideways: nothing was done to it; plan it anew"
        )


@pytest.mark.parametrize("handed_over", [1, 2])
def test_a_node_that_somebody_gave_back_is_not_disturbed_any_more(tmp_path: Path, handed_over: int) -> None:
    place, beside = journey(tmp_path, [StepSpec("node.drain"), *FIRMWARE, VERIFY])
    machine = place.machines["n1"]
    beside.given_back = lambda: len(machine.flashes) >= handed_over
    _, state = ended(place)
    assert (state.status, state.reason) == (NodeStatus.QUARANTINED, "not-drained")
    assert [effect for _, effect in machine.effects] == ["submit"] * handed_over
    assert "somebody gave it back since" in state.message
