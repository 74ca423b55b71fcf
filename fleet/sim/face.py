"""The TLS face of one BMC: its own address, its own certificate, and a port that really closes while it restarts."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from fleet.sim.bmc import Bmc
from fleet.sim.certificates import Identity
from fleet.sim.clock import ScaledClock
from fleet.sim.errand import Errand, ReadMedia
from fleet.sim.faults import Effect
from fleet.sim.message import Answer, Fetch, Link, Request, Wire

_PREFLIGHT_BYTES = 4096
_SHORTEST_SLEEP_S = 0.001
"""Delays below this (real seconds) are not slept: a timer would cost more than it shows."""
_KEEPALIVE_S = 3600.0
_BIND_TRIES = 50

Puller = Callable[[Fetch], Awaitable[tuple[bytes | None, str]]]
"""Fetches an image: (data, "") or (None, reason)."""


class Courier(Protocol):
    """Does errands of a box in the world outside."""

    async def read(self, url: str) -> bytes | None:
        """The media at `url`, read by ranges; None if it cannot be read."""
        ...

    async def post(self, url: str, body: dict[str, Any]) -> bool:
        """Whether a POST of this JSON was accepted."""
        ...


class _Deaf(asyncio.Protocol):
    """Takes a connection and drops it: TCP is up, TLS is not."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Connection(RequestHandler):
    """aiohttp's, but a method that HTTP does not know is 501 and not 400 (DSP0266, "HTTP methods")."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See aiohttp."""
        if isinstance(exc, BadHttpMethod):
            answer = web.Response(status=501, text='{"error":{"code":"Base.1.0.GeneralError"}}')
            answer.force_close()
            return answer
        return super().handle_error(request, status, exc, message)


class _Server(web.Server):
    """aiohttp's, with the connections above."""

    def __call__(self) -> RequestHandler:
        """A handler for one more connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)


class Face:
    """Serves one BMC at one address until it is closed."""

    def __init__(
        self,
        bmc: Bmc,
        clock: ScaledClock,
        identity: Identity,
        address: str,
        port: int,
        *,
        puller: Puller,
        courier: Courier,
        renew: Callable[[], Identity] | None = None,
    ) -> None:
        """`renew()`: a new key and certificate for this address, for the fault that changes it."""
        self.bmc = bmc
        self.address = address
        self.port = port
        self._clock = clock
        self._identity = identity
        self._renew = renew
        self._puller = puller
        self._courier = courier
        self._web = _Server(self._respond, access_log=None, keepalive_timeout=_KEEPALIVE_S)
        self._line: asyncio.Server | None = None
        self._link = Link.REFUSED
        self._serial = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Begin to listen."""
        await self._show(Link.UP)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._wake is not None:
            self._wake.cancel()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._show(Link.REFUSED)
        await self._web.shutdown(0)

    def touch(self) -> None:
        """Something may have changed from outside (an AC cycle): follow the link."""
        self._spawn(self._follow())

    def look(self) -> None:
        """Let time pass up to now."""
        self.bmc.agenda.advance(self._clock.now())
        self._arm()

    async def _respond(self, incoming: web.BaseRequest) -> web.StreamResponse:
        ledger = self.bmc.ledger
        ledger.in_flight += 1
        ledger.max_in_flight = max(ledger.max_in_flight, ledger.in_flight)
        size = incoming.content_length or 0
        refused = self.bmc.burdened(size, self._clock.now())
        try:
            async with self._serial:
                result = refused or await self._ask(incoming)
                wait_s = self._clock.wall_s(result.delay_s)
                if wait_s >= _SHORTEST_SLEEP_S:
                    await asyncio.sleep(wait_s)
        finally:
            ledger.in_flight -= 1
            if refused is None:
                self.bmc.relieved(size)
        self._arm()
        if result.fetch is not None:
            self._spawn(self._fetch(result.fetch))
        if result.wire is not Wire.KEEP:
            if incoming.transport is not None:
                incoming.transport.abort()
            return web.Response(status=503)
        return web.Response(
            status=result.status, body=result.body, headers=result.headers, content_type=result.content_type
        )

    async def _ask(self, incoming: web.BaseRequest) -> Answer:
        size = incoming.content_length or 0
        request = self._read(incoming, b"", size)
        if size > _PREFLIGHT_BYTES:
            early = self.bmc.preflight(request, self._clock.now())
            if early is not None and early.wire is Wire.DROP_MIDWAY:
                await self._body(incoming, size // 2)
            if early is not None:
                return early
        if incoming.body_exists:
            limit = self.bmc.box.update.limit_bytes + _PREFLIGHT_BYTES
            request = self._read(incoming, await self._body(incoming, limit), size)
        return self.bmc.answer(request, self._clock.now())

    @staticmethod
    def _read(incoming: web.BaseRequest, body: bytes, size: int) -> Request:
        return Request(
            method=incoming.method,
            path=incoming.path,
            query=incoming.query_string,
            headers=incoming.headers,
            body=body,
            body_size=size,
        )

    @staticmethod
    async def _body(incoming: web.BaseRequest, limit_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < limit_bytes:
            chunk = await incoming.content.readany()
            if not chunk:
                break
            data += chunk
        return bytes(data)

    async def _fetch(self, fetch: Fetch) -> None:
        data, why = await self._puller(fetch)
        self.bmc.fetched(fetch.task_id, data, why, self._clock.now())
        self._arm()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _run(self, errand: Errand) -> None:
        if isinstance(errand, ReadMedia):
            data = await self._courier.read(errand.url)
            now = self._clock.now()
            self.bmc.agenda.advance(now)
            self.bmc.installer.read(errand.boot, data, now)
        else:
            accepted = await self._courier.post(errand.url, errand.body)
            now = self._clock.now()
            self.bmc.agenda.advance(now)
            self.bmc.installer.phoned(errand.boot, accepted=accepted, now=now)
        self._arm()

    def _arm(self) -> None:
        for errand in self.bmc.installer.take_errands():
            self._spawn(self._run(errand))
        due = self.bmc.next_wake()
        if due is None:
            return
        if self._wake is not None:
            self._wake.cancel()
        wait_s = self._clock.wall_s(max(0.0, due - self._clock.now()))
        self._wake = asyncio.get_running_loop().call_later(wait_s, self.touch)

    async def _follow(self) -> None:
        link = self.bmc.link(self._clock.now())
        if link is not self._link:
            await self._show(link)
        self._arm()

    async def _show(self, link: Link) -> None:
        self._link = link
        if self._line is not None:
            for connection in self._web.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            self._line.close()
            self._line = None
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        if link is Link.TLS_DEAD:
            self._line = await loop.create_server(_Deaf, sock=await self._bind())
        elif link is Link.UP:
            if self.bmc.ledger.resets and self._renew and self.bmc.faults.take(Effect.CERTIFICATE_CHANGES):
                self._identity = self._renew()
            context = self._identity.context
            self._line = await loop.create_server(self._web, sock=await self._bind(), ssl=context, backlog=16)

    async def _bind(self) -> socket.socket:
        for _ in range(_BIND_TRIES):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self.address, self.port))
            except OSError:
                listener.close()
                await asyncio.sleep(0.01)
            else:
                listener.setblocking(False)  # noqa: FBT003  the name of the argument is the method's
                return listener
        raise OSError(f"{self.bmc.spec.name}: cannot listen on {self.address}:{self.port}: the address is taken")
