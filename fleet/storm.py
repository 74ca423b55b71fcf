"""Whether firmware is being moved back and forth. Pure.

A rollout and the rollout that takes it back are two directions. Whoever changes direction again and again wears out flash parts and learns
nothing: after two changes in a day the nodes are held until a person says so (rollout-science 1.6, item 6). On one node a rollout goes
back at most once by itself: it ends rolled back or quarantined.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

from fleet.errors import Refused
from fleet.words import duration, plural

DAY_S = 86_400.0
MOST_CHANGES = 2
"""Changes of direction on the same nodes in a day (rollout-science 1.6, item 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A rollout of the last days."""

    rollout: str
    at: float
    """Field time at which it was asked for."""
    reverses: str
    """The rollout that it took back; empty: it went forward."""
    touched: frozenset[str]
    """Nodes to which something was done."""


def changes(past: Iterable[Past], nodes: AbstractSet[str], *, reverses: str, now: float) -> int:
    """How often the direction will have changed within a day on any of these nodes, once the new rollout begins."""
    recent = [each for each in sorted(past, key=lambda each: each.at) if now - each.at < DAY_S]
    most = 0
    for node in nodes:
        ways = [bool(each.reverses) for each in recent if node in each.touched]
        most = max(most, sum(a != b for a, b in pairwise([*ways, bool(reverses)])))
    return most


def require_calm(past: Iterable[Past], nodes: AbstractSet[str], *, reverses: str, now: float) -> None:
    """Raise Refused where the new rollout would be one change of direction too many."""
    found = tuple(past)
    count = changes(found, nodes, reverses=reverses, now=now)
    if count <= MOST_CHANGES:
        return
    ways = [each for each in sorted(found, key=lambda each: each.at) if now - each.at < DAY_S and each.touched & nodes]
    told = ", ".join(
        f"{each.rollout} ({'back' if each.reverses else 'forward'}, {duration(now - each.at)} ago)" for each in ways
    )
    raise Refused(
        f"firmware of these nodes has been moved back and forth: {told}. This would be {plural(count, 'change')} of direction within a"
        f" day, {MOST_CHANGES} are let through. Find out first why the last one was taken back; then --despite-changes goes on"
    )
