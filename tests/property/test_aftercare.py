"""Confirmed nodes are looked at again while their success ripens: what fails late is seen, counts, and holds the node."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.rollout import Running, hall, node, plan_for

from fleet import events as ev
from fleet.aftercare import AT_ONCE, due
from fleet.engine import Watcher
from fleet.events import Event, Recorded
from fleet.exits import Exit
from fleet.policy.spec import RolloutSpec
from fleet.state import NodeState, NodeStatus
from inventory.scalar import Percent

BAKE_S = 3600
SPEC = RolloutSpec(rack=None, bake_s=BAKE_S, max_in_flight=8, tolerate=Percent(50.0))


def confirmed(at: float, **more: int) -> NodeState:
    return NodeState(status=NodeStatus.CONFIRMED, intents=1, ended_at=at, **more)  # type: ignore[arg-type]


def test_each_is_looked_at_twice_and_few_at_a_time() -> None:
    nodes = {
        "a": confirmed(0.0),
        "b": NodeState(status=NodeStatus.RUNNING, intents=1),
        "c": NodeState(status=NodeStatus.CONFIRMED),
    }
    assert due(nodes, {}, (), bake_s=BAKE_S, now=1000.0).nodes == ()
    assert due(nodes, {}, (), bake_s=BAKE_S, now=1000.0).next_at == 1800.0
    assert due(nodes, {}, (), bake_s=BAKE_S, now=1800.0).nodes == ("a",)
    assert due(nodes, {}, ("a",), bake_s=BAKE_S, now=1800.0).nodes == ()
    assert due(nodes, {"a": 1800.0}, (), bake_s=BAKE_S, now=2000.0).next_at == 3600.0
    assert due(nodes, {"a": 3600.0}, (), bake_s=BAKE_S, now=9e9).nodes == ("a",)
    assert due(nodes, {"a": 3700.0}, (), bake_s=BAKE_S, now=9e9).nodes == ()
    assert due(nodes, {}, (), bake_s=0, now=9e9).nodes == ()
    many = {str(number): confirmed(0.0) for number in range(50)}
    assert len(due(many, {}, ("x", "y"), bake_s=BAKE_S, now=1800.0).nodes) == AT_ONCE - 2


def falls_back(name: str) -> Callable[[Running], Watcher]:
    """Half a bake time after it was confirmed the node runs its old firmware again."""

    def watch(running: Running) -> Watcher:
        def told(item: Recorded | Event) -> None:
            if isinstance(item, Recorded) and isinstance(item.event, ev.NodeConfirmed) and item.event.node == name:
                running.hall.machines[name].active["bmc"] = "old"

        return told

    return watch


@pytest.mark.parametrize("bad", ["", "n1"])
def test_a_node_that_falls_back_later_is_a_failure_of_the_change(tmp_path: Path, bad: str) -> None:
    names = ("n1", "n2", "n3")
    place = hall(tmp_path / "j.db", names, plan=lambda _: plan_for([node(name) for name in names], spec=SPEC))

    async def story() -> Exit:
        await place.prepare()
        return await place.run(watch=falls_back(bad))

    assert place.clock.run(story()) is (Exit.NODES_FAILED if bad else Exit.OK)
    state = place.clock.run(place.state())
    ends = {name: each.status for name, each in state.nodes.items()}
    assert ends == {name: NodeStatus.QUARANTINED if name == bad else NodeStatus.CONFIRMED for name in names}
    if bad:
        assert state.nodes[bad].reason == "drifted"
        assert state.nodes[bad].message == "bmc: bmc shows old"
        assert state.failures == 1
    last = max(each.ended_at or 0.0 for each in state.nodes.values() if each.status is NodeStatus.CONFIRMED)
    assert (state.ended_at or 0.0) >= last + BAKE_S
    assert not any(machine.sessions for machine in place.machines.values())
