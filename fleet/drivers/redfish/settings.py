"""What a flash must leave alone, read with few requests, and the settings that can be put back (field guide B.26, F22, F38).

Everything is optional: a resource that is not there, or that this user may not read, is not part of the picture. No secret is read.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fleet.drivers.redfish import document
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.firmware import Expansion
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, NotDone, Reason
from fleet.keeping import UNKNOWN
from fleet.profile import Setting

MOST_REQUESTS = 40
"""For one picture of one node; members beyond are only known to be listed."""
_MOST_SYSTEMS = 4
"""Beside the host: a baseboard, a DPU or two; a hostile list ends here."""
_ABSENT = "Absent"
_NOT_READY = frozenset({"UnavailableOffline", "Starting", "Deferring", "InTest"})
_OFF = "off"
_ETAG = "@odata.etag"


@dataclass(slots=True)
class Reader:
    """Reads what is there, within a number of requests."""

    access: Access
    expansion: Expansion
    left: int = MOST_REQUESTS

    async def find(self, path: str) -> Document:
        """The resource; an empty object where there is none, or none for us."""
        if not path or self.left <= 0:
            return NOTHING
        self.left -= 1
        try:
            reply = await self.access.find(path)
        except NodeFault as fault:
            if fault.reason not in {Reason.PROTOCOL, Reason.LOGIN_REFUSED}:
                raise
            return NOTHING
        return NOTHING if reply is None else reply.body

    async def members(self, path: str, needs: str) -> AsyncIterator[tuple[str, Document]]:
        """Id and document of each member, expanded where that works; an empty document for what is only listed."""
        if not path or self.left <= 0:
            return
        collection = await self.find(f"{path}{self.expansion.query}")
        if not collection and self.expansion.query:
            collection = await self.find(path)
        whole = {document.path_of(each.get("@odata.id")): each for each in document.objects(collection, "Members")}
        for member in document.member_links(collection):
            found = whole.get(member, NOTHING)
            yield document.last_part(member), found if needs in found else await self.find(member)


async def read(access: Access, found: Layout, expansion: Expansion) -> dict[str, str]:
    """What -> value of the node as it is now."""
    reader = Reader(access, expansion)
    system, manager = await reader.find(found.system), await reader.find(found.manager)
    picture = _of_system(system)
    picture |= await _of_manager(reader, manager)
    picture |= _force_flag(await reader.find(found.update_service))
    picture |= await _users(reader, document.link(access.root, "AccountService"))
    holders = [(place, "Processors") for place in await systems(reader, access.root, system)]
    for place, kind in (*holders, (system, "Memory")):
        async for name, part in reader.members(document.link(place, kind), "SerialNumber"):
            picture |= _part(f"{kind.lower()} {name}", part, document.text(part, "SerialNumber") or "there")
    for chassis in document.objects(document.child(system, "Links"), "Chassis"):
        picture |= await _of_chassis(reader, await reader.find(document.path_of(chassis.get("@odata.id"))))
    async for name, storage in reader.members(document.link(system, "Storage"), "Drives"):
        drives = sorted(
            document.last_part(document.path_of(each.get("@odata.id"))) for each in document.objects(storage, "Drives")
        )
        picture |= _part(f"drives {name}", storage, " ".join(drives) or "none")
    return picture


async def systems(reader: Reader, root: Document, host: Document) -> list[Document]:
    """The host and the "systems" beside it: GPUs are processors of `HGX_Baseboard_0` (field guide 5)."""
    own = document.path_of(host.get("@odata.id"))
    listed = document.member_links(await reader.find(document.link(root, "Systems")))
    beside = [path for path in listed if path != own]
    return [host, *[await reader.find(path) for path in beside[:_MOST_SYSTEMS]]]


async def put_back(access: Access, found: Layout, what: Setting, value: str) -> None:
    """PATCH one setting to what it was. Sent once; NodeFault PROTOCOL if the BMC refuses it."""
    path, body = found.system, NOTHING
    match what:
        case Setting.POWER_RESTORE_POLICY:
            body = {"PowerRestorePolicy": value}
        case Setting.BOOT_ORDER:
            body = {"Boot": {"BootOrder": value.split()}}
        case Setting.NTP:
            path = document.link(await access.get(found.manager), "NetworkProtocol")
            enabled = value != _OFF
            body = {"NTP": {"ProtocolEnabled": enabled, **({"NTPServers": value.split()} if enabled else {})}}
    if not path:
        raise NotDone(Reason.PROTOCOL, f"{what}: the BMC does not say where it is kept; set it to {value!r} by hand")
    reply = await access.send("PATCH", path, dict(body), effect=f"set {what}")
    if reply.status not in OK:
        raise NotDone(Reason.PROTOCOL, f"{what} cannot be set back to {value!r}: {reply.sentence}; set it by hand")


def _of_system(system: Document) -> dict[str, str]:
    picture = {}
    if policy := document.text(system, "PowerRestorePolicy"):
        picture[Setting.POWER_RESTORE_POLICY.value] = policy
    if order := document.texts(document.child(system, "Boot"), "BootOrder"):
        picture[Setting.BOOT_ORDER.value] = " ".join(order)
    return picture


async def _of_manager(reader: Reader, manager: Document) -> dict[str, str]:
    picture = {}
    protocols = await reader.find(document.link(manager, "NetworkProtocol"))
    ntp = document.child(protocols, "NTP")
    if ntp:
        servers = " ".join(filter(None, document.texts(ntp, "NTPServers")))
        picture[Setting.NTP.value] = servers if servers and document.flag(ntp, "ProtocolEnabled") is not False else _OFF
    if name := document.text(protocols, "HostName"):
        picture["host-name"] = name
    enabled = [name for name in sorted(protocols) if document.flag(document.child(protocols, name), "ProtocolEnabled")]
    if protocols:
        picture["protocols"] = " ".join(name for name in enabled if name != "NTP") or "none"
    async for name, port in reader.members(document.link(manager, "EthernetInterfaces"), "MACAddress"):
        if servers := " ".join(filter(None, document.texts(port, "StaticNameServers"))):
            picture[f"dns {name}"] = servers
    return picture


def _force_flag(service: Document) -> dict[str, str]:
    flag = document.flag(document.child(service, "HttpPushUriOptions"), "ForceUpdate")
    return {} if flag is None else {"force-update": "on" if flag else _OFF}


async def _users(reader: Reader, path: str) -> dict[str, str]:
    """Names, roles, and whether they may log in. Empty slots, as Dell and AMI have them, are nobody."""
    service = await reader.find(path)
    picture = {}
    async for _, account in reader.members(document.link(service, "Accounts"), "UserName"):
        if name := document.text(account, "UserName"):
            may = "" if document.flag(account, "Enabled") is not False else ", disabled"
            picture[f"user {name}"] = f"{document.text(account, 'RoleId') or 'no role'}{may}"
    return picture


async def _of_chassis(reader: Reader, chassis: Document) -> dict[str, str]:
    picture = {}
    sensors = await reader.find(document.link(chassis, "Sensors"))
    if names := sorted(document.last_part(path) for path in document.member_links(sensors)):
        picture["sensors"] = " ".join(names)
    async for name, device in reader.members(document.link(chassis, "PCIeDevices"), "Id"):
        width = document.child(device, "PCIeInterface")
        used, most = document.number(width, "LanesInUse"), document.number(width, "MaxLanes")
        picture |= _part(f"pcie {name}", device, "there" if used is None else f"{used} of {most or '?'} lanes")
    return picture


def _part(what: str, part: Document, value: str) -> Mapping[str, str]:
    """One part; nothing for an empty socket, UNKNOWN for one that cannot be read or is not ready."""
    state = document.text(document.child(part, "Status"), "State")
    if state == _ABSENT:
        return {}
    return {what: UNKNOWN if not part or state in _NOT_READY else value}
