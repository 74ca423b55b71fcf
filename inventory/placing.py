"""Which ids an entry of the file stands for, and where each goes: racks over pods, nodes over racks and slots."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inventory.addresses import Spot
from inventory.document import Value
from inventory.model import Rack
from inventory.ranges import expand, expand_numbers
from inventory.reader import MappingReader
from inventory.registry import Registry

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""No blank, comma, colon, equals sign or bracket: selectors, links and file names use ids as they are."""


def read_ids(value: Value) -> tuple[str, ...]:
    """The ids that `gpu[001-1024]` stands for."""
    ids = value.parsed(expand)
    for each in ids:
        if not _ID.fullmatch(each):
            raise value.error(f"{value.what} {each!r} is not usable", hint="letters, digits and . _ - only")
    return ids


def spread(reader: MappingReader, ids: Sequence[str], over: Sequence[str], *, key: str, per_key: str) -> list[str]:
    """One of `over` for each id, filled one after the other.

    Args:
        reader: the entry; `per_key` is read from it: how many go to each. Without it they are divided evenly.
        ids: what is placed.
        over: where it goes.
        key: the key that `over` came from, for messages.
        per_key: `per_rack` or `per_pod`.
    """
    per = reader.integer(per_key, minimum=1, default=None)
    if per is None:
        per, rest = divmod(len(ids), len(over))
        if rest:
            raise reader.error(
                f"{len(ids):,} ids cannot be divided evenly over {len(over):,} in {key!r}",
                key=key,
                hint=f"add {per_key}",
            )
    if -(-len(ids) // per) != len(over):
        raise reader.error(
            f"{len(ids):,} ids do not fill {len(over):,} in {key!r} with {per} each",
            key=per_key,
            hint="check the ranges",
        )
    return [over[position // per] for position in range(len(ids))]


def place_in_racks(reader: MappingReader, racks: Registry[Rack]) -> tuple[Spot, ...]:
    """Read `id`, `rack`, `per_rack` and `slots` of an entry: where each of its devices stands.

    Without `slots` the devices of a rack stand in slots 1, 2, 3 ... in the order of their ids.
    """
    ids = read_ids(reader.required("id"))
    wanted = reader.required("rack")
    names = wanted.parsed(expand)
    pods = {name: racks.get(name, wanted).pod for name in names}
    rack_of = spread(reader, ids, names, key="rack", per_key="per_rack")
    slots = reader.read("slots", _read_slots, default=())
    filled = dict.fromkeys(names, 0)
    spots: list[Spot] = []
    for index, (each, rack) in enumerate(zip(ids, rack_of, strict=True)):
        position = filled[rack]
        filled[rack] += 1
        if slots and position >= len(slots):
            raise reader.error(
                f"{len(slots)} slots are too few for rack {rack!r}", key="slots", hint="list one for each"
            )
        slot = slots[position] if slots else position + 1
        spots.append(Spot(id=each, index=index, slot=slot, rack=rack, pod=pods[rack]))
    return tuple(spots)


def _read_slots(value: Value) -> tuple[int, ...]:
    slots = value.parsed(expand_numbers)
    if len(set(slots)) < len(slots) or 0 in slots:
        raise value.error("slots name a slot twice, or slot 0", hint="slot 1 is the lowest")
    return slots
