"""What a BMC is asked and what it answers, with no transport in sight."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Wire(StrEnum):
    """What happens to the connection that carries an answer."""

    KEEP = "keep"
    """The answer is sent and the connection stays open."""
    DROP = "drop"
    """The connection is reset instead of an answer."""
    DROP_MIDWAY = "drop-midway"
    """The connection is reset when half of the request's body was read."""


class Link(StrEnum):
    """How the BMC's network port looks from outside."""

    UP = "up"
    REFUSED = "refused"
    """Nobody listens: connection refused."""
    TLS_DEAD = "tls-dead"
    """TCP connects, but no TLS handshake is ever answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as the BMC sees it."""

    method: str
    path: str
    """Decoded path without query."""
    query: str = ""
    """Decoded query string without the question mark."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header fields; the mapping compares names case-insensitively or has lower-case names."""
    body: bytes = b""
    body_size: int = 0
    """The announced length of the body; it is known before the body is."""

    def header(self, name: str) -> str:
        """The field `name` (any case), or an empty string."""
        return self.headers.get(name) or self.headers.get(name.lower()) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """An image that the BMC wants to pull; the face fetches it and calls `Bmc.fetched`."""

    uri: str
    task_id: str
    limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, and what it does to the line."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    delay_s: float = 0.0
    """Simulated seconds between the request and this answer."""
    wire: Wire = Wire.KEEP
    fetch: Fetch | None = None


def encode(document: Mapping[str, Any]) -> bytes:
    """The JSON bytes of a Redfish document."""
    return json.dumps(document, separators=(",", ":")).encode()


def answer(status: int, document: Mapping[str, Any] | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with a JSON body, or with none."""
    return Answer(status=status, body=b"" if document is None else encode(document), headers=headers)


def collection(path: str, kind: str, name: str, members: Iterable[str]) -> dict[str, Any]:
    """A Redfish collection of resources of this kind: `kind` is a schema's name, `members` are paths."""
    listed = [{"@odata.id": member} for member in members]
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}Collection.{kind}Collection",
        "Name": name,
        "Members": listed,
        "Members@odata.count": len(listed),
    }


def message(
    message_id: str, text: str, args: tuple[str, ...] = (), severity: str = "OK", resolution: str = "None."
) -> dict[str, Any]:
    """One Redfish Message object (DSP0266 error and Task.Messages)."""
    return {
        "@odata.type": "#Message.v1_0_8.Message",
        "MessageId": message_id,
        "Message": text,
        "MessageArgs": list(args),
        "Severity": severity,
        "Resolution": resolution,
    }


def error(
    status: int,
    message_id: str,
    text: str,
    args: tuple[str, ...] = (),
    *,
    resolution: str = "None.",
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """A Redfish error answer: DSP0266 "Error responses"."""
    info = message(message_id, text, args, "Critical", resolution)
    document = {"error": {"code": message_id, "message": text, "@Message.ExtendedInfo": [info]}}
    return answer(status, document, headers)
