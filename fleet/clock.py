"""The only place that reads time or sleeps.

*Field time* is what the hardware lives in: seconds since the epoch, UTC. On real hardware it is the machine's clock. Against a
simulated hall it runs `speed` times faster from the hall's own start, so that a flash of ten minutes takes one second and a
deadline in the journal still means the same after a restart. *Wall time* is the operator's: how often we look for a request
to pause, how often a screen is painted.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

IO_FLOOR_S = 20.0
"""Socket timeouts never fall below this in wall seconds, however fast field time runs: compression must not invent faults."""


class Clock(Protocol):
    """Now and sleep. A virtual clock that needs no waiting satisfies the same protocol."""

    def now(self) -> float:
        """Field time: seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of field time."""

    async def sleep_wall(self, seconds: float) -> None:
        """Wait that many seconds of the operator's time."""

    def wall_s(self) -> float:
        """Seconds of the operator's time since some moment of this process; for how long a socket has been quiet."""

    def io_timeout_s(self, seconds: float) -> float:
        """The wall seconds after which a socket operation that may take `seconds` of field time is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemClock:
    """The machine's clock; with `speed` above 1, a hall's compressed time. Steps of the system clock do not move it."""

    speed: float = 1.0
    """Field seconds per wall second. Above 1 only against a simulated hall."""
    origin: float | None = None
    """Epoch seconds at which compressed time started; None: at the epoch's own zero, which is plain time."""
    _started_wall: float = field(default_factory=time.time)
    _started_mono: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Field time: seconds since the epoch."""
        wall = self._started_wall + (time.monotonic() - self._started_mono)
        if self.origin is None:
            return wall
        return self.origin + (wall - self.origin) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of field time."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    async def sleep_wall(self, seconds: float) -> None:
        """Wait that many seconds of the operator's time."""
        await asyncio.sleep(seconds)

    def wall_s(self) -> float:
        """Seconds of the operator's time since the clock was made."""
        return time.monotonic() - self._started_mono

    def io_timeout_s(self, seconds: float) -> float:
        """Wall seconds for a socket timeout, with a floor (see IO_FLOOR_S)."""
        return seconds if self.speed == 1.0 else max(seconds / self.speed, IO_FLOOR_S)


def as_utc(at: float) -> datetime:
    """Field time as an aware UTC datetime."""
    return datetime.fromtimestamp(at, UTC)
