"""The built-in image server: for BMCs that pull (SimpleUpdate, virtual media). Field guide 3.5, 1.2, F23, F53.

Short paths without query, exact Content-Length, ranges, HEAD, ETag, never chunked: BMC clients are HTTP/1.0 at heart.
Plain HTTP: few BMCs trust a certificate of ours, and what is served is public, signed by its vendor and digested by us.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path

from aiohttp import web

from fleet.drivers.digests import Digested, Digests, unchanged
from fleet.errors import UsageError
from fleet.limits import Transfers

CHUNK_BYTES = 64 * 1024


class ImageServer:
    """Serves published files as `/i/<16 hex digits>.bin`, byte for byte as they were digested."""

    def __init__(self, *, host: str, port: int = 0, transfers: Transfers | None = None) -> None:
        """Port 0 takes any.

        `host`: this machine's address as BMCs reach it (a literal: many have no DNS). `transfers`: what it shares with pushes.
        """
        self._host = host
        self._port = port
        self._transfers = transfers
        self._published: dict[str, Digested] = {}
        self._gone: dict[str, Callable[[], bool]] = {}
        self._routes: list[web.RouteDef] = []
        self._digests = Digests()
        self._runner: web.AppRunner | None = None
        self.served_bytes: Counter[str] = Counter()
        """Client address -> bytes handed over."""
        self.fetched_bytes: Counter[str] = Counter()
        """Name -> bytes handed over of it, re-reads counted."""

    @property
    def port(self) -> int:
        """Where it listens, once it was started."""
        return self._port

    def add_post(self, path: str, answer: Callable[[web.Request], Awaitable[web.Response]]) -> None:
        """Answer POSTs at a path. Before `start`."""
        self._routes.append(web.post(path, answer))

    async def start(self) -> None:
        """Listen."""
        application = web.Application()
        application.router.add_get("/i/{name}", self._serve)  # HEAD comes with it
        application.router.add_routes(self._routes)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; transfers under way are cut."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def publish(self, image: Path, *, size_bytes: int, sha256: str) -> str:
        """The URL of a file, after its digest was compared. The same file keeps its URL.

        Raises:
            UsageError: the file is not the one that was promised, or the server does not listen.
        """
        if self._runner is None:
            raise UsageError("the image server was not started")
        published = await self._digests.verified(image, size_bytes=size_bytes, sha256=sha256)
        known = ((name, known) for name, known in self._published.items() if name not in self._gone)
        name = next((name for name, known in known if known == published), None)
        if name is None:
            name = f"{secrets.token_hex(8)}.bin"
            self._published[name] = published
        return self._url(name)

    async def publish_as(
        self, name: str, image: Path, *, size_bytes: int, sha256: str, gone: Callable[[], bool]
    ) -> str:
        """As `publish`, under a name of the caller's, until `gone` says so."""
        if self._runner is None:
            raise UsageError("the image server was not started")
        self._published[name] = await self._digests.verified(image, size_bytes=size_bytes, sha256=sha256)
        self._gone[name] = gone
        return self._url(name)

    def _url(self, name: str) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/i/{name}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        published = self._published.get(name)
        if published is None or (name in self._gone and self._gone[name]()):
            raise web.HTTPNotFound
        descriptor = await asyncio.to_thread(unchanged, published)
        if descriptor is None:
            raise web.HTTPGone(text="the file changed after it was published")
        try:
            return await self._send(request, published, descriptor)
        finally:
            os.close(descriptor)

    async def _send(self, request: web.Request, published: Digested, descriptor: int) -> web.StreamResponse:
        size_bytes = published.size_bytes
        etag = f'"{published.sha256[:32]}"'
        headers = {"Accept-Ranges": "bytes", "ETag": etag, "Content-Type": "application/octet-stream"}
        try:
            wanted = request.http_range
            start, stop, _ = wanted.indices(size_bytes)
        except ValueError:
            raise _unsatisfiable(size_bytes) from None
        partial = "Range" in request.headers and request.headers.get("If-Range", etag) == etag
        if not partial:
            start, stop = 0, size_bytes
        elif start >= stop:
            raise _unsatisfiable(size_bytes)
        else:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size_bytes}"
        response = web.StreamResponse(status=206 if partial else 200, headers=headers)
        response.content_length = stop - start
        await response.prepare(request)
        if request.method != "HEAD":
            with self._transfers.pulled() if self._transfers is not None else nullcontext():
                await self._stream(response, descriptor, start, stop, request)
        await response.write_eof()
        return response

    async def _stream(
        self, response: web.StreamResponse, descriptor: int, at: int, stop: int, request: web.Request
    ) -> None:
        while at < stop:
            size_bytes = min(CHUNK_BYTES, stop - at)
            if self._transfers is not None:
                await self._transfers.take(size_bytes)
            chunk = os.pread(descriptor, size_bytes, at)
            if len(chunk) < size_bytes:
                raise ConnectionAbortedError("the file shrank while it was served")
            await response.write(chunk)
            self.served_bytes[request.remote or ""] += size_bytes
            self.fetched_bytes[request.match_info["name"]] += size_bytes
            at += size_bytes


def _unsatisfiable(size_bytes: int) -> web.HTTPRequestRangeNotSatisfiable:
    return web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size_bytes}"})
