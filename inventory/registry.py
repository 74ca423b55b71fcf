"""Names that are given once and referred to often: duplicates and unknown references are found here."""

from __future__ import annotations

from typing import Generic, TypeVar

from inventory.document import Value
from inventory.ranges import EXPANSION_LIMIT
from inventory.text import InputError, Place, nearest

Given = TypeVar("Given")


class Registry(Generic[Given]):
    """What was declared of one kind, by name."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._given: dict[str, Given] = {}
        self._lines: dict[str, int] = {}

    def add(self, name: str, given: Given, place: Place) -> None:
        """Declare one more; raises InputError for a second of that name and for more than any hall holds."""
        if name in self._given:
            raise InputError.at(place, f"{self._kind} {name!r} is declared twice", hint=f"see line {self._lines[name]}")
        if len(self._given) >= EXPANSION_LIMIT:
            raise InputError.at(place, f"more than {EXPANSION_LIMIT:,} of the kind {self._kind}")
        self._given[name] = given
        self._lines[name] = place.line

    def get(self, name: str, value: Value) -> Given:
        """What a name in the file refers to; raises InputError at `value` with the nearest known name."""
        try:
            return self._given[name]
        except KeyError:
            known = nearest(name, self._given) or (f"no {self._kind} is declared" if not self._given else "")
            raise value.error(f"unknown {self._kind} {name!r}", hint=known) from None

    def __getitem__(self, name: str) -> Given:
        return self._given[name]

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def values(self) -> tuple[Given, ...]:
        """Everything declared, in the order of the file."""
        return tuple(self._given.values())

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the file."""
        return tuple(self._given)


class Claims:
    """Things that only one may have: an address, a slot in a rack, a serial number, a port."""

    def __init__(self) -> None:
        self._owner: dict[tuple[str, ...], tuple[str, int]] = {}

    def claim(self, owner: str, thing: tuple[str, ...], place: Place) -> None:
        """Claim a thing, spelt in words such as `("slot", "3", "of rack r01")`; InputError where another has it."""
        other = self._owner.setdefault(thing, (owner, place.line))
        if other[0] != owner:
            raise InputError.at(
                place, f"{' '.join(thing)} of {owner} is already that of {other[0]}", hint=f"see line {other[1]}"
            )
