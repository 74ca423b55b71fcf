"""OS images of the hall: a first line of JSON that says what is installed, then filler (docs/hall.md)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

_MAGIC = "fleetwave-sim-os"
_FIRST_LINE_BYTES = 4096
_FORMAT = 1


class OsImageError(ValueError):
    """The bytes are no OS image of the hall; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsImage:
    """What the first line of an image says."""

    version_id: str
    """VERSION_ID of /etc/os-release once it is installed."""
    phone_home: str
    """Absolute http URL, or a path on the server that the image came from."""
    sha256: str
    size_bytes: int
    """How much is streamed and written: its own size, or `stands_for_bytes` where it stands in for a larger one."""

    def phone_home_url(self, image_url: str) -> str:
        """Where an installation from `image_url` phones home."""
        return urljoin(image_url, self.phone_home)


def token_of(image_url: str) -> str:
    """The one-time token: the last segment of the image's URL without its suffix."""
    return urlsplit(image_url).path.rpartition("/")[2].partition(".")[0]


def read_os_image(data: bytes) -> OsImage:
    """The image in `data`.

    Raises:
        OsImageError: it is none.
    """
    line, newline, _ = data[:_FIRST_LINE_BYTES].partition(b"\n")
    if not newline:
        raise OsImageError(f"no line end within {_FIRST_LINE_BYTES} bytes")
    try:
        said = json.loads(line)
    except ValueError:
        raise OsImageError("the first line is not JSON") from None
    if not isinstance(said, dict) or said.get(_MAGIC) != _FORMAT or said.get("token_from") != "url":
        raise OsImageError(f"the first line does not say {_MAGIC!r}: {_FORMAT} and 'token_from': 'url'")
    version, phone_home = said.get("version_id"), said.get("phone_home")
    if not (isinstance(version, str) and version and isinstance(phone_home, str)):
        raise OsImageError("'version_id' or 'phone_home' is not a text")
    if not phone_home.startswith(("/", "http://")):
        raise OsImageError("'phone_home' is neither a path nor an http URL")
    size_bytes = said.get("stands_for_bytes", len(data))
    if not isinstance(size_bytes, int) or size_bytes < 0:
        raise OsImageError("'stands_for_bytes' is no number of bytes")
    digest = hashlib.sha256(data).hexdigest()
    return OsImage(version_id=version, phone_home=phone_home, sha256=digest, size_bytes=size_bytes)


def build_os_image(
    path: Path,
    *,
    version_id: str,
    phone_home: str = "/phone-home",
    size_bytes: int = 65536,
    seed: str = "",
    stands_for_bytes: int | None = None,
) -> str:
    """Write an OS image; returns the sha256 of the file.

    Args:
        path: where.
        version_id: of the OS.
        phone_home: absolute http URL, or a path on the server that the image comes from.
        size_bytes: of the file.
        seed: makes the filler, and so the digest, another one.
        stands_for_bytes: the size of a larger image, whose time its installation takes.
    """
    head = {_MAGIC: _FORMAT, "version_id": version_id, "phone_home": phone_home, "token_from": "url"}
    head |= {} if stands_for_bytes is None else {"stands_for_bytes": stands_for_bytes}
    line = json.dumps(head).encode() + b"\n"
    block = hashlib.sha256(f"{version_id}/{seed}".encode()).digest()
    rest = max(0, size_bytes - len(line))
    data = line + (block * (rest // len(block) + 1))[:rest]
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
