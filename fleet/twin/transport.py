"""`HttpTransport` in memory: the driver's requests handed to a simulated BMC, its answers handed back, on the virtual clock."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from yarl import URL

from fleet.drivers.redfish.transport import MAX_REPLY_BYTES, Body, LinkLost, NotSent, ReplyTooLong
from fleet.errors import FleetError
from fleet.limits import Limits
from fleet.sim.message import Answer, Request
from fleet.twin.port import BodyReader, Port

_JSON = "application/json"
_NEVER_S = 1e9
"""Where the caller gave no timeout."""


class TwinTransport:
    """HTTP to one BMC of a hall in memory, over one connection that is remade whenever it was lost."""

    def __init__(self, port: Port | None, limits: Limits) -> None:
        """`port` None: at this address there is nobody."""
        self._port = port
        self._limits = limits

    def request(self, method: str, url: URL, **options: Any) -> "_Exchange":
        """See `HttpTransport.request`."""
        return _Exchange(self._port, self._limits, method, url, options)

    async def drop(self) -> None:
        """The next request finds its own way: a connection costs nothing here."""

    async def close(self) -> None:
        """Nothing is kept."""


class _Exchange:
    """One request, from its sending to the end of its reply."""

    __slots__ = ("_limits", "_method", "_options", "_port", "_url")

    def __init__(self, port: Port | None, limits: Limits, method: str, url: URL, options: Mapping[str, Any]) -> None:
        self._port = port
        self._limits = limits
        self._method = method
        self._url = url
        self._options = options

    async def __aenter__(self) -> "_Response":
        """The head of the reply. Raises NotSent, LinkLost, and nothing else."""
        if self._port is None:
            raise NotSent(f"nobody is at {self._url.host} port {self._url.port}")
        given = self._options.get("timeout")
        timeout_s = _NEVER_S if given is None or given.total is None else given.total
        request, read = self._made()
        await self._limits.in_flight.acquire()
        try:
            return _Response(await self._port.ask(request, read, timeout_s=timeout_s))
        except BaseException:
            self._limits.in_flight.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.in_flight.release()

    def _made(self) -> tuple[Request, BodyReader | None]:
        """The request as the BMC sees it, and what gives its body if that is streamed."""
        url, headers = self._url, self._options["headers"]
        if params := self._options.get("params"):
            url = url.update_query(params)
        document, data = self._options.get("json"), self._options.get("data")
        body, size, read = b"", 0, None
        if document is not None:
            body = json.dumps(document).encode()
            headers = {**headers, "Content-Type": _JSON}
        elif isinstance(data, bytes):
            body = data
        elif data is not None:
            size, read = data.size_bytes, _reader(data)
        request = Request(
            method=self._method,
            path=url.path,
            query=url.query_string,
            headers=headers,
            body=body,
            body_size=size or len(body),
        )
        return request, read


def _reader(streamed: Body) -> BodyReader:
    async def read(limit_bytes: int) -> bytes:
        pieces = []
        left = limit_bytes
        try:
            async for piece in streamed.chunks():
                pieces.append(piece)
                left -= len(piece)
                if left <= 0:
                    break
        except (FleetError, OSError) as broken:  # the rest never comes: as the BMC sees it, the client went away
            raise LinkLost(str(broken)) from None
        return b"".join(pieces)

    return read


class _Response:
    """A reply, whole."""

    __slots__ = ("_answer", "headers", "status")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers: Mapping[str, str] = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            **dict(answer.headers),
        }

    async def read(self) -> bytes:
        if len(self._answer.body) > MAX_REPLY_BYTES:
            raise ReplyTooLong(f"the reply announces {len(self._answer.body)} bytes")
        return self._answer.body

    def get_encoding(self) -> str:
        return "utf-8"
