"""How many images may be on their way at once, by what was measured. Pure: a hill is climbed as long as more at once moves more.

Bytes per second are what a machine, its link and its leaf can give; how many transfers it takes to use them, nobody knows beforehand:
one BMC writes 20 MB/s, another 2 (field guide 3.1, B.14).
"""

from dataclasses import dataclass, field

FLOOR_BYTES_PER_S = 1_000_000
"""What each transfer gets at least, when as many as may are under way: the slowest push that is waited for
(fleet.drivers.redfish.update) must not become slower by our own queue."""
MOST_AT_ONCE = 256
"""As many as requests (fleet.limits.Limits.in_flight)."""
FIRST_AT_ONCE = 16
_FULL, _MORE = 0.95, 1.05
"""Shares of the budget, and of what was moved before: below are the noise of a window."""
_HOLD_WINDOWS = 6


@dataclass(slots=True)
class Tuner:
    """The number of transfers for one budget."""

    bytes_per_s: float
    at_once: int = field(init=False)
    _before: tuple[int, float] | None = field(init=False, default=None)
    """(at once, bytes/s) of the window before the last step up."""
    _hold: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Begin in the middle."""
        self.at_once = min(FIRST_AT_ONCE, self.most)

    @property
    def most(self) -> int:
        """As many as leave each its floor."""
        return max(1, min(MOST_AT_ONCE, int(self.bytes_per_s // FLOOR_BYTES_PER_S)))

    def judge(self, moved_bytes_per_s: float, *, crowded: bool) -> None:
        """One window is over. `crowded`: somebody waited for a turn all the while; else it says nothing of the limit."""
        if not crowded or self._hold:
            self._hold = max(0, self._hold - 1)
            return
        if self._before is not None:
            fewer, moved_before = self._before
            self._before = None
            if moved_bytes_per_s < moved_before * _MORE:
                self.at_once, self._hold = fewer, _HOLD_WINDOWS
                return
        if moved_bytes_per_s < self.bytes_per_s * _FULL and self.at_once < self.most:
            self._before = self.at_once, moved_bytes_per_s
            self.at_once = min(self.most, self.at_once + max(1, self.at_once // 4))
