"""Confirmed nodes are looked at again while their success ripens: failures that show late must be seen to count (rollout-science 1.4).

Twice in the bake time, reading only. A node that has gone, or is ill, or no longer shows its goals has relapsed: it is a failure of the
change like any other, and a person's business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.state import NodeState, NodeStatus

LOOKS = 2
"""In one bake time: at its half, and at its end."""
AT_ONCE = 16
"""Looks under way at a time: they are no hurry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Whom to look at now, and when the next is due; None: nobody."""

    nodes: tuple[str, ...]
    next_at: float | None


def due(
    nodes: Mapping[str, NodeState], looked: Mapping[str, float], busy: Iterable[str], *, bake_s: float, now: float
) -> Due:
    """Who is due.

    Args:
        nodes: the rollout's.
        looked: node -> when this process looked at it last.
        busy: nodes that are being looked at.
        bake_s: mean time after which a latent failure shows; 0: nobody is looked at.
        now: field time.
    """
    under_way = set(busy)
    soon: list[str] = []
    later: list[float] = []
    for name, node in nodes.items() if bake_s > 0 else ():
        if node.status is not NodeStatus.CONFIRMED or not node.intents or node.ended_at is None or name in under_way:
            continue
        since = max(looked.get(name, node.ended_at), node.ended_at)
        at = since + bake_s / LOOKS
        if at > node.ended_at + bake_s * (1 + 1 / LOOKS):
            continue
        if at <= now:
            soon.append(name)
        else:
            later.append(at)
    room = max(0, AT_ONCE - len(under_way))
    # Whom there is no room for comes when one that is under way ends.
    return Due(nodes=tuple(soon[:room]), next_at=min(later, default=None))
