"""Things that happen inside a box at a due time, processed in order whenever somebody looks."""

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[float], None]


class Due:
    """One entry of an agenda; `cancel` makes it never happen."""

    __slots__ = ("action", "at", "number")

    def __init__(self, at: float, number: int, action: Action) -> None:
        self.at = at
        self.number = number
        self.action: Action | None = action

    def __lt__(self, other: "Due") -> bool:
        return (self.at, self.number) < (other.at, other.number)

    def cancel(self) -> None:
        """Forget it."""
        self.action = None


class Agenda:
    """Due times of one box, in simulated seconds. There is no timer: time passes when `advance` is called."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._wakes: list[float] = []
        self._numbers = itertools.count()
        self.now = 0.0
        """Until when everything that was due has happened."""

    def add(self, at: float, action: Action, *, wakes: bool = False) -> Due:
        """Let `action(at)` happen at `at`. `wakes`: the outside can see it even if nobody asks (the link changes)."""
        due = Due(at, next(self._numbers), action)
        heapq.heappush(self._heap, due)
        if wakes:
            heapq.heappush(self._wakes, at)
        return due

    def advance(self, now: float) -> None:
        """Do everything that was due until `now`, in order of due time; what that adds is done too if it is due."""
        while self._wakes and self._wakes[0] <= now:
            heapq.heappop(self._wakes)
        while self._heap and self._heap[0].at <= now:
            due = heapq.heappop(self._heap)
            self.now = max(self.now, due.at)
            if due.action is not None:
                due.action(due.at)
        self.now = max(self.now, now)

    def next_wake(self) -> float | None:
        """When the box must be touched again, although nobody asks: simulated seconds, or None."""
        return self._wakes[0] if self._wakes else None
