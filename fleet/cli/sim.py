"""`fleet sim`: a simulated hall for an inventory, as a process of its own."""

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.cli.hall import ask
from fleet.errors import UsageError
from inventory.model import End, Inventory, Link, Node, NodeId, Switch

FAULTS = Path(__file__).parent.parent / "sim" / "faults"
"""Fault files that ship."""
PROVISIONING = "provisioning"
"""What the VLAN is called in which installers reach their home (docs/bring-up.md)."""
_READY_S = 120
_PORT = 8443
_NETWORKS = range(1, 100, 10)
"""Where a hall's ten second octets begin. Hosts answer 100 above their BMCs (docs/hall.md), out of everybody's way."""
_BMCS, _SWITCHES, _PDUS = (0, 1), (5, 7), (6, 8)
"""Which of the ten: for racks up to 249, and for those from 250 on."""
_RACKS = 250
"""In one second octet: the rack is the third."""
_SLOTS = 254
"""Of a rack: the slot is the last octet, and 255 may be a broadcast address."""


@dataclass(frozen=True, slots=True)
class _Places:
    """Loopback addresses of one hall, by rack; racks are counted from 1 as they come."""

    network: int
    racks: dict[str, int] = field(default_factory=dict)

    def at(self, kind: tuple[int, ...], rack: str, last: int) -> str:
        """Where a device of this kind is. Raises UsageError for a slot or rack that no address has."""
        number = self.racks.setdefault(rack, len(self.racks) + 1)
        which, third = divmod(number, _RACKS)
        if which >= len(kind) or not 1 <= last <= _SLOTS:
            raise UsageError(
                f"rack {rack}, slot {last}: a simulated hall has addresses for {_RACKS * len(kind) - 1} racks and slots 1 to"
                f" {_SLOTS}; select fewer nodes"
            )
        return f"127.{self.network + kind[which]}.{third}.{last}"


def write_boxes(nodes: Iterable[Node], path: Path, *, inventory: Inventory | None = None) -> None:
    """The boxes of these nodes, for `python -m fleet.sim`: one BMC at 127.1.<rack>.<slot> each, racks counted from 1.

    With their inventory, also what is around them: the switches that they are cabled to and whose command line is known, at
    127.6.<rack>.<slot>, the cables between them, and the PDUs that feed them and can be switched, at 127.7.<rack>.<position>.
    Where another hall is there already, 127.11 (16, 17), 127.21 (26, 27) and so on.

    Raises:
        UsageError: there are more racks, or higher slots, than loopback addresses.
    """
    places = _Places(next((number for number in _NETWORKS if _unused(number)), _NETWORKS[0]))
    chosen = tuple(nodes)
    boxes = [_box(node, places) for node in chosen]
    if inventory is None:
        path.write_text(json.dumps(boxes))
        return
    names = {node.id for node in chosen}
    document = {"boxes": boxes, **_cabled(inventory, names, places), "pdus": _pdus(inventory, names, places)}
    path.write_text(json.dumps(document))


def _box(node: Node, places: _Places) -> dict[str, Any]:
    return {
        "name": str(node.id),
        "model": node.model,
        "rack": str(node.rack),
        "slot": node.slot,
        "address": places.at(_BMCS, node.rack, node.slot),
        "serial": node.serial or "",
        "uuid": node.uuid or "",
        "feeds": [str(feed) for feed in node.feeds],
        "chassis": node.chassis or "",
    }


def cabled(inventory: Inventory, names: AbstractSet[NodeId]) -> tuple[tuple[Switch, ...], tuple[Link, ...]]:
    """The switches that these nodes are cabled to and whose command line is known, and the cables between them."""
    spoken_to = {switch.id for switch in inventory.switches if switch.platform}
    cables = [
        (link, switch)
        for link in inventory.links
        for switch, node in ((link.a.device, link.b.device), (link.b.device, link.a.device))
        if switch in spoken_to and node in names
    ]
    reached = {switch for _, switch in cables}
    return tuple(switch for switch in inventory.switches if switch.id in reached), tuple(link for link, _ in cables)


def _cabled(inventory: Inventory, names: AbstractSet[NodeId], places: _Places) -> dict[str, Any]:
    switches, cables = cabled(inventory, names)
    return {
        "switches": [
            {
                "name": str(switch.id),
                "platform": switch.platform,
                "rack": str(switch.rack),
                "slot": switch.slot,
                "address": places.at(_SWITCHES, switch.rack, switch.slot),
                "provisioning_vlan": inventory.vlans.get(PROVISIONING, 0),
            }
            for switch in switches
        ],
        "links": [{"a": _end(link.a), "b": _end(link.b)} for link in cables],
    }


def _end(end: End) -> str:
    return f"{end.device}:{end.port}"


def _pdus(inventory: Inventory, names: AbstractSet[NodeId], places: _Places) -> list[dict[str, Any]]:
    """The PDUs whose outlets can be switched and feed one of these nodes; all PDUs of a rack count for its position in it."""
    found = []
    position: Counter[str] = Counter()
    for pdu in inventory.pdus:
        position[pdu.rack] += 1
        outlets = {str(number): str(node) for number, node in pdu.outlets.items() if node in names}
        if pdu.mib is None or not outlets:
            continue
        found.append(
            {
                "name": str(pdu.id),
                "model": pdu.mib,
                "rack": str(pdu.rack),
                "feed": str(pdu.feed),
                "address": places.at(_PDUS, pdu.rack, position[pdu.rack]),
                "outlets": outlets,
            }
        )
    return found


def _unused(network: int) -> bool:
    """Whether no hall is in this network: every hall has a BMC in its first rack, in whatever slot."""
    return all(_free(f"127.{network}.1.{slot}") for slot in range(1, _SLOTS + 1))


def _free(address: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, _PORT))
        except OSError:
            return False
    return True


def fault_file(name: str) -> Path:
    """A shipped fault file by its name, or a path."""
    shipped = FAULTS / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    path = Path(name)
    if path.is_file():
        return path
    known = ", ".join(sorted(each.stem for each in FAULTS.glob("*.yaml")))
    raise UsageError(f"{name}: no such fault file; shipped: {known}")


def command(directory: Path, *, speed: float, faults: Path, seed: int) -> list[str]:
    """The hall's command line; its boxes lie in `directory`."""
    boxes = directory / "boxes.json"
    options = {"--boxes": boxes, "--directory": directory, "--speed": speed, "--faults": faults, "--seed": seed}
    return [sys.executable, "-m", "fleet.sim", *(str(word) for pair in options.items() for word in pair)]


def start(directory: Path, *, speed: float, faults: Path, seed: int) -> subprocess.Popen[str]:
    """Start the hall and wait until it is ready. Raises UsageError with what it said if it is not."""
    (directory / "hall.json").unlink(missing_ok=True)
    hall = subprocess.Popen(  # noqa: S603 (our own interpreter and module, no shell)
        command(directory, speed=speed, faults=faults, seed=seed),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    said = hall.stderr.readline() if hall.stderr else ""
    if "hall ready" not in said:
        hall.kill()
        raise UsageError(f"the simulated hall did not start: {said.strip()}")
    return hall


def stop(directory: Path, hall: subprocess.Popen[str]) -> None:
    """Ask the hall to end, and see that it does."""
    try:
        ask(directory / "truth.sock", "POST", "/quit")
        hall.wait(timeout=_READY_S)
    except (UsageError, subprocess.TimeoutExpired):
        hall.kill()
        hall.wait()
