"""Racks and nodes of a plan in the order in which a person looks for them. Pure."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.events import Json

_PARTS = re.compile(r"(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """One rack's nodes; `first` is the position of its first node in the hall."""

    name: str
    first: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """All nodes of a rollout, by rack."""

    racks: tuple[Rack, ...] = ()
    nodes: tuple[str, ...] = ()
    """Rack after rack: a node's position here is its number on the map."""
    rack_of: tuple[str, ...] = ()

    def position(self, node: str) -> int | None:
        """The node's number on the map, if the rollout has it."""
        return self.nodes.index(node) if node in self.nodes else None


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that puts r2 before r10."""
    return tuple((int(part[:18]), "") if part.isdigit() else (-1, part) for part in _PARTS.split(name))


def hall_of(plan: Json) -> Hall:
    """The hall of a plan as the journal holds it; an empty one while there is no plan."""
    by_rack: defaultdict[str, list[str]] = defaultdict(list)
    nodes: Mapping[str, Json] = plan.get("nodes", {})
    for name, item in nodes.items():
        by_rack[str(item.get("rack", ""))].append(name)
    racks, first = [], 0
    for rack in sorted(by_rack, key=natural):
        members = tuple(sorted(by_rack[rack], key=natural))
        racks.append(Rack(name=rack, first=first, nodes=members))
        first += len(members)
    return Hall(
        racks=tuple(racks),
        nodes=tuple(node for rack in racks for node in rack.nodes),
        rack_of=tuple(rack.name for rack in racks for _ in rack.nodes),
    )
