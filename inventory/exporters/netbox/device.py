"""What nodes and switches have in common for NetBox, and what we say of everything that we make there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

from inventory.exporters.netbox.objects import OURS, Ref
from inventory.exporters.snapshot import Entry, Origin, Snapshot
from inventory.model import Bmc, Inventory, NodeId, RackId, SwitchId

TAG = "fleetwave"
TAGS: list[dict[str, str | Ref]] = [{"slug": TAG}]
DESCRIPTION = 200
"""Characters (NetBox: description, max_length)."""
Addresses: TypeAlias = tuple[tuple[str, str], ...]
"""Interface and address; the first is the one by which the device is reached out of band."""
RACK_UNITS = 48
"""Of the racks that we create."""
RACK_UNIT_LABEL = "rack_unit"
"""A node's label that says at which unit it is mounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What nodes and switches have in common."""

    id: NodeId | SwitchId
    model: str
    role: str
    rack: RackId
    slot: int
    unit: int | None
    """Declared rack unit."""
    bmc: Bmc | None
    management: str | None
    entry: Entry | None = None

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Management interface -> address in NetBox's spelling; a host name is none."""
        for interface, address in (("bmc", self.bmc.address if self.bmc else None), ("mgmt", self.management)):
            with suppress(ValueError):
                yield interface, str(ip_address(address or ""))


def devices(snapshot: Snapshot) -> Iterator[Device]:
    """Every exported node and switch."""
    for entry in snapshot.entries:
        node = entry.node
        unit = node.labels.get(RACK_UNIT_LABEL, "")
        yield Device(
            id=node.id,
            model=node.model,
            role="GPU node",
            rack=node.rack,
            slot=node.slot,
            unit=int(unit) if unit.isascii() and unit.isdigit() and len(unit) <= len(str(RACK_UNITS)) else None,
            bmc=node.bmc,
            management=None,
            entry=entry,
        )
    for switch in snapshot.switches():
        yield Device(
            id=switch.id,
            model=switch.model,
            role=f"{switch.role.value} switch",
            rack=switch.rack,
            slot=switch.slot,
            unit=None,
            bmc=switch.bmc,
            management=switch.address,
        )


def own_addresses(hall: Inventory, exported: Iterable[Device]) -> Mapping[NodeId | SwitchId, Addresses]:
    """Those that a device has to itself in the whole hall: of a shared one (ports of a gateway) NetBox would say it is one's."""
    everything = devices(Snapshot.of(hall, hall.nodes, {}))
    shared = Counter(address for device in everything for _, address in device.addresses())
    return {device.id: tuple(each for each in device.addresses() if shared[each[1]] == 1) for device in exported}


def said(text: str, entry: Entry) -> str:
    """A description: never one that a BMC could make look like somebody else's."""
    simulated = " (simulated hall)" if entry.seen and entry.seen.origin is Origin.SIMULATED_HALL else ""
    flat = "".join(letter if letter.isprintable() else " " for letter in f"{OURS}{text}{simulated}")
    return flat.strip()[:DESCRIPTION].rstrip()
