"""`fleet sim`: a simulated hall for an inventory, as a process of its own."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from fleet.cli.hall import ask
from fleet.errors import UsageError
from inventory.model import Node

FAULTS = Path(__file__).parent.parent / "sim" / "faults"
"""Fault files that ship."""
_READY_S = 120
_PORT = 8443
_NETWORKS = range(1, 100, 10)


def write_boxes(nodes: Iterable[Node], path: Path) -> None:
    """The boxes of these nodes, for `python -m fleet.sim`: one BMC at 127.1.<rack>.<slot> each, racks counted from 1.

    Where another hall is there already, 127.11, 127.21 and so on.
    """
    racks: dict[str, int] = {}
    network = next((number for number in _NETWORKS if _free(f"127.{number}.1.1")), _NETWORKS[0])
    boxes = []
    for node in nodes:
        rack = racks.setdefault(str(node.rack), len(racks) + 1)
        box = {
            "name": str(node.id),
            "model": node.model,
            "rack": str(node.rack),
            "slot": node.slot,
            "address": f"127.{network + rack // 250}.{rack % 250}.{node.slot}",
            "serial": node.serial or "",
            "uuid": node.uuid or "",
            "feeds": [str(feed) for feed in node.feeds],
        }
        boxes.append(box)
    path.write_text(json.dumps(boxes))


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
