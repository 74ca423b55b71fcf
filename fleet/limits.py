"""Who may use what at once, and the one place where anything is retried.

A BMC serves one request at a time by its own lock (`fleet.drivers.redfish.channel`); what stands here is shared by all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from fleet.clock import Clock
from fleet.errors import Transient

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
