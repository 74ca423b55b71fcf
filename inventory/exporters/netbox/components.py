"""What hangs on a device: interfaces with their addresses, cables, firmware. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from inventory.exporters.netbox.device import TAGS, Addresses, Device, said
from inventory.exporters.netbox.objects import OURS, Key, Kind, Ref, Wanted
from inventory.exporters.snapshot import Reading
from inventory.model import Link, NodeId, SwitchId

_NAME = 64
"""Characters of the name of a device or of a component (NetBox: name, max_length)."""


def interfaces(owner: Key, device: Device, addresses: Addresses) -> Iterator[Wanted]:
    """Those by which the device is managed, and their addresses."""
    at = Ref(kind=Kind.DEVICE, key=owner)
    names = [name for name, there in (("bmc", device.bmc), ("mgmt", device.management)) if there]
    for name in names:
        yield Wanted(
            kind=Kind.INTERFACE,
            key=(*owner, name),
            keep={"mgmt_only": True},
            first={"device": at, "name": name, "type": "1000base-t", "tags": TAGS},
        )
    for name, address in addresses:
        mask = ip_address(address).max_prefixlen
        yield Wanted(
            kind=Kind.ADDRESS,
            key=(address,),
            keep={
                "assigned_object_type": "dcim.interface",
                "assigned_object_id": Ref(kind=Kind.INTERFACE, key=(*owner, name)),
            },
            first={"address": f"{address}/{mask}", "status": "active", "tags": TAGS},
        )


def firmware(owner: Key, device: Device) -> Iterator[Wanted]:
    """An inventory item for each version that was observed."""
    if device.entry is None or device.entry.seen is None:
        return
    seen = device.entry.seen
    for item, version in sorted(seen.versions.items()):
        name = "".join(letter if letter.isprintable() else " " for letter in item).strip()[:_NAME]
        if not name:
            continue
        reading = "" if seen.reading is Reading.AFTER else f", read {seen.reading.value}"
        yield Wanted(
            kind=Kind.ITEM,
            key=(*owner, name),
            keep={"description": said(f"version {version}; {seen.rollout}{reading}", device.entry)},
            first={
                "device": Ref(kind=Kind.DEVICE, key=owner),
                "name": name,
                "role": Ref(kind=Kind.ITEM_ROLE, key=("firmware",)),
                "discovered": True,
                "tags": TAGS,
            },
        )


def cables(links: Iterable[Link], owners: Mapping[NodeId | SwitchId, Key]) -> Iterator[Wanted]:
    """A cable and its two interfaces for each link whose ends are both exported."""
    for link in links:
        ends: list[Key] = []
        for end in (link.a, link.b):
            owner = owners.get(end.device)
            if owner is None:
                break
            ends.append((*owner, end.port))
            yield Wanted(
                kind=Kind.INTERFACE,
                key=(*owner, end.port),
                first={
                    "device": Ref(kind=Kind.DEVICE, key=owner),
                    "name": end.port,
                    "type": "other",
                    "tags": TAGS,
                },
            )
        if len(ends) < 2:  # noqa: PLR2004 (a cable has two ends)
            continue
        one, other = sorted(ends)
        yield Wanted(
            kind=Kind.CABLE,
            key=(*one, *other),
            first={
                "a_terminations": [_termination(one)],
                "b_terminations": [_termination(other)],
                "status": "connected",
                "description": f"{OURS}declared in the inventory",
                "tags": TAGS,
            },
        )


def _termination(interface: Key) -> dict[str, str | Ref]:
    return {"object_type": "dcim.interface", "object_id": Ref(kind=Kind.INTERFACE, key=interface)}
