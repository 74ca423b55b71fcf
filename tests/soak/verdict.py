"""What a rollout must have come to, whatever was done to its processes: judged by its journal and by the hall's ground truth."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fleet import events as ev
from fleet.cli.demo import judge
from fleet.events import Recorded
from fleet.state import TERMINAL, NodeStatus, RolloutState, RolloutStatus
from fleet.words import moment, tell
from soak.lives import Place

FORBIDDEN = ("power cuts during a flash", "bricked nodes", "sessions left open", "BMCs asked two things at once")
"""Counts of fleet.cli.demo.judge that must be zero. Flashes are compared with intents below: an image may well be sent twice,
under two intents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A rollout that has ended, and what is true of its nodes."""

    state: RolloutState
    recorded: tuple[Recorded, ...]
    truth: dict[str, Any]
    violations: tuple[str, ...]

    def of(self, node: str) -> dict[str, str]:
        """What two rollouts are compared by: status and reason, and the version of each part that is in force."""
        found = self.state.nodes[node]
        versions = {name: str(item["active"]) for name, item in self.truth["nodes"][node]["items"].items()}
        return {"status": found.status.value, "reason": found.reason, **versions}

    def trail(self, node: str) -> str:
        """The journal of one node, and where its process died, in words."""
        told = [
            f"    {moment(item.at)} {item.event.kind}: {tell(item.event)}"
            for item in self.recorded
            if (isinstance(item.event, ev.NodeEvent) and item.event.node == node)
            or isinstance(item.event, ev.RolloutClaimed)
        ]
        return "\n".join(told)


def outcome(at: Place) -> Outcome:
    """Read journal and hall, and look for what must not be."""
    rollout = at.rollout()
    if rollout is None:
        raise AssertionError(f"{at.journal}: no rollout was begun")
    truth = at.running().truth()
    recorded = tuple(at.recorded(rollout))
    state = at.state(rollout)
    violations = (
        [f"{what}: {count}" for what, count in judge(truth).items() if what in FORBIDDEN and count]
        + [
            f"{node}: a POST was interrupted {box['interrupted_posts']} times (F44)"
            for node, box in truth["nodes"].items()
            if box["interrupted_posts"]
        ]
        + [f"the journal believes in session {row.uri or row.context} on {row.node}" for row in at.open_sessions()]
        + _unfinished(state)
        + _flashed_without_intent(recorded, truth)
    )
    return Outcome(state=state, recorded=recorded, truth=truth, violations=tuple(violations))


def _unfinished(state: RolloutState) -> list[str]:
    found = [] if state.status is RolloutStatus.COMPLETED else [f"the rollout is {state.status}: {state.message}"]
    for name, node in state.nodes.items():
        if node.status not in TERMINAL:
            found.append(f"{name} is {node.status}")
        elif node.status is not NodeStatus.CONFIRMED and not node.reason:
            found.append(f"{name} is {node.status} without a reason")
    return found


def _flashed_without_intent(recorded: tuple[Recorded, ...], truth: dict[str, Any]) -> list[str]:
    """Each part takes an image at most once for each intent that was not proven to have had no effect (rollout-science 4.3, I1)."""
    allowed: Counter[tuple[str, str]] = Counter()
    intended: dict[tuple[str, str], str] = {}
    for item in recorded:
        match item.event:
            case ev.IntentRecorded(node=node, effect=effect, detail=detail) if "sha256" in detail:
                intended[node, effect] = detail["sha256"]
                allowed[node, detail["sha256"]] += 1
            case ev.EffectAbsent(node=node, effect=effect) if (node, effect) in intended:
                allowed[node, intended.pop((node, effect))] -= 1
            case _:
                pass
    found = []
    for node, box in truth["nodes"].items():
        for part, item in box["items"].items():
            written = Counter(flash["sha256"] for flash in item["flashes"])
            found += [
                f"{node} {part} was flashed {times} times with {digest[:12]} for {allowed[node, digest]} intents"
                for digest, times in written.items()
                if times > allowed[node, digest]
            ]
    return found


def differences(one: Outcome, other: Outcome) -> dict[str, str]:
    """Node -> how the two differ, for nodes that do."""
    found = {}
    for node in one.state.nodes:
        before, after = one.of(node), other.of(node)
        unlike = [
            f"{key}: {before.get(key, 'nothing')!r} and {after.get(key, 'nothing')!r}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
        if unlike:
            found[node] = "; ".join(unlike)
    return found
