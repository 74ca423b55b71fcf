"""What is sent: small bodies that do not show themselves, and images streamed from disk (field guide 1.2, 3.5)."""

import json
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.errors import NodeFault, Reason

CHUNK_BYTES = 256 * 1024
"""All that an upload holds of its image; the system's page cache is the copy that all nodes share."""
JSON = "application/json"
OCTETS = "application/octet-stream"


Pay = Callable[[int], Awaitable[None]]
"""Waits until so many bytes may be sent."""


async def free(_: int) -> None:
    """No budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """JSON that no repr shows: the Redfish client keeps what it sent, and a log may print what it keeps."""

    content: bytes = field(repr=False)
    content_type: str = JSON

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Sealed":
        """The document as JSON."""
        return cls(content=json.dumps(document).encode())

    @property
    def size_bytes(self) -> int:
        """The length of the content."""
        return len(self.content)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The content, at once."""
        yield self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBody:
    """An image between two short pieces of framing, read from disk as it is sent."""

    image: Path
    image_bytes: int
    """The size that was promised; a file of another size is not sent."""
    before: bytes = b""
    after: bytes = b""
    content_type: str = OCTETS
    pay: Pay = free
    """Waits before each chunk, where all images share a budget of bytes."""

    @property
    def size_bytes(self) -> int:
        """Framing and image."""
        return len(self.before) + self.image_bytes + len(self.after)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Framing, image, framing. Raises NodeFault where the file is not what was promised."""
        if self.before:
            yield self.before
        descriptor = _open(self.image, self.image_bytes)
        try:
            left = self.image_bytes
            while left:
                chunk = os.read(descriptor, min(CHUNK_BYTES, left))
                if not chunk:
                    raise _changed(self.image)
                left -= len(chunk)
                await self.pay(len(chunk))
                yield chunk
        finally:
            os.close(descriptor)
        if self.after:
            yield self.after


def raw(image: Path, image_bytes: int, pay: Pay = free) -> ImageBody:
    """The image alone, for HttpPushUri."""
    os.close(_open(image, image_bytes))
    return ImageBody(image=image, image_bytes=image_bytes, pay=pay)


def multipart(image: Path, image_bytes: int, parameters: Mapping[str, Any], pay: Pay = free) -> ImageBody:
    """UpdateParameters, then UpdateFile (DSP0266 multipart push): a BMC that parses a stream needs the words first."""
    os.close(_open(image, image_bytes))
    boundary = f"fleetwave-{secrets.token_hex(16)}"
    name = "".join(letter for letter in image.name if letter.isascii() and (letter.isalnum() or letter in "._-"))
    before = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="UpdateParameters"\r\nContent-Type: {JSON}\r\n\r\n'
        f"{json.dumps(parameters)}\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="UpdateFile"; filename="{name or "image.bin"}"\r\n'
        f"Content-Type: {OCTETS}\r\n\r\n"
    )
    return ImageBody(
        image=image,
        image_bytes=image_bytes,
        before=before.encode(),
        after=f"\r\n--{boundary}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
        pay=pay,
    )


def _open(image: Path, image_bytes: int) -> int:
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NodeFault(Reason.UPDATE_REJECTED, f"{image} cannot be read: {error.strerror}") from None
    if os.fstat(descriptor).st_size != image_bytes:
        os.close(descriptor)
        raise _changed(image)
    return descriptor


def _changed(image: Path) -> NodeFault:
    return NodeFault(Reason.UPDATE_REJECTED, f"{image} changed since the plan was made; plan again")
