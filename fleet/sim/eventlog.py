"""What a BMC writes down of logins, tasks and updates: one log as a Redfish LogService (schema v1_1, LogEntry v1_9).

Ids count up; a log that is full loses its oldest entries; one that was cleared begins anew. Which entries a vendor writes is
`fleet.sim.logging_habits`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.sim.message import Answer, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class LogModel:
    """One log of a box, as its file declares it."""

    path: str
    """Of the LogService."""
    habit: str
    """Who writes it: ami, hgx, supermicro, dell."""
    most: int
    """MaxNumberOfRecords; the oldest go first (WrapsWhenFull)."""
    first: int = 1
    """Id of the first entry that this box writes: a machine that has lived for a while."""
    page: int = 0
    """Entries a page; 0: all at once."""
    newest_first: bool = False
    begins_anew: bool = True
    """Whether ids begin at 1 again when the log is cleared."""
    shows_most: bool = True
    """Whether MaxNumberOfRecords is told (bmcweb does not)."""
    bundle: str = ""
    """Only parts of this bundle are written about; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One LogEntry."""

    number: int
    document: dict[str, Any]


class EventLog:
    """One log."""

    def __init__(self, model: LogModel, stamp: Callable[[float], str]) -> None:
        """`stamp`: simulated time -> Created, which need not be true (field guide headline 9)."""
        self.model = model
        self._stamp = stamp
        self._next = model.first
        self.kept: deque[Entry] = deque(maxlen=model.most)

    @property
    def entries(self) -> str:
        """Path of the collection."""
        return f"{self.model.path}/Entries"

    def write(self, now: float, said: dict[str, Any], **more: Any) -> None:
        """Add an entry that says `said` (a Message object); `more`: properties of the vendor."""
        number, self._next = self._next, self._next + 1
        document = {
            "@odata.id": f"{self.entries}/{number}",
            "@odata.type": "#LogEntry.v1_9_0.LogEntry",
            "Id": str(number),
            "Name": f"Log entry {number}",
            "EntryType": "Event",
            "Created": self._stamp(now),
            **{key: value for key, value in said.items() if key != "@odata.type" and value},
            **more,
        }
        self.kept.append(Entry(number=number, document=document))

    def clear(self) -> None:
        """LogService.ClearLog."""
        self.kept.clear()
        if self.model.begins_anew:
            self._next = 1

    def get(self, path: str, skip: int) -> Answer | None:
        """The LogService, its entries from `skip` on, or one of them; None: not here."""
        if path == self.model.path:
            return answer(200, self._service())
        if path == self.entries:
            return answer(200, self._collection(skip))
        at, _, number = path.rpartition("/")
        if at != self.entries:
            return None
        return next((answer(200, each.document) for each in self.kept if str(each.number) == number), None)

    def _service(self) -> dict[str, Any]:
        name = self.model.path.rpartition("/")[2]
        most = {"MaxNumberOfRecords": self.model.most} if self.model.shows_most else {}
        return {
            "@odata.id": self.model.path,
            "@odata.type": "#LogService.v1_1_0.LogService",
            "Id": name,
            "Name": name,
            "Entries": {"@odata.id": self.entries},
            "OverWritePolicy": "WrapsWhenFull",
            "ServiceEnabled": True,
            **most,
        }

    def _collection(self, skip: int) -> dict[str, Any]:
        # By text, as the captured logs of the HGX baseboard are: 1, 1001, 140, 1571, 158.
        listed = sorted(self.kept, key=lambda each: str(each.number))
        if self.model.newest_first:
            listed = sorted(self.kept, key=lambda each: -each.number)
        end = skip + self.model.page if self.model.page else len(listed)
        more = {"Members@odata.nextLink": f"{self.entries}?$skip={end}"} if end < len(listed) else {}
        return {
            "@odata.id": self.entries,
            "@odata.type": "#LogEntryCollection.LogEntryCollection",
            "Name": "Log Entry Collection",
            "Members": [each.document for each in listed[skip:end]],
            "Members@odata.count": len(listed),
            **more,
        }
