"""What an operator may ask for now, and what will happen then, in numbers. Pure; the rules of `fleet pause`, `resume`, ..."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fleet import events as ev
from fleet.condense import condense
from fleet.events import Event
from fleet.journal import ANSWERS, Verb
from fleet.overview import Process
from fleet.state import NodeStatus, RolloutStatus
from fleet.words import plural, tolerance
from tui.snapshot import Brief, Mode, Snapshot

_STANDING = 4
"""Lines about images that are handed over, at most."""
_WHICH_CHARACTERS = 60
_STOPPED = frozenset({RolloutStatus.PAUSED, RolloutStatus.HALTED})


class Ask(StrEnum):
    """What can be asked for."""

    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"
    ROLLBACK = "rollback"


VERBS: Mapping[Ask, Verb] = {
    Ask.PAUSE: Verb.PAUSE,
    Ask.RESUME: Verb.RESUME,
    Ask.APPROVE: Verb.APPROVE,
    Ask.ABORT: Verb.ABORT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a dialog shows."""

    ask: Ask
    title: str
    will: tuple[str, ...]
    """What happens, a sentence each."""
    verb: Verb | None = None
    """The request to write when the person agrees; None: nothing is written from here."""
    command: str = ""
    """What to run in a shell instead."""


def offers(seen: Snapshot) -> frozenset[Ask]:
    """What makes sense in this state; the keys of everything else are hidden."""
    if seen.mode is Mode.REPLAY or not seen.waves:
        return frozenset()
    if seen.ended:
        return frozenset({Ask.ROLLBACK} if seen.status in {RolloutStatus.COMPLETED, RolloutStatus.ABORTED} else ())
    if seen.status is RolloutStatus.ABORTING:
        return frozenset({Ask.RESUME} if seen.process is Process.NONE else ())
    found = {Ask.ABORT}
    if seen.status is RolloutStatus.WAITING_APPROVAL:
        found.add(Ask.APPROVE)
    if seen.status in _STOPPED or seen.process is Process.NONE:
        found.add(Ask.RESUME)
    else:
        found.add(Ask.PAUSE)
    return frozenset(found)


def propose(ask: Ask, brief: Brief, journal: Path) -> Proposal:
    """The dialog for it, with the numbers of this moment."""
    seen = brief.snapshot
    will = tuple(_WILL[ask](seen)) + _standing(brief)
    title = _TITLES[ask].format(rollout=seen.rollout)
    if ask not in offers(seen):
        return Proposal(ask=ask, title=title, will=(f"It is {seen.status} by now: there is nothing to {_DO[ask]}.",))
    if ask is Ask.ROLLBACK or seen.process is Process.NONE:
        yes = " --yes" if ask in {Ask.ABORT, Ask.ROLLBACK} else ""
        command = f"fleet {ask} {shlex.quote(seen.rollout)} --journal {shlex.quote(str(journal))}{yes}"
        return Proposal(ask=ask, title=title, will=will, command=command)
    return Proposal(ask=ask, title=title, will=will, verb=VERBS[ask])


def answered(verb: Verb, seen: Snapshot, after: int) -> Event | None:
    """The event that answers a request made when the history had `after` events, once it is there."""
    wanted = (ANSWERS[verb], ev.RolloutEnded)
    return next((item.event for item in seen.history.events[after : seen.upto] if isinstance(item.event, wanted)), None)


_TITLES = {
    Ask.PAUSE: "Pause {rollout}?",
    Ask.RESUME: "Resume {rollout}?",
    Ask.APPROVE: "Let the next wave of {rollout} through?",
    Ask.ABORT: "Abort {rollout}?",
    Ask.ROLLBACK: "Roll {rollout} back?",
}
_DO = {
    Ask.PAUSE: "pause",
    Ask.RESUME: "resume",
    Ask.APPROVE: "approve",
    Ask.ABORT: "abort",
    Ask.ROLLBACK: "roll back",
}


def _pause(seen: Snapshot) -> list[str]:
    return [
        f"{plural(seen.moving, 'node')} in flight: each goes on to its next safe point and waits there.",
        f"{plural(seen.counts[NodeStatus.PENDING], 'node')} not started: none of them starts.",
        "A flash that runs is not interrupted. Resume goes on where each node stands.",
    ]


def _resume(seen: Snapshot) -> list[str]:
    said = [
        f"{plural(seen.counts[NodeStatus.PARKED], 'parked node')} and {seen.moving} others in flight go on.",
        f"{plural(seen.counts[NodeStatus.PENDING], 'node')} not started may start, at most {seen.cap} at once.",
    ]
    if seen.status is RolloutStatus.HALTED:
        said.insert(0, f"It halted itself ({seen.cause}): {seen.message}.")
        said.append(
            f"This accepts {plural(seen.failures, 'failure')}: from then on {tolerance(seen.budget, seen.total)} anew."
        )
    if seen.process is Process.NONE:
        said.append("No process runs it. Whoever resumes it reads every node in flight first.")
    return said


def _approve(seen: Snapshot) -> list[str]:
    wave = seen.wave + 1
    size = seen.waves[wave].size if wave < len(seen.waves) else 0
    return [
        f"Wave {wave + 1} of {len(seen.waves)} opens: {plural(size, 'node')}, at most {seen.cap} at once.",
        f"So far {seen.counts[NodeStatus.CONFIRMED]} confirmed, {plural(seen.failures, 'failure')} ({tolerance(seen.budget, seen.total)}).",
    ]


def _abort(seen: Snapshot) -> list[str]:
    return [
        f"{plural(seen.in_flight, 'node')} in flight: each stops at a safe point, and then needs a person.",
        f"{plural(seen.counts[NodeStatus.PENDING], 'node')} not started: none of them will be touched.",
        "This is final. Nothing is flashed back by it; `fleet rollback` can do that afterwards.",
    ]


def _rollback(seen: Snapshot) -> list[str]:
    touched = seen.counts[NodeStatus.CONFIRMED] + seen.counts[NodeStatus.QUARANTINED]
    return [
        f"Up to {plural(touched, 'node')} that this rollout changed go back to their previous images.",
        "That is a rollout of its own, planned, paced and watched like any other; without --yes it is only shown.",
    ]


_WILL: Mapping[Ask, Callable[[Snapshot], list[str]]] = {
    Ask.PAUSE: _pause,
    Ask.RESUME: _resume,
    Ask.APPROVE: _approve,
    Ask.ABORT: _abort,
    Ask.ROLLBACK: _rollback,
}


def _standing(brief: Brief) -> tuple[str, ...]:
    """What is on the nodes and not in force: it stays there whatever is decided."""
    shown = [
        f"{item.component} {item.version} is handed over and {item.stage} on {plural(len(item.nodes), 'node')}: {_which(item.nodes)}."
        for item in brief.standing[:_STANDING]
    ]
    more = len(brief.standing) - len(shown)
    return (*shown, *([f"{more} more kinds of images are handed over."] if more > 0 else []))


def _which(nodes: tuple[str, ...]) -> str:
    text = condense(nodes)
    return text if len(text) <= _WHICH_CHARACTERS else text[: _WHICH_CHARACTERS - 1] + "…"
