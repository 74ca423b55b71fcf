"""Maintenance windows: when work may start. Pure; daylight saving is the zone database's business."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Recurs on the given days at the given local time."""

    days: tuple[str, ...]
    """Of DAYS; the day on which the window opens."""
    start: str
    """"HH:MM", local time."""
    length_s: int
    tz: str
    """Name in the zone database, such as America/Chicago."""
    until: str = ""
    """Last local date on which it opens, "YYYY-MM-DD"; empty: for ever."""

    def open_at(self, at: float) -> bool:
        """Whether `at` (epoch seconds) lies in the window."""
        zone = ZoneInfo(self.tz)
        local = datetime.fromtimestamp(at, UTC).astimezone(zone)
        days_back = range(self.length_s // 86_400 + 2)
        openings = (self._opening(local, -day, zone) for day in days_back if self._opens_on(local, -day))
        return any(opening <= at < opening + self.length_s for opening in openings)

    def next_opening(self, at: float) -> float | None:
        """Epoch seconds of the next opening after `at`; None if there is none."""
        zone = ZoneInfo(self.tz)
        local = datetime.fromtimestamp(at, UTC).astimezone(zone)
        openings = (self._opening(local, day, zone) for day in range(8) if self._opens_on(local, day))
        return next((opening for opening in openings if opening > at), None)

    def _opens_on(self, local: datetime, offset_days: int) -> bool:
        date = local.date() + timedelta(days=offset_days)
        return DAYS[date.weekday()] in self.days and (not self.until or date.isoformat() <= self.until)

    def _opening(self, local: datetime, offset_days: int, zone: ZoneInfo) -> float:
        hour, minute = (int(part) for part in self.start.split(":"))
        date = local.date() + timedelta(days=offset_days)
        return datetime(date.year, date.month, date.day, hour, minute, tzinfo=zone).timestamp()

    def __str__(self) -> str:
        """As a sentence would name it."""
        hours, minutes = divmod(self.length_s // 60, 60)
        until = f" until {self.until}" if self.until else ""
        return f"{', '.join(self.days)} {self.start} for {hours}h{minutes:02d} {self.tz}{until}"
