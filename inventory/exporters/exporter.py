"""What an exporter is, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from inventory.exporters.snapshot import Snapshot
from inventory.model import SecretRef
from inventory.text import nearest

GROUP = "fleet.exporters"
"""Entry points: name -> an `Exporter`."""
SHIPPED = tuple(
    EntryPoint(name=name, value=f"inventory.exporters.{value}:EXPORTER", group=GROUP)
    for name, value in (
        ("json", "json_document"),
        ("csv", "csv_table"),
        ("ansible", "ansible"),
        ("netbox", "netbox.export"),
    )
)
"""Ours, in the form in which everybody registers theirs; their names cannot be taken over."""


class Kind(StrEnum):
    """What comes of an export."""

    DOCUMENT = "document"
    """Text on stdout."""
    SYSTEM = "system"
    """Changes in a system that is reached over the network."""


class Consent(StrEnum):
    """Whether a system may be changed."""

    DRY_RUN = "dry-run"
    APPLY = "apply"


class ExportError(Exception):
    """The export cannot go on. Its text says what, where and what to do; never a secret."""

    def __init__(self, message: str, *, written: int = 0) -> None:
        super().__init__(message)
        self.written = written
        """Objects that were created or changed before; they stay, and the next run goes on from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a SYSTEM is, and what may be done there."""

    url: str = ""
    token: SecretRef | None = None
    ca: Path | None = None
    """PEM file of the authority that signed the system's certificate; None: those that the machine trusts."""
    consent: Consent = Consent.DRY_RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an export says."""

    text: str
    """For stdout, with its last newline."""
    conflicts: int = 0
    """Objects that were left alone because the system says something else about them; each is a line of `text`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """One way out."""

    summary: str
    kind: Kind
    export: Callable[[Snapshot, Destination], Outcome]
    """Raises ExportError. A DOCUMENT's is pure and ignores the destination."""


@cache
def registered() -> Mapping[str, EntryPoint]:
    """Every exporter by name, not yet imported."""
    return {entry.name: entry for entry in (*entry_points(group=GROUP), *SHIPPED)}


def find(name: str) -> Exporter:
    """Import the exporter of this name. Raises ExportError: unknown, or it cannot be loaded."""
    entry = registered().get(name)
    if entry is None:
        raise ExportError(f"there is no exporter {name!r}; {nearest(name, registered())}")
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise ExportError(f"the exporter {name!r} ({entry.value}) cannot be loaded: {error}") from error
    if not isinstance(found, Exporter):
        raise ExportError(f"{entry.value} is registered as exporter {name!r} but is no Exporter")
    return found
