"""Roots of trust and the two slots that they keep, read leniently (NVIDIA/bmcweb, NVIDIA/libredfish; field guide 1.8).

Two forms: NVIDIA's BMCs show both slots with the inventory item (Oem.Nvidia.ActiveFirmwareSlot), AMI's with the ERoT's chassis
(AP_Firmware_Slot_0 and _1; captured tree of a DGX H100).
"""

from collections.abc import AsyncIterator, Sequence

from fleet.drivers.redfish import document, messages, resets, update
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.firmware import Expansion, members
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NotDone, Reason, Transient
from fleet.profile import Profile
from fleet.slots import Banks, Copying, Root, Slot, SlotReading

_COMMIT = "#NvidiaUpdateService.CommitImage"
_AMI = ("AP_Firmware_Slot_0", "AP_Firmware_Slot_1")
_WORDS = {copying.value: copying for copying in Copying}


async def read(access: Access, found: Layout, expansion: Expansion, profile: Profile) -> SlotReading:
    """Both, of the components whose profile names roots of trust: one expanded collection each, where that works."""
    globs = _globs(profile)
    if not globs:
        return SlotReading()
    roots: list[Root] = []
    banks: list[Banks] = []
    async for path, chassis in _chassis(access, expansion, globs):
        nvidia = document.child(chassis, "Oem", "Nvidia")
        if "AutomaticBackgroundCopyEnabled" in nvidia or "BackgroundCopyStatus" in nvidia:
            roots.append(_root(document.last_part(path), nvidia))
        if all(key in nvidia for key in _AMI):
            banks.append(_ami(document.last_part(path), nvidia))
    if not banks:  # AMI shows them with the chassis, and nothing of them with the items
        banks = [each async for each in _shown_with_items(access, found, expansion, profile)]
    return SlotReading(roots=tuple(roots), banks=tuple(banks), commits=bool(_target(found)[0]))


async def floors(access: Access, expansion: Expansion, profile: Profile) -> dict[str, int]:
    """Item -> MinimumSecurityVersion, of the roots that link what they protect (NvidiaRoTProtectedComponent)."""
    least: dict[str, int] = {}
    async for _, chassis in _chassis(access, expansion, _globs(profile)):
        path = document.link(chassis, "Oem", "NvidiaRoT", "RoTProtectedComponents")
        if not path or (reply := await access.find(path)) is None:
            continue
        for member in document.member_links(reply.body):
            component = await access.find(member)
            number = None if component is None else document.number(component.body, "MinimumSecurityVersion")
            if number is not None:
                least[document.last_part(member)] = number
    return least


async def commit(access: Access, found: Layout, items: Sequence[str]) -> None:
    """CommitImage for those of `items` that the action takes. See `fleet.ports.TwoSlots.copy_slots`."""
    what = f"{access.channel.base}: CommitImage"
    target, info_path = _target(found)
    if not target:
        raise NotDone(Reason.UPDATE_REJECTED, f"{what}: the update service does not offer it; nothing was copied")
    info = await access.find(info_path) if info_path else None
    takes = resets.parameters(info.body).get("Targets", ()) if info is not None else ()
    wanted = [f"{found.firmware}/{item}" for item in items]
    targets = [each for each in wanted if each in takes] if takes else wanted
    if not targets:
        raise NotDone(Reason.UPDATE_REJECTED, f"{what}: it takes none of {', '.join(items)}; nothing was copied")
    reply = await access.send("POST", target, {"Targets": targets}, effect="CommitImage")
    if reply.status in OK:
        return
    if messages.is_busy(reply.told) or reply.status in update.BUSY:
        raise Transient(f"{what}: the BMC is busy: {reply.sentence}", retry_after_s=reply.retry_after_s)
    raise NotDone(Reason.UPDATE_REJECTED, f"{what} was refused: {reply.sentence}")


async def set_automatic(access: Access, expansion: Expansion, root: str, *, enabled: bool) -> None:
    """PATCH of the root's chassis (NVIDIA/bmcweb). See `fleet.ports.TwoSlots.copy_by_itself`."""
    what = f"{access.channel.base}: AutomaticBackgroundCopyEnabled={enabled} of {root}"
    paths = [path async for path, _ in _chassis(access, expansion, (root,))]
    if not paths:
        raise NotDone(Reason.UPDATE_REJECTED, f"{what}: it is not shown; nothing was changed")
    body = {"Oem": {"Nvidia": {"AutomaticBackgroundCopyEnabled": enabled}}}
    reply = await access.send("PATCH", paths[0], body, effect=f"set the copy of {root}")
    if reply.status in OK:
        return
    if reply.status in update.BUSY:
        raise Transient(f"{what} was refused for now: {reply.sentence}", retry_after_s=reply.retry_after_s)
    raise NotDone(Reason.UPDATE_REJECTED, f"{what} was refused: {reply.sentence}")


def _globs(profile: Profile) -> tuple[str, ...]:
    return tuple(glob for component in profile.components.values() for glob in component.roots)


async def _chassis(access: Access, expansion: Expansion, globs: Sequence[str]) -> AsyncIterator[tuple[str, Document]]:
    """The roots of trust. What is known of $expand on firmware is only borrowed: a chassis that lacks Oem teaches nothing."""
    collection = document.link(access.root, "Chassis")
    if not collection:
        return
    own = Expansion(query=expansion.query)
    async for path, chassis in members(access, collection, own, needs="Oem", globs=globs):
        yield path, chassis


def _root(name: str, nvidia: Document) -> Root:
    word = document.text(nvidia, "BackgroundCopyStatus")
    return Root(
        id=name,
        automatic=document.flag(nvidia, "AutomaticBackgroundCopyEnabled"),
        copying=_WORDS.get(word, Copying.UNKNOWN),
    )


def _ami(name: str, nvidia: Document) -> Banks:
    slots = [Slot(version=document.text(nvidia, key), number=number) for number, key in enumerate(_AMI)]
    running = document.number(nvidia, "EC_BootSlot") == 1
    return Banks(holder=name, active=slots[running], inactive=slots[not running])


async def _shown_with_items(
    access: Access, found: Layout, expansion: Expansion, profile: Profile
) -> AsyncIterator[Banks]:
    globs = [glob for component in profile.components.values() if component.roots for glob in component.items]
    if not found.firmware:
        return
    async for path, item in members(access, found.firmware, expansion, needs="Version", globs=globs):
        nvidia = document.child(item, "Oem", "Nvidia")
        active, inactive = (document.child(nvidia, f"{word}FirmwareSlot") for word in ("Active", "Inactive"))
        if active and inactive:
            name = document.text(item, "Id") or document.last_part(path)
            yield Banks(holder=name, active=_slot(active), inactive=_slot(inactive))


def _slot(slot: Document) -> Slot:
    return Slot(
        version=document.text(slot, "Version"),
        state=document.text(slot, "FirmwareState"),
        number=document.number(slot, "SlotId"),
        comparison=document.number(slot, "FirmwareComparisonNumber"),
    )


def _target(found: Layout) -> tuple[str, str]:
    """Address of CommitImage and of its ActionInfo, which stand below Oem (DGX H100) or Oem.Nvidia (NVIDIA/bmcweb); empty ones."""
    oem = document.child(found.update, "Actions", "Oem")
    advertised = document.child(oem, _COMMIT) or document.child(oem, "Nvidia", _COMMIT)
    return document.path_of(advertised.get("target")), resets.action_info(advertised)
