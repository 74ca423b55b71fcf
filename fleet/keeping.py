"""What a flash must leave alone: settings and parts of a node, before and after (field guide B.26, F22, F38). Pure.

A flat map of what -> value, as `fleet.ports.SideEffects` reads it. A loss is a difference; what is new is only worth a word: new
firmware shows more sensors and more devices than the old.
"""

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = "?"
"""Listed, and not readable, or not ready: says nothing either way."""
_WIDTH, _NAMES = "pcie ", frozenset({"sensors"})
_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as it was."""

    what: str
    before: str
    now: str
    """Empty: not there any more."""

    def __str__(self) -> str:
        if self.what in _NAMES:
            return f"{self.what}: {', '.join(sorted(set(self.before.split()) - set(self.now.split())))} gone"
        return f"{self.what} was {self.before}, is {self.now}" if self.now else f"{self.what} ({self.before}) is gone"


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Difference, ...]:
    """What was changed or lost, in the order in which it was read before."""
    pairs = ((what, was, now.get(what, "")) for what, was in before.items())
    return tuple(Difference(what=what, before=was, now=is_) for what, was, is_ in pairs if not _kept(what, was, is_))


def news(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What is there now and was not before."""
    return tuple(what for what in now if what not in before)


def listed(found: tuple[Difference, ...]) -> str:
    """The first few in words, and how many more."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(map(str, found[:_SHOWN])) + more


def _kept(what: str, before: str, now: str) -> bool:
    if before in {now, UNKNOWN}:
        return True
    if what in _NAMES:
        return set(before.split()) <= set(now.split())
    if what.startswith(_WIDTH):
        return _lanes(before) <= _lanes(now)
    return False


def _lanes(text: str) -> int:
    """Of `16 of 16 lanes`; a device that is gone, or says nothing, has none."""
    first = text.partition(" ")[0]
    return int(first) if first.isdecimal() else -1
