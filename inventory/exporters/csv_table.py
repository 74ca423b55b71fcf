"""The inventory as CSV: one node a line, for spreadsheets.

A cell is data, never a formula and never a second line: what begins like a formula gets an apostrophe before it (OWASP, CSV
Injection), control characters become blanks. Programs that want every byte as it was read take the JSON document.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from inventory.exporters.exporter import Destination, Exporter, Kind, Outcome
from inventory.exporters.snapshot import Entry, Reading, Sighting, Snapshot, timestamp

_FORMULA = ("=", "+", "-", "@")
_FULL_WIDTH = ("＝", "＋", "－", "＠")  # noqa: RUF001 (some spreadsheets take these for the ASCII ones)


def _of_sighting(read: Callable[[Sighting], str]) -> Callable[[Entry], str]:
    return lambda entry: read(entry.seen) if entry.seen else ""


COLUMNS: Mapping[str, Callable[[Entry], str]] = {
    "node": lambda entry: entry.node.id,
    "site": lambda entry: entry.site,
    "pod": lambda entry: entry.pod,
    "rack": lambda entry: entry.node.rack,
    "slot": lambda entry: str(entry.node.slot),
    "feeds": lambda entry: " ".join(entry.node.feeds),
    "model": lambda entry: entry.node.model,
    "profile": lambda entry: entry.profile,
    "tenant": lambda entry: entry.node.tenant or "",
    "nvlink_domain": lambda entry: entry.node.nvlink_domain or "",
    "bmc_address": lambda entry: entry.node.bmc.address,
    "bmc_port": lambda entry: str(entry.node.bmc.port),
    "declared_serial": lambda entry: entry.node.serial or "",
    "observed_serial": _of_sighting(lambda seen: seen.serial),
    "declared_uuid": lambda entry: entry.node.uuid or "",
    "observed_uuid": _of_sighting(lambda seen: seen.uuid),
    "observed_model": _of_sighting(lambda seen: seen.model),
    "status": lambda entry: entry.status,
    "reason": _of_sighting(lambda seen: seen.reason),
    "message": _of_sighting(lambda seen: seen.message),
    "versions": _of_sighting(
        lambda seen: "; ".join(f"{item}={found}" for item, found in sorted(seen.versions.items()))
    ),
    "observed_at": _of_sighting(lambda seen: "" if seen.read_at is None else timestamp(seen.read_at)),
    "reading": lambda entry: (entry.seen.reading if entry.seen else Reading.NONE).value,
    "origin": _of_sighting(lambda seen: seen.origin.value),
    "rollout": _of_sighting(lambda seen: seen.rollout),
    "chassis": lambda entry: entry.node.chassis or "",
}
"""Heading -> what stands under it. New ones are added at the end."""


def table(snapshot: Snapshot) -> str:
    """The whole file, with its heading; lines end as RFC 4180 wants."""
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    rows.writerows([cell(read(entry)) for read in COLUMNS.values()] for entry in snapshot.entries)
    return out.getvalue()


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula, on one line."""
    flat = "".join(" " if not letter.isprintable() else letter for letter in text)
    return f"'{flat}" if flat.lstrip().startswith((*_FORMULA, *_FULL_WIDTH)) else flat


def _export(snapshot: Snapshot, _: Destination) -> Outcome:
    return Outcome(text=table(snapshot))


EXPORTER = Exporter(summary="CSV, one node a line", kind=Kind.DOCUMENT, export=_export)
