"""Maintenance windows: when work may start. Pure; daylight saving is the zone database's business.

A window opens at a local time and stays open for an elapsed time: "22:00 for 8h" lasts eight hours in every night, and closes at
05:00, 06:00 or 07:00 on the clock. An opening that the clocks skip (02:30 in the night in which they go forward) is as long after
midnight as on any other day, so that it shows 03:30; one that they show twice is the first (PEP 495, fold=0).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_S = 86_400
_HORIZON_DAYS = 400
"""Nobody looks further: a window that stays open for longer is open for ever, one that stays shut for longer opens no more."""
HORIZON_S = (_HORIZON_DAYS - 2) * _DAY_S
"""The first and the last of those days may be cut."""

Spell: TypeAlias = tuple[float, float]
"""(opens, closes), epoch seconds."""


class Openings(ABC):
    """When work may start: one window, or several of which any will do."""

    __slots__ = ()

    @abstractmethod
    def spells(self, at: float) -> Iterator[Spell]:
        """Every spell that ends after `at` and opens within HORIZON_S, by their openings. They may touch or overlap."""

    @abstractmethod
    def endless(self) -> "Openings":
        """The same without a last day and without exceptions: for a rehearsal, whose day is not that of the rollout."""

    @property
    @abstractmethod
    def zone(self) -> str:
        """In whose time a moment is told: a name of the zone database."""

    def open_at(self, at: float) -> bool:
        """Whether `at` (epoch seconds) lies in the window."""
        first = next(self.spells(at), None)
        return first is not None and first[0] <= at

    def closes_at(self, at: float) -> float | None:
        """Epoch seconds at which it next closes, if it is open at `at`; None if it is not. Windows that touch are one."""
        end: float | None = None
        for opens, closes in self.spells(at):
            if opens > (at if end is None else end):
                break
            end = closes if end is None else max(end, closes)
        return end

    def fits(self, at: float, need_s: float) -> bool:
        """Whether what begins at `at` and takes `need_s` seconds is over before the window closes."""
        closes = self.closes_at(at)
        return closes is not None and at + need_s <= closes

    def next_opening(self, at: float) -> float | None:
        """Epoch seconds at which it next opens, having been closed; None if it does not within HORIZON_S."""
        end = self.closes_at(at)
        if end is not None and end - at >= HORIZON_S:
            return None
        since = at if end is None else end
        return next((opens for opens, _ in self.spells(since) if opens > since), None)

    def next_fit(self, at: float, need_s: float) -> float | None:
        """The first moment, `at` or an opening after it, from which `need_s` seconds fit; None if there is none within HORIZON_S."""
        moment: float | None = at
        while moment is not None and moment - at <= HORIZON_S:
            if self.fits(moment, need_s):
                return moment
            moment = self.next_opening(moment)
        return None

    def clock(self, at: float) -> str:
        """The moment as the window's own people name it: `2026-11-28 06:00 CET`."""
        return datetime.fromtimestamp(at, ZoneInfo(self.zone)).strftime("%Y-%m-%d %H:%M %Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Openings):
    """Recurs on the given days at the given local time."""

    days: tuple[str, ...]
    """Of DAYS; the day on which the window opens."""
    start: str
    """"HH:MM", local time."""
    length_s: int
    """Elapsed time."""
    tz: str
    """Name in the zone database, such as America/Chicago."""
    until: str = ""
    """Last local date on which it opens, "YYYY-MM-DD"; empty: for ever."""
    closed: tuple[str, ...] = ()
    """Local dates on which it is shut, "YYYY-MM-DD..YYYY-MM-DD", both included: it does not open on one, and closes at midnight
    where one begins."""

    @property
    def zone(self) -> str:
        """See Openings."""
        return self.tz

    def endless(self) -> "Window":
        """See Openings."""
        return replace(self, until="", closed=())

    def spells(self, at: float) -> Iterator[Spell]:
        """See Openings."""
        zone = ZoneInfo(self.tz)
        today = datetime.fromtimestamp(at, UTC).astimezone(zone).date()
        shut = sorted(closed_dates(text) for text in self.closed)
        for offset in range(-(self.length_s // _DAY_S) - 2, _HORIZON_DAYS):
            day = today + timedelta(days=offset)
            if self.until and day.isoformat() > self.until:
                return
            if DAYS[day.weekday()] not in self.days or any(first <= day <= last for first, last in shut):
                continue
            opens = _local(day, self.start, zone)
            ends = [_local(first, "00:00", zone) for first, _ in shut if first > day][:1]
            closes = min([opens + self.length_s, *ends])
            if closes > max(at, opens):
                yield opens, closes

    def __str__(self) -> str:
        """As a sentence would name it."""
        hours, minutes = divmod(self.length_s // 60, 60)
        until = f" until {self.until}" if self.until else ""
        but = f" except {', '.join(self.closed)}" if self.closed else ""
        return f"{', '.join(self.days)} {self.start} for {hours}h{minutes:02d} {self.tz}{until}{but}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows(Openings):
    """Several, any of which will do. Each keeps its own time zone and its own exceptions."""

    windows: tuple[Window, ...]
    """At least one."""

    @property
    def zone(self) -> str:
        """See Openings."""
        return self.windows[0].tz

    def endless(self) -> "Windows":
        """See Openings."""
        return Windows(windows=tuple(window.endless() for window in self.windows))

    def spells(self, at: float) -> Iterator[Spell]:
        """See Openings."""
        return merge(*(window.spells(at) for window in self.windows))

    def __str__(self) -> str:
        """As a sentence would name them."""
        return "; ".join(map(str, self.windows))


def read_openings(data: dict[str, Any]) -> Window | Windows:
    """What `dataclasses.asdict` made of either, back from the journal."""
    if "windows" in data:
        return Windows(windows=tuple(_read_window(each) for each in data["windows"]))
    return _read_window(data)


def _read_window(data: dict[str, Any]) -> Window:
    lists = {name: tuple(data.get(name, ())) for name in ("days", "closed")}
    return Window(**{**data, **lists})


def closed_dates(text: str) -> tuple[date, date]:
    """`2026-12-24..2027-01-02` or `2026-12-24`: first and last day. Raises ValueError."""
    first, _, last = text.partition("..")
    begin = date.fromisoformat(first.strip())
    end = date.fromisoformat(last.strip()) if last else begin
    if end < begin:
        raise ValueError(f"{end} is before {begin}")
    return begin, end


def _local(day: date, clock: str, zone: ZoneInfo) -> float:
    """Epoch seconds of a local time. Where the clocks skip it, the offset before the change counts (PEP 495)."""
    hour, minute = (int(part) for part in clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
