"""docs/states.md, made from the table of transitions. `python -m fleet.diagram > docs/states.md`; a test compares them."""

import sys

from fleet.state import ACTIVE, TERMINAL, TRANSITIONS, NodeStatus


def page() -> str:
    """The page, whole."""
    start = NodeStatus.PENDING
    arrows = [f"    [*] --> {_name(start)}"]
    arrows += [
        f"    {_name(status)} --> {_name(after)}"
        for status, nexts in TRANSITIONS.items()
        for after in NodeStatus
        if after in nexts and after is not status
    ]
    arrows += [f"    {_name(status)} --> [*]" for status in NodeStatus if status in TERMINAL]
    lines = "\n".join(arrows)
    return (
        "# The states of a node in a rollout\n\n"
        "Generated from `fleet.state.TRANSITIONS` by `python -m fleet.diagram`; a test compares this page with it.\n\n"
        f"```mermaid\nstateDiagram-v2\n{lines}\n```\n\n"
        f"In flight, and counted against the cap: {_words(ACTIVE)}. For good: {_words(TERMINAL)}.\n"
    )


def _name(status: NodeStatus) -> str:
    """Mermaid's identifiers have no hyphen."""
    return status.value.replace("-", "_")


def _words(statuses: frozenset[NodeStatus]) -> str:
    return ", ".join(status.value for status in NodeStatus if status in statuses)


if __name__ == "__main__":
    sys.stdout.write(page())
