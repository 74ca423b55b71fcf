"""What the hall's ground truth says of one node of a journey: its OS, its ports, its outlets, and what is wrong with all of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fleet.sim.faults import Rule, load_faults

_BOOT = ("boot_override", "media", "host_power")


@dataclass(frozen=True)
class Surrounds:
    """A hall as it is: `truth` as its socket says it, `hall` the directory that it was started from."""

    hall: Path
    truth: dict[str, Any]

    @cached_property
    def _layout(self) -> dict[str, Any]:
        """What the hall was told to build: boxes, or a mapping of boxes, switches, pdus and links."""
        found = json.loads((self.hall / "boxes.json").read_text())
        return found if isinstance(found, dict) else {"boxes": found}

    @cached_property
    def declared(self) -> Mapping[str, dict[tuple[str, str], str]]:
        """Node -> (switch, port) -> the node's own end of that cable, `gpu0001:eth0`, as it should be."""
        found: dict[str, dict[tuple[str, str], str]] = {}
        switches = self.truth.get("switches", {})
        for link in self._layout.get("links", ()):
            for near, far in ((link["a"], link["b"]), (link["b"], link["a"])):
                switch, _, port = near.partition(":")
                if switch in switches:
                    found.setdefault(far.partition(":")[0], {})[switch, port] = far
        return found

    def vlans(self, node: str) -> dict[str, int]:
        """`leaf1-a:swp1` -> the VLAN that it really is in, of the ports where the node should be."""
        ports = self.declared.get(node, {})
        return {f"{switch}:{port}": self.truth["switches"][switch]["vlans"][port] for switch, port in ports}

    def miscabled(self, node: str) -> list[str]:
        """Ports of the node at whose other end is another one, or nothing."""
        return [
            f"{switch}:{port} leads to {self.truth['switches'][switch]['neighbours'].get(port)}"
            for (switch, port), end in self.declared.get(node, {}).items()
            if self.truth["switches"][switch]["neighbours"].get(port) != end
        ]

    @cached_property
    def outlets(self) -> Mapping[str, dict[str, dict[str, Any]]]:
        """Node -> `pdu/1` -> its truth."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for pdu, told in self.truth.get("pdus", {}).items():
            for number, outlet in told["outlets"].items():
                found.setdefault(outlet["node"], {})[f"{pdu}/{number}"] = outlet
        return found

    def dark(self, node: str) -> list[str]:
        """Outlets of the node that are not on."""
        return [name for name, outlet in self.outlets.get(node, {}).items() if outlet["state"] != "on"]

    def facts(self, node: str) -> dict[str, str]:
        """What two rollouts are compared by, beside firmware: all that the journey may change, and has to leave alike."""
        box = self.truth["nodes"][node]
        return {
            "OS": str(box["os"]["version_id"]),
            "image writes": ", ".join(f"{write['version_id']} {write['outcome']}" for write in box["image_writes"]),
            "dark outlets": ", ".join(self.dark(node)),
            **{key: str(box[key]) for key in _BOOT},
            **{port: str(vlan) for port, vlan in self.vlans(node).items()},
        }

    def rules(self, node: str, book: Mapping[str, Rule]) -> list[Rule]:
        """Faults of the node itself, of the switches that it is cabled to and of the PDUs that feed it."""
        devices = {switch for switch, _ in self.declared.get(node, {})}
        devices |= {name.partition("/")[0] for name in self.outlets.get(node, {})}
        around = [
            self.truth[kind][name]["faults"] for kind in ("switches", "pdus") for name in self._among(kind, devices)
        ]
        return [book[name] for names in (self.truth["nodes"][node]["faults"], *around) for name in names]

    def _among(self, kind: str, devices: Iterable[str]) -> list[str]:
        return [name for name in self.truth.get(kind, {}) if name in devices]


def rules_of(faults: Path) -> dict[str, Rule]:
    """The rules of a fault file, by their names."""
    return {rule.name: rule for rule in load_faults(faults).rules}
