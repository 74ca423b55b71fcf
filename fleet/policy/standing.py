"""What the nodes of a rollout have shown so far, counted: the evidence that pacing and halting rest on. Pure; made from the state alone.

Engine and `fleet why` count anew from the state; the forecast (fleet.policy.forecast) follows its own nodes with `move`, at constant
cost per change, so that both decide by the same code.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from fleet.policy.risk import Seen
from fleet.policy.rules import Key, Rules
from fleet.state import ACTIVE, FAILED, NodeState, NodeStatus, RolloutState

_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]*\d[0-9a-f]*\b", re.IGNORECASE)
"""What differs between messages of the same failure: numbers, addresses, serials."""


@dataclass(slots=True)
class Stratum:
    """Nodes of one kind. A stratum is what model, firmware before, BMC version, feeds and recipe have in common (fleet.grouping)."""

    in_flight: int = 0
    clean: int = 0
    """Confirmed."""
    failed: int = 0
    """Failed after something was done to them."""
    tried: int = 0
    """Started since a person last accepted failures, whose outcome counts in the test: in flight, confirmed after work, failed."""
    failed_since: int = 0
    """Of those, failed."""
    inert: int = 0
    """Of the clean ones, those to which nothing had to be done: they say nothing about other strata."""
    fresh: float = 0.0
    """Of the clean ones, how many have not matured, at `fresh_at`: latent failures show after an exponential time (rollout-science 1.4)."""
    fresh_at: float = 0.0

    def unproven(self, now: float, bake_s: float) -> float:
        """Confirmed nodes, in fractions, that may still show a latent failure."""
        return self.fresh * math.exp(-max(0.0, now - self.fresh_at) / bake_s) if bake_s > 0 else 0.0

    def seen(self, now: float, bake_s: float) -> Seen:
        """For the bound of this stratum."""
        return Seen(clean=self.clean - self.unproven(now, bake_s), failed=self.failed)

    def told(self, now: float, bake_s: float) -> Seen:
        """For the bounds of other strata."""
        return Seen(clean=max(0.0, self.clean - self.inert - self.unproven(now, bake_s)), failed=self.failed)

    def exposed(self, now: float, bake_s: float) -> float:
        """Nodes at risk: in flight, or done and not proven yet."""
        return self.in_flight + self.unproven(now, bake_s)

    def confirm(self, node: NodeState, bake_s: float, *, times: int = 1) -> None:
        """One more is clean; with `times` -1 one that was is so no longer."""
        self.clean += times
        self.inert += times * (not node.intents)
        if bake_s > 0:
            at = node.ended_at or 0.0
            now = max(self.fresh_at, at)
            # Those that came before have matured since, and so has this one if its time lies behind the others'.
            self.fresh = max(0.0, self.unproven(now, bake_s) + times * math.exp(-(now - at) / bake_s))
            self.fresh_at = now


@dataclass(slots=True)
class Standing:
    """All of them. Changed by `move` alone."""

    rules: Rules
    strata: dict[str, Stratum] = field(default_factory=dict)
    out: Counter[Key] = field(default_factory=Counter)
    """Nodes per domain that are out of service: in flight or quarantined."""
    in_flight: int = 0
    signatures: Counter[str] = field(default_factory=Counter)
    """Failures since a person last accepted some, by what they have in common."""
    unprovoked: int = 0
    """Nodes that had failed before anything was done to them: the control group's failures (rollout-science 1.5)."""
    begun: Counter[str] = field(default_factory=Counter)
    """Unit of several nodes -> how many of them were started."""
    broken: dict[str, str] = field(default_factory=dict)
    """Unit of several nodes -> the one that failed."""
    members: Mapping[str, Sequence[str]] = field(init=False)
    """Unit of several nodes -> all of them, in the order of admission."""
    kinds: int = field(init=False)
    """How many strata there are in the rollout."""

    def __post_init__(self) -> None:
        self.members = self.rules.members()
        self.kinds = len(set(self.rules.strata.values())) or 1

    def stratum(self, name: str) -> Stratum:
        """The stratum of this name; a new one has seen nothing."""
        return self.strata.setdefault(name, Stratum())

    def move(self, name: str, old: NodeState, new: NodeState, *, since: float = 0.0) -> None:
        """A node went from one state to the next.

        Args:
            name: the node.
            old: what it was; a node starts as pending.
            new: what it is.
            since: field time at which a person last accepted failures; what ended before does not count in the test.
        """
        if old.status is new.status and old.phase is new.phase:
            return
        stratum = self.stratum(self.rules.stratum(name))
        self._where(name, old, new, stratum)
        _tried(stratum, old, new, since)
        if new.status is NodeStatus.CONFIRMED and old.status is not NodeStatus.CONFIRMED:
            stratum.confirm(new, self.rules.caps.bake_s)
        elif old.status is NodeStatus.CONFIRMED and new.status is not NodeStatus.CONFIRMED:
            stratum.confirm(old, self.rules.caps.bake_s, times=-1)
        if _failed(new) and not _failed(old):
            stratum.failed += bool(new.intents)
            self.unprovoked += not new.intents
            if (new.failed_at or 0.0) > since or not since:
                self.signatures[signature(self.rules.signs.get(name, ""), new)] += 1
            if name in self.rules.units:
                self.broken.setdefault(self.rules.units[name], name)

    def _where(self, name: str, old: NodeState, new: NodeState, stratum: Stratum) -> None:
        flies = (new.status in ACTIVE) - (old.status in ACTIVE)
        self.in_flight += flies
        stratum.in_flight += flies
        away = _away(new) - _away(old)
        if away:
            for key in self.rules.domains[name].groups():
                self.out[key] += away
        if old.status is NodeStatus.PENDING and name in self.rules.units:
            self.begun[self.rules.units[name]] += 1


def _away(node: NodeState) -> bool:
    return node.status in ACTIVE or node.status is NodeStatus.QUARANTINED


def _failed(node: NodeState) -> bool:
    return node.status in FAILED or node.phase is NodeStatus.ROLLING_BACK


def _tried(stratum: Stratum, old: NodeState, new: NodeState, since: float) -> None:
    was, now = _counts(old, since), _counts(new, since)
    stratum.tried += bool(now) - bool(was)
    stratum.failed_since += (now is NodeStatus.QUARANTINED) - (was is NodeStatus.QUARANTINED)


def _counts(node: NodeState, since: float) -> NodeStatus | None:
    """How a node counts in the test: QUARANTINED for failed, CONFIRMED, RUNNING for not ended yet; None: not at all."""
    if _failed(node):
        return NodeStatus.QUARANTINED if node.intents and ((node.failed_at or 0.0) > since or not since) else None
    if node.status in ACTIVE:
        return NodeStatus.RUNNING
    confirmed = node.status is NodeStatus.CONFIRMED and node.intents and ((node.ended_at or 0.0) > since or not since)
    return NodeStatus.CONFIRMED if confirmed else None


def signature(sign: str, node: NodeState) -> str:
    """What this failure has in common with others: model and firmware, step, reason, and the message without what varies."""
    return " · ".join(part for part in (sign, node.step, node.reason, _VARYING.sub("#", node.message)) if part)


def standing(state: RolloutState, rules: Rules) -> Standing:
    """Counted anew from a state: the nodes of the order, from pending to what they are."""
    found = Standing(rules=rules)
    pending = NodeState()
    since = state.accepted_at or 0.0
    # Successes in the order in which they came: only so does their ageing add up exactly.
    started = [(name, state.nodes[name]) for name in rules.order if state.nodes[name].status is not NodeStatus.PENDING]
    ended = sorted((each for each in started if each[1].ended_at is not None), key=lambda each: each[1].ended_at or 0.0)
    for name, node in chain(ended, (each for each in started if each[1].ended_at is None)):
        found.move(name, pending, node, since=since)
    return found
