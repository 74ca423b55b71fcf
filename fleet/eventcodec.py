"""Events as JSON, in the journal and in `--json`. What is unknown is an error that names it, never guessed at."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields

from fleet.events import Event, Json, Recorded


class UnknownEvent(Exception):
    """The journal holds a fact that this version does not know; a newer Fleetwave wrote it."""


def _leaves(base: type[Event]) -> list[type[Event]]:
    return [leaf for sub in base.__subclasses__() for leaf in ([sub] if sub.kind else _leaves(sub))]


KINDS: Mapping[str, type[Event]] = {cls.kind: cls for cls in _leaves(Event)}
_FIELDS = {kind: frozenset(item.name for item in fields(cls)) for kind, cls in KINDS.items()}


def encode(event: Event) -> str:
    """The event's fields as compact JSON, without its kind. ASCII: a BMC may send halves of characters, which no file can hold."""
    return json.dumps(asdict(event), separators=(",", ":"))


def decode(kind: str, data: str) -> Event:
    """The event back. Raises UnknownEvent for a kind or a field that this version does not know."""
    cls = KINDS.get(kind)
    if cls is None:
        raise UnknownEvent(
            f"the journal holds an event {kind!r}; a newer Fleetwave wrote it: use that version to read it"
        )
    try:
        values = dict(json.loads(data))
    except (ValueError, TypeError) as error:
        raise UnknownEvent(f"event {kind!r} is damaged in the journal: {error}") from error
    strange = values.keys() - _FIELDS[kind]
    if strange:
        raise UnknownEvent(
            f"event {kind!r} has the unknown field {min(strange)!r}; a newer Fleetwave wrote this journal"
        )
    try:
        return cls(**values)
    except TypeError as error:
        raise UnknownEvent(f"event {kind!r} is not whole in the journal: {error}") from error


def as_json(recorded: Recorded) -> Json:
    """One line of `--json`: {"seq", "at", "rollout", "kind", ...the event's own fields}."""
    return {
        "seq": recorded.seq,
        "at": round(recorded.at, 3),
        "rollout": recorded.rollout,
        "kind": recorded.event.kind,
        **asdict(recorded.event),
    }
