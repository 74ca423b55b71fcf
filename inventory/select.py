"""Which nodes are meant: `model=DGXH100,rack=r[01-12],!tenant=acme`. Pure.

A comma between terms means *and*; several values for one key mean *or*: `rack=r01|r02`, a range, a glob.
`!` turns a term round. A node without a serial, tenant and so on matches no value, so `!tenant=acme` includes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from inventory.model import Inventory, Node
from inventory.ranges import expand
from inventory.text import nearest

_TERM_END = re.compile(r",(?![^\[]*\])")
"""A comma that stands in no bracket."""
_LABEL = "label."


def _pod(hall: Inventory, node: Node) -> str:
    return hall.rack(node.rack).pod


def _site(hall: Inventory, node: Node) -> str:
    pod = hall.rack(node.rack).pod
    return next((each.site for each in hall.pods if each.id == pod), "")


_FIELDS: Mapping[str, Callable[[Inventory, Node], str | tuple[str, ...] | None]] = {
    "id": lambda _, node: node.id,
    "model": lambda _, node: node.model,
    "rack": lambda _, node: node.rack,
    "pod": _pod,
    "site": _site,
    "slot": lambda _, node: str(node.slot),
    "feed": lambda _, node: node.feeds,
    "serial": lambda _, node: node.serial,
    "uuid": lambda _, node: node.uuid,
    "tenant": lambda _, node: node.tenant,
    "nvlink_domain": lambda _, node: node.nvlink_domain,
    "chassis": lambda _, node: node.chassis,
    "profile": lambda _, node: node.profile,
    "address": lambda _, node: node.bmc.address,
}
KEYS = (*_FIELDS, f"{_LABEL}NAME")
"""What a selector may ask for."""


class SelectorError(ValueError):
    """A selector cannot be understood. Its text names the term and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition on a node."""

    key: str
    """A name from `KEYS`."""
    patterns: tuple[str, ...]
    """Globs, without case; one of them must match."""
    negated: bool = False

    def matches(self, hall: Inventory, node: Node) -> bool:
        """Whether the node meets the condition."""
        if self.key.startswith(_LABEL):
            found: str | tuple[str, ...] | None = node.labels.get(self.key.removeprefix(_LABEL))
        else:
            found = _FIELDS[self.key](hall, node)
        values = (found,) if isinstance(found, str) else found or ()
        hit = any(fnmatchcase(value.casefold(), pattern) for value in values for pattern in self.patterns)
        return hit is not self.negated


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Every term must be met; no terms select every node."""

    terms: tuple[Term, ...] = ()

    def nodes(self, hall: Inventory) -> tuple[Node, ...]:
        """The selected nodes in the order of the inventory."""
        return tuple(node for node in hall.nodes if all(term.matches(hall, node) for term in self.terms))


def parse_selector(given: str | Mapping[str, str | Iterable[str]]) -> Selector:
    """Read a selector.

    Args:
        given: `model=DGXH100,!tenant=acme`, or `{"model": "DGXH100", "!tenant": "acme"}` with one value or several a
            key. An empty text or mapping selects every node.

    Raises:
        SelectorError: an unknown key, with the nearest known one; a term without a value; a malformed range.
    """
    if isinstance(given, str):
        return Selector(terms=tuple(_term(*_halves(text)) for text in _TERM_END.split(given) if text.strip()))
    pairs = ((key, (values,) if isinstance(values, str) else tuple(values)) for key, values in given.items())
    return Selector(terms=tuple(_term(key, values) for key, values in pairs))


def _halves(text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, values = text.strip().partition("=")
    if not equals:
        raise SelectorError(f"the term {text.strip()!r} has no '='; write key=value, known keys: {', '.join(KEYS)}")
    if key.endswith("!"):
        key = f"!{key[:-1]}"
    return key, tuple(values.split("|"))


def _term(key: str, values: tuple[str, ...]) -> Term:
    name = key.strip().removeprefix("!").strip()
    if name not in _FIELDS and not (name.startswith(_LABEL) and name != _LABEL):
        raise SelectorError(f"unknown key {name!r} in the selector; {nearest(name, KEYS)}")
    patterns: list[str] = []
    for value in values:
        text = value.strip()
        if not text:
            raise SelectorError(f"the key {name!r} in the selector has no value")
        try:
            patterns.extend(each.casefold() for each in expand(text))
        except ValueError as error:
            raise SelectorError(f"the value {text!r} of {name!r} in the selector {error}") from None
    return Term(key=name, patterns=tuple(patterns), negated=key.strip().startswith("!"))
