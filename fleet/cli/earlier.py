"""What earlier rollouts of this journal had read of nodes, for the plan of the next one."""

from collections.abc import Set as AbstractSet

from fleet.journal import Journal
from fleet.notes import Earlier

_LOOK_BACK = 100
"""Rollouts: their plans are read one by one, newest first, until every node is found."""


def earlier(journal: Journal, nodes: AbstractSet[str]) -> dict[str, Earlier]:
    """Node -> the serials of its parts as the last rollout that planned it had read them. Dry runs leave no plan."""
    found: dict[str, Earlier] = {}
    for row in list(journal.rollouts())[:_LOOK_BACK]:
        if len(found) == len(nodes):
            break
        plan = journal.plan_of(row.id) or {"nodes": {}}
        for name in nodes - found.keys():
            # A plan of an older version, and a node that could not be read, have none.
            if parts := plan["nodes"].get(name, {}).get("parts"):
                found[name] = Earlier(rollout=row.id, parts=parts)
    return found
