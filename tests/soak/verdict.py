"""What a rollout must have come to, whatever was done to its processes: judged by its journal and by the hall's ground truth."""

from dataclasses import dataclass
from typing import Any

from fleet import events as ev
from fleet.cli.demo import judge
from fleet.errors import Reason
from fleet.events import Recorded, RolloutId
from fleet.state import TERMINAL, NodeStatus, RolloutState, RolloutStatus
from fleet.words import moment, tell
from soak.accepted import Goal, Judge
from soak.counted import twice
from soak.lives import Place
from soak.surrounds import Surrounds, rules_of

FORBIDDEN = ("power cuts during a flash", "bricked nodes", "sessions left open", "BMCs asked two things at once")
"""Counts of fleet.cli.demo.judge that must be zero. Flashes are compared with intents (soak.counted): an image may well be sent
twice, under two intents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A rollout that has ended, and what is true of its nodes."""

    state: RolloutState
    recorded: tuple[Recorded, ...]
    after: Surrounds
    violations: tuple[str, ...]

    @property
    def truth(self) -> dict[str, Any]:
        """What the hall says."""
        return self.after.truth

    def of(self, node: str) -> dict[str, str]:
        """What two rollouts are compared by: status and reason, the version of each part that is in force, and what is around it."""
        found = self.state.nodes[node]
        versions = {name: str(item["active"]) for name, item in self.truth["nodes"][node]["items"].items()}
        return {"status": found.status.value, "reason": found.reason, **versions, **self.after.facts(node)}

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
    after = Surrounds(at.hall, truth)
    violations = (
        [f"{what}: {count}" for what, count in judge(truth).items() if what in FORBIDDEN and count]
        + [
            f"{node}: a POST was interrupted {box['interrupted_posts']} times (F44)"
            for node, box in truth["nodes"].items()
            if box["interrupted_posts"]
        ]
        + [f"the journal believes in session {row.uri or row.context} on {row.node}" for row in at.open_sessions()]
        + _unfinished(state)
        + list(twice(recorded, after))
        + _misjudged(at, rollout, state, after)
    )
    return Outcome(state=state, recorded=recorded, after=after, violations=tuple(violations))


def _unfinished(state: RolloutState) -> list[str]:
    found = [] if state.status is RolloutStatus.COMPLETED else [f"the rollout is {state.status}: {state.message}"]
    for name, node in state.nodes.items():
        if node.status not in TERMINAL:
            found.append(f"{name} is {node.status}")
        elif node.status is not NodeStatus.CONFIRMED and not node.reason:
            found.append(f"{name} is {node.status} without a reason")
    return found


def _misjudged(at: Place, rollout: RolloutId, state: RolloutState, after: Surrounds) -> list[str]:
    """Of a journey: nodes whose end in the journal is not what the hall, or what was wrong with them, says."""
    if not at.baseline:
        return []
    judge = Judge(
        goal=Goal.read(at.baseline),
        book=rules_of(at.faults),
        before=Surrounds(at.hall, at.before),
        after=after,
        exported=at.directory / "journal.d" / rollout / "nodes",
    )
    return [f"{name}: {text}" for name, node in state.nodes.items() for text in judge.node(name, node)]


def differences(one: Outcome, other: Outcome) -> dict[str, str]:
    """Node -> how the two differ, for nodes that do. `one`: undisturbed; `other`: its processes were killed."""
    found = {}
    for node in one.state.nodes:
        before, after = one.of(node), other.of(node)
        unlike = [
            f"{key}: {before.get(key, 'nothing')!r} and {after.get(key, 'nothing')!r}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key) and not _less_certain(key, before, after)
        ]
        if unlike:
            found[node] = "; ".join(unlike)
    return found


def _less_certain(key: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether both hold the node for an installer's silence, which proves less to a process that was dead for a while.

    It may have missed a call, or not have served the image when the host asked for it, and says so instead of guessing (os.image).
    Then the disk may still hold what it held before. Nothing else of that node may differ.
    """
    held = before["status"] == after["status"] == NodeStatus.QUARANTINED
    told = (before["reason"], after["reason"])
    unwritten = {"OS", "image writes"} if not after["image writes"] else set()
    return key in {"reason", *unwritten} and held and told == (Reason.IMAGE_FAILED, Reason.OUTCOME_UNKNOWN)
