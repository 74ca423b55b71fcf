"""A small hall and what was seen of it, for the tests of exporters."""

from pathlib import Path

from inventory.exporters.snapshot import Origin, Reading, Sighting, Snapshot
from inventory.load import load
from inventory.model import Inventory, NodeId

READ_AT = 1_790_000_000.0
"""2026-09-21T14:13:20Z."""

HALL = """
inventory: small
credentials:
  bmc: {user: operator-of-bmcs, password: "env:SMALL_HALL_PASSWORD"}
feeds: [{id: A}, {id: B}]
sites: [{id: osl2}]
pods: [{id: "[p1,p2]", site: osl2}]
racks:
  - {id: r-1, pod: p1, feeds: [A, B]}
  - {id: r_1, pod: p1, feeds: [A, B]}
  - {id: r2, pod: p2, feeds: [A]}
nodes:
  - id: gpu[1-2]
    model: GB300 NVL
    rack: r-1
    bmc: {address: 10.1.0.1/24, credential: bmc}
    labels: {note: "{{ lookup('pipe', 'id') }}"}
  - id: gpu[3-4]
    model: GB300 NVL
    rack: r_1
    bmc: {address: 10.1.0.3/24, credential: bmc}
  - id: dgx1
    model: DGXH100
    rack: r2
    bmc: {address: dgx1-bmc.example.net, credential: bmc}
    serial: DECLARED1
switches:
  - {id: leaf1, model: SN5600, role: leaf, rack: r2, slots: "20", address: 10.1.9.1, credential: bmc}
links:
  - {a: "gpu[1-4]:eth0", b: "leaf1:swp[1-4]"}
"""


def write_hall(folder: Path, text: str = HALL) -> Path:
    path = folder / "hall.yaml"
    path.write_text(text)
    return path


def sighting(node: str, status: str = "confirmed", **more: object) -> Sighting:
    known = {
        "rollout": "gb300-20260921-141320",
        "playbook": "gb300",
        "reading": Reading.AFTER,
        "read_at": READ_AT,
        "serial": f"S-{node}",
        "uuid": f"00000000-0000-0000-0000-00000000{node[-1] * 4}",
        "profile": "gb300-nvl",
        "model": "GB300 NVL",
        "versions": {"HostBMC_0": "25.1", "HGX_FW_GPU_0": "97.00.1"},
    }
    return Sighting(node=NodeId(node), status=status, **(known | more))  # type: ignore[arg-type]  # a test's shorthand


SEEN = {
    NodeId("gpu1"): sighting("gpu1"),
    NodeId("gpu2"): sighting("gpu2", "quarantined", reason="update-failed", message="=cmd|' /C calc'!A0\nnext"),
    NodeId("dgx1"): sighting(
        "dgx1", "refused", reason="unreachable", reading=Reading.NONE, read_at=None, serial="", uuid="", versions={}
    ),
    NodeId("gpu3"): sighting("gpu3", "pending", reading=Reading.PLANNED, origin=Origin.SIMULATED_HALL),
}


def hall(folder: Path) -> Inventory:
    return load(write_hall(folder))


def snapshot(folder: Path, *, only: str = "") -> Snapshot:
    inventory = hall(folder)
    nodes = [node for node in inventory.nodes if not only or node.id == only]
    return Snapshot.of(inventory, nodes, SEEN)
