"""Reading collections and the firmware inventory leniently (SoftwareInventory schema; field guide 0.10, 1.1, 4)."""

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fleet.drivers.redfish import document
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import INVENTORY_S
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.errors import NodeFault, Reason, Transient
from fleet.profile import Quirks
from inventory.observed import FirmwareItem

MAX_PAGES = 100
"""Of one collection: nextLink must not lead in circles."""
INSTALLED = "Installed-"
"""Dell lists Current-, Previous- and Available- copies beside what runs (field guide 1.10)."""
MAX_ORDINAL_DIGITS = 3


@dataclass(slots=True)
class Expansion:
    """Whether $expand did what it promised on this BMC: once it did not, members are read one by one."""

    query: str

    def failed(self) -> None:
        """Never ask again."""
        self.query = ""


async def members(
    access: Access,
    collection: str,
    expansion: Expansion,
    *,
    needs: str,
    wanted: str = "",
    globs: Collection[str] = ("*",),
    skip: Collection[str] = (),
    first: Document | None = None,
) -> AsyncIterator[tuple[str, Document]]:
    """Path and document of each member, expanded where that works, else read one by one.

    Args:
        access: whose BMC.
        collection: path.
        expansion: what is known about $expand; learns.
        needs: a property without which an expanded member counts as mutilated (AMI drops some: field guide 4).
        wanted: beginning of the ids that are wanted.
        globs: patterns of which a wanted id matches one.
        skip: paths of members that need not be read; they come with an empty document.
        first: the first page, where it was read already.
    """
    seen: set[str] = set()
    page = await _first_page(access, collection, expansion) if first is None else first
    async for member in _listed(access, page):
        path = document.path_of(member.get("@odata.id"))
        name = document.last_part(path)
        if not path or path in seen or not (name.startswith(wanted) and any(fnmatchcase(name, glob) for glob in globs)):
            continue
        seen.add(path)
        if needs in member:
            yield path, member
            continue
        if len(member) > 1:
            expansion.failed()
        reply = None if path in skip else await access.find(path)
        yield path, NOTHING if reply is None else reply.body


async def items(access: Access, collection: str, expansion: Expansion, quirks: Quirks) -> tuple[FirmwareItem, ...]:
    """Every firmware item; none where `collection` is empty.

    One that is listed and cannot be read has an empty version: unknown, not removed.
    """
    if not collection:
        return ()
    wanted = INSTALLED if quirks.dell_item_ids else ""
    page = await _first_page(access, collection, expansion)
    known = _read_before.get(id(page))
    if known is not None and known.page is page and known.wanted == wanted:
        return known.items
    listed = members(access, collection, expansion, needs="Version", wanted=wanted, first=page)
    found = tuple(_by_name([_item(path, member) async for path, member in listed]))
    if not _following(page) and all("Version" in member for member in document.objects(page, "Members")):
        _read_before[id(page)] = _Read(page=page, wanted=wanted, items=found)
        if len(_read_before) > _KEPT:
            del _read_before[next(iter(_read_before))]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    page: Document
    wanted: str
    items: tuple[FirmwareItem, ...]


_KEPT = 64
_read_before: dict[int, _Read] = {}
"""What pages that hold all their members say, by identity: `document.parse` gives the same object for the same bytes."""


def _following(page: Document) -> str:
    return document.path_of(page.get("Members@odata.nextLink") or page.get("@odata.nextLink"))


async def _listed(access: Access, page: Document) -> AsyncIterator[Document]:
    for _ in range(MAX_PAGES):
        for member in document.objects(page, "Members"):
            yield member
        following = _following(page)
        if not following:
            return
        page = await access.get(following, read_s=INVENTORY_S)


async def _first_page(access: Access, collection: str, expansion: Expansion) -> Document:
    """The collection, expanded if the BMC can; a query that it advertised and refuses is not asked for again."""
    if not expansion.query:
        return await access.get(collection, read_s=INVENTORY_S)
    try:
        reply = await access.find(collection + expansion.query, read_s=INVENTORY_S)
    except NodeFault as error:
        if error.reason is not Reason.PROTOCOL:
            raise
        reply = None
    except Transient:
        reply = None
    if reply is not None:
        return reply.body
    plain = await access.get(collection, read_s=INVENTORY_S)
    expansion.failed()
    return plain


def _item(path: str, member: Document) -> FirmwareItem:
    version = member.get("Version")
    return FirmwareItem(
        id=document.text(member, "Id") or document.last_part(path),
        name=document.text(member, "Name"),
        version=version[: document.MAX_TEXT_CHARS] if isinstance(version, str) else "",
        software_id=document.text(member, "SoftwareId"),
        updateable=document.flag(member, "Updateable"),
        write_protected=document.flag(member, "WriteProtected"),
        state=document.text(document.child(member, "Status"), "State"),
        health=worst_health(document.child(member, "Status")),
    )


def worst_health(status: Document) -> str:
    """The worse of Health and HealthRollup; empty where the BMC says neither."""
    said = {document.text(status, "Health"), document.text(status, "HealthRollup")}
    return next((word for word in ("Critical", "Warning", "OK") if word in said), "")


def _by_name(found: Iterable[FirmwareItem]) -> Iterable[FirmwareItem]:
    """Items whose Id is only an ordinal, keyed by their Name instead: iLO numbers its parts anew (field guide 1.10)."""
    times: dict[str, int] = {}
    for item in found:
        if not (item.id.isdecimal() and len(item.id) <= MAX_ORDINAL_DIGITS and item.name):
            yield item
            continue
        times[item.name] = times.get(item.name, 0) + 1
        key = item.name if times[item.name] == 1 else f"{item.name} #{times[item.name]}"
        yield FirmwareItem.from_dict({**item.to_dict(), "id": key})
