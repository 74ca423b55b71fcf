"""What a plan asks of a machine beside its firmware, read with few requests (field guide 1.7, PRECHECK).

Schemas: Processor, VirtualMedia, Manager, PowerSubsystem and Power. Everything is optional: a resource that is not there, or that
this user may not read, is not part of the picture.
"""

from datetime import UTC, datetime

from fleet.drivers.redfish import document
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.firmware import Expansion, worst_health
from fleet.drivers.redfish.layout import Layout
from fleet.drivers.redfish.settings import Reader, systems
from fleet.ports import Condition
from fleet.profile import Obstacle, Profile

MOST_REQUESTS = 40
"""For one node, as for its settings. Members beyond are not read; a DGX H100 takes twelve where $expand works."""
MOST_PARTS = 64
MOST_SERIAL_CHARS = 64
_NO_SERIAL = frozenset({"n/a", "na", "none", "unknown", "not specified", "not available", "to be filled by o.e.m."})
"""What firmware writes where it knows no serial (and a row of zeros, as `HGX_Chassis_0` of the captured DGX has it)."""
_GPU = "GPU"
"""Processor.ProcessorType."""
_ABSENT = "Absent"
_ILL = frozenset({"Warning", "Critical"})


async def read(access: Access, found: Layout, expansion: Expansion, profile: Profile) -> Condition:
    """What the machine says now."""
    reader = Reader(access, expansion, left=MOST_REQUESTS)
    manager = await reader.find(found.manager)
    ahead_s = _ahead_s(manager, access.channel.clock.now())
    system = await reader.find(found.system)
    first = next(iter(document.objects(document.child(system, "Links"), "Chassis")), NOTHING)
    chassis = await reader.find(document.path_of(first.get("@odata.id")))
    obstacles = tuple([each for each in profile.obstacles if await _stands(reader, each)])
    supplies = await _supplies(reader, chassis)
    media = await _media(reader, manager, system)
    return Condition(
        parts=await _parts(reader, access.root, system, chassis),
        ahead_s=ahead_s,
        media=media,
        supplies=supplies,
        obstacles=obstacles,
    )


async def _parts(reader: Reader, root: Document, host: Document, chassis: Document) -> dict[str, str]:
    """Serial numbers of processors, GPUs among them; where none is a GPU, of PCIe devices, as which Supermicro lists GPUs."""
    parts: dict[str, str] = {}
    holders = [document.link(place, "Processors") for place in await systems(reader, root, host)]
    kinds = [await _serials(reader, path, parts) for path in holders]
    if not any(_GPU in found for found in kinds):
        await _serials(reader, document.link(chassis, "PCIeDevices"), parts)
    return parts


async def _serials(reader: Reader, path: str, parts: dict[str, str]) -> set[str]:
    """Add part -> serial; the types of processors that were seen. A stub, or one without a known serial, is no part."""
    kinds = set()
    async for name, part in reader.members(path, "Id"):
        kinds.add(document.text(part, "ProcessorType"))
        serial = document.text(part, "SerialNumber")[:MOST_SERIAL_CHARS]
        known = serial.strip("0") and serial.casefold() not in _NO_SERIAL
        # iLO numbers its devices anew: an ordinal names no part (field guide 1.10).
        if known and not name.isdecimal() and name not in parts and len(parts) < MOST_PARTS:
            parts[name] = serial
    return kinds


def _ahead_s(manager: Document, now: float) -> float | None:
    try:
        told = datetime.fromisoformat(document.text(manager, "DateTime"))
    except ValueError:
        return None
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() - now


async def _media(reader: Reader, manager: Document, system: Document) -> tuple[str, ...]:
    """Dell shows the same drive below manager and system, under two ids (field guide 3.2): one place is enough."""
    path = document.link(manager, "VirtualMedia") or document.link(system, "VirtualMedia")
    return tuple([name async for name, slot in reader.members(path, "Inserted") if document.flag(slot, "Inserted")])


async def _supplies(reader: Reader, chassis: Document) -> tuple[str, ...]:
    """PowerSubsystem where the chassis has one, else the deprecated Power, which holds its supplies itself."""
    if path := document.link(chassis, "PowerSubsystem"):
        power = await reader.find(path)
        supplies = [each async for each in reader.members(document.link(power, "PowerSupplies"), "Status")]
        groups = document.objects(power, "PowerSupplyRedundancy")
    else:
        power = await reader.find(document.link(chassis, "Power"))
        inline = document.objects(power, "PowerSupplies")
        supplies = [(document.text(each, "Name") or document.text(each, "MemberId"), each) for each in inline]
        groups = document.objects(power, "Redundancy")
    named = [(f"redundancy {_name_of(group)}", group) for group in groups]
    return tuple(f"{name} ({health})" for name, each in (*supplies, *named) if (health := _illness(each)))


def _name_of(group: Document) -> str:
    return document.text(group, "Name") or document.text(group, "MemberId") or "of the power supplies"


def _illness(part: Document) -> str:
    """Warning or Critical; empty for what is well, absent, or does not say."""
    status = document.child(part, "Status")
    health = worst_health(status)
    return health if health in _ILL and document.text(status, "State") != _ABSENT else ""


async def _stands(reader: Reader, obstacle: Obstacle) -> bool:
    *way, last = obstacle.keys
    said = document.child(await reader.find(obstacle.path), *way).get(last)
    return isinstance(said, str | bool) and str(said).casefold() == obstacle.blocks.casefold()
