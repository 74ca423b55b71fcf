"""FirmwareInventory as each vendor shows it; bodies are shared by all BMCs that show the same versions (A.14)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from fleet.sim.boxmodel import INVENTORY, BoxModel, Dialect, Part
from fleet.sim.derived import Shows
from fleet.sim.firmware import Firmware, PartState
from fleet.sim.message import encode

_SHARED_BODIES = 512


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot, as NvidiaSoftwareInventory shows it (NVIDIA/bmcweb)."""

    number: int
    version: str
    state: str
    """FirmwareState of NvidiaRoTImageSlot."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of the inventory, as it is right now."""

    item: str
    """Its Id."""
    version: str
    part: Part
    health: str = "OK"
    slots: tuple[Slot, ...] = ()
    """The running one and the other, where the BMC shows them."""


def entries(
    box: BoxModel, firmware: Firmware, *, stubs: bool, stale: Mapping[str, str] = MappingProxyType({})
) -> tuple[Entry, ...]:
    """All members; with `stubs` those that the baseboard's BMC serves are missing (field guide 1.5).

    `stale`: item -> version that the host's BMC still remembers of them, while theirs is down.
    """
    found: list[Entry] = []
    shown = {item for root in box.roots if root.shows is Shows.SLOTS for item in root.protects}
    for part in box.parts:
        if stubs and is_remote(box, f"{INVENTORY}/{part.item}"):
            continue
        state = firmware.parts[part.mirrors or part.item]
        health = "Critical" if state.dead else "OK"
        remote = bool(stale) and is_remote(box, f"{INVENTORY}/{part.item}")
        version = stale[part.item] if remote else firmware.shown(part)
        if box.dialect is Dialect.DELL:
            found.extend(_dell(part, version, state.previous, health))
        else:
            slots = _slots(state) if part.item in shown else ()
            found.append(Entry(part.item, version, part, health, slots))
    return tuple(found)


def is_remote(box: BoxModel, path: str) -> bool:
    """Whether the baseboard's BMC serves this path."""
    return bool(box.hmc_prefixes) and path.startswith(box.hmc_prefixes)


def document(box: BoxModel, entry: Entry) -> dict[str, Any]:
    """One SoftwareInventory resource; which fields there are differs by vendor (field guide 1.1)."""
    part = entry.part
    result: dict[str, Any] = {
        "@odata.id": f"{INVENTORY}/{entry.item}",
        "@odata.type": box.inventory_type,
        "Id": entry.item,
        "Name": part.name or entry.item,
        "Updateable": part.updateable,
        "Version": entry.version,
    }
    extra = dict(part.properties or {})
    if box.dialect is Dialect.AMI:
        oem = {"DeviceClass": extra.get("class"), "DeviceInventoryCache": False}
        if extra.get("class") == "HGX":
            oem |= {"FWComponentName": entry.item, "Parent": "HGX_0"}
        return result | {"Oem": {"Ami": oem}}
    if part.component_id:
        result["SoftwareId"] = part.component_id
    elif "SoftwareId" in extra:
        result["SoftwareId"] = extra["SoftwareId"]
    if entry.slots:
        names = ("ActiveFirmwareSlot", "InactiveFirmwareSlot")
        result["Oem"] = {"Nvidia": {name: _slot(slot) for name, slot in zip(names, entry.slots, strict=True)}}
    return result | {"Status": {"State": "Enabled", "Health": entry.health}}


def _slots(state: PartState) -> tuple[Slot, Slot]:
    """The running slot, and the other with what becomes of it."""
    version, word = state.other, "Inactive" if state.other == state.active else "ImageCopyPending"
    if state.copying:
        word = "ImageCopyInProgress"
    elif state.writing is not None:
        version, word = state.writing.version, "WriteInProgress"
    elif state.staged is not None:
        version, word = state.staged, "PendingActivation"
    elif state.spoiled:
        word = "FailedAuthentication"
    return Slot(state.slot, state.active, "Activated"), Slot(1 - state.slot, version, word)


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "SlotId": slot.number,
        "Version": slot.version,
        "FirmwareState": slot.state,
        "FirmwareComparisonNumber": _comparison(slot.version),
        "BuildType": "Release",
    }


def _comparison(version: str) -> int:
    """A number that grows with the version: 26.01-28.00 is 0x26012800, as one published example has it; the rule is ours."""
    words = re.findall(r"[0-9A-Fa-f]+", version)
    return int.from_bytes(bytes(int(word[-2:], 16) for word in [*words, "0", "0", "0", "0"][:4]), "big")


@lru_cache(maxsize=_SHARED_BODIES)
def collection(box: BoxModel, members: tuple[Entry, ...], *, expanded: bool, proxy: bool = True) -> bytes:
    """The JSON bytes of the collection; `proxy`: whether the baseboard's members can be expanded now."""

    def member(entry: Entry) -> dict[str, Any]:
        at = f"{INVENTORY}/{entry.item}"
        return document(box, entry) if expanded and (proxy or not is_remote(box, at)) else {"@odata.id": at}

    listed = [member(entry) for entry in members]
    return encode(
        {
            "@odata.id": INVENTORY,
            "@odata.type": "#SoftwareInventoryCollection.SoftwareInventoryCollection",
            "Name": "Firmware Inventory Collection",
            "Members": listed,
            "Members@odata.count": len(listed),
        }
    )


def _dell(part: Part, version: str, previous: str, health: str) -> Iterable[Entry]:
    yield Entry(f"Installed-{part.component_id}-{version}__{part.item}", version, part, health)
    if part.shows_current:
        yield Entry(f"Current-{part.component_id}-{version}__{part.item}", version, part, health)
    if previous:
        yield Entry(f"Previous-{part.component_id}-{previous}__{part.item}", previous, part, health)
