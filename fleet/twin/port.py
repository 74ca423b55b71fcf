"""The network port of one simulated BMC, without a network: what `fleet.sim.face` is over TLS, on the virtual clock.

One request at a time; an answer takes the time that the BMC says; a request whose client gave up is served to its end all the
same. The port closes when the BMC restarts, and whoever waits for an answer then loses the connection.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fleet.drivers.redfish.transport import LinkLost, NotSent
from fleet.sim.bmc import Bmc
from fleet.sim.message import Answer, Fetch, Link, Request, Wire
from fleet.twin.attend import Attendant
from fleet.twin.clock import VirtualClock

PREFLIGHT_BYTES = 4096
"""A longer body is looked at before it is read (fleet.sim.face)."""

Puller = Callable[[Fetch], tuple[bytes | None, str]]
"""Fetches an image that a BMC pulls: (data, "") or (None, reason)."""
BodyReader = Callable[[int], Awaitable[bytes]]
"""Reads a request's body up to a number of bytes."""


def nobody_serves(_: Fetch) -> tuple[bytes | None, str]:
    """The puller of a hall in which images are only pushed."""
    return None, "nobody serves images here"


class Port:
    """Where one BMC answers."""

    def __init__(
        self, attendant: Attendant, clock: VirtualClock, *, origin: float, puller: Puller = nobody_serves
    ) -> None:
        """`origin`: field time at which the BMC's own time is 0."""
        self.bmc: Bmc = attendant.bmc
        self._attendant = attendant
        self._clock = clock
        self._origin = origin
        self._puller = puller
        self._free_at = origin
        """When the BMC has done all that it was asked so far."""

    def sim_now(self) -> float:
        """The BMC's own time."""
        return self._clock.now() - self._origin

    async def ask(self, request: Request, read: BodyReader | None, *, timeout_s: float) -> Answer:
        """Send one request and wait for its answer.

        Args:
            request: whole, or without its body and with the body's announced size.
            read: gives the body; None where `request` is whole.
            timeout_s: field seconds until the client gives up.

        Raises:
            NotSent: the port is closed.
            LinkLost: no answer came in time, or the connection was reset.
        """
        link = self.bmc.link(self.sim_now())
        if link is not Link.UP:
            raise NotSent("connection refused" if link is Link.REFUSED else "the handshake was broken off")
        deadline = self._clock.now() + timeout_s
        ledger = self.bmc.ledger
        ledger.in_flight += 1
        ledger.max_in_flight = max(ledger.max_in_flight, ledger.in_flight)
        size = request.body_size or len(request.body)
        refused = self.bmc.burdened(size, self.sim_now())
        try:
            if self._free_at > self._clock.now():
                await self._turn(request, deadline)
            answer = self._taken(refused) if refused else await self._served(request, read)
            await self._wait(min(self._free_at, deadline))
            if self._free_at > deadline:
                raise LinkLost("no answer in time")
        finally:
            self._left()
            if refused is None:
                self.bmc.relieved(size)
        if answer.wire is not Wire.KEEP:
            raise LinkLost("the connection was reset")
        return answer

    async def _turn(self, request: Request, deadline: float) -> None:
        """Wait until the BMC has done what others, who are gone, have asked it."""
        while self._free_at > self._clock.now():
            await self._wait(min(self._free_at, deadline))
            if self._free_at > deadline:
                if request.body or not request.body_size:
                    self._clock.call_at(self._free_at, lambda: self._unheard(request))
                raise LinkLost("no answer in time")

    def _unheard(self, request: Request) -> None:
        """A request that was in the BMC's hands when its client gave up."""
        now = self._clock.now()
        if self._free_at > now:
            self._clock.call_at(self._free_at, lambda: self._unheard(request))
        elif self.bmc.link(self.sim_now()) is Link.UP:
            self._taken(self.bmc.answer(request, self.sim_now()))

    async def _served(self, request: Request, read: BodyReader | None) -> Answer:
        now = self.sim_now()
        if request.body_size > PREFLIGHT_BYTES:
            early = self.bmc.preflight(request, now)
            if early is not None:
                return self._taken(early)
        if read is not None:
            body = await read(self.bmc.box.update.limit_bytes + PREFLIGHT_BYTES)
            request, now = replace(request, body=body), self.sim_now()
        return self._taken(self.bmc.answer(request, now))

    def _taken(self, answer: Answer) -> Answer:
        """The BMC has decided; it is busy until the answer is out."""
        self._free_at = self._clock.now() + answer.delay_s
        self._attendant.look()
        if answer.fetch is not None:
            fetch = answer.fetch
            self._clock.call_at(self._free_at, lambda: self._fetched(fetch))
        return answer

    def _fetched(self, fetch: Fetch) -> None:
        data, why = self._puller(fetch)
        self.bmc.fetched(fetch.task_id, data, why, self.sim_now())

    async def _wait(self, until: float) -> None:
        """Until then, or until the link goes. Raises LinkLost."""
        while self._clock.now() < until:
            wake = self.bmc.next_wake() or 0.0
            at = min(until, self._origin + wake) if wake else until
            await self._clock.until(at)
            # Where the wake comes first, its own moment is asked for: what is added to and taken from an epoch is rounded.
            if self.bmc.link(self.sim_now() if at == until else max(self.sim_now(), wake)) is not Link.UP:
                self._free_at = self._clock.now()
                raise LinkLost("the connection was reset")

    def _left(self) -> None:
        """The client is gone; the BMC may still be at it."""
        if self._free_at > self._clock.now():
            self._clock.call_at(self._free_at, self._done)
        else:
            self._done()

    def _done(self) -> None:
        self.bmc.ledger.in_flight -= 1
