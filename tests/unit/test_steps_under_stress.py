"""What a step must not do when the machine is in the way at the wrong moment (field guide B.8, F09, F22, F34, F44)."""

from pathlib import Path

from support.rollout import Hall, hall, plan_for

from fleet.policy.spec import OnFailure
from fleet.state import NodeState, NodeStatus


def ended(place: Hall) -> NodeState:
    """The node after one process's life."""

    async def story() -> NodeState:
        await place.prepare()
        await place.run()
        return (await place.state()).nodes["n1"]

    return place.clock.run(story())


def test_a_force_flag_that_is_not_set_back_at_once_flashes_nothing_twice(tmp_path: Path) -> None:
    place = hall(
        tmp_path / "j.db",
        faults=["fails:bios", "unforce:busy"],
        plan=lambda nodes: plan_for(nodes, on_failure=OnFailure.ROLL_BACK_NODE),
    )
    assert ended(place).status is NodeStatus.ROLLED_BACK
    machine = place.machines["n1"]
    assert machine.flashes.count("bmc old") == 1
    assert machine.unforced
