"""The whole journey of a node in small: a healthy node per switch platform, one node per kind of fault, and kills on the way.

Real processes, a real hall, a real journal. `make soak` is the whole, with 256 nodes and fifty kills.
"""

from pathlib import Path

from soak.lives import Ordeal, Schedule, endure, journey_place
from soak.verdict import Outcome, differences, outcome
from support.journey import AT_ONCE, ENDS, FAULTS, ROLLED_BACK

from fleet.exits import Exit
from playbooks import LIBRARY

SPEED = 800.0
KILLS = 5


def lived(directory: Path, schedule: Schedule | None) -> tuple[Ordeal, Outcome]:
    """A bring-up of these nodes, all at once, killed as scheduled."""
    faults, playbook = directory.with_suffix(".faults.yaml"), directory.with_suffix(".playbook.yaml")
    faults.write_text(FAULTS)
    steps, _, _ = (LIBRARY / "bring-up.yaml").read_text().partition("rollout:\n")
    playbook.write_text(steps + AT_ONCE)
    select = "id=" + "|".join(ENDS)
    with journey_place(directory, select, speed=SPEED, faults=str(faults), seed=0, playbook=playbook) as at:
        return endure(at, schedule), outcome(at)


def test_each_node_ends_as_its_fault_demands_and_as_if_nobody_had_been_killed(tmp_path: Path) -> None:
    calm, undisturbed = lived(tmp_path / "calm", None)
    assert {name: node.reason for name, node in undisturbed.state.nodes.items()} == ENDS
    assert {name for name, node in undisturbed.state.nodes.items() if node.status == "rolled-back"} == ROLLED_BACK
    assert undisturbed.violations == ()
    assert calm.exit == Exit.NODES_FAILED

    schedule = Schedule.make(KILLS, 2, planned_s=calm.planned_s, progress=calm.progress)
    killed, disturbed = lived(tmp_path / "killed", schedule)
    assert killed.kills == KILLS
    assert differences(undisturbed, disturbed) == {}
    assert disturbed.violations == ()
    assert killed.exit == calm.exit
