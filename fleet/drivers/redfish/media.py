"""Virtual media: one image mounted as the host's CD (VirtualMedia schema v1_6; field guide 3.2, F56)."""

from typing import Protocol

from fleet.drivers.redfish import document, resets
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK, Reply
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, Reason, Transient

INSERT = "#VirtualMedia.InsertMedia"
EJECT = "#VirtualMedia.EjectMedia"
DISCS = ("CD", "DVD")
"""MediaTypes values that an installer boots from."""
EMPTY_SLOT = frozenset({400, 404, 405})
"""What ejecting nothing answers (field guide 3.2)."""
POLL_S = 2.0
POLLS = 30
"""Inserted may turn true late: 60 s, every 2 s (Ironic; field guide 3.2)."""


class VirtualMedia(Protocol):
    """What an imaging step needs of a BMC."""

    async def insert_media(self, url: str) -> None:
        """Mount the image at `url` (no query: BMCs truncate it) and wait until the BMC says that it is inserted."""

    async def eject_media(self) -> None:
        """Take out whatever is mounted. An empty slot is success."""


async def insert(access: Access, layout: Layout, url: str) -> None:
    """Eject what an earlier run left, mount `url`, wait for Inserted.

    Raises:
        NodeFault: PROTOCOL: no slot for discs, or the BMC refuses. STEP_TIMEOUT: it never said Inserted.
    """
    path, slot = await _slot(access, layout)
    await _eject(access, path, slot)
    what = f"{access.channel.base}: insert virtual media"
    reply = await _inserted(access, path, slot, url)
    if reply.status not in OK:
        raise NodeFault(Reason.PROTOCOL, f"{what} was refused: {reply.sentence}")
    for _ in range(POLLS):
        if document.flag(await access.get(path), "Inserted"):
            return
        await access.channel.clock.sleep(POLL_S)
    raise NodeFault(Reason.STEP_TIMEOUT, f"{what}: accepted, and still not inserted after {POLLS * POLL_S:.0f} s")


async def eject(access: Access, layout: Layout) -> None:
    """Take out whatever is mounted."""
    path, slot = await _slot(access, layout)
    await _eject(access, path, slot)


async def _inserted(access: Access, path: str, slot: Document, url: str) -> Reply:
    """By action; where the service has none (Lenovo: `Actions: null`) by PATCH; with fewer words where it refuses."""
    target = document.path_of(resets.action(slot, INSERT).get("target"))
    full = {"Image": url, "Inserted": True, "WriteProtected": True}
    if not target:
        return await access.send("PATCH", path, full, effect="insert media")
    reply = await access.send("POST", target, full, effect="insert media")
    if reply.status == 400 and any("Property" in m.id or "Parameter" in m.id for m in reply.told):  # noqa: PLR2004
        return await access.send("POST", target, {"Image": url}, effect="insert media")  # Supermicro X11
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


async def _slot(access: Access, layout: Layout) -> tuple[str, Document]:
    """The first slot for discs, of the system's collection or the manager's. Links only: their places differ."""
    for holder in filter(None, (layout.system, layout.manager)):
        collection = document.link(await access.get(holder), "VirtualMedia")
        if not collection:
            continue
        for path in document.member_links(await access.get(collection)):
            slot = await access.get(path)
            if set(DISCS) & set(document.texts(slot, "MediaTypes")):
                return path, slot
    raise NodeFault(Reason.PROTOCOL, f"{access.channel.base}: the BMC has no virtual media slot for discs")
