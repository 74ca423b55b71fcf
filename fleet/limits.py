"""Who may use what at once, and the one place where anything is retried.

A BMC serves one request at a time by its own lock (`fleet.drivers.redfish.channel`); what stands here is shared by all. Locks are taken
from the outside in (field guide B.5): the power domain of a chassis, then a node's own BMC. Nobody who holds a BMC waits for a domain.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from fleet.clock import Clock
from fleet.errors import Transient
from fleet.gate import Gate, Mode
from fleet.tuning import Tuner

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Jittered back-off from 1 to 60 s of field time (field guide 4)."""
ATTEMPTS = 6
"""About two minutes of field time altogether; a BMC that restarts is the engine's business, not a retry's."""
LONGEST_HINT_S = 300.0
"""A Retry-After beyond this is not obeyed: hostile or nonsense (field guide 1.3)."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all BMCs of this process share."""

    in_flight: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(256))
    """Requests at once: 256 cost less memory and CPU than all at once (measurements.md)."""
    handshakes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    """TLS handshakes at once: each is a burst of CPU here, and 0.3 to 1 s of an AST2500's (field guide 4)."""


async def retrying(call: Callable[[], Awaitable[Result]], *, clock: Clock, attempts: int = ATTEMPTS) -> Result:
    """Await `call()`, again after each `Transient` until the attempts are used up; then that `Transient` is raised.

    Only for what has no effect: reads. Waits are field time; the BMC's own hint (`retry_after_s`) lengthens one.
    """
    try:
        return await call()  # nearly every read: tenacity costs a third of what an HTTP request does
    except Transient as error:
        failed: Transient | None = error

    async def attempt() -> Result:
        nonlocal failed
        if failed is not None:
            first, failed = failed, None
            raise first
        return await call()

    loop = AsyncRetrying(
        sleep=clock.sleep,
        stop=stop_after_attempt(attempts),
        wait=_pause_s,
        retry=retry_if_exception_type(Transient),
        reraise=True,
    )
    return await loop(attempt)


_backoff = wait_random_exponential(multiplier=FIRST_PAUSE_S, min=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)


def _pause_s(state: RetryCallState) -> float:
    """Seconds before the next attempt."""
    error = state.outcome.exception() if state.outcome is not None else None
    hint = error.retry_after_s if isinstance(error, Transient) else None
    pause_s = _backoff(state)
    return pause_s if hint is None else max(pause_s, min(hint, LONGEST_HINT_S))


class Stand(StrEnum):
    """How a node of a shared chassis stands to an AC cycle of one of the others."""

    ABSENT = "not started"
    """No run of it in this process yet."""
    AT_WORK = "at work"
    """Something may be flashing, or start."""
    WAITING = "waiting"
    """At a safe point, for its own cycle or for the end of those of the others: it lends its power when it is asked."""
    LENT = "held"
    """Its host is off, nothing flashes, and it waits until its power is given back."""
    PASSED = "passed"
    """As WAITING, and it needs no cycle any more."""
    OUT = "out of service"
    """Quarantined, and nothing of it can be flashing: its power may go."""
    GONE = "not held"
    """In service again, or in a state that nobody knows: its power may never go."""
    LEFT = "stopped"
    """Parked: it goes on with another process."""


_DONE = frozenset({Stand.PASSED, Stand.OUT, Stand.GONE})


class PowerDomain:
    """The nodes of one chassis. One at a time may cut the power of all, once each of the others has lent it (field guide F51, B.5)."""

    def __init__(self, stands: Mapping[str, Stand]) -> None:
        """`stands`: every node of the chassis, as the journal has it."""
        self.stands = dict(stands)
        self.cuts = 0
        """Turns in which AC was, or may have been, cut."""
        self._queue: list[str] = []
        self._moved = asyncio.Event()

    @property
    def turn(self) -> str:
        """Whose turn it is to cut the power, or to wait until it may; empty: nobody's."""
        return self._queue[0] if self._queue else ""

    def ask(self, node: str) -> None:
        """Wait for a turn, behind those who asked before."""
        if node not in self._queue:
            self._queue.append(node)
            self.move(node, Stand.WAITING)

    def give_back(self, node: str, *, cut: bool) -> None:
        """The turn is over, or not wanted any more."""
        if node in self._queue:
            self.cuts += cut
            self._queue.remove(node)
            self.move(node, Stand.AT_WORK)

    def move(self, node: str, stand: Stand) -> None:
        """It stands so from now on."""
        self.stands[node] = stand
        self._moved.set()
        self._moved = asyncio.Event()

    def others(self, node: str, *stands: Stand) -> list[str]:
        """Of the others, those that stand so."""
        return [name for name, stand in self.stands.items() if name != node and stand in stands]

    def lacking(self, node: str) -> dict[str, Stand]:
        """Of the others, those whose power may not go now, and how they stand."""
        return {
            name: stand for name, stand in self.stands.items() if name != node and stand not in {Stand.LENT, Stand.OUT}
        }

    def all_passed(self, node: str) -> bool:
        """Whether none of the others will need a cycle."""
        return all(stand in _DONE for name, stand in self.stands.items() if name != node)

    async def moved(self) -> None:
        """Wait until anything of this changes."""
        await self._moved.wait()


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's place in the power domain of its chassis, as its steps see it."""

    domain: PowerDomain
    node: str
    gate: Gate

    @property
    def borrower(self) -> str:
        """Who wants the power of all now, if it is another node; empty: nobody."""
        turn = self.domain.turn
        return "" if turn == self.node else turn

    @property
    def closing(self) -> bool:
        """Whether nothing new may begin."""
        return self.gate.mode is not Mode.OPEN

    @property
    def leaving(self) -> bool:
        """Whether this process ends."""
        return self.gate.mode in {Mode.PARK, Mode.ABORT}

    def stands(self, stand: Stand) -> None:
        """This node stands so from now on."""
        self.domain.move(self.node, stand)

    async def moved(self) -> None:
        """Wait until anybody moves, or the gate does."""
        waits = [asyncio.ensure_future(self.domain.moved()), asyncio.ensure_future(self.gate.moved())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class ByteBudget:
    """A token bucket of bytes per second of field time, shared by all transfers that take from it."""

    def __init__(self, *, bytes_per_s: float, clock: Clock, burst_s: float = 1.0) -> None:
        """`burst_s` seconds' worth may go at once after a quiet time."""
        if bytes_per_s <= 0:
            raise ValueError("a byte budget is above zero; leave the limit out for none")
        self._rate = bytes_per_s
        self._clock = clock
        self._burst_s = burst_s
        self._paid_until = clock.now()

    async def take(self, size_bytes: int) -> None:
        """Wait until `size_bytes` may be sent. Callers queue in the order of their calls."""
        now = self._clock.now()
        start = max(self._paid_until, now - self._burst_s)
        self._paid_until = start + size_bytes / self._rate
        if self._paid_until > now:
            await self._clock.sleep(self._paid_until - now)


WINDOW_S = 10.0
"""Field seconds over which throughput is measured."""


class Transfers:
    """Images that leave this machine, pushed and pulled: one budget of bytes a second, and turns for as many as it pays to send at once.

    A push waits for its turn before its BMC is told anything. A pull is never kept waiting, because BMCs do not ask again (field guide
    3.5): it takes a place as long as it lasts, and all that is under way shares the bytes evenly.
    """

    def __init__(self, *, bytes_per_s: float, clock: Clock) -> None:
        """`bytes_per_s` of field time, for all of them together."""
        self._budget = ByteBudget(bytes_per_s=bytes_per_s, clock=clock)
        self._clock = clock
        self._tuner = Tuner(bytes_per_s)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._window_at = clock.now()
        self._window_bytes = 0
        self._crowded = False
        self.under_way = 0
        """Transfers that have a turn, pulls among them."""
        self.sent_bytes = 0
        """All that was paid for."""

    @property
    def at_once(self) -> int:
        """How many may be under way now."""
        return self._tuner.at_once

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, told: Callable[[str], None] = lambda _: None) -> AsyncIterator[None]:
        """Wait until one more may be sent, in the order of the calls; it is under way until the context ends.

        `told` hears of it where it has to wait.
        """
        if self._waiting or self.under_way >= self.at_once:
            told(f"waits for its turn to be sent the image: {self.under_way} under way, {self.waiting} before it")
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._end()  # the turn came just as its owner went
                else:
                    self._waiting.remove(place)
                raise
        else:
            self.under_way += 1
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def pulled(self) -> Iterator[None]:
        """Somebody fetches: under way at once."""
        self.under_way += 1
        try:
            yield
        finally:
            self._end()

    async def take(self, size_bytes: int) -> None:
        """Wait until `size_bytes` may be sent; they count as sent."""
        self.sent_bytes += size_bytes
        self._window_bytes += size_bytes
        now = self._clock.now()
        if now - self._window_at >= WINDOW_S:
            self._tuner.judge(self._window_bytes / (now - self._window_at), crowded=self._crowded)
            self._window_at, self._window_bytes, self._crowded = now, 0, bool(self._waiting)
            self._let_in()
        await self._budget.take(size_bytes)

    def _end(self) -> None:
        self.under_way -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.under_way < self.at_once:
            place = self._waiting.popleft()
            if not place.done():
                self.under_way += 1
                place.set_result(None)
        self._crowded = self._crowded and bool(self._waiting)
