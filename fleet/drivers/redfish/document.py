"""Reading what a BMC wrote. Every field is optional, every type is doubted (field guide 0.10, B.11). Pure."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

Document = Mapping[str, Any]
"""A JSON object from a BMC."""

NOTHING: Document = {}
MAX_PATH_CHARS = 2048
MAX_TEXT_CHARS = 4096
MAX_MEMBERS = 10_000
"""Above any honest collection; Supermicro's longest log page had 509 entries (field guide 4)."""


_WORTH_KEEPING = (4096, 65536)
"""Bytes: shorter ones are parsed as fast as they are found, longer ones would hold too much."""


class Unreadable(ValueError):
    """The body is not a JSON object. The text says what it looks like."""


def parse(body: bytes) -> Document:
    """The JSON object that `body` is. Nobody may change it: the same bytes are the same object, for a while.

    Raises:
        Unreadable: it is empty, HTML, cut off, nested without end, or no object.
    """
    return _parsed_before(body) if _WORTH_KEEPING[0] <= len(body) <= _WORTH_KEEPING[1] else _parsed(body)


@lru_cache(maxsize=64)
def _parsed_before(body: bytes) -> Document:
    """Machines of one model at the same versions list the same firmware, byte by byte; a settling one does so again and again."""
    return _parsed(body)


def _parsed(body: bytes) -> Document:
    if not body.strip():
        raise Unreadable("an empty body")
    try:
        content = json.loads(body)
    except RecursionError:
        raise Unreadable("JSON nested without end") from None
    except ValueError:
        looks = "HTML" if body.lstrip()[:1] == b"<" else f"no JSON, or cut off, after {len(body)} bytes"
        raise Unreadable(looks) from None
    if not isinstance(content, dict):
        raise Unreadable(f"JSON, but a {type(content).__name__} instead of an object")
    return content


def text(document: Document, key: str) -> str:
    """A text property without surrounding blanks; empty where it is absent, null or no text."""
    value = document.get(key)
    return value.strip()[:MAX_TEXT_CHARS] if isinstance(value, str) else ""


def number(document: Document, key: str) -> int | None:
    """A whole number that is not negative, or None."""
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def flag(document: Document, key: str) -> bool | None:
    """True, false, or None where the BMC does not say."""
    value = document.get(key)
    return value if isinstance(value, bool) else None


def child(document: Document, *keys: str) -> Document:
    """The object at a path of keys; an empty one where anything on the way is absent or no object."""
    for key in keys:
        value = document.get(key)
        if not isinstance(value, dict):
            return NOTHING
        document = value
    return document


def objects(document: Document, key: str) -> tuple[Document, ...]:
    """The objects of an array; what is no object is left out."""
    value = document.get(key)
    return tuple(item for item in value[:MAX_MEMBERS] if isinstance(item, dict)) if isinstance(value, list) else ()


def texts(document: Document, key: str) -> tuple[str, ...]:
    """The texts of an array, or the one text that stands there instead; what is no text is left out."""
    value = document.get(key)
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value[:MAX_MEMBERS] if isinstance(item, str)) if isinstance(value, list) else ()


def link(document: Document, *keys: str) -> str:
    """The path that a reference such as `{"Systems": {"@odata.id": ...}}` leads to, or empty."""
    return path_of(child(document, *keys).get("@odata.id"))


def member_links(collection: Document) -> Iterator[str]:
    """The path of each member, once each: collections with the same member twice exist (field guide 1.8)."""
    seen: set[str] = set()
    for member in objects(collection, "Members"):
        path = path_of(member.get("@odata.id"))
        if path and path not in seen:
            seen.add(path)
            yield path


def path_of(reference: object) -> str:
    """Path and query of a URI that a BMC gave, or empty where it is none.

    The host of an absolute one is left out: behind NAT it is wrong, from a hostile BMC a trap (field guide 1.2).
    """
    if not isinstance(reference, str) or len(reference) > MAX_PATH_CHARS:
        return ""
    try:
        parts = urlsplit(reference.strip())
    except ValueError:
        return ""
    if parts.scheme not in {"", "http", "https"} or not parts.path.startswith("/") or not reference.isprintable():
        return ""
    path = "/" + parts.path.lstrip("/")
    return f"{path}?{parts.query}" if parts.query else path


def last_part(path: str) -> str:
    """`HGX_FW_GPU_SXM_1` of `/redfish/v1/UpdateService/FirmwareInventory/HGX_FW_GPU_SXM_1/`."""
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]
