"""What is wanted against what NetBox has: changes and conflicts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

from inventory.exporters.netbox.objects import OURS, Field, Key, Kind, Record, Ref, Wanted

_UNDER: Mapping[Kind, tuple[str, Kind, str]] = {
    Kind.LOCATION: ("site", Kind.SITE, "slug"),
    Kind.RACK: ("site", Kind.SITE, "name"),
    Kind.DEVICE: ("site", Kind.SITE, "name"),
    Kind.INTERFACE: ("device", Kind.DEVICE, "name"),
    Kind.ITEM: ("device", Kind.DEVICE, "name"),
}
"""Field of the parent, its kind, and what tells siblings apart."""
_CASELESS = frozenset({Kind.RACK, Kind.DEVICE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """An object is missing."""

    wanted: Wanted

    def __str__(self) -> str:
        return f"+ {self.wanted.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """An object says something else."""

    wanted: Wanted
    number: int
    """Its id in NetBox."""
    fields: Mapping[str, Field]
    before: Mapping[str, Any]

    def __str__(self) -> str:
        said = (f"{name} {_plain(self.before[name])} -> {_plain(value)}" for name, value in self.fields.items())
        return f"~ {self.wanted.name}: {', '.join(said)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """NetBox says something that only a person can decide; nothing is changed."""

    wanted: Wanted
    why: str

    def __str__(self) -> str:
        return f"! {self.wanted.name}: {self.why}; left as it is"


class Index:
    """What is known of NetBox, by our keys and by its numbers."""

    def __init__(self) -> None:
        self._records: dict[tuple[Kind, Key], Record] = {}
        self._keys: dict[tuple[Kind, int], Key] = {}
        self._double: set[tuple[Kind, Key]] = set()
        self._cabled: dict[int, Key] = {}
        self._blocked: set[tuple[Kind, Key]] = set()

    def learn(self, kind: Kind, records: Iterable[Record]) -> None:
        """Objects that NetBox gave; those that hang on objects unknown here are passed over."""
        for record in records:
            key = self._key(kind, record)
            if key is None:
                continue
            known = self._records.setdefault((kind, key), record)
            if known["id"] == record["id"]:
                self._records[kind, key] = record
            else:
                self._double.add((kind, key))
            self._keys[kind, record["id"]] = key
            if kind is Kind.CABLE:
                self._cabled |= dict.fromkeys(_ends(record), key)

    def number(self, ref: Ref) -> int | None:
        """The id of an object; None while it does not exist."""
        record = self._records.get((ref.kind, ref.key))
        return int(record["id"]) if record else None

    def numbers(self, kind: Kind, keys: Iterable[Key]) -> list[int]:
        """Ids of those that exist."""
        found = (self.number(Ref(kind=kind, key=key)) for key in keys)
        return sorted({number for number in found if number is not None})

    def compare(self, wanted: Wanted, fields: Mapping[str, Field]) -> Creation | Update | Conflict | None:
        """What must happen so that these fields are as wanted; None: nothing."""
        if (wanted.kind, wanted.key) in self._blocked:
            return None  # was said before
        conflict = self._conflict(wanted, fields)
        if conflict:
            self._blocked.add((wanted.kind, wanted.key))
            return Conflict(wanted=wanted, why=conflict)
        record = self._records.get((wanted.kind, wanted.key))
        if record is None:
            return Creation(wanted=wanted)
        differing = {name: value for name, value in fields.items() if not self._same(name, record.get(name), value)}
        if not differing:
            return None
        before = {name: _value(record.get(name)) for name in differing}
        return Update(wanted=wanted, number=int(record["id"]), fields=differing, before=before)

    def _conflict(self, wanted: Wanted, fields: Mapping[str, Field]) -> str:
        if (wanted.kind, wanted.key) in self._double:
            return "is there more than once"
        record = self._records.get((wanted.kind, wanted.key))
        needed = fields if record else {**wanted.first, **fields}
        for ref in _refs(needed):
            if (ref.kind, ref.key) in self._blocked:
                return f"depends on {ref.kind} {'/'.join(ref.key)}"
        if wanted.kind is Kind.ADDRESS and record and record.get("assigned_object_id"):
            mine = fields["assigned_object_id"]
            here = isinstance(mine, Ref) and self.number(mine) == record["assigned_object_id"]
            return "" if here else f"belongs to {_plain(_owner(record))}"
        if wanted.kind is Kind.CABLE and record is None:
            taken = [number for number in map(self.number, _refs(wanted.first)) if number in self._cabled]
            if taken:
                interface = "/".join(self._keys[Kind.INTERFACE, taken[0]])
                return f"{interface} has another cable in NetBox, to {'/'.join(self._peer(taken[0]))}"
        return ""

    def _peer(self, interface: int) -> Key:
        cable = self._records[Kind.CABLE, self._cabled[interface]]
        others = [self._keys.get((Kind.INTERFACE, end)) for end in _ends(cable) if end != interface]
        return (others[0] if others else None) or ("an interface that is not in the inventory",)

    def _key(self, kind: Kind, record: Record) -> Key | None:
        if kind in _UNDER:
            field, parent, named = _UNDER[kind]
            above = self._of(parent, record[field])
            return (*above, _folded(kind, record[named] or "")) if above else None
        if kind is Kind.ADDRESS:
            return (str(ip_interface(record["address"]).ip),)
        if kind is Kind.CABLE:
            ends = [self._keys.get((Kind.INTERFACE, end)) or (f"#{end}",) for end in _ends(record)]
            return tuple(part for end in sorted(ends) for part in end)
        return (record["model"].casefold() if kind is Kind.DEVICE_TYPE else record["slug"],)

    def _of(self, kind: Kind, nested: Record | None) -> Key | None:
        return self._keys.get((kind, nested["id"])) if nested else None

    def _same(self, name: str, found: Any, value: Field) -> bool:
        if isinstance(value, Ref):
            number = self.number(value)
            return number is not None and bool(_value(found) == number)
        there = _value(found)
        if name == "description" and there and not str(there).startswith(OURS):
            return True  # somebody's own words
        return bool(there == value)

    def resolved(self, fields: Mapping[str, Field]) -> dict[str, Any]:
        """The fields as the API takes them. Every object that they name exists."""
        return {name: self._sent(value) for name, value in fields.items()}

    def _sent(self, value: Field | Ref) -> Any:
        if isinstance(value, Ref):
            return self.number(value)
        if isinstance(value, list):
            return [{name: self._sent(part) for name, part in item.items()} for item in value]
        return value


def _folded(kind: Kind, name: str) -> str:
    return name.casefold() if kind in _CASELESS else name


def _refs(fields: Mapping[str, Field]) -> list[Ref]:
    found = [value for value in fields.values() if isinstance(value, Ref)]
    for value in fields.values():
        if isinstance(value, list):
            found += [part for item in value for part in item.values() if isinstance(part, Ref)]
    return found


def _ends(cable: Record) -> list[int]:
    """The interfaces of a cable; ends of other types are not ours."""
    ends = [*(cable.get("a_terminations") or ()), *(cable.get("b_terminations") or ())]
    return [int(end["object_id"]) for end in ends if end["object_type"] == "dcim.interface"]


def _value(found: Any) -> Any:
    """A field as it would be sent: the API nests objects and spells out choices."""
    if isinstance(found, Mapping):
        return found["value"] if "value" in found else found.get("id")
    return found


def _owner(address: Record) -> str:
    nested = address.get("assigned_object")
    nested = nested if isinstance(nested, Mapping) else {}
    device = nested.get("device")
    return f"{device.get('name', '')} {nested.get('name', '')}" if isinstance(device, Mapping) else "another object"


def _plain(value: Any) -> str:
    """For a terminal: what comes from elsewhere has no control characters."""
    if isinstance(value, Ref):
        return "/".join(value.key)
    text = repr(value) if isinstance(value, str) else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)
