"""Events, effects and durations in plain words. Pure: progress, `fleet why` and the cockpit say the same sentences.

Texts that came from hardware are made harmless here: no control characters reach a terminal, and no reply fills a screen.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fleet import events as ev
from fleet.clock import as_utc

_LONGEST = 400
"""Characters of one message that are shown; `fleet events` has all of it."""
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_ITEMS = 6

NOTABLE = (
    ev.RolloutHalted,
    ev.RolloutPaused,
    ev.RolloutContinued,
    ev.RolloutAborting,
    ev.RolloutEnded,
    ev.WaveOpened,
    ev.ApprovalNeeded,
    ev.WaveApproved,
    ev.NodeUncertain,
    ev.NodeRollingBack,
    ev.NodeRolledBack,
    ev.NodeQuarantined,
)
"""Events that somebody who watches wants to be told of, each as a sentence."""


def clean(text: str) -> str:
    """One line of printable characters, cut to a readable length."""
    line = "".join(character if character.isprintable() else " " for character in text[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def time_of_day(at: float) -> str:
    """Field time as `12:40:07Z`."""
    return as_utc(at).strftime("%H:%M:%SZ")


def moment(at: float) -> str:
    """Field time as `2026-10-04 12:40:07Z`."""
    return as_utc(at).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 05 min`, `2 d 04 h`."""
    whole = max(0, round(seconds))
    if whole < 2 * _MINUTE_S:
        return f"{whole} s"
    if whole < 2 * _HOUR_S:
        return f"{round(whole / _MINUTE_S)} min"
    if whole < 2 * _DAY_S:
        minutes = round(whole / _MINUTE_S)
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = round(whole / _HOUR_S)
    return f"{hours // 24} d {hours % 24:02} h"


def tolerance(budget: int, nodes: int) -> str:
    """What a failure budget says: a number, or, where it tolerates them all, that the evidence decides."""
    return f"{budget} tolerated" if budget < nodes or not nodes else "evidence halts"


def against(failures: int, budget: int, nodes: int) -> str:
    """Failures against the budget."""
    return (
        f"{failures} of {tolerance(budget, nodes)}" if budget < nodes or not nodes else f"{failures} (evidence halts)"
    )


def plural(count: int, thing: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def target_of(step: str) -> str:
    """The target that a `firmware.update` step flashes, from the step's key; empty for other steps."""
    _, found, rest = step.partition("firmware.update ")
    return rest.split(" ")[0] if found else ""


_EFFECTS: Mapping[str, str] = {
    "measured-before": "measure health, sensors and parts before the first step",
    "measured-after": "measure health, sensors and parts at the end",
    "soak": "leave the node alone before it is judged",
    "bmc-reset": "restart the BMC",
    "host-off": "turn the host off",
    "host-on": "turn the host on",
    "ac-cycle": "AC-cycle the node",
    "copy": "copy the running firmware into the other slot",
    "restore-policy": "note what its host does when AC returns",
    "restore-policy-off": "let its host stay off when AC returns",
    "restore-policy-back": "put PowerRestorePolicy back to what it was",
    "given-up": "note that its image may wait although its task was given up",
    "activated": "note that what waited for a reset is in force",
    "outlet-draw": "read what its outlets deliver",
    "outlets-restored": "give the AC cycle up and switch its outlets on again",
    "drain": "drain the node",
    "resume": "give the node back to its scheduler",
    "offer": "offer the OS image",
    "install": "install the OS",
    "before": "note how its tests went before the rollout",
    "burn-in": "judge the burn-in",
}
_EFFECTS_ON: Mapping[str, str] = {
    "push": "configure the node's ports on {}",
    "restore": "put the node's ports on {} back",
    "host-off": "turn the host off for {}",
    "host-on": "turn the host on for {}",
    "outlet-off": "switch outlet {} off",
    "outlet-on": "switch outlet {} on",
    "before": "run {} before the rollout touches the node",
    "burn-in": "run {} for the burn-in",
    "publish": "hand the node on to {}",
    "hold-copy": "keep {} from copying by itself",
    "release-copy": "let {} copy by itself again",
    "put-back": "set {} back to what it was before the flash",
}
"""Effects that name what they are done on: `push leaf1`."""
_ON = re.compile(rf"(?:.*/)?({'|'.join(_EFFECTS_ON)}) (.+)", re.DOTALL)
"""What it is done on may hold a slash (`outlet-off pdu-r01-A/3`), and so may the step (a profile's path)."""


def effect_words(effect: str) -> str:
    """What an effect's key means: `1 firmware.update bmc/submit` is "hand over the image of bmc"."""
    named = _ON.fullmatch(effect)
    if named:
        return _EFFECTS_ON[named[1]].format(named[2])
    step, _, name = effect.rpartition("/")
    if name == "submit" and target_of(step):
        return f"hand over the image of {target_of(step)}"
    return _EFFECTS.get(name, f"{name} ({step})" if step else name)


def tell(event: ev.Event) -> str:
    """The event as a sentence without its node's name."""
    say = _SENTENCES.get(type(event))
    return clean(say(event)) if say is not None else event.kind


def _created(event: ev.RolloutCreated) -> str:
    reverses = f" to roll back {event.reverses}" if event.reverses else ""
    return f"{event.by} asked for {event.playbook}{reverses}"


def _planned(event: ev.RolloutPlanned) -> str:
    return f"planned: {plural(len(event.plan.get('order', ())), 'node')}, plan {event.digest[:12]}"


def _continued(event: ev.RolloutContinued) -> str:
    accepted = f", who accepted {plural(event.accepted_failures, 'failure')}" if event.accepted_failures else ""
    return f"continued by {event.by}{accepted}"


def _observed(event: ev.NodeObserved) -> str:
    shown = [f"{item} {version}" for item, version in list(event.versions.items())[:_ITEMS]]
    more = len(event.versions) - len(shown)
    return f"versions {event.when}: {', '.join(shown)}{f' and {more} more' if more else ''}"


_OUTCOMES = {"met": "nothing to do in", "done": "verified", "deferred": "handed over, verified later:"}


def _ended(event: ev.StepEnded) -> str:
    return f"{_OUTCOMES.get(event.outcome, event.outcome)} {event.step}" + (
        f" ({event.detail})" if event.detail else ""
    )


def _progress(event: ev.StepProgress) -> str:
    percent = "" if event.percent is None else f" {event.percent} %"
    return f"{event.step}:{percent} {event.text}"


def _happened(event: ev.EffectRecorded) -> str:
    told = ((key, event.result.get(key)) for key in ("task", "note", "was", "where", "returned_s"))
    known = ", ".join(f"{key} {value}" for key, value in told if value and isinstance(value, str | int | float))
    return f"done: {effect_words(event.effect)}" + (f" ({known})" if known else "")


_SENTENCES: Mapping[type[ev.Event], Callable[[Any], str]] = {
    ev.RolloutCreated: _created,
    ev.RolloutPlanned: _planned,
    ev.RolloutClaimed: lambda event: f"process {event.owner} took the rollout over (number {event.epoch})",
    ev.WaveOpened: lambda event: f"wave {event.wave + 1} opened: {plural(event.nodes, 'node')}",
    ev.ApprovalNeeded: lambda event: f"wave {event.wave + 1} waits for a person: `fleet approve`",
    ev.WaveApproved: lambda event: f"wave {event.wave + 1} approved by {event.by}",
    ev.RolloutPaused: lambda event: f"paused by {event.by}: no new effect begins",
    ev.RolloutContinued: _continued,
    ev.RolloutHalted: lambda event: f"halted ({event.cause}): {event.message}",
    ev.RolloutAborting: lambda event: f"aborted by {event.by}: nodes stop at their next safe point",
    ev.RolloutEnded: lambda event: f"ended: {event.outcome}",
    ev.NodeRefused: lambda event: f"refused, not touched: {event.reason}: {event.message}",
    ev.NodeNoted: lambda event: f"to know: {event.topic}: {event.message}",
    ev.NodeAdmitted: lambda event: f"admitted in wave {event.wave + 1}",
    ev.NodeObserved: _observed,
    ev.SettingsObserved: lambda event: f"noted {len(event.settings)} settings and parts {event.when} the flash",
    ev.StepStarted: lambda event: f"begins {event.step}" + (f": {event.detail}" if event.detail else ""),
    ev.StepEnded: _ended,
    ev.StepProgress: _progress,
    ev.IntentRecorded: lambda event: f"announced: {effect_words(event.effect)}",
    ev.EffectRecorded: _happened,
    ev.EffectAbsent: lambda event: f"did not happen: {effect_words(event.effect)}: {event.why}",
    ev.PowerWaiting: lambda event: f"waits for power for {event.stage}: {event.why}",
    ev.PowerReserved: lambda event: f"{event.watts / 1000:.1f} kW are kept free for {event.stage}",
    ev.PowerReleased: lambda event: f"{event.stage} is over; its power is free once a meter has looked",
    ev.NodeUncertain: lambda event: (
        f"not known whether it happened: {effect_words(event.effect)}: {event.why}; the hardware is being read"
    ),
    ev.NodeParked: lambda event: f"parked at a safe point: {event.why}",
    ev.NodeRollingBack: lambda event: f"goes back: {event.reason}: {event.message}",
    ev.NodeConfirmed: lambda event: "confirmed" + (f": {event.detail}" if event.detail else ""),
    ev.NodeRelapsed: lambda event: f"confirmed, and ill when looked at again: {event.reason}: {event.message}",
    ev.NodeRolledBack: lambda event: f"is back on the versions before: {event.reason}: {event.message}",
    ev.NodeQuarantined: lambda event: f"quarantined: {event.reason}: {event.message}",
    ev.SessionOpening: lambda _: "logs in",
    ev.SessionOpened: lambda event: f"logged in ({event.uri})" if event.uri else "logged in",
    ev.LoginRefused: lambda _: "the BMC refused the login",
    ev.SessionClosed: lambda _: "logged out",
}
