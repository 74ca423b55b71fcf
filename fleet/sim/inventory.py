"""FirmwareInventory as each vendor shows it; bodies are shared by all BMCs that show the same versions (A.14)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fleet.sim.boxmodel import INVENTORY, BoxModel, Dialect, Part
from fleet.sim.firmware import Firmware
from fleet.sim.message import encode

_SHARED_BODIES = 512


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of the inventory, as it is right now."""

    item: str
    """Its Id."""
    version: str
    part: Part
    health: str = "OK"


def entries(box: BoxModel, firmware: Firmware, *, stubs: bool) -> tuple[Entry, ...]:
    """All members; with `stubs` those that the baseboard's BMC serves are missing (field guide 1.5)."""
    found: list[Entry] = []
    for part in box.parts:
        if stubs and is_remote(box, f"{INVENTORY}/{part.item}"):
            continue
        state = firmware.parts[part.mirrors or part.item]
        health = "Critical" if state.dead else "OK"
        version = firmware.shown(part)
        if box.dialect is Dialect.DELL:
            found.extend(_dell(part, version, state.previous, health))
        else:
            found.append(Entry(part.item, version, part, health))
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
    return result | {"Status": {"State": "Enabled", "Health": entry.health}}


@lru_cache(maxsize=_SHARED_BODIES)
def collection(box: BoxModel, members: tuple[Entry, ...], *, expanded: bool) -> bytes:
    """The JSON bytes of the collection."""
    listed = [document(box, entry) if expanded else {"@odata.id": f"{INVENTORY}/{entry.item}"} for entry in members]
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
