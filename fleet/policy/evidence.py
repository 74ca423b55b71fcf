"""What the evidence says at one moment: for each stratum k, n, n_eff, U and e, for the rollout whether it must halt. Pure.

`fleet why` prints it for any moment of the journal; the engine halts by the same numbers.
"""

from dataclasses import asdict, dataclass
from typing import Any

from fleet.policy.etest import evidence as e_value
from fleet.policy.etest import needed
from fleet.policy.risk import Seen, allowed, upper_bound
from fleet.policy.rules import Rules
from fleet.policy.standing import Standing, Stratum
from fleet.state import NodeState, NodeStatus, RolloutState

SAME_SHARE = 0.5
"""Of the tolerated failures, at most this share may be alike: one signature is tested against half the tolerated rate. The commonest
cause of ambient failures, GPUs, is 30 % of them (Llama 3 405B: 148 of 466 interruptions; rollout-science 1.1)."""
_MOST_TOLERATED = 0.5
"""However ill the control group is, more than every second node failing is no ambient rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Nodes that wait for their turn: what fails with no rollout at all (rollout-science 1.5)."""

    failed: int = 0
    """Found broken before anything was done to them."""
    node_s: float = 0.0
    """Node-seconds that nodes have waited, from the start of the rollout to their admission or to now."""
    run_s: float = 0.0
    """Mean seconds that a node was under work, or what the plan expects."""

    @property
    def rate(self) -> float:
        """Chance that a node fails by itself while it is under work."""
        return self.failed / self.node_s * self.run_s if self.failed and self.node_s > 0 else 0.0

    @property
    def per_1000_node_days(self) -> float:
        """The same as the field states it."""
        return self.failed / self.node_s * 86_400 * 1000 if self.node_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumEvidence:
    """One stratum at one moment."""

    stratum: str
    in_flight: int
    n: int
    """Nodes that ended: clean or failed."""
    k: int
    """Of those, failed after something was done to them."""
    n_eff: float
    """What the clean ones count as, aged by the bake time."""
    U: float
    """95 % upper confidence bound of the failure probability."""
    exposed: float
    """Nodes at risk: in flight, or done and not proven yet."""
    allowed: int
    """Nodes that may be exposed at once, b / U; 1 before the first success."""
    e: float
    """Evidence of this stratum alone against the tolerated rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it at one moment."""

    strata: tuple[StratumEvidence, ...]
    k: int
    """Failures after work, since a person last accepted some."""
    n: int
    """Nodes tried since then, in flight included."""
    e: float
    needed: float
    """e at which the rollout halts."""
    tolerated: float
    """Failure rate that is tolerated: p0 of the playbook plus the control group's rate."""
    control: Control
    signature: str
    """The commonest failure; empty: none."""
    same: int
    """How often it came."""
    same_e: float
    """Evidence against its tolerated rate."""

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        return asdict(self)

    def halts(self, same_most: int | None) -> tuple[str, str] | None:
        """(cause, message) if the rollout must halt; None: it may go on.

        Args:
            same_most: failures alike at which to halt at once; None: by evidence alone.
        """
        if self.same and (self.same_e >= self.needed or (same_most is not None and self.same >= same_most)):
            limit = f"at most {same_most - 1} are tolerated" if same_most is not None and self.same >= same_most else ""
            why = limit or f"e = {self.same_e:.3g} of {self.needed:.3g}"
            return "signature", f"{self.same} of {self.n} nodes failed alike ({why}): {self.signature}"
        if self.k and self.e >= self.needed:
            return "evidence", (
                f"{self.k} of {self.n} nodes failed, against a tolerated {self.tolerated:.2%}: e = {self.e:.3g} of"
                f" {self.needed:.3g}; most often ({self.same}): {self.signature}"
            )
        return None


def weigh(found: Standing, control: Control, now: float) -> Evidence:
    """The evidence of what was counted.

    The rollout's e-value is the mean of the whole fleet's and of the strata's mean: both are e-processes of the same history, and so is
    their mean; a bad stratum halts even if the others are clean.
    """
    caps = found.rules.caps
    tolerated = min(_MOST_TOLERATED, caps.tolerate + control.rate)
    strata = tuple(_stratum(name, found, tolerated, now) for name, item in found.strata.items() if _anything(item))
    k = sum(item.failed_since for item in found.strata.values())
    n = sum(item.tried for item in found.strata.values())
    whole = e_value(k, n, tolerated)
    e = whole if len(strata) <= 1 else (whole + sum(item.e for item in strata) / len(strata)) / 2
    signature, same = found.signatures.most_common(1)[0] if found.signatures else ("", 0)
    # A node that failed before it was touched is no outcome of the test, but it has this signature: it was tried all the same.
    tried = max(n, same) + found.unprovoked
    return Evidence(
        strata=strata,
        k=k,
        n=n,
        e=e,
        needed=needed(caps.confidence),
        tolerated=tolerated,
        control=control,
        signature=signature,
        same=same,
        same_e=e_value(same, tried, tolerated * SAME_SHARE) if same else 0.0,
    )


def _anything(item: Stratum) -> bool:
    return bool(item.in_flight or item.clean or item.failed)


def _stratum(name: str, found: Standing, tolerated: float, now: float) -> StratumEvidence:
    caps, item = found.rules.caps, found.stratum(name)
    bake_s = caps.bake_s
    bound = bound_of(found, name, now)
    seen = item.seen(now, bake_s)
    return StratumEvidence(
        stratum=name,
        in_flight=item.in_flight,
        n=item.clean + item.failed,
        k=item.failed,
        n_eff=round(seen.clean, 2),
        U=bound,
        exposed=round(item.exposed(now, bake_s), 2),
        allowed=allowed(caps.risk, bound) if item.clean else 1,
        e=e_value(item.failed_since, item.tried, tolerated),
    )


def bound_of(found: Standing, name: str, now: float) -> float:
    """U of one stratum, with what the others have shown."""
    bake_s = found.rules.caps.bake_s
    own = found.stratum(name).seen(now, bake_s)
    if len(found.strata) == 1:
        return upper_bound(own)
    others = [item.told(now, bake_s) for other, item in found.strata.items() if other != name]
    return upper_bound(own, Seen(clean=sum(each.clean for each in others), failed=sum(each.failed for each in others)))


def control_group(state: RolloutState, rules: Rules, now: float) -> Control:
    """What the nodes that wait, and those that were found broken when their turn came, say of the ambient failure rate.

    Args:
        state: of the rollout.
        rules: its rules.
        now: field time.
    """
    start = state.started_at
    if start is None:
        return Control()
    nodes = [(name, state.nodes[name]) for name in rules.order]
    waited = sum(max(0.0, (node.admitted_at or now) - start) for _, node in nodes)
    failed = sum(_found_broken(node) for _, node in nodes)
    took = [
        node.ended_at - node.admitted_at
        for _, node in nodes
        if node.intents and node.ended_at is not None and node.admitted_at is not None
    ]
    usual = list(rules.expected_s.values()) or [0.0]
    run_s = sum(took) / len(took) if took else sum(usual) / len(usual)
    return Control(failed=failed, node_s=waited, run_s=run_s)


def _found_broken(node: NodeState) -> bool:
    return node.status is NodeStatus.QUARANTINED and not node.intents
