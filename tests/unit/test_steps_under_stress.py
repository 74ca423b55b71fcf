"""What a step must not do when the machine is in the way at the wrong moment (field guide B.8, F09, F22, F34, F44)."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from support.rollout import Hall, hall, plan_for

from fleet.errors import Reason
from fleet.gate import Gate
from fleet.policy.spec import OnFailure
from fleet.state import NodeState, NodeStatus


def ended(place: Hall, gate: Gate | None = None) -> NodeState:
    """The node after one process's life."""

    async def story() -> NodeState:
        await place.prepare()
        await place.run(gate=gate)
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


class Door(Gate):
    """Holds the node once, at the `nth` question after `done` effects, while another machine takes the place."""

    def __init__(self, place: Hall, done: int, nth: int) -> None:
        super().__init__()
        self._place, self._machine, self._at = place, place.machines["n1"], (done, nth)
        self._asked: Counter[int] = Counter()

    async def safe_point(self) -> None:
        """See Gate."""
        done = len(self._machine.effects)
        self._asked[done] += 1
        if (done, self._asked[done]) == self._at:
            await self._place.clock.sleep(30_000.0)
            self._machine.serial = "SOMEBODY ELSE"
        await super().safe_point()


@pytest.mark.parametrize(("done", "nth"), [(0, 2), (2, 2), (3, 1)], ids=["submit", "bmc-reset", "host-off"])
def test_a_machine_that_was_swapped_during_a_pause_is_not_touched(tmp_path: Path, done: int, nth: int) -> None:
    place = hall(tmp_path / "j.db")
    node = ended(place, Door(place, done, nth))
    assert (node.status, node.reason) == (NodeStatus.QUARANTINED, Reason.IDENTITY_MISMATCH)
    assert len(place.machines["n1"].effects) == done


def test_a_cancelled_task_is_no_proof_that_the_flash_ended(tmp_path: Path) -> None:
    """Rolled back at once, the next image would arrive in the middle of a flash, and the next reset would cut it."""
    place = hall(
        tmp_path / "j.db",
        faults=["cancels:bios"],
        plan=lambda nodes: plan_for(nodes, on_failure=OnFailure.ROLL_BACK_NODE),
    )
    ended(place)
    machine = place.machines["n1"]
    submits = [at for at, effect in machine.effects if effect == "submit"]
    assert machine.flashes[2:]
    assert min(later - earlier for earlier, later in pairwise(submits)) > machine.flash_s


def test_a_bios_may_show_its_version_when_the_first_post_is_over(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db")
    place.machines["n1"].post_s = 1150.0
    assert ended(place).status is NodeStatus.CONFIRMED


def test_a_host_that_refuses_to_shut_down_is_switched_off(tmp_path: Path) -> None:
    place = hall(tmp_path / "j.db", faults=["deaf"])
    assert ended(place).status is NodeStatus.CONFIRMED
