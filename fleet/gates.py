"""Gates: what must be so before a node counts as a success and goes back to its tenant. Pure functions of the journal.

A gate looks at what was measured before the first step and after the last one, and at what the burn-in found; it touches nothing, so
that `fleet why` gives the same answer years later. Others bring their own through the entry point group `fleet.gates`: a function from
Facts to Verdict, under the name that playbooks write.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import entry_points

from fleet.events import Json
from fleet.keeping import differences, listed
from fleet.profile import Setting
from fleet.state import NodeState

GROUP = "fleet.gates"
BEFORE, AFTER = "measured-before", "measured-after"
"""Effects whose results hold what was measured."""
_BURNIN, _BURNIN_BEFORE = "burn-in", "before"
_PASSED_BURNIN = "pass"
"""As the step writes it (playbooks.burnin.verdict.Verdict)."""
"""Effects of burnin.run and burnin.baseline (playbooks.steps.burnin)."""
_WORSE = 0.05
"""SuperBench's rule: 5 % worse is worse (rollout-science 2.1)."""
_ORDER = ("OK", "Warning", "Critical")
"""Redfish Status.Health, from good to bad."""
_USER = "user "
"""Accounts in a picture of settings (fleet.drivers.redfish.settings)."""
_SHOWN = 3


class Outcome(StrEnum):
    """What a gate says. What could not be judged has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate on one node."""

    outcome: Outcome
    text: str
    """The evidence, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the journal holds of one node that gates look at; None: it was not measured.

    `before` and `after`: {"health": Status.Health of the system, "items": {inventory item that is not OK: its health or state},
    "picture": {setting, sensor list or part: value} (fleet.keeping), "unmet": {step: what its check says}}.
    """

    before: Json | None = None
    after: Json | None = None
    burnin: Json | None = None
    """{"verdict", "measures": {test and GPU: GB/s}, ...}"""
    burnin_before: Json | None = None


Gate = Callable[[Facts], Verdict]


def passed(text: str) -> Verdict:
    """A verdict of PASSED."""
    return Verdict(Outcome.PASSED, text)


def failed(text: str) -> Verdict:
    """A verdict of FAILED."""
    return Verdict(Outcome.FAILED, text)


def unjudged(text: str) -> Verdict:
    """A verdict of UNJUDGED."""
    return Verdict(Outcome.UNJUDGED, text)


def _health(facts: Facts) -> Verdict:
    if facts.after is None:
        return unjudged("its health was not read at the end")
    now, was = str(facts.after["health"]), str((facts.before or {}).get("health", ""))
    ill = {
        name: state for name, state in facts.after["items"].items() if name not in (facts.before or {}).get("items", {})
    }
    if ill:
        return failed(f"ill since the rollout: {_few(f'{name} is {state}' for name, state in ill.items())}")
    if now in _ORDER and _ORDER.index(now) > (_ORDER.index(was) if was in _ORDER else 0):
        return failed(f"health is {now}, it was {was or 'not shown'} before")
    return passed(f"health {now or 'not shown'}, {was or 'not shown'} before")


def _at_baseline(facts: Facts) -> Verdict:
    if facts.after is None:
        return unjudged("its versions were not read at the end")
    unmet = {key: said for key, said in facts.after["unmet"].items() if " firmware." in f" {key}"}
    return failed(_few(f"{key}: {said}" for key, said in unmet.items())) if unmet else passed("every goal is shown")


def _as_before(facts: Facts) -> Verdict:
    if facts.before is None or facts.after is None:
        return unjudged("its sensors and parts were not read both before and after")
    before = {what: value for what, value in facts.before["picture"].items() if not _settable(what)}
    found = differences(before, facts.after["picture"])
    return failed(listed(found)) if found else passed(f"{len(before)} sensors and parts as before")


def _settable(what: str) -> bool:
    """Settings and users: steps of the playbook may have changed them, and what a flash changed `settings.keep` has judged."""
    return what in set(Setting) or what.startswith(_USER)


def _no_worse(facts: Facts) -> Verdict:
    if facts.burnin is None:
        return unjudged("no burn-in was run")
    if facts.burnin["verdict"] != _PASSED_BURNIN:
        return failed(str(facts.burnin["text"]))
    was = (facts.burnin_before or {}).get("measures", {})
    now = facts.burnin["measures"]
    if facts.burnin_before is None:
        return unjudged("nobody tried a burn-in before the first step: put burnin.baseline there")
    if not was:
        return passed(f"it passed; {facts.burnin_before['text']}")
    worse = [
        f"{name}: {now.get(name, 0.0):.1f}, {value:.1f} before"
        for name, value in was.items()
        if now.get(name, 0.0) < value * (1 - _WORSE)
    ]
    return failed(_few(worse)) if worse else passed(f"{len(was)} measures no worse than before")


def _few(parts: Iterable[str]) -> str:
    every = list(parts)
    more = f"; and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more


_OURS: Mapping[str, Gate] = {
    "health.ok": _health,
    "firmware.at_baseline": _at_baseline,
    "devices.as_before": _as_before,
    "burnin.no_worse_than_before": _no_worse,
}


@cache
def gates() -> Mapping[str, Gate]:
    """All of them by name, ours and those of installed packages."""
    return {**{entry.name: entry.load() for entry in entry_points(group=GROUP)}, **_OURS}


def facts(latest: Callable[[str], Json | None]) -> Facts:
    """`latest`: name of an effect -> its newest result of the node."""
    return Facts(
        before=latest(BEFORE), after=latest(AFTER), burnin=latest(_BURNIN), burnin_before=latest(_BURNIN_BEFORE)
    )


def facts_of(node: NodeState) -> Facts:
    """The same from the state of a node: for `fleet why`."""

    def latest(effect: str) -> Json | None:
        known = [entry.result for key, entry in node.effects.items() if key.endswith(f"/{effect}")]
        return next((result for result in reversed(known) if result is not None), None)

    return facts(latest)


def judge(names: Iterable[str], of: Facts) -> dict[str, Verdict]:
    """Each gate's verdict; a name that no installed package knows is unjudged, so that it holds."""
    known = gates()
    return {
        name: known[name](of) if name in known else unjudged("no installed package has this gate") for name in names
    }
