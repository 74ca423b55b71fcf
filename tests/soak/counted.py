"""What must not be done twice: each effect that the hall saw, against the intents that were on disk before (rollout-science 4.3, I1)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fleet import events as ev
from fleet.events import Json, Recorded
from soak.surrounds import Surrounds

Name = Callable[[str, Json], str | None]
"""(effect, intent) -> what it is counted by; None: it is another kind of effect."""


def twice(recorded: Sequence[Recorded], after: Surrounds) -> Iterator[str]:
    """Whatever happened more often than it was announced, in words."""
    yield from _flashed(recorded, after.truth)
    yield from _installed(recorded, after.truth)
    yield from _switched_off(recorded, after)


def allowed(recorded: Iterable[Recorded], name: Name) -> Counter[tuple[str, str]]:
    """(node, name) -> intents, less those that were proven to have had no effect."""
    counts: Counter[tuple[str, str]] = Counter()
    intended: dict[tuple[str, str], str] = {}
    for item in recorded:
        match item.event:
            case ev.IntentRecorded(node=node, effect=effect, detail=detail):
                found = name(effect, detail)
                if found is not None:
                    intended[node, effect] = found
                    counts[node, found] += 1
            case ev.EffectAbsent(node=node, effect=effect) if (node, effect) in intended:
                counts[node, intended.pop((node, effect))] -= 1
            case _:
                pass
    return counts


def _flashed(recorded: Sequence[Recorded], truth: dict[str, Any]) -> Iterator[str]:
    intents = allowed(recorded, lambda _, detail: detail.get("sha256"))
    for node, box in truth["nodes"].items():
        for part, item in box["items"].items():
            written = Counter(flash["sha256"] for flash in item["flashes"])
            for digest, times in written.items():
                if times > intents[node, digest]:
                    yield (
                        f"{node} {part} was flashed {times} times with {digest[:12]} for {intents[node, digest]} intents"
                    )


def _installed(recorded: Sequence[Recorded], truth: dict[str, Any]) -> Iterator[str]:
    """A write that began has erased the disk."""
    intents = allowed(recorded, lambda effect, _: "image" if effect.endswith("/install") else None)
    for node, box in truth["nodes"].items():
        writes = [write["outcome"] for write in box["image_writes"]]
        if len(writes) > intents[node, "image"]:
            yield f"{node}: the disk was written {len(writes)} times {writes} for {intents[node, 'image']} intents"
        if "running" in writes:
            yield f"{node}: the rollout has ended and its disk is still being written"


def _switched_off(recorded: Sequence[Recorded], after: Surrounds) -> Iterator[str]:
    """Each outlet goes off once for each announcement, and on as often as off."""
    intents = allowed(recorded, lambda effect, detail: detail["outlet"] if "/outlet-off " in effect else None)
    for node, outlets in after.outlets.items():
        for name, outlet in outlets.items():
            turns = Counter(each["to"] for each in outlet["switched"])
            if turns["off"] > intents[node, name]:
                yield f"{node}: outlet {name} went off {turns['off']} times for {intents[node, name]} intents"
            if turns["on"] != turns["off"]:
                yield f"{node}: outlet {name} went off {turns['off']} times and on {turns['on']} times"
