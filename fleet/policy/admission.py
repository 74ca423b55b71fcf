"""Who may start now, and if nobody, why not. Pure; work-conserving within a wave.

Called after every change of state. It sees the state, the rules of the plan and the time; it changes nothing. A rollout in explicit waves
halts by its budget and by its canary; one that is paced by evidence has a single wave, and fleet.policy.pacing says whom it lets in.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.policy import pacing
from fleet.policy.evidence import control_group, weigh
from fleet.policy.pacing import Pending
from fleet.policy.rules import Rules
from fleet.policy.spec import Caps
from fleet.policy.standing import Standing, standing
from fleet.policy.window import Openings
from fleet.state import FAILED, TERMINAL, NodeState, NodeStatus, RolloutState, RolloutStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """These may start."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWave:
    """The next wave may open."""

    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval:
    """A person must let this wave through."""

    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to start now. `until` is the field time at which that may change by itself, if it is known."""

    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Outside the maintenance window. `until` is its next opening, None if there is none."""

    why: str
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The rollout must halt."""

    cause: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Every node is terminal."""


Decision = Admit | OpenWave | AskApproval | Wait | Closed | Stop | Finished


def decide(state: RolloutState, rules: Rules, now: float) -> Decision:
    """The next thing to do.

    Args:
        state: what is true now.
        rules: what the plan froze.
        now: field time.
    """
    found = standing(state, rules)
    halt = _evidence(state, rules.order, rules.caps) or _weighed(state, rules, found, now)
    if halt is not None:
        return halt
    if all(state.nodes[node].status in TERMINAL for node in rules.order):
        return _ripens(found, now) or Finished()
    return _gate(state, 0, rules.caps, now) if state.wave < 0 else _within_wave(state, rules, found, now)


def _within_wave(state: RolloutState, rules: Rules, found: Standing, now: float) -> Decision:
    order, caps = rules.order, rules.caps
    members = order[: caps.waves[state.wave]]
    pending = [node for node in members if state.nodes[node].status is NodeStatus.PENDING]
    if not pending:
        if all(state.nodes[node].status in TERMINAL for node in members):
            return _next_wave(state, members, caps, now)
        return Wait(why=f"wave {state.wave + 1} of {len(caps.waves)} is under way")
    if caps.window is not None and not caps.window.open_at(now):
        return _closed(caps.window, now)
    ended = {name for name in rules.units if state.nodes[name].status in TERMINAL} if rules.units else set()
    return _admit(pacing.admit(Pending(nodes=pending, ended=ended), found, now))


def _ripens(found: Standing, now: float) -> Wait | None:
    """The last successes are looked at again before the rollout is called over: as long as one of them is young."""
    bake_s = found.rules.caps.bake_s
    youngest = max((item.fresh_at for item in found.strata.values() if item.clean > item.inert), default=None)
    if not found.rules.caps.risk or not bake_s or youngest is None or now >= youngest + bake_s:
        return None
    return Wait(why="every node has ended; the last ones are looked at again while they ripen", until=youngest + bake_s)


def _admit(answer: pacing.Answer) -> Decision:
    match answer:
        case pacing.Start(nodes=nodes):
            return Admit(nodes=nodes)
        case pacing.Hold(why=why, until=until):
            return Wait(why=why, until=until)
        case pacing.Stuck(message=message):
            return Stop(cause="domain", message=message)


def _weighed(state: RolloutState, rules: Rules, found: Standing, now: float) -> Stop | None:
    """The reason to stop that lies in the numbers of a rollout that is paced by evidence."""
    if not rules.caps.risk or not (found.signatures or found.unprovoked):
        return None
    said = weigh(found, control_group(state, rules, now), now).halts(rules.caps.alike)
    return None if said is None else Stop(cause=said[0], message=said[1])


def _evidence(state: RolloutState, order: Sequence[str], caps: Caps) -> Stop | None:
    """The reasons to stop that the nodes themselves give."""
    new = state.failures - state.accepted_failures
    if new <= 0:
        return None
    # Once a person has let the rollout go beyond the canary, its old failure is no news.
    canary = order[: caps.waves[0]] if len(caps.waves) > 1 and state.wave == 0 else ()
    for node in canary:
        if state.nodes[node].status in FAILED:
            return Stop(cause="canary", message=f"canary {node} failed: {_why(state.nodes[node])}")
    if new > caps.failure_budget:
        worst, times = Counter(node.reason for node in state.nodes.values() if node.status in FAILED).most_common(1)[0]
        return Stop(
            cause="budget",
            message=f"{new} nodes failed, {caps.failure_budget} are tolerated; most often ({times}): {worst}",
        )
    return None


def _why(node: NodeState) -> str:
    return f"{node.reason}: {node.message}"


def _next_wave(state: RolloutState, members: Sequence[str], caps: Caps, now: float) -> Decision:
    ended = max((state.nodes[node].ended_at or 0.0 for node in members), default=0.0)
    if now < ended + caps.bake_s:
        return Wait(why=f"wave {state.wave + 1} bakes for {caps.bake_s} s", until=ended + caps.bake_s)
    return _gate(state, state.wave + 1, caps, now)


def _gate(state: RolloutState, wave: int, caps: Caps, now: float) -> Decision:
    if caps.window is not None and not caps.window.open_at(now):
        return _closed(caps.window, now)
    if wave in caps.approve and wave not in state.approved:
        if state.status is RolloutStatus.WAITING_APPROVAL:
            return Wait(why=state.message)
        return AskApproval(wave=wave)
    return OpenWave(wave=wave)


def _closed(window: Openings, now: float) -> Closed:
    opening = window.next_opening(now)
    again = "will not open again" if opening is None else "is closed"
    return Closed(why=f"the maintenance window ({window}) {again}", until=opening)
