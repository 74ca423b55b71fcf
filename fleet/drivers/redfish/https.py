"""`HttpTransport` over aiohttp: TLS, one connection a BMC, nothing from the environment, nothing followed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from fleet.clock import Clock
from fleet.drivers.redfish import tls
from fleet.drivers.redfish.transport import (
    MAX_REPLY_BYTES,
    Body,
    HttpResponse,
    LinkLost,
    NotSent,
    ReplyTooLong,
    Untrusted,
)
from fleet.limits import Limits
from inventory.model import Bmc

CONNECT_S = 30.0
"""Connecting, TLS included (field guide B.19)."""
KEEP_ALIVE_S = 75.0
"""Beyond a poll interval of 30 s, so that a poll costs no handshake."""


class HttpsTransport:
    """HTTPS to one BMC. One caller at a time: the channel's lock sees to that."""

    def __init__(self, bmc: Bmc, *, clock: Clock, limits: Limits) -> None:
        self._bmc = bmc
        self._clock = clock
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._shaking_hands = False

    @asynccontextmanager
    async def request(self, method: str, url: URL, **options: Any) -> AsyncIterator[HttpResponse]:
        """See `HttpTransport.request`."""
        session = self._open()
        options["timeout"] = self._timeout(options.get("timeout"))
        body = options.get("data")
        if body is not None and isinstance(
            body, Body
        ):  # a Protocol's isinstance is dear, and most requests have no body
            options["data"] = body.chunks()
        async with self._limits.in_flight:
            try:
                async with session.request(method, url, **options) as response:
                    yield _Response(response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise await self._translated(error) from None
            finally:
                self._hands_shaken()

    async def drop(self) -> None:
        """Close the connection; the next request opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Close for good."""
        await self.drop()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = _session(tls.trust(self._bmc.tls), self._tracing())
        return self._session

    def _timeout(self, given: Any) -> aiohttp.ClientTimeout:
        connect_s = self._clock.io_timeout_s(CONNECT_S)
        total_s = given.total if isinstance(given, aiohttp.ClientTimeout) else None
        return aiohttp.ClientTimeout(total=total_s, connect=connect_s, sock_connect=connect_s)

    def _tracing(self) -> aiohttp.TraceConfig:
        """Handshakes are limited where they happen: most requests find their connection open."""

        async def starts(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
            await self._limits.handshakes.acquire()
            self._shaking_hands = True

        async def ends(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
            self._hands_shaken()

        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_start.append(starts)
        tracing.on_connection_create_end.append(ends)
        return tracing

    def _hands_shaken(self) -> None:
        if self._shaking_hands:
            self._shaking_hands = False
            self._limits.handshakes.release()

    async def _translated(self, error: Exception) -> Exception:
        """The transport's own error for one of aiohttp's."""
        if isinstance(error, LinkLost):
            return error
        if isinstance(error, aiohttp.ServerFingerprintMismatch):
            return Untrusted("another certificate than the pinned one", fingerprint=tls.PREFIX + error.got.hex())
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return Untrusted("no trusted authority signed it for this address", fingerprint=await self._presented())
        words = str(error) or type(error).__name__
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return NotSent(words)
        return LinkLost(words if not isinstance(error, TimeoutError) else "no answer in time")

    async def _presented(self) -> str:
        """The fingerprint of whatever certificate stands there now, or empty."""
        url = URL.build(scheme="https", host=self._bmc.address, port=self._bmc.port)
        async with _session(tls.NOTHING, aiohttp.TraceConfig()) as session:
            try:
                await session.head(url, timeout=self._timeout(None))
            except aiohttp.ServerFingerprintMismatch as mismatch:
                return tls.PREFIX + mismatch.got.hex()
            except (aiohttp.ClientError, TimeoutError, OSError):
                return ""
        return ""


def _session(trusted: Any, tracing: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=1, limit_per_host=1, ssl=trusted, keepalive_timeout=KEEP_ALIVE_S)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[tracing],
        headers={"Accept-Encoding": "identity"},
    )


class _Response:
    """An aiohttp response whose body is bounded."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        length = self._response.content_length
        if length is not None and length > MAX_REPLY_BYTES:
            raise ReplyTooLong(f"the reply announces {length} bytes")
        if length is not None:
            return await self._response.read()
        pieces: list[bytes] = []
        size_bytes = 0
        async for piece in self._response.content.iter_any():
            size_bytes += len(piece)
            if size_bytes > MAX_REPLY_BYTES:
                self._cut()
                raise ReplyTooLong(f"the reply goes on beyond {MAX_REPLY_BYTES} bytes")
            pieces.append(piece)
            if len(pieces) % 64 == 0:
                await asyncio.sleep(0)  # an endless body must not keep the loop to itself
        return b"".join(pieces)

    def _cut(self) -> None:
        """Drop the connection at once: a polite TLS farewell would go on reading what never ends."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    def get_encoding(self) -> str:
        return "utf-8"
