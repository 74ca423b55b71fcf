"""What an update request asks for, read from the forms in which it can arrive (field guide 1.1, 1.2)."""

import json
import re
from dataclasses import dataclass
from typing import Any


class OrderError(ValueError):
    """The request cannot be understood: answered with 400 and the given Base message."""

    def __init__(self, message_id: str, text: str, *args: str) -> None:
        super().__init__(text)
        self.message_id = message_id
        self.text = text
        self.message_args = args


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One update request."""

    data: bytes | None = None
    """The image, if it was pushed."""
    uri: str = ""
    """Where to pull it from, if it was not."""
    targets: tuple[str, ...] = ()
    force: bool = False
    apply_time: str = ""


_MISSING = "MissingOrMalformedPart"


def from_multipart(content_type: str, body: bytes) -> Order:
    """A multipart push: ``UpdateParameters`` (JSON) first, then ``UpdateFile``."""
    found = re.search(r'boundary="?([^";,]+)"?', content_type)
    if not content_type.startswith("multipart/form-data") or found is None:
        raise OrderError("MissingOrMalformedPart", "The request is not multipart/form-data with a boundary.")
    parts = _split(body, b"--" + found[1].encode("latin-1"))
    if "UpdateFile" not in parts:
        raise OrderError("PropertyMissing", "The property UpdateFile is a required property.", "UpdateFile")
    if "UpdateParameters" not in parts:
        raise OrderError("PropertyMissing", "The property UpdateParameters is required.", "UpdateParameters")
    if next(iter(parts)) != "UpdateParameters":
        raise OrderError(_MISSING, "UpdateParameters must be the first part.", "UpdateParameters")
    parameters = read_json(parts["UpdateParameters"])
    return _order(parameters, data=parts["UpdateFile"])


def from_simple(body: bytes) -> Order:
    """A SimpleUpdate action."""
    parameters = read_json(body)
    uri = parameters.get("ImageURI")
    if not isinstance(uri, str) or not uri:
        raise OrderError("ActionParameterMissing", "The action requires the parameter ImageURI.", "ImageURI")
    return _order(parameters, uri=uri)


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object, or an OrderError."""
    try:
        document = json.loads(body)
    except ValueError as cause:
        raise OrderError("MalformedJSON", "The request body is not valid JSON.") from cause
    if not isinstance(document, dict):
        raise OrderError("MalformedJSON", "The request body is not a JSON object.")
    return document


def _order(parameters: dict[str, Any], *, data: bytes | None = None, uri: str = "") -> Order:
    targets = parameters.get("Targets") or []
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise OrderError("PropertyValueTypeError", "Targets is an array of strings.", "Targets")
    return Order(
        data=data,
        uri=uri,
        targets=tuple(target if target.startswith("/") else f"/{target}" for target in targets),
        force=parameters.get("ForceUpdate") is True,
        apply_time=str(parameters.get("@Redfish.OperationApplyTime") or ""),
    )


def _split(body: bytes, delimiter: bytes) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    at = body.find(delimiter)
    while at >= 0:
        start = at + len(delimiter)
        if body[start : start + 2] == b"--":
            return parts
        at = body.find(b"\r\n" + delimiter, start)
        if at < 0:
            break
        head_end = body.find(b"\r\n\r\n", start, at)
        name = re.search(rb'name="?([^";\r\n]+)"?', body[start:head_end]) if head_end >= 0 else None
        if name is None:
            raise OrderError(_MISSING, "A part of the request has no name.")
        parts[name[1].decode("latin-1")] = body[head_end + 4 : at]
        at += 2
    raise OrderError(_MISSING, "The multipart body ends before its closing boundary.")
