"""Where things are on one BMC: found by links once a connection, because it cannot change without a restart (B.10)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from fleet.drivers.redfish import document, resets
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.resets import ResetAction
from fleet.errors import NodeFault, Reason
from fleet.profile import Profile

SYSTEM_RESET = "#ComputerSystem.Reset"
MANAGER_RESET = "#Manager.Reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths of the resources that are read again and again; empty where the service has no such thing."""

    system: str
    manager: str
    update_service: str
    tasks: str
    firmware: str
    expand: str
    """The query that expands a collection by one level, or empty where the service or the profile forbids it."""
    system_reset: ResetAction | None
    manager_reset: ResetAction | None
    update: Document = field(repr=False)
    """UpdateService as read while looking: what it offers does not change, its state does."""

    def lacks(self, now: "Layout") -> bool:
        """Whether `now` misses something that is here: a BMC that is still starting (field guide 1.5)."""
        pairs = (
            (self.manager, now.manager),
            (self.update_service, now.update_service),
            (self.tasks, now.tasks),
            (self.firmware, now.firmware),
            (self.system_reset, now.system_reset),
            (self.manager_reset, now.manager_reset),
        )
        return any(before and not after for before, after in pairs)


async def find_layout(access: Access, profile: Profile) -> Layout:
    """Walk from the service root to the host, its BMC and the update service: six to ten requests.

    Raises:
        NodeFault: UNKNOWN_HARDWARE: no system is the host that the profile describes.
    """
    system, host = await find_host(access, profile.system)
    manager, bmc = await find_manager(access, host, profile.bmc)
    update_service = document.link(access.root, "UpdateService")
    update = await _readable(access, update_service)
    task_service = await _readable(access, document.link(access.root, "Tasks"))
    return Layout(
        system=system,
        manager=manager,
        update_service=update_service,
        tasks=document.link(task_service, "Tasks"),
        firmware=document.link(update, "FirmwareInventory"),
        expand=expand_query(access.root) if profile.quirks.expand else "",
        system_reset=await _reset(access, host, SYSTEM_RESET),
        manager_reset=await _reset(access, bmc, MANAGER_RESET),
        update=update,
    )


async def find_host(access: Access, pattern: str) -> tuple[str, Document]:
    """Path and document of the system that is the host: of those that match, the first that can be reset.

    `HGX_Baseboard_0` is a second "system" without a Reset action, and never the host (field guide 2.1).
    """
    fallback: tuple[str, Document] | None = None
    seen: list[str] = []
    async for path, system in _members(access, "Systems", pattern, seen):
        if document.path_of(resets.action(system, SYSTEM_RESET).get("target")):
            return path, system
        fallback = fallback or (path, system)
    if fallback is None:
        raise NodeFault(
            Reason.UNKNOWN_HARDWARE,
            f"{access.channel.base}: no system matches {pattern!r} (it has {', '.join(seen) or 'none'}); "
            "is this the right profile?",
        )
    return fallback


async def find_manager(access: Access, host: Document, pattern: str) -> tuple[str, Document]:
    """Path and document of the manager that is the host's BMC; empty ones where there is none."""
    fallback: tuple[str, Document] = ("", NOTHING)
    managing = {
        document.path_of(manager.get("@odata.id"))
        for manager in document.objects(document.child(host, "Links"), "ManagedBy")
    }
    async for path, manager in _members(access, "Managers", pattern, []):
        is_bmc = document.text(manager, "ManagerType") in {"BMC", ""}
        if is_bmc and (not managing or path in managing or pattern != "*"):
            return path, manager
        fallback = fallback if fallback[0] else (path, manager)
    return fallback


def expand_query(root: Document) -> str:
    """The query that expands members in place (DSP0266 7.3.1), as far as the service root promises it."""
    promised = document.child(root, "ProtocolFeaturesSupported", "ExpandQuery")
    if not document.flag(promised, "NoLinks"):
        return ""
    return "?$expand=.($levels=1)" if document.flag(promised, "Levels") else "?$expand=."


async def _members(
    access: Access, collection: str, pattern: str, seen: list[str]
) -> AsyncIterator[tuple[str, Document]]:
    """Members of a collection of the service root whose id matches, read one after the other. `seen` gains all ids."""
    path = document.link(access.root, collection)
    if not path:
        return
    for member in document.member_links(await access.get(path)):
        seen.append(document.last_part(member))
        if fnmatchcase(seen[-1], pattern):
            reply = await access.find(member)
            if reply is not None:  # HGX members vanish while the HMC is down (field guide 1.8)
                yield member, reply.body


async def _readable(access: Access, path: str) -> Document:
    """The resource, or an empty object where there is none."""
    reply = await access.find(path) if path else None
    return NOTHING if reply is None else reply.body


async def _reset(access: Access, resource: Document, name: str) -> ResetAction | None:
    advertised = resets.action(resource, name)
    inline = "ResetType@Redfish.AllowableValues" in advertised
    info = NOTHING if inline else await _readable(access, resets.action_info(advertised))
    return resets.reset_action(advertised, info)
