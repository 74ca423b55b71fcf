"""A snapshot -> the objects that NetBox should hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from inventory.exporters.exporter import ExportError
from inventory.exporters.netbox.components import cables, firmware, interfaces
from inventory.exporters.netbox.device import (
    DESCRIPTION,
    RACK_UNITS,
    TAG,
    TAGS,
    Addresses,
    Device,
    devices,
    own_addresses,
    said,
)
from inventory.exporters.netbox.hardware import hardware
from inventory.exporters.netbox.objects import OURS, Field, Key, Kind, Ref, Wanted, slug
from inventory.exporters.snapshot import Entry, Snapshot
from inventory.model import RackId

_NAMED = frozenset({Kind.SITE, Kind.LOCATION, Kind.RACK, Kind.DEVICE})
"""Kinds of which two of ours must never become one."""
_FAILED = frozenset({"quarantined", "rolled-back"})
_SERIAL = 50


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
    yield Wanted(kind=Kind.ITEM_ROLE, key=("firmware",), first={"name": "Firmware", "slug": "firmware", "tags": TAGS})
    places = _Places(snapshot)
    them = tuple(devices(snapshot))
    by_unit = _racks_by_unit(them)
    addresses = own_addresses(snapshot.inventory, them)
    for device in them:
        key, own = places.device(device), addresses[device.id]
        yield from places.of(device.rack)
        yield from _kinds_of(device)
        yield _device(device, places, own, by_slot=device.rack in by_unit)
        yield from interfaces(key, device, own)
        yield from firmware(key, device)
    yield from cables(snapshot.links(), {device.id: places.device(device) for device in them})


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

    def device(self, device: Device) -> Key:
        """Of a device: names are unique in a site, whatever their case."""
        return (*self.keys(device.rack)[0], str(device.id).casefold())

    def of(self, rack: RackId) -> Iterator[Wanted]:
        """Site, location and rack."""
        pod = self._hall.rack(rack).pod
        name = self._sites[pod]
        site, location, cabinet = self.keys(rack)
        at = Ref(kind=Kind.SITE, key=site)
        made: dict[str, Field] = {
            "description": f"{OURS}from the inventory {self._hall.name}"[:DESCRIPTION],
            "tags": TAGS,
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


def _racks_by_unit(devices: Iterable[Device]) -> set[RackId]:
    """Racks whose slots are rack units: only where all that stands in them is one unit high."""
    heights: dict[RackId, set[int | None]] = {}
    for device in devices:
        heights.setdefault(device.rack, set()).add(hardware(device.model).height_u)
    return {rack for rack, seen in heights.items() if seen == {1}}


def _kinds_of(device: Device) -> Iterator[Wanted]:
    known = hardware(device.model)
    maker = (slug(known.manufacturer),)
    yield Wanted(kind=Kind.MANUFACTURER, key=maker, first={"name": known.manufacturer, "slug": maker[0], "tags": TAGS})
    yield Wanted(
        kind=Kind.DEVICE_TYPE,
        key=(device.model.casefold(),),
        first={
            "manufacturer": Ref(kind=Kind.MANUFACTURER, key=maker),
            "model": device.model,
            "slug": slug(device.model),
            "u_height": known.height_u or 1,
            "tags": TAGS,
        },
    )
    yield Wanted(
        kind=Kind.DEVICE_ROLE,
        key=(slug(device.role),),
        first={"name": device.role, "slug": slug(device.role), "color": "607d8b", "tags": TAGS},
    )


def _device(device: Device, places: _Places, addresses: Addresses, *, by_slot: bool) -> Wanted:
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
        "tags": TAGS,
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
    keep["description"] = said(f"{entry.seen.status} in {entry.seen.rollout}", entry)
    return keep
