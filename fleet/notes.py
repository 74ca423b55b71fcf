"""What a plan has to say of a node without refusing it: parts that changed since the last rollout, a clock that is off. Pure.

A node that comes back from repair has other parts, with the firmware that the depot left on them (field guide F58).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from fleet.plan import Note, Plan, PlannedNode, Survey, recipe_targets
from fleet.ports import Condition
from fleet.words import plural
from inventory.observed import FirmwareItem

CLOCK_OFF_S = 86_400.0
"""A clock that is off by more makes certificates and logs unreadable (field guide 1.7: "BMC clock within 24 h")."""
_SHOWN = 4


class Topic(StrEnum):
    """What a note is about: the words that the plan groups by."""

    PART = "part-changed"
    CLOCK = "clock-off"
    MEDIA = "media-inserted"
    SUPPLY = "power-supply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What the last rollout that planned a node had read of its parts."""

    rollout: str
    parts: Mapping[str, str]


def noted(plan: Plan, surveys: Iterable[Survey], earlier: Mapping[str, Earlier]) -> Plan:
    """The plan, each node with the serials of its parts and with what is to be known of it.

    Args:
        plan: as built.
        surveys: what it was built from.
        earlier: node -> what its last rollout had read.
    """
    nodes = dict(plan.nodes)
    for survey in surveys:
        told = survey.condition
        if told is None:
            continue
        name = str(survey.node.id)
        items = survey.observation.items if survey.observation else ()
        before = earlier.get(name)
        changed = _changed(before, told.parts, items, plan, nodes[name]) if before else ()
        nodes[name] = replace(nodes[name], parts=told.parts, notes=(*changed, *_of(told)))
    return replace(plan, nodes=nodes)


def _changed(
    before: Earlier, now: Mapping[str, str], items: Iterable[FirmwareItem], plan: Plan, node: PlannedNode
) -> tuple[Note, ...]:
    """Parts known then and now with another serial. One that does not show is unknown, not removed (field guide 5)."""
    found = tuple(items)
    return tuple(
        Note(
            topic=Topic.PART,
            text=f"{part} serial changed since rollout {before.rollout} ({before.parts[part]}, now {serial})"
            f"{_fate(part, found, plan, node)}",
        )
        for part, serial in now.items()
        if before.parts.get(part, serial) != serial
    )


def _fate(part: str, items: tuple[FirmwareItem, ...], plan: Plan, node: PlannedNode) -> str:
    """What firmware it runs, and what the plan does about it."""
    own = {item.id: item for item in items if item.id == part or item.id.endswith(f"_{part}")}
    if not own:
        return ""
    runs = f", runs {own[min(own, key=len)].version or 'a version that it does not tell'}"
    if node.reason:
        return f"{runs}: nothing is done, the node is refused"
    targets = [plan.targets[name] for name in recipe_targets(plan.recipes[node.recipe])]
    differing = {each.item.id for target in targets for each in target.diff(items).differing}
    if flashed := [item for item in own if item in differing]:
        return f"{runs}: will be flashed ({', '.join(flashed)})"
    at_baseline = {item.id for target in targets for item in target.diff(items).at_baseline}
    return f"{runs}: {'at the baseline' if at_baseline & own.keys() else 'not part of this playbook'}"


def _of(told: Condition) -> tuple[Note, ...]:
    notes = []
    if told.ahead_s is not None and abs(told.ahead_s) > CLOCK_OFF_S:
        way = "ahead of" if told.ahead_s > 0 else "behind"
        notes.append(
            Note(
                topic=Topic.CLOCK,
                text=f"its clock is {_coarse(told.ahead_s)} {way} ours: its logs and certificates cannot be dated (F37)",
            )
        )
    if told.media:
        media = ", ".join(told.media[:_SHOWN])
        notes.append(
            Note(
                topic=Topic.MEDIA,
                text=f"{media} inserted: somebody may be installing, and a BMC reset ejects it (F56)",
            )
        )
    if told.supplies:
        notes.append(
            Note(topic=Topic.SUPPLY, text=f"{supplies(told)}: a bundle that holds PSU firmware may be refused (F48)")
        )
    return tuple(notes)


def supplies(told: Condition) -> str:
    """The power supplies that are not well, the first few."""
    more = f" and {len(told.supplies) - _SHOWN} more" if len(told.supplies) > _SHOWN else ""
    return f"power supplies: {', '.join(told.supplies[:_SHOWN])}{more}"


def _coarse(ahead_s: float) -> str:
    """Whole days, so that a thousand nodes with one dead battery share one sentence and a plan its digest."""
    return plural(round(abs(ahead_s) / CLOCK_OFF_S), "day")
