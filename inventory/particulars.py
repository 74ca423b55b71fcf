"""What may be said of a node in its entry, and again, for it alone, under `overrides`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from inventory.document import Value
from inventory.reader import MappingReader
from inventory.references import read_file

_FINGERPRINT = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
PORT_LIMIT = 65_535
"""Ports have 16 bits (RFC 9293 section 3.1, RFC 768)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcParticulars:
    """How a BMC is reached; None where nothing is said."""

    address: Value | None = None
    """A pattern until it is filled in for one node."""
    port: int | None = None
    credential: Value | None = None
    ca: Path | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostParticulars:
    """How the operating system is reached; None where nothing is said."""

    address: Value | None = None
    """A pattern until it is filled in for one node."""
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What is said of a node; None where nothing is said."""

    model: str | None = None
    serial: str | None = None
    uuid: str | None = None
    tenant: str | None = None
    profile: str | None = None
    nvlink_domain: str | None = None
    chassis: str | None = None
    """`{rack}` stands for the node's rack."""
    feeds: Value | None = None
    labels: Mapping[str, str] | None = None
    bmc: BmcParticulars
    host: HostParticulars


Said = TypeVar("Said", Particulars, BmcParticulars, HostParticulars)


def read_particulars(reader: MappingReader) -> Particulars:
    """Read the keys that nodes and overrides share; the caller finishes the reader."""
    labels = reader.mapping("labels")
    return Particulars(
        model=reader.text("model", default=None),
        serial=reader.text("serial", default=None),
        uuid=reader.read("uuid", lambda value: value.parsed(_uuid), default=None),
        tenant=reader.text("tenant", default=None),
        profile=reader.text("profile", default=None),
        nvlink_domain=reader.text("nvlink_domain", default=None),
        chassis=reader.text("chassis", default=None),
        feeds=reader.value("feeds"),
        labels={key: value.text() for key, value in labels.items()} if "labels" in reader else None,
        bmc=read_bmc(reader.mapping("bmc", what="bmc")),
        host=_host(reader.mapping("host", what="host")),
    )


def read_bmc(reader: MappingReader) -> BmcParticulars:
    """Read a `bmc` mapping to its end."""
    particulars = BmcParticulars(
        address=reader.value("address"),
        port=reader.integer("port", minimum=1, maximum=PORT_LIMIT, default=None),
        credential=reader.value("credential"),
        ca=reader.read("ca", read_file, default=None),
        fingerprint=reader.read("fingerprint", lambda value: value.parsed(_fingerprint), default=None),
    )
    reader.finish()
    return particulars


def _host(reader: MappingReader) -> HostParticulars:
    particulars = HostParticulars(
        address=reader.value("address"), port=reader.integer("port", minimum=1, maximum=PORT_LIMIT, default=None)
    )
    reader.finish()
    return particulars


def overridden(general: Particulars, particular: Particulars) -> Particulars:
    """What is said in general, unless something else is said in particular. Labels are merged, key by key."""
    merged = _over(general, particular)
    labels = {**(general.labels or {}), **(particular.labels or {})}
    host = _over(general.host, particular.host)
    return replace(merged, bmc=_over(general.bmc, particular.bmc), host=host, labels=labels)


def contradiction(one: Particulars, other: Particulars) -> str | None:
    """The first thing that is said in both, where only one may say it; None where they can be merged."""
    for said, again in ((one, other), (one.bmc, other.bmc), (one.host, other.host)):
        for field in fields(said):
            is_set = getattr(said, field.name) is not None and getattr(again, field.name) is not None
            if is_set and field.name not in {"bmc", "host", "labels"}:
                return field.name
    return None


def _over(general: Said, particular: Said) -> Said:
    said = {field.name: getattr(particular, field.name) for field in fields(particular)}
    return replace(general, **{name: value for name, value in said.items() if value is not None})


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("is not a UUID") from None


def _fingerprint(text: str) -> str:
    """`sha256:` and 64 hex digits, with or without the colons that openssl puts between them."""
    prefix, _, digits = text.partition(":")
    plain = f"{prefix}:{digits.replace(':', '')}".lower()
    if not _FINGERPRINT.fullmatch(plain):
        raise ValueError("is not a certificate's fingerprint (write sha256: and 64 hex digits)")
    return plain
