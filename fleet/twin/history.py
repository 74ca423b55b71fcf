"""A life's history as text: what two lives of one seed must have in common, letter for letter. Pure."""

import json
import re
from collections.abc import Iterable

from fleet import events as ev
from fleet.events import Recorded, as_json

_CONTEXT = re.compile(r"fleetwave-[0-9a-f]{16}")
"""What a session announces itself by is drawn by the system's own chance, as a secret is: it is numbered here instead."""


def history(recorded: Iterable[Recorded]) -> tuple[str, ...]:
    """One line an event: its moment to the last digit, and all that it says.

    Two things are put in other words, since they are never the same twice and decide nothing: sessions' contexts are numbered in
    the order in which they come, and the process that claimed the rollout has no number.
    """
    names: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"session-{len(names) + 1}")

    return tuple(f"{item.at!r} {_CONTEXT.sub(numbered, _told(item))}" for item in recorded)


def _told(item: Recorded) -> str:
    said = as_json(item)
    if isinstance(item.event, ev.RolloutClaimed):
        said["owner"] = "a process"
    return json.dumps(said)
