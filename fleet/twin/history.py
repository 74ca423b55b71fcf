"""A life's history as text: what two lives of one seed must have in common, letter for letter. Pure."""

import json
import re
from collections.abc import Iterable

from fleet import events as ev
from fleet.eventcodec import as_json
from fleet.events import Recorded

_CONTEXT = re.compile(r"fleetwave-[0-9a-f]{16}")
"""What a session announces itself by is drawn by the system's own chance, as a secret is: it is numbered here instead."""
_INSTALLATION = re.compile(r'"installation": "([0-9a-f]{64})"')
"""The digest of a token that is drawn in the same way (fleet.drivers.installs); the folder that marks the disk has its first digits."""
_MARK_DIGITS = 16


def history(recorded: Iterable[Recorded]) -> tuple[str, ...]:
    """One line an event: its moment to the last digit, and all that it says.

    Three things are put in other words, since they are never the same twice and decide nothing: sessions' contexts and installations
    are numbered in the order in which they come, and the process that claimed the rollout has no number.
    """
    names: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"session-{len(names) + 1}")

    installations: dict[str, str] = {}

    def told(item: Recorded) -> str:
        text = _CONTEXT.sub(numbered, _told(item))
        found = _INSTALLATION.search(text)
        if found is not None:
            name = installations.setdefault(found[1], f"installation-{len(installations) + 1}")
            text = text.replace(found[1], name).replace(found[1][:_MARK_DIGITS], name)
        return f"{item.at!r} {text}"

    return tuple(told(item) for item in recorded)


def _told(item: Recorded) -> str:
    said = as_json(item)
    if isinstance(item.event, ev.RolloutClaimed):
        said["owner"] = "a process"
    return json.dumps(said)
