"""A fresh simulated hall for each contestant, and what its ground truth says afterwards."""

import json
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.cli import compose, demo, journey, sim
from fleet.cli.hall import read_hall

COMPONENTS = ("bmc", "hgx", "bios")
"""In this order, as the demo's playbook has them."""
_PORTS = range(9443, 9643)
"""Not those of `fleet demo` and of the tests, which may run beside us."""
_FIRST_BMC = "127.1.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchHall:
    """A hall that runs, with the files of the demo."""

    home: Path
    """Inventory, playbook, images; the contestant's own files go here, too."""
    directory: Path
    """Of the hall: CA, password, hall.json."""
    playbook: Path
    speed: float
    nodes: int

    def truth(self) -> dict[str, Any]:
        """GET /truth."""
        return read_hall(self.directory).truth()

    def image(self, component: str) -> Path:
        """The package of a component."""
        return self.home / "images" / demo.IMAGES[component].file

    def addresses(self) -> dict[str, str]:
        """Node -> ADDRESS:PORT."""
        bmcs = read_hall(self.directory).bmcs
        return {name: f"{bmc.address}:{bmc.port}" for name, bmc in bmcs.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the hall saw."""

    cpu_s: float
    """Of the hall's process since it was ready."""
    peak_rss_mib: float
    requests_per_node: float
    at_wanted: int
    """Nodes whose every part that the images contain runs the wanted version."""
    around_per_node: dict[str, float] = field(default_factory=dict)
    """What was asked beside BMCs: SSH logins and commands of hosts, commits of switches, requests to PDUs, images written."""
    harm: dict[str, int]
    """Twice flashed, power cuts, bricked nodes, sessions left, concurrent requests: fleet.cli.demo.judge."""


@contextmanager
def bench_hall(home: Path, *, nodes: int, speed: float, faults: str) -> Iterator[BenchHall]:
    """A hall of `nodes` DGX H100 on ports of its own, so that another hall may run on this machine."""
    shutil.rmtree(home, ignore_errors=True)
    playbook = demo.write_demo(home, nodes)
    directory = home / "hall"
    directory.mkdir()
    chosen = compose.read_sources(home / "inventory.yaml", playbook, None).nodes
    sim.write_boxes(chosen, directory / "boxes.json")
    _move(directory / "boxes.json", _free_port())
    process = sim.start(directory, speed=speed, faults=sim.fault_file(faults), seed=0)
    try:
        yield BenchHall(home=home.resolve(), directory=directory.resolve(), playbook=playbook, speed=speed, nodes=nodes)
    finally:
        sim.stop(directory, process)


@contextmanager
def journey_hall(home: Path, *, nodes: int, speed: float, faults: str) -> Iterator[BenchHall]:
    """A hall of the first `nodes` of bring-up-256, with switches, PDUs, hosts and installers."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    files = journey.write_journey(home)
    select = f"id=gpu[0001-{nodes:04}]"
    with journey.hall_for_journey(home, files, select=select, speed=speed, faults=faults, seed=0) as directory:
        yield BenchHall(
            home=home.resolve(), directory=directory.resolve(), playbook=files.playbook, speed=speed, nodes=nodes
        )


def seen(before: dict[str, Any], after: dict[str, Any]) -> Truth:
    """What happened between two readings of the ground truth."""
    nodes = after["nodes"].values()
    start, end = before["process"], after["process"]
    return Truth(
        cpu_s=end["cpu_s"] - start["cpu_s"],
        peak_rss_mib=end["peak_rss_bytes"] / (1024 * 1024),
        requests_per_node=(end["requests"] - start["requests"]) / len(nodes),
        at_wanted=sum(_at_wanted(node) for node in nodes),
        around_per_node={what: count / len(nodes) for what, count in _around(after).items()},
        harm=demo.judge(after),
    )


def _around(truth: dict[str, Any]) -> dict[str, int]:
    """Counts of what is not Redfish; none of a hall that has nothing else."""
    nodes = truth["nodes"].values()
    switches, pdus = truth.get("switches", {}).values(), truth.get("pdus", {}).values()
    found = {
        "SSH logins": sum(node.get("shell_logins", 0) for node in nodes),
        "commands": sum(sum(node.get("commands", {}).values()) for node in nodes),
        "switch commits": sum(switch["commits"] for switch in switches),
        "SNMP requests": sum(pdu["requests"] for pdu in pdus),
        "OS images written": sum(len(node.get("image_writes", [])) for node in nodes),
    }
    return {what: count for what, count in found.items() if count}


def wanted_versions(node: dict[str, Any]) -> dict[str, str]:
    """Inventory id -> version that the three images bring; `node` is one node of the ground truth."""
    families = {family: version for key in COMPONENTS for family, version in demo.IMAGES[key].contents.items()}
    wanted = {}
    for item in node["items"]:
        family = re.sub(r"_\d+$", "", item)
        if family in families:
            wanted[item] = families[family]
    return wanted


def _at_wanted(node: dict[str, Any]) -> bool:
    wanted = wanted_versions(node)
    shown = {item: node["items"][item]["active"] for item in wanted}
    return node["bricked"] is None and shown == wanted


def _move(boxes: Path, port: int) -> None:
    moved = [box | {"port": port} for box in json.loads(boxes.read_text())]
    boxes.write_text(json.dumps(moved))


def _free_port() -> int:
    for port in _PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_FIRST_BMC, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {_PORTS} is free at {_FIRST_BMC}")
