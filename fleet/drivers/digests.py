"""Is this file still the image that the plan was made with? Digested once, recognised afterwards (field guide B.25)."""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Digested:
    """A file as it was when it was digested."""

    path: Path
    size_bytes: int
    sha256: str
    identity: tuple[int, int, int]
    """Device, inode and time of the last change in nanoseconds: another one means another file."""


class Digests:
    """Files that were digested by this process; a file that did not change since is not read again."""

    def __init__(self) -> None:
        self._known: dict[Path, Digested] = {}
        self._turn = asyncio.Lock()

    async def verified(self, path: Path, *, size_bytes: int, sha256: str) -> Digested:
        """The file, if it has this size and digest. Raises UsageError if not; reads in a thread."""
        async with self._turn:  # a thousand nodes start with the same image: one of them reads it
            known = self._known.get(path)
            if known is None or (descriptor := unchanged(known)) is None:
                known = self._known[path] = await asyncio.to_thread(digested, path)
            else:
                os.close(descriptor)
        if (known.size_bytes, known.sha256) != (size_bytes, sha256.lower()):
            raise UsageError(f"{path} is not the file that the plan was made with; plan again")
        return known


def digested(path: Path) -> Digested:
    """Digest a file. Raises UsageError where it cannot be read or changes under our hands."""
    try:
        with path.open("rb") as stream:
            identity = _identity(stream.fileno())
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size_bytes = os.fstat(stream.fileno()).st_size
            if _identity(stream.fileno()) != identity:
                raise UsageError(f"{path} changed while it was read")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return Digested(path=path, size_bytes=size_bytes, sha256=sha256, identity=identity)


def unchanged(known: Digested) -> int | None:
    """A descriptor of the file, if it still is the one that was digested. The caller closes it."""
    try:
        descriptor = os.open(known.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    if _identity(descriptor) != known.identity:
        os.close(descriptor)
        return None
    return descriptor


def _identity(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino, max(status.st_mtime_ns, status.st_ctime_ns))
