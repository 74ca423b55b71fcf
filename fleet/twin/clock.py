"""A virtual clock: time advances only when every task of the loop waits. One seed gives one history.

The loop that `VirtualClock.run` makes tells the clock whenever it would block; the clock then lets the next thing happen that
somebody waits for. Nothing else moves: what would run in a thread runs at once, in its turn, and a thread that is somebody
else's (a journal's writer) holds the clock while it is at work.
"""

import asyncio
import heapq
import selectors
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

from fleet.twin.network import Factory, Listener, Network

Result = TypeVar("Result")

START = 1_780_000_000.0
"""Some day in 2026."""
WALL = 100.0
"""Field seconds per wall second: operators are looked for seldom, as on real hardware."""


class VirtualClock:
    """Fulfils fleet.clock.Clock. Use `run`: the clock needs a loop that tells it when nothing else can happen."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._dues: list[tuple[float, int, Callable[[], object], asyncio.Future[None] | None]] = []
        self._count = 0
        self._held = 0

    def now(self) -> float:
        """Field time."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has advanced that far."""
        await self.until(self._now + max(0.0, seconds))

    async def until(self, at: float) -> None:
        """Wait until field time `at`; a moment that has passed still lets everybody else go first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(at, lambda: future.set_result(None), future)
        await future

    def call_at(self, at: float, what: Callable[[], object]) -> None:
        """Let `what` happen at field time `at`."""
        self._add(at, what, None)

    def _add(self, at: float, what: Callable[[], object], future: asyncio.Future[None] | None) -> None:
        self._count += 1
        heapq.heappush(self._dues, (at, self._count, what, future))

    async def sleep_wall(self, seconds: float) -> None:
        """Wall time, at WALL field seconds each."""
        await self.sleep(seconds * WALL)

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self._now / WALL

    def io_timeout_s(self, seconds: float) -> float:
        """Without a socket there is no wall time to wait: a timeout is field time."""
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
        with asyncio.Runner(loop_factory=lambda: _Loop(_Idle(self))) as runner:
            return runner.run(work)

    def advance(self) -> bool:
        """Let the next thing happen that is due first. False if nobody waits, or time is held."""
        while self._dues and not self._held:
            at, _, what, future = heapq.heappop(self._dues)
            if future is None or not future.done():
                self._now = max(self._now, at)
                what()
                return True
        return False


class InTurns(Executor, ABC):
    """An executor whose calls may wait for the virtual clock. See fleet.twin.blocking."""

    @abstractmethod
    async def work(self, call: Callable[[], Result]) -> Result:
        """The result of `call`. Raises what it raises."""


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


class _Loop(asyncio.SelectorEventLoop):
    """A loop without threads of its own, and without sockets: while one worked, time would run, and how far would be chance."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._network = Network()

    def run_in_executor(  # type: ignore[override]  # mypy: the parameter is an Executor or None in typeshed
        self, executor: Any, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """Call at once, on this thread; what may have to wait for the clock has a thread of its own, which never runs beside this one."""
        if isinstance(executor, InTurns):
            return self.create_task(executor.work(lambda: func(*args)))
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (whatever it is belongs to whoever awaits)
            done.set_exception(error)
        return done

    async def create_server(  # type: ignore[override]  # only what aiohttp's TCPSite asks for
        self, protocol_factory: Factory, host: str, port: int, **_: Any
    ) -> Listener:
        """Listen on the network of this loop."""
        return self._network.listen(host, port, protocol_factory)

    async def create_unix_connection(  # type: ignore[override]  # only what aiohttp's UnixConnector asks for
        self, protocol_factory: Factory, path: str, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect to whoever listens on the network of this loop at `path`, which is `HOST:PORT`."""
        host, port = path.rsplit(":", 1)
        return self._network.connect(self, host, int(port), protocol_factory)
