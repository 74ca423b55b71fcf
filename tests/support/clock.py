"""A virtual clock: time advances only when every task of the loop waits. Deterministic, and without waiting."""

import asyncio
import heapq
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")

START = 1_780_000_000.0
"""Some day in 2026."""
WALL = 100.0
"""Field seconds per wall second: operators are looked for seldom, as on real hardware."""


class VirtualClock:
    """Fulfils fleet.clock.Clock. Use `run`: the clock needs a loop that tells it when nothing else can happen."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._held = 0

    def now(self) -> float:
        """Field time."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has advanced that far."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (self._now + max(0.0, seconds), self._count, future))
        await future

    async def sleep_wall(self, seconds: float) -> None:
        """Wall time, at WALL field seconds each."""
        await self.sleep(seconds * WALL)

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self._now / WALL

    def io_timeout_s(self, seconds: float) -> float:
        """Never consulted: there is no socket."""
        return seconds

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Time stands still inside: something outside the loop (a disk) is at work."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run to the end on a loop whose idle moments advance this clock."""
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_Idle(self))) as runner:
            return runner.run(work)

    def advance(self) -> bool:
        """Wake the first sleeper. False if nobody sleeps, or time is held."""
        while self._waiting and not self._held:
            at, _, future = heapq.heappop(self._waiting)
            if not future.done():
                self._now = max(self._now, at)
                future.set_result(None)
                return True
        return False


class _Idle(selectors.DefaultSelector):
    """Advances the clock whenever the loop would block."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        return [] if self._clock.advance() else super().select(timeout)
