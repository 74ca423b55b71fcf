"""What a box wants done outside itself: its face does it and reports back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMedia:
    """Read the mounted image over HTTP; answered with `Installer.read`."""

    url: str
    boot: int
    """Number of the boot that wants it: answers to an earlier one are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHomePost:
    """POST a phone-home; answered with `Installer.phoned`."""

    url: str
    body: dict[str, Any]
    boot: int


Errand = ReadMedia | PhoneHomePost
