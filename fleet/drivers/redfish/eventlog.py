"""A BMC's own log as evidence of an update (LogService, LogEntry schemas; Update and vendor registries; field guide 1.4, 1.8).

Entries are ordered by their ids and never by their dates (field guide headline 9). Silence counts only where the entry of the mark
is still there and an entry of before tells of an earlier image: a log that was cleared, lost its oldest entries, is full, switched
off, cannot be read, or has never told of anything, proves nothing.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from fleet.drivers.redfish import document, messages
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.messages import Message
from fleet.errors import NodeFault, Transient
from fleet.ports import LogMark, LogSays, LogVerdict
from fleet.profile import UpdateLog

MAX_PAGES = 100
"""Of one log: a nextLink must not lead in circles. Supermicro's longest had 509 entries (field guide 4), Dell pages by 50."""
_WRAPS = "WrapsWhenFull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One LogEntry."""

    number: int
    print: str
    """Tells it from another entry with the same id, after the log was cleared and its ids began anew."""
    said: Message


class Unusable(Exception):
    """The log is no evidence. The text says why."""


async def mark(access: Access, log: UpdateLog) -> LogMark | None:
    """The newest entry now; None where there is none, or the log cannot be read."""
    try:
        entries = await _entries(access, log, lambda _: True)
    except (Unusable, Transient, NodeFault):
        return None
    newest = max(entries, key=lambda each: each.number, default=None)
    return None if newest is None else LogMark(last=newest.number, print=newest.print)


async def since(access: Access, log: UpdateLog, mark: LogMark, versions: frozenset[str]) -> LogVerdict:
    """What the entries behind the mark say of an image with one of these versions."""
    try:
        entries = await _entries(access, log, lambda found: _told_before(found, mark, log))
        verdict = judged(entries, mark, log, versions)
        if verdict.says is LogSays.SILENT:
            await _require_it_writes(access, log, len(entries))
    except Unusable as why:
        return LogVerdict(says=LogSays.CANNOT_TELL, why=str(why))
    except (Transient, NodeFault) as unread:
        return LogVerdict(says=LogSays.CANNOT_TELL, why=f"its log cannot be read: {unread}")
    return verdict


def judged(entries: Sequence[Entry], mark: LogMark, log: UpdateLog, versions: frozenset[str]) -> LogVerdict:
    """The same of entries that were read. Pure."""
    whole = any(each.number == mark.last and each.print == mark.print for each in entries)
    later = [each for each in entries if each.number > mark.last] if whole else list(entries)
    spoken = [each for each in later if _matches(each, (*log.tells, *log.tells_version))]
    for each in spoken:
        if _matches(each, log.tells) or versions & set(each.said.args):
            return LogVerdict(says=LogSays.TOLD, why=f"log entry {each.number}, {each.said}")
    if spoken:
        return LogVerdict(
            says=LogSays.CANNOT_TELL, why=f"its log speaks of another image: entry {spoken[0].number}, {spoken[0].said}"
        )
    if not whole:
        return LogVerdict(
            says=LogSays.CANNOT_TELL, why=f"its log was cleared, or lost its oldest entries: {mark.last} is gone"
        )
    if not _told_before(entries, mark, log):
        return LogVerdict(
            says=LogSays.CANNOT_TELL, why="its log has never told of an image: it may be one that does not"
        )
    return LogVerdict(says=LogSays.SILENT, why=f"nothing of an update since log entry {mark.last}")


def _told_before(entries: Sequence[Entry], mark: LogMark, log: UpdateLog) -> bool:
    globs = (*log.tells, *log.tells_version)
    return any(each.number <= mark.last and _matches(each, globs) for each in entries)


def _matches(found: Entry, globs: Sequence[str]) -> bool:
    # MessageArgs come in either order, and the registry's name and version differ (field guide headline 6, 1.4).
    text = f"{found.said.id}: {found.said.message}"
    return any(fnmatchcase(text, glob) for glob in globs)


async def _entries(access: Access, log: UpdateLog, enough: Callable[[Sequence[Entry]], bool]) -> list[Entry]:
    """All entries; of a log that lists its newest first only as many pages as are enough."""
    found: list[Entry] = []
    page = await access.get(log.entries)
    for _ in range(MAX_PAGES):
        found += [entry(member) for member in document.objects(page, "Members")]
        following = document.path_of(page.get("Members@odata.nextLink") or page.get("@odata.nextLink"))
        if not following or (_falls(found) and enough(found)):
            return found
        page = await access.get(following)
    raise Unusable(f"its log has more than {MAX_PAGES} pages")


def _falls(entries: Sequence[Entry]) -> bool:
    numbers = [each.number for each in entries]
    return len(numbers) > 1 and all(before > after for before, after in pairwise(numbers))


def entry(member: Document) -> Entry:
    """One LogEntry. Raises Unusable."""
    number = document.text(member, "Id")
    if not number.isdecimal() or "MessageId" not in member:
        raise Unusable("its log lists entries without their numbers, or without what they say")
    (said,) = messages.of_entries((member,))
    created = document.text(member, "Created")
    digest = hashlib.sha256(f"{created}\0{said.full_id}\0{said.message}".encode()).hexdigest()[:16]
    return Entry(number=int(number), print=digest, said=said)


async def _require_it_writes(access: Access, log: UpdateLog, count: int) -> None:
    """Raise Unusable if the log takes no new entries: switched off, or full without giving up its oldest (LogService schema)."""
    service = await access.get(log.entries.rpartition("/")[0])
    if document.flag(service, "ServiceEnabled") is False:
        raise Unusable("its log is switched off")
    most = document.number(service, "MaxNumberOfRecords")
    if document.text(service, "OverWritePolicy") != _WRAPS and (most is None or count >= most):
        raise Unusable("its log may be full, and does not give up its oldest entries")
