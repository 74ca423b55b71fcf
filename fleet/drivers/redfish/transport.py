"""The one seam between Redfish and HTTP.

`redfish.aio.AsyncRedfishClient` works on any object with aiohttp's `request`; `HttpTransport` says what that object is
here, without a word of aiohttp, so that an in-memory one can take its place. Whatever implements it raises only the
errors below.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from yarl import URL

MAX_REPLY_BYTES = 32 * 1024 * 1024
"""Above any honest reply: the longest expanded collection measured was 250 KB (measurements.md)."""


class NotSent(Exception):
    """No byte of the request left this machine: refused, unroutable, unknown name, or the handshake failed."""


class LinkLost(Exception):
    """Bytes may have left and no whole reply came. What the BMC made of them is not known."""


class ReplyTooLong(LinkLost):
    """The reply went on beyond MAX_REPLY_BYTES and was cut off."""


class Untrusted(Exception):
    """The certificate is not the one that the inventory trusts. Nothing was sent."""

    def __init__(self, message: str, *, fingerprint: str) -> None:
        """`fingerprint` is what was presented, as the inventory writes it, or empty where it could not be read."""
        super().__init__(message)
        self.fingerprint = fingerprint


@runtime_checkable
class Body(Protocol):
    """What is sent, in pieces, its length known before the first byte."""

    @property
    def content_type(self) -> str:
        """For the header of that name."""

    @property
    def size_bytes(self) -> int:
        """The exact number of bytes that `chunks` gives."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, once."""


class HttpResponse(Protocol):
    """A reply whose head is there."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, in any case."""

    async def read(self) -> bytes:
        """The whole body, never more than MAX_REPLY_BYTES."""

    def get_encoding(self) -> str:
        """How text in the body is encoded."""


class HttpTransport(Protocol):
    """HTTP to one BMC, over at most one connection."""

    def request(self, method: str, url: URL, **options: Any) -> AbstractAsyncContextManager[HttpResponse]:
        """Send one request and wait for the head of the reply. Redirects are never followed.

        Args:
            method: upper case.
            url: absolute.
            options: of aiohttp's `ClientSession.request`, as the Redfish client passes them: `headers`, `params`,
                `json`, `data` (bytes or a `Body`), `timeout` (with a `total`), `allow_redirects` (always False).
        """

    async def drop(self) -> None:
        """Close the connection; the next request opens a new one. Connections never outlive a BMC's restart."""

    async def close(self) -> None:
        """Close for good."""
