"""Who may start now, and if nobody, why not. Pure; work-conserving within a wave.

Called after every change of state. It sees the state, the plan's order and caps, and the time; it changes nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.policy.spec import Caps
from fleet.policy.window import Window
from fleet.state import ACTIVE, FAILED, TERMINAL, NodeState, NodeStatus, RolloutState, RolloutStatus


@dataclass(frozen=True, slots=True)
class Domains:
    """Where a node stands: what fails together with it."""

    rack: str
    feeds: tuple[str, ...]


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


def decide(
    state: RolloutState, order: Sequence[str], domains: Mapping[str, Domains], caps: Caps, now: float
) -> Decision:
    """The next thing to do.

    Args:
        state: what is true now.
        order: nodes in the order of admission; a wave is a prefix of it.
        domains: node -> where it stands.
        caps: counts that are never exceeded.
        now: field time.
    """
    halt = _evidence(state, order, caps)
    if halt is not None:
        return halt
    if all(state.nodes[node].status in TERMINAL for node in order):
        return Finished()
    return _gate(state, 0, caps, now) if state.wave < 0 else _within_wave(state, order, domains, caps, now)


def _within_wave(
    state: RolloutState, order: Sequence[str], domains: Mapping[str, Domains], caps: Caps, now: float
) -> Decision:
    members = order[: caps.waves[state.wave]]
    pending = [node for node in members if state.nodes[node].status is NodeStatus.PENDING]
    if not pending:
        if all(state.nodes[node].status in TERMINAL for node in members):
            return _next_wave(state, members, caps, now)
        return Wait(why=f"wave {state.wave + 1} of {len(caps.waves)} is under way")
    if caps.window is not None and not caps.window.open_at(now):
        return _closed(caps.window, now)
    return _admit(state, pending, domains, caps)


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


def _closed(window: Window, now: float) -> Closed:
    opening = window.next_opening(now)
    again = "will not open again" if opening is None else "is closed"
    return Closed(why=f"the maintenance window ({window}) {again}", until=opening)


def _admit(state: RolloutState, pending: Sequence[str], domains: Mapping[str, Domains], caps: Caps) -> Decision:
    in_flight, out = 0, Counter[tuple[str, str]]()
    for node, item in state.nodes.items():
        active = item.status in ACTIVE
        in_flight += active
        if active or item.status is NodeStatus.QUARANTINED:
            out.update(_keys(domains[node]))
    start: list[str] = []
    for node in pending:
        if in_flight + len(start) >= caps.max_in_flight:
            break
        keys = _keys(domains[node])
        if all(out[key] < _cap(caps, key) for key in keys):
            start.append(node)
            out.update(keys)
    if start:
        return Admit(nodes=tuple(start))
    if in_flight:
        return Wait(why=f"{in_flight} in flight of at most {caps.max_in_flight}")
    node = pending[0]
    full = next(key for key in _keys(domains[node]) if out[key] >= _cap(caps, key))
    return Stop(
        cause="domain",
        message=f"{full[0]} {full[1]} has {out[full]} nodes out, its cap is {_cap(caps, full)}: {node} cannot start"
        " until a quarantined one is repaired",
    )


def _keys(domains: Domains) -> list[tuple[str, str]]:
    return [("rack", domains.rack), *(("feed", feed) for feed in domains.feeds)]


def _cap(caps: Caps, key: tuple[str, str]) -> int:
    kind, name = key
    return (caps.rack if kind == "rack" else caps.feed).get(name, 1 << 30)
