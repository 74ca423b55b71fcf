"""Virtual media: one image mounted as the host's CD (VirtualMedia schema v1_6; field guide 3.2, F56)."""

from fleet.drivers.redfish import document, resets
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK, Reply
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, Reason, Transient
from fleet.profile import MediaProfile

INSERT = "#VirtualMedia.InsertMedia"
EJECT = "#VirtualMedia.EjectMedia"
DISCS = ("CD", "DVD")
"""MediaTypes values that an installer boots from."""
EMPTY_SLOT = frozenset({400, 404, 405})
"""What ejecting nothing answers (field guide 3.2)."""
MAX_SLOTS = 16
"""Lenovo lists ten (field guide 3.2)."""
POLL_S = 2.0
POLLS = 30
"""Inserted may turn true late: 60 s, every 2 s (Ironic; field guide 3.2)."""


async def insert(access: Access, layout: Layout, media: MediaProfile, url: str) -> None:
    """Eject what an earlier run left, mount `url`, wait for Inserted.

    Raises:
        NodeFault: PROTOCOL: no slot for discs, or the BMC refuses. STEP_TIMEOUT: it never said Inserted.
    """
    slots = await _slots(access, layout)
    for path, slot in slots:
        await _eject(access, path, slot)
    path = slots[0][0]
    what = f"{access.channel.base}: insert virtual media"
    reply = await _inserted(access, path, await access.get(path), {"Image": url} | dict.fromkeys(media.empty_texts, ""))
    if reply.status not in OK:
        # A BMC that complains repeats what it was given; the URL carries a token.
        raise NodeFault(Reason.PROTOCOL, f"{what} was refused: {reply.sentence.replace(url, 'the URL of the image')}")
    for _ in range(POLLS):
        if document.flag(await access.get(path), "Inserted"):
            return
        await access.channel.clock.sleep(POLL_S)
    raise NodeFault(Reason.STEP_TIMEOUT, f"{what}: accepted, and still not inserted after {POLLS * POLL_S:.0f} s")


async def eject(access: Access, layout: Layout) -> None:
    """Take out whatever is mounted.

    Raises:
        NodeFault: PROTOCOL: something stays in.
    """
    slots = await _slots(access, layout)
    for path, slot in slots:
        await _eject(access, path, slot)
    left = [path for path, _ in slots if document.flag(await access.get(path), "Inserted")]
    if left:
        raise NodeFault(Reason.PROTOCOL, f"{access.channel.base}: still inserted after an eject: {', '.join(left)}")


async def _inserted(access: Access, path: str, slot: Document, least: dict[str, str]) -> Reply:
    """By action; where the service has none (Lenovo: `Actions: null`) by PATCH; with fewer words where it refuses."""
    target = document.path_of(resets.action(slot, INSERT).get("target"))
    full = least | {"Inserted": True, "WriteProtected": True}
    if not target:
        return await access.send("PATCH", path, full, effect="insert media")
    reply = await access.send("POST", target, full, effect="insert media")
    if reply.status == 400 and any("Property" in m.id or "Parameter" in m.id for m in reply.told):  # noqa: PLR2004
        return await access.send("POST", target, dict(least), effect="insert media")  # Supermicro X11
    return reply


async def _eject(access: Access, path: str, slot: Document) -> None:
    if not document.flag(slot, "Inserted") and not document.text(slot, "Image"):
        return
    target = document.path_of(resets.action(slot, EJECT).get("target"))
    if target:
        reply = await access.send("POST", target, {}, effect="eject media")  # HPE wants the empty object
    else:
        reply = await access.send("PATCH", path, {"Image": None, "Inserted": False}, effect="eject media")
    if reply.status not in OK and reply.status not in EMPTY_SLOT:
        raise Transient(f"{access.channel.base}: eject virtual media: {reply.sentence}")


async def _slots(access: Access, layout: Layout) -> list[tuple[str, Document]]:
    """Slots for discs, of the system's collection or else the manager's. Links only: their places differ."""
    for holder in filter(None, (layout.system, layout.manager)):
        collection = document.link(await access.get(holder), "VirtualMedia")
        if not collection:
            continue
        slots = [(path, await access.get(path)) for path in document.member_links(await access.get(collection))]
        discs = [(path, slot) for path, slot in slots if set(DISCS) & set(document.texts(slot, "MediaTypes"))]
        if discs:
            return discs[:MAX_SLOTS]
    raise NodeFault(Reason.PROTOCOL, f"{access.channel.base}: the BMC has no virtual media slot for discs")
