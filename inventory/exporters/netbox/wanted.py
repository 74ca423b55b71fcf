"""A snapshot -> the objects that NetBox should hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

from inventory.exporters.exporter import ExportError
from inventory.exporters.netbox.hardware import hardware
from inventory.exporters.netbox.objects import OURS, Field, Key, Kind, Ref, Wanted, slug
from inventory.exporters.snapshot import Entry, Origin, Reading, Snapshot
from inventory.model import Bmc, Link, NodeId, RackId, SwitchId

TAG = "fleetwave"
RACK_UNITS = 48
_TAGS: list[dict[str, str | Ref]] = [{"slug": TAG}]
_NAMED = frozenset({Kind.SITE, Kind.LOCATION, Kind.RACK, Kind.DEVICE})
"""Kinds of which two of ours must never become one."""
_FAILED = frozenset({"quarantined", "rolled-back"})
_DESCRIPTION = 200
"""Characters (NetBox: description, max_length)."""
_NAME = 64
"""Characters of the name of a device or of a component (NetBox: name, max_length)."""
_SERIAL = 50
_Addresses: TypeAlias = tuple[tuple[str, str], ...]
"""Interface and address; the first is the one by which the device is reached out of band."""
RACK_UNIT_LABEL = "rack_unit"
"""A node's label that says at which unit it is mounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
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


def wanted(snapshot: Snapshot) -> tuple[Wanted, ...]:
    """All of them, each once, in the order of Kind. Raises ExportError where names of ours are one for NetBox."""
    found: dict[tuple[Kind, Key], Wanted] = {}
    for item in _everything(snapshot):
        found.setdefault((item.kind, item.key), item)
        if item.kind in _NAMED and found[item.kind, item.key] != item:
            one, other = (each.first["name"] for each in (found[item.kind, item.key], item))
            raise ExportError(f"{one!r} and {other!r} would be one object in NetBox ({item.name}); rename one of them")
    order = list(Kind)
    return tuple(sorted(found.values(), key=lambda item: order.index(item.kind)))


def _everything(snapshot: Snapshot) -> Iterator[Wanted]:
    yield Wanted(
        kind=Kind.TAG,
        key=(TAG,),
        first={"name": "Fleetwave", "slug": TAG, "description": f"{OURS}created from the inventory"},
    )
    yield Wanted(kind=Kind.ITEM_ROLE, key=("firmware",), first={"name": "Firmware", "slug": "firmware", "tags": _TAGS})
    places = _Places(snapshot)
    devices = tuple(_devices(snapshot))
    by_unit = _racks_by_unit(devices)
    addresses = _addresses(devices)
    for device in devices:
        yield from places.of(device.rack)
        yield from _kinds_of(device)
        yield _device(device, places, addresses[device.id], by_slot=device.rack in by_unit)
        yield from _interfaces(places.device(device), device, addresses[device.id])
        yield from _firmware(places.device(device), device)
    yield from _cables(snapshot.links(), {device.id: places.device(device) for device in devices})


class _Places:
    """Sites, locations and racks, as keys."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._hall = snapshot.inventory
        self._sites = {pod.id: pod.site for pod in snapshot.inventory.pods}

    def keys(self, rack: RackId) -> tuple[Key, Key, Key]:
        """Of site, location and rack."""
        pod = self._hall.rack(rack).pod
        site = slug(self._sites[pod])
        return (site,), (site, slug(pod)), (site, str(rack).casefold())

    def device(self, device: _Device) -> Key:
        """Of a device: names are unique in a site, whatever their case."""
        return (*self.keys(device.rack)[0], str(device.id).casefold())

    def of(self, rack: RackId) -> Iterator[Wanted]:
        """Site, location and rack."""
        pod = self._hall.rack(rack).pod
        name = self._sites[pod]
        site, location, cabinet = self.keys(rack)
        at = Ref(kind=Kind.SITE, key=site)
        made: dict[str, Field] = {
            "description": f"{OURS}from the inventory {self._hall.name}"[:_DESCRIPTION],
            "tags": _TAGS,
        }
        yield Wanted(kind=Kind.SITE, key=site, first={"name": name, "slug": site[0], "status": "active", **made})
        yield Wanted(
            kind=Kind.LOCATION,
            key=location,
            first={"name": pod, "slug": location[1], "site": at, "status": "active", **made},
        )
        yield Wanted(
            kind=Kind.RACK,
            key=cabinet,
            first={
                "name": rack,
                "site": at,
                "location": Ref(kind=Kind.LOCATION, key=location),
                "status": "active",
                "u_height": RACK_UNITS,
                **made,
            },
        )


def _devices(snapshot: Snapshot) -> Iterator[_Device]:
    for entry in snapshot.entries:
        node = entry.node
        unit = node.labels.get(RACK_UNIT_LABEL, "")
        yield _Device(
            id=node.id,
            model=node.model,
            role="GPU node",
            rack=node.rack,
            slot=node.slot,
            unit=int(unit) if unit.isascii() and unit.isdigit() else None,
            bmc=node.bmc,
            management=None,
            entry=entry,
        )
    for switch in snapshot.switches():
        yield _Device(
            id=switch.id,
            model=switch.model,
            role=f"{switch.role.value} switch",
            rack=switch.rack,
            slot=switch.slot,
            unit=None,
            bmc=switch.bmc,
            management=switch.address,
        )


def _racks_by_unit(devices: Iterable[_Device]) -> set[RackId]:
    """Racks whose slots are rack units: only where all that stands in them is one unit high."""
    heights: dict[RackId, set[int | None]] = {}
    for device in devices:
        heights.setdefault(device.rack, set()).add(hardware(device.model).height_u)
    return {rack for rack, seen in heights.items() if seen == {1}}


def _kinds_of(device: _Device) -> Iterator[Wanted]:
    known = hardware(device.model)
    maker = (slug(known.manufacturer),)
    yield Wanted(kind=Kind.MANUFACTURER, key=maker, first={"name": known.manufacturer, "slug": maker[0], "tags": _TAGS})
    yield Wanted(
        kind=Kind.DEVICE_TYPE,
        key=(device.model.casefold(),),
        first={
            "manufacturer": Ref(kind=Kind.MANUFACTURER, key=maker),
            "model": device.model,
            "slug": slug(device.model),
            "u_height": known.height_u or 1,
            "tags": _TAGS,
        },
    )
    yield Wanted(
        kind=Kind.DEVICE_ROLE,
        key=(slug(device.role),),
        first={"name": device.role, "slug": slug(device.role), "color": "607d8b", "tags": _TAGS},
    )


def _device(device: _Device, places: _Places, addresses: _Addresses, *, by_slot: bool) -> Wanted:
    site, _, rack = places.keys(device.rack)
    keep: dict[str, Field] = {
        "site": Ref(kind=Kind.SITE, key=site),
        "rack": Ref(kind=Kind.RACK, key=rack),  # and the rack's location with it
    }
    unit = device.unit or (device.slot if by_slot else None)
    if unit and unit <= RACK_UNITS:
        keep |= {"position": unit, "face": "front"}
    status = "active"
    if device.entry is not None:
        keep |= _observed(device.entry)
        status = "active" if device.entry.seen else "planned"
    first: dict[str, Field] = {
        "name": device.id,
        "device_type": Ref(kind=Kind.DEVICE_TYPE, key=(device.model.casefold(),)),
        "role": Ref(kind=Kind.DEVICE_ROLE, key=(slug(device.role),)),
        "status": status,
        "tags": _TAGS,
    }
    later = {"oob_ip": Ref(kind=Kind.ADDRESS, key=(addresses[0][1],))} if addresses else {}
    return Wanted(kind=Kind.DEVICE, key=places.device(device), keep=keep, first=first, later=later)


def _observed(entry: Entry) -> Mapping[str, Field]:
    keep: dict[str, Field] = {}
    serial = entry.node.serial or (entry.seen.serial if entry.seen else "")
    if serial and len(serial) <= _SERIAL:
        keep["serial"] = serial
    if entry.seen is None:
        return keep
    if entry.seen.status in _FAILED:
        keep["status"] = "failed"
    elif entry.seen.status == "confirmed":
        keep["status"] = "active"
    keep["description"] = _said(f"{entry.seen.status} in {entry.seen.rollout}", entry)
    return keep


def _said(text: str, entry: Entry) -> str:
    """A description: never one that a BMC could make look like somebody else's."""
    simulated = " (simulated hall)" if entry.seen and entry.seen.origin is Origin.SIMULATED_HALL else ""
    return "".join(letter if letter.isprintable() else " " for letter in f"{OURS}{text}{simulated}").strip()[
        :_DESCRIPTION
    ]


def _addresses(devices: Sequence[_Device]) -> Mapping[NodeId | SwitchId, _Addresses]:
    """Those that a device has to itself: of one shared by many (ports of a gateway) NetBox would say it is one's."""
    shared = Counter(address for device in devices for _, address in device.addresses())
    return {device.id: tuple(each for each in device.addresses() if shared[each[1]] == 1) for device in devices}


def _interfaces(owner: Key, device: _Device, addresses: _Addresses) -> Iterator[Wanted]:
    at = Ref(kind=Kind.DEVICE, key=owner)
    names = [name for name, there in (("bmc", device.bmc), ("mgmt", device.management)) if there]
    for name in names:
        yield Wanted(
            kind=Kind.INTERFACE,
            key=(*owner, name),
            keep={"mgmt_only": True},
            first={"device": at, "name": name, "type": "1000base-t", "tags": _TAGS},
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
            first={"address": f"{address}/{mask}", "status": "active", "tags": _TAGS},
        )


def _firmware(owner: Key, device: _Device) -> Iterator[Wanted]:
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
            keep={"description": _said(f"version {version}; {seen.rollout}{reading}", device.entry)},
            first={
                "device": Ref(kind=Kind.DEVICE, key=owner),
                "name": name,
                "role": Ref(kind=Kind.ITEM_ROLE, key=("firmware",)),
                "discovered": True,
                "tags": _TAGS,
            },
        )


def _cables(links: Iterable[Link], owners: Mapping[NodeId | SwitchId, Key]) -> Iterator[Wanted]:
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
                    "tags": _TAGS,
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
                "tags": _TAGS,
            },
        )


def _termination(interface: Key) -> dict[str, str | Ref]:
    return {"object_type": "dcim.interface", "object_id": Ref(kind=Kind.INTERFACE, key=interface)}
