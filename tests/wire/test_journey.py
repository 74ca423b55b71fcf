"""The whole journey of a node in small: a healthy node per switch platform, one node per kind of fault, and kills on the way.

Real processes, a real hall, a real journal. `make soak` is the whole, with 256 nodes and fifty kills.
"""

from pathlib import Path

from soak.lives import Ordeal, Schedule, endure, journey_place
from soak.verdict import Outcome, differences, outcome

from fleet.exits import Exit
from playbooks import LIBRARY

SPEED = 800.0
KILLS = 5
FAULTS = """
faults: one-of-each
seed: 0
rules:
  - {name: gpu-gone, select: {node: gpu0002}, effect: gpu-missing}
  - {name: dcgm-says-no, select: {node: gpu0003}, effect: dcgm-fails, times: always}
  - {name: dcgm-cut-short, select: {node: gpu0130}, effect: json-truncated, times: always}
  - {name: no-shell, select: {node: gpu0004}, effect: ssh-refused}
  - {name: silent, select: {node: gpu0005}, effect: no-phone-home}
  - {name: somebody-else, select: {node: gpu0006}, effect: wrong-identity}
  - {name: bad-media, select: {node: gpu0131}, effect: image-unreadable, times: always}
  - {name: media-lost, select: {node: gpu0132}, effect: media-dropped}
  - {name: device-refuses, select: {node: gpu0007}, effect: update-fails, times: always}
  - {name: falls-back, select: {node: gpu0133}, effect: version-unchanged, times: always}
  - {name: task-gone, select: {node: gpu0008}, effect: task-vanishes, times: always}
  - {name: crossed, select: {node: gpu0161}, effect: wrong-cable}
  - {name: refuses-twice, select: {node: leaf2-a}, effect: commit-refused, times: 2}
  - {name: refuses, select: {node: leaf3-b}, effect: commit-refused, times: always}
  - {name: lets-go-early, select: {node: leaf7-a}, effect: link-drops-in-commit, applied: false}
  - {name: lets-go-late, select: {node: leaf7-b}, effect: link-drops-in-commit}
  - {name: sticks-once, select: {node: pdu-r03-A}, effect: outlet-stuck}
  - {name: sticks, select: {node: pdu-r14-B}, effect: outlet-stuck, times: always}
"""
ENDS = {
    "gpu0001": "",  # Cumulus Linux
    "gpu0129": "",  # Arista EOS
    "gpu0002": "burnin-failed",
    "gpu0003": "burnin-failed",
    "gpu0130": "burnin-failed",
    "gpu0004": "image-failed",
    "gpu0005": "image-failed",
    "gpu0006": "identity-mismatch",
    "gpu0131": "image-failed",
    "gpu0132": "image-failed",
    "gpu0007": "update-failed",
    "gpu0133": "version-mismatch",
    "gpu0008": "",
    "gpu0161": "wrong-cable",
    "gpu0162": "wrong-cable",
    "gpu0033": "",  # both PDUs and a leaf of it are told again, or read
    "gpu0065": "switch-refused",
    "gpu0193": "",
    "gpu0209": "power-ignored",
}
"""Node -> the reason for which it is held or rolled back; empty: it is accepted."""
ROLLED_BACK = {"gpu0007", "gpu0133"}
AT_ONCE = """rollout:
  waves: [100%]
  max_in_flight: 100%
  spread: {rack: 8}
  failure_budget: {total: 100%}
  on_failure: roll_back_node
"""


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
