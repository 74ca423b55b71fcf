"""Nodes that answered alike get one recipe, compiled once: 10,000 nodes are planned in the time of a few. Pure.

A recipe depends on what a machine is and runs, never on which machine it is. What tells machines apart (name, place, serial number, time
of the reading) is left out of the comparison; every other field is in it, those that are added later too.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

from fleet.errors import Reason
from fleet.plan import CannotPlan, Recipe, Survey
from fleet.planning import RecipeMaker
from fleet.ports import Condition, UpdateReadiness
from fleet.target import Target
from inventory.model import Node
from inventory.observed import FirmwareItem, Observation

_WHICH_NODE = frozenset({"id", "rack", "slot", "chassis", "feeds", "bmc", "host", "serial", "uuid", "labels"})
_WHICH_READING = frozenset({"node", "serial", "uuid", "read_at", "source", "items"})
_WHICH_TASKS = frozenset({"known_tasks"})
"""Tasks of the past, by their URIs; those that are alive are compared."""
_WHICH_PARTS = frozenset({"parts", "ahead_s"})
"""Serial numbers of parts, and how far the clock is off: noted of a node (fleet.sightings), never asked by a recipe."""


def _all_but(kind: type, left_out: frozenset[str]) -> Callable[[Any], Hashable]:
    return attrgetter(*(each.name for each in fields(kind) if each.name not in left_out))


_node, _reading = _all_but(Node, _WHICH_NODE), _all_but(Observation, _WHICH_READING)
_item, _readiness = _all_but(FirmwareItem, frozenset()), _all_but(UpdateReadiness, _WHICH_TASKS)
_condition = _all_but(Condition, _WHICH_PARTS)


def _observation(seen: Observation | None) -> Hashable:
    return None if seen is None else (_reading(seen), tuple(map(_item, seen.items)))


def _frozen(value: Any) -> Hashable:
    """The same, down to the last part, so that it can be compared as one value."""
    if is_dataclass(value):
        return tuple(_frozen(getattr(value, each.name)) for each in fields(value))
    if isinstance(value, Mapping):
        return frozenset((key, _frozen(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return frozenset(value) if isinstance(value, set) else value


_PARTS: Mapping[str, Callable[[Any], Hashable]] = {
    "node": _node,
    "profile": id,
    "observation": _observation,
    "readiness": lambda ready: None if ready is None else _readiness(ready),
    "condition": lambda found: None if found is None else _frozen(_condition(found)),
}
"""How a field of a survey is compared; all others whole. A profile is one object for all its nodes, and compared as such."""
_FIELDS = tuple((each.name, _PARTS.get(each.name, _frozen)) for each in fields(Survey))


def likeness(survey: Survey) -> Hashable:
    """Equal for surveys that a recipe cannot tell apart."""
    return tuple(part(getattr(survey, name)) for name, part in _FIELDS)


def once_each(maker: RecipeMaker) -> RecipeMaker:
    """The same maker, asked once for all surveys that are alike: for one plan, while the surveys live."""
    made: dict[Hashable, tuple[Recipe, Mapping[str, Target]]] = {}
    refused: dict[Hashable, tuple[Reason, str]] = {}

    def recipe_for(survey: Survey) -> tuple[Recipe, Mapping[str, Target]]:
        key = likeness(survey)
        if key not in made and key not in refused:
            try:
                made[key] = maker(survey)
            except CannotPlan as refusal:
                refused[key] = (refusal.reason, str(refusal))
        if key in refused:
            raise CannotPlan(*refused[key])
        return made[key]

    return recipe_for
