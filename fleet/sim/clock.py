"""The hall's own time: simulated seconds since the hall was switched on."""

import time
from typing import Protocol


class SimClock(Protocol):
    """Where the hall reads time from; every model is a function of request, state and this."""

    def now(self) -> float:
        """Simulated seconds since the hall was switched on."""
        ...


class ScaledClock:
    """Wall time multiplied by `speed`: at 600 a ten-minute flash takes one second."""

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be greater than 0, not {speed}")
        self.speed = speed
        self._start = time.monotonic()

    def now(self) -> float:
        """Simulated seconds since this clock was made."""
        return (time.monotonic() - self._start) * self.speed

    def wall_s(self, sim_s: float) -> float:
        """How many real seconds `sim_s` simulated seconds last."""
        return sim_s / self.speed


class HandClock:
    """A clock that moves only when it is told to: for tests and for the in-memory transport."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Simulated seconds since the start, as last set."""
        return self._now

    def advance(self, sim_s: float) -> float:
        """Let `sim_s` simulated seconds pass; returns the new time."""
        self._now += sim_s
        return self._now
