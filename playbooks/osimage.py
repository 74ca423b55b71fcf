"""The OS image that a playbook names: found beside the playbook, and the one that its digest promises, before anything is done."""

import hashlib
import re
from pathlib import Path

from fleet.errors import UsageError

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def os_image(playbook: Path, image: str, sha256: str) -> Path:
    """The image's path, after its digest was compared: `os.image: {image: ../images/ubuntu.iso, sha256: ..., release: "24.04"}`.

    Raises:
        UsageError: no such file beside the playbook, `sha256` is none, or it is another file's.
    """
    where = f"{playbook}: os.image"
    if not _SHA256.fullmatch(sha256):
        raise UsageError(f"{where}: sha256 is not 64 hexadecimal digits; write what `sha256sum {image}` prints")
    path = (playbook.parent / image).resolve()
    if path.suffix != ".iso":
        raise UsageError(f"{where}: {image} does not end in .iso; some BMCs mount nothing else (field guide 3.2)")
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"{where}: {path} cannot be read: {error.strerror}; the path is relative to the playbook"
        ) from None
    if found != sha256.lower():
        raise UsageError(f"{where}: {path} has sha256 {found}, the playbook promises {sha256.lower()}; fetch it again")
    return path
