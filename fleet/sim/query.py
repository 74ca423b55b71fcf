"""Query parameters of DSP0266 on a document that is already made: only, $filter, $expand, $select, in that order."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_plus

Read = Callable[[str], dict[str, Any] | None]
"""Path -> the resource there, or None."""

_TOKEN = re.compile(r"\s*(\(|\)|'(?:[^']|'')*'|[^\s()']+)")
_EXPAND = re.compile(r"([.*~])(?:\(\$levels=(\d+)\))?")
_ALWAYS = ("@odata.id", "@odata.type", "@odata.context", "@odata.etag", "Members", "Members@odata.count")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: a is not None and bool(a > b),
    "ge": lambda a, b: a is not None and bool(a >= b),
    "lt": lambda a, b: a is not None and bool(a < b),
    "le": lambda a, b: a is not None and bool(a <= b),
}


class QueryError(ValueError):
    """The query cannot be used on this resource: answered with 400."""


def words(query: str) -> dict[str, str]:
    """Parameter -> value, of those that mean something here."""
    pairs = (word.partition("=") for word in query.split("&") if word)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def applied(query: str, document: dict[str, Any], read: Read, *, levels: int) -> dict[str, Any]:
    """What `query` makes of `document`; `levels`: how deep this service expands.

    Raises:
        QueryError: it means nothing here.
    """
    asked = words(query)
    if "only" in asked:
        document = _only(document, asked["only"], read)
    if "$filter" in asked:
        document = _filtered(document, asked["$filter"], read)
    if "$expand" in asked:
        document = _expanded_by(document, asked["$expand"], read, levels)
    if "$select" in asked:
        document = _selected(document, asked["$select"].split(","))
    return document


def _only(document: dict[str, Any], value: str, read: Read) -> dict[str, Any]:
    if value or "Members" not in document:
        raise QueryError("only takes no value and means something for collections alone")
    members = document["Members"]
    return (read(members[0]["@odata.id"]) or document) if len(members) == 1 else document


def _filtered(document: dict[str, Any], expression: str, read: Read) -> dict[str, Any]:
    if "Members" not in document:
        raise QueryError("$filter means something for collections alone")
    test = _Filter(expression)
    kept = [member for member in document["Members"] if test.holds(read(member["@odata.id"]) or {})]
    return document | {"Members": kept, "Members@odata.count": len(kept)}


class _Filter:
    """``or`` < ``and`` < ``not`` < comparison, with parentheses (OData 4, the part that DSP0266 takes)."""

    def __init__(self, expression: str) -> None:
        self._tokens = [found[1] for found in _TOKEN.finditer(expression)]
        self._at = 0
        self._resource: dict[str, Any] = {}

    def holds(self, resource: dict[str, Any]) -> bool:
        """Whether it is true of `resource`."""
        self._at, self._resource = 0, resource
        try:
            result = self._either()
        except TypeError as cause:
            raise QueryError("$filter compares values of different kinds") from cause
        if self._at != len(self._tokens):
            raise QueryError("$filter cannot be read to its end")
        return result

    def _either(self) -> bool:
        result = self._both()
        while self._next_is("or"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._single()
        while self._next_is("and"):
            result = self._single() and result
        return result

    def _single(self) -> bool:
        if self._next_is("not"):
            return not self._single()
        if self._next_is("("):
            result = self._either()
            if not self._next_is(")"):
                raise QueryError("$filter lacks a parenthesis")
            return result
        left, word, right = self._take(), self._take(), self._take()
        if word not in _COMPARE:
            raise QueryError(f"$filter knows no {word!r}")
        return _COMPARE[word](self._value(left), self._value(right))

    def _next_is(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == word:
            self._at += 1
            return True
        return False

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise QueryError("$filter ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _value(self, token: str) -> Any:
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if token in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[token]
        if re.fullmatch(r"-?\d+(\.\d+)?", token):
            return float(token)
        value: Any = self._resource
        for name in token.split("/"):
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _expanded_by(document: dict[str, Any], value: str, read: Read, most: int) -> dict[str, Any]:
    found = _EXPAND.fullmatch(value)
    wanted = int(found[2] or 1) if found else 0
    if found is None or not 1 <= wanted <= most:
        raise QueryError(f"$expand={value} is not supported; there are ., * and ~ with $levels up to {most}")
    return _expanded(document, found[1], read, wanted)


def _expanded(document: dict[str, Any], kind: str, read: Read, levels: int) -> dict[str, Any]:
    """`.` follows what is below, `~` what stands in Links, `*` both."""

    def put(value: Any, *, follow: bool) -> Any:
        if isinstance(value, list):
            return [put(each, follow=follow) for each in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"@odata.id"}:
            there = read(value["@odata.id"]) if follow else None
            if there is None:
                return value
            return _expanded(there, kind, read, levels - 1) if levels > 1 else there
        return {name: put(each, follow=follow) for name, each in value.items()}

    return {name: put(value, follow=kind in ("*~" if name == "Links" else "*.")) for name, value in document.items()}


def _selected(document: dict[str, Any], names: list[str]) -> dict[str, Any]:
    wanted = [name.strip().split("/") for name in names]

    def kept(part: dict[str, Any], paths: list[list[str]]) -> Iterator[tuple[str, Any]]:
        for name, value in part.items():
            below = [path[1:] for path in paths if path[0] == name]
            if not below:
                continue
            yield name, dict(kept(value, below)) if all(below) and isinstance(value, dict) else value

    always = {name: document[name] for name in _ALWAYS if name in document}
    return always | dict(kept(document, wanted))
