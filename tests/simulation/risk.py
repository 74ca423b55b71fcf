"""I3 of a rollout that is paced by evidence: what is exposed never costs more than the risk, and no node starts beyond the evidence.

Counted from the journal and the drawing, by formulas of its own: neither fold nor policy is asked. Which nodes are alike is the plan's.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from scipy.stats import beta

from fleet import events as ev
from fleet.events import Recorded
from fleet.policy.spec import RolloutSpec

_PSEUDO = 5.0
_GRID = 32
_ROUNDING = 1e-6
_RIPE = 1e-3
"""Less of a node than this is at risk no more: the last of a bake would be waited for without end."""


class Risk:
    """What the journal says so far of one rollout."""

    def __init__(self, spec: RolloutSpec, plan: dict[str, Any]) -> None:
        self._spec = spec
        self._stratum = {name: str(node["stratum"]) for name, node in plan["nodes"].items()}
        self._active: set[str] = set()
        self._clean: dict[str, float] = {}
        """Node -> when it was confirmed."""
        self._failed: dict[str, float] = {}
        self._worked_on: set[str] = set()
        self._accepted, self._accepted_at = 0, -math.inf

    def note(self, item: Recorded) -> None:
        """One event."""
        match item.event:
            case ev.NodeAdmitted(node=node):
                self._active.add(node)
            case ev.IntentRecorded(node=node):
                self._worked_on.add(node)
            case ev.NodeConfirmed(node=node):
                self._active.discard(node)
                self._clean[node] = item.at
            case ev.NodeRollingBack(node=node):
                self._failed.setdefault(node, item.at)
            case ev.NodeQuarantined(node=node) | ev.NodeRolledBack(node=node) | ev.NodeRelapsed(node=node):
                self._active.discard(node)
                self._clean.pop(node, None)
                self._failed.setdefault(node, item.at)
            case ev.RolloutContinued(accepted_failures=accepted) if accepted > self._accepted:
                self._accepted, self._accepted_at = accepted, item.at
            case _:
                pass

    def broken(self, node: str, at: float) -> Iterator[str]:
        """What speaks against the admission of `node`, which has been noted."""
        exposed: defaultdict[str, float] = defaultdict(float)
        for other in self._active:
            exposed[self._stratum[other]] += 1
        for other, since in self._clean.items():
            exposed[self._stratum[other]] += self._young(since, at)
        confirmed = {self._stratum[other] for other in self._clean}
        total = sum(exposed.values())
        if not confirmed and total > 1 + _ROUNDING:
            yield f"{total:.2f} nodes are at risk and none has succeeded"
        stratum = self._stratum[node]
        if stratum not in confirmed and exposed[stratum] > 1 + _ROUNDING:
            yield f"{exposed[stratum]:.2f} nodes of {stratum} are at risk and none of them has succeeded"
        cost = sum(count * self._bound(name, at) for name, count in exposed.items())
        if total > 1 + _RIPE * len(exposed) and cost > self._spec.risk + _ROUNDING:
            yield f"what is at risk may cost {cost:.2f} nodes, {self._spec.risk} may be broken"
        yield from self._halted()

    def _young(self, since: float, at: float) -> float:
        return math.exp(-(at - since) / self._spec.bake_s) if self._spec.bake_s else 0.0

    def _bound(self, stratum: str, at: float) -> float:
        """Clopper and Pearson's upper bound of 95 %, with what the others have shown as five nodes."""
        own = [name for name in self._clean if self._stratum[name] == stratum]
        others = [name for name in self._clean if self._stratum[name] != stratum and name in self._worked_on]
        clean = sum(1 - self._young(self._clean[name], at) for name in own)
        others_clean = sum(1 - self._young(self._clean[name], at) for name in others)
        failed = [self._stratum[name] for name in self._failed if name in self._worked_on]
        a, b = 1.0 + failed.count(stratum), clean
        others_failed = len(failed) - failed.count(stratum)
        if others_clean + others_failed > 0:
            mean = (1 + others_failed) / (2 + others_clean + others_failed)
            a, b = a + _PSEUDO * mean, b + _PSEUDO * (1 - mean)
        return float(beta.ppf(0.95, a, b)) if b > 0 else 1.0

    def _halted(self) -> Iterator[str]:
        """Whether the evidence had to halt it before: only where nobody was found broken, which would raise what is tolerated."""
        if any(name not in self._worked_on for name in self._failed):
            return
        tolerated = self._spec.tolerate.percent / 100
        tried: defaultdict[str, int] = defaultdict(int)
        failed: defaultdict[str, int] = defaultdict(int)
        for name, at in self._failed.items():
            if at > self._accepted_at:
                tried[self._stratum[name]] += 1
                failed[self._stratum[name]] += 1
        since = [name for name, at in self._clean.items() if name in self._worked_on and at > self._accepted_at]
        # The node that was just admitted was no evidence of its own admission.
        for name in (*since, *(self._active - set(self._failed))):
            tried[self._stratum[name]] += 1
        known = {self._stratum[name] for name in (*self._clean, *self._failed, *self._active)}
        whole = _e(sum(failed.values()), sum(tried.values()), tolerated)
        each = [_e(failed[name], tried[name], tolerated) for name in known]
        e = whole if len(known) <= 1 else (whole + sum(each) / len(each)) / 2
        if e >= 1 / (1 - self._spec.confidence.percent / 100):
            yield f"e = {e:.0f}: {sum(failed.values())} of {sum(tried.values())} nodes failed, {tolerated:.0%} are tolerated"


def _e(failed: int, tried: int, tolerated: float) -> float:
    """The mean likelihood ratio over rates from twice the tolerated one to 1, evenly spaced in their logarithm."""
    low = min(2 * tolerated, (1 + tolerated) / 2)
    rates = (low ** (1 - index / (_GRID - 1)) for index in range(_GRID))
    clean = tried - failed
    return sum((q / tolerated) ** failed * ((1 - min(q, 1.0)) / (1 - tolerated)) ** clean for q in rates) / _GRID
