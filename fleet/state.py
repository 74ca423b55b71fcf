"""What is true now, made from events and from nothing else. Pure: no clock, no I/O.

Engine, `fleet status`, the cockpit, resume and replay all call the same `fold`, so they cannot disagree.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fleet import events as ev
from fleet.events import Json, Recorded, RolloutId


class NodeStatus(StrEnum):
    """Where a node is in a rollout."""

    PENDING = "pending"
    REFUSED = "refused"
    RUNNING = "running"
    UNCERTAIN = "uncertain"
    PARKED = "parked"
    ROLLING_BACK = "rolling-back"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled-back"
    QUARANTINED = "quarantined"


class RolloutStatus(StrEnum):
    """Where a rollout is."""

    SURVEYING = "surveying"
    PLANNED = "planned"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting-approval"
    PAUSED = "paused"
    HALTED = "halted"
    ABORTING = "aborting"
    ABORTED = "aborted"
    COMPLETED = "completed"
    DRY_RUN = "dry-run"
    """Planned only; nothing was touched."""
    REFUSED = "refused"
    """The precheck refused; nothing was touched."""


TERMINAL = frozenset({NodeStatus.REFUSED, NodeStatus.CONFIRMED, NodeStatus.ROLLED_BACK, NodeStatus.QUARANTINED})
ACTIVE = frozenset({NodeStatus.RUNNING, NodeStatus.UNCERTAIN, NodeStatus.PARKED, NodeStatus.ROLLING_BACK})
FAILED = frozenset({NodeStatus.ROLLING_BACK, NodeStatus.ROLLED_BACK, NodeStatus.QUARANTINED})
ENDED = frozenset({RolloutStatus.ABORTED, RolloutStatus.COMPLETED, RolloutStatus.DRY_RUN, RolloutStatus.REFUSED})

TRANSITIONS: Mapping[NodeStatus, frozenset[NodeStatus]] = {
    NodeStatus.PENDING: frozenset({NodeStatus.RUNNING, NodeStatus.REFUSED}),
    NodeStatus.RUNNING: ACTIVE | TERMINAL - {NodeStatus.REFUSED, NodeStatus.ROLLED_BACK},
    NodeStatus.UNCERTAIN: ACTIVE | {NodeStatus.QUARANTINED},
    NodeStatus.PARKED: ACTIVE | {NodeStatus.QUARANTINED},
    NodeStatus.ROLLING_BACK: frozenset(
        {
            NodeStatus.ROLLING_BACK,
            NodeStatus.UNCERTAIN,
            NodeStatus.PARKED,
            NodeStatus.ROLLED_BACK,
            NodeStatus.QUARANTINED,
        }
    ),
    NodeStatus.REFUSED: frozenset(),
    NodeStatus.CONFIRMED: frozenset({NodeStatus.QUARANTINED}),
    NodeStatus.ROLLED_BACK: frozenset(),
    NodeStatus.QUARANTINED: frozenset(),
}
"""The only ways from one status to another. The diagram in docs/ is generated from this table."""


class IllegalTransition(Exception):
    """The events contradict the table: a bug, or a journal that was edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An announced effect, and its result once there is one."""

    detail: Json
    result: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node of one rollout."""

    status: NodeStatus = NodeStatus.PENDING
    wave: int = -1
    step: str = ""
    """The step in progress, or the last one."""
    phase: NodeStatus = NodeStatus.RUNNING
    """RUNNING or ROLLING_BACK: which direction the node goes, also while uncertain or parked."""
    reason: str = ""
    message: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)
    """Ended steps -> outcome."""
    effects: Mapping[str, Effect] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """What a flash must leave alone, as it was before the first one; empty before that."""
    intents: int = 0
    """Effects that were ever announced, those that came to nothing included; 0: nothing was done to the node."""
    power: Mapping[str, int] = field(default_factory=dict)
    """Stages that power is reserved for -> watts of the whole node."""
    power_waits: str = ""
    """Which breaker has no room for its next stage; empty: it waits for none."""
    waits_for: str = ""
    """What a parked node waits for, beside the rollout: "window", or nothing."""
    due_at: float | None = None
    """Field time at which that comes; None: never, as far as is known."""
    admitted_at: float | None = None
    failed_at: float | None = None
    """When it failed first: when its way back began, or when it was held."""
    ended_at: float | None = None

    def held_at(self, now: float) -> bool:
        """Whether it is parked for a window that has not opened yet."""
        return self.status is NodeStatus.PARKED and bool(self.waits_for) and (self.due_at is None or now < self.due_at)


@dataclass(slots=True, kw_only=True)
class RolloutState:
    """One rollout. Changed by `fold` alone."""

    rollout: RolloutId
    status: RolloutStatus = RolloutStatus.SURVEYING
    playbook: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    reverses: str = ""
    plan: Json = field(default_factory=dict)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    epoch: int = 0
    owner: str = ""
    wave: int = -1
    """The wave that is open; -1 before the first."""
    approved: frozenset[int] = frozenset()
    cause: str = ""
    message: str = ""
    accepted_failures: int = 0
    accepted_at: float | None = None
    """When a person last went on in spite of failures: the evidence that may halt the rollout begins anew from there."""
    failures: int = 0
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    seq: int = 0

    def count(self) -> dict[NodeStatus, int]:
        """Nodes by status, in the order of the enum."""
        totals = dict.fromkeys(NodeStatus, 0)
        for node in self.nodes.values():
            totals[node.status] += 1
        return totals


def fold_node(node: NodeState, event: ev.NodeEvent, at: float) -> NodeState:
    """The node after the event. Pure."""
    step = _NODE_FOLDS.get(type(event))
    return node if step is None else step(node, event, at)


def fold(state: RolloutState, recorded: Recorded) -> RolloutState:
    """The state after the event. Owns its argument and returns it, advanced: a copy of 10,000 nodes an event is no option."""
    event, state.seq = recorded.event, recorded.seq
    if isinstance(event, ev.NodeEvent):
        old = state.nodes.get(event.node)
        if old is not None:
            new = fold_node(old, event, recorded.at)
            state.nodes[event.node] = new
            state.failures += (new.status in FAILED or new.phase is NodeStatus.ROLLING_BACK) - (
                old.status in FAILED or old.phase is NodeStatus.ROLLING_BACK
            )
        return state
    step = _ROLLOUT_FOLDS.get(type(event))
    if step is not None:
        step(state, event, recorded.at)
    return state


def replay(rollout: RolloutId, recorded: Iterable[Recorded]) -> RolloutState:
    """The state that these events make."""
    state = RolloutState(rollout=rollout)
    for item in recorded:
        fold(state, item)
    return state


def _to(node: NodeState, status: NodeStatus) -> NodeStatus:
    if status is not node.status and status not in TRANSITIONS[node.status]:
        raise IllegalTransition(f"{node.status} -> {status} is not in the table of transitions")
    return status


def _admitted(node: NodeState, event: ev.NodeAdmitted, at: float) -> NodeState:
    status = _to(node, node.phase)
    since = node.admitted_at or at
    return replace(node, status=status, wave=event.wave, admitted_at=since, waits_for="", due_at=None)


def _refused(node: NodeState, event: ev.NodeRefused, at: float) -> NodeState:
    status = _to(node, NodeStatus.REFUSED)
    return replace(node, status=status, reason=event.reason, message=event.message, ended_at=at)


def _observed(node: NodeState, event: ev.NodeObserved, _at: float) -> NodeState:
    return replace(node, before=event.versions) if event.when == "before" else replace(node, after=event.versions)


def _settings(node: NodeState, event: ev.SettingsObserved, _at: float) -> NodeState:
    return replace(node, settings=event.settings)


def _step_started(node: NodeState, event: ev.StepStarted, _at: float) -> NodeState:
    return replace(node, step=event.step)


def _step_ended(node: NodeState, event: ev.StepEnded, _at: float) -> NodeState:
    return replace(node, step=event.step, steps={**node.steps, event.step: event.outcome})


def _intended(node: NodeState, event: ev.IntentRecorded, _at: float) -> NodeState:
    effects = {**node.effects, event.effect: Effect(detail=event.detail)}
    return replace(node, effects=effects, intents=node.intents + 1)


def _happened(node: NodeState, event: ev.EffectRecorded, _at: float) -> NodeState:
    old = node.effects.get(event.effect, Effect(detail={}))
    effects = {**node.effects, event.effect: replace(old, result=event.result)}
    return replace(node, effects=effects, status=_to(node, node.phase))


def _absent(node: NodeState, event: ev.EffectAbsent, _at: float) -> NodeState:
    effects = {key: value for key, value in node.effects.items() if key != event.effect}
    return replace(node, effects=effects, status=_to(node, node.phase))


def _power_waiting(node: NodeState, event: ev.PowerWaiting, _at: float) -> NodeState:
    return replace(node, power_waits=event.why)


def _power_reserved(node: NodeState, event: ev.PowerReserved, _at: float) -> NodeState:
    return replace(node, power={**node.power, event.stage: event.watts}, power_waits="")


def _power_released(node: NodeState, event: ev.PowerReleased, _at: float) -> NodeState:
    return replace(node, power={stage: watts for stage, watts in node.power.items() if stage != event.stage})


def _uncertain(node: NodeState, event: ev.NodeUncertain, _at: float) -> NodeState:
    return replace(node, status=_to(node, NodeStatus.UNCERTAIN), message=event.why)


def _parked(node: NodeState, event: ev.NodeParked, _at: float) -> NodeState:
    status = _to(node, NodeStatus.PARKED)
    return replace(
        node, status=status, message=event.why, power_waits="", waits_for=event.waits_for, due_at=event.until
    )


def _rolling_back(node: NodeState, event: ev.NodeRollingBack, at: float) -> NodeState:
    status = _to(node, NodeStatus.ROLLING_BACK)
    failed_at = node.failed_at or at
    return replace(node, status=status, phase=status, reason=event.reason, message=event.message, failed_at=failed_at)


def _confirmed(node: NodeState, event: ev.NodeConfirmed, at: float) -> NodeState:
    return replace(node, status=_to(node, NodeStatus.CONFIRMED), message=event.detail, ended_at=at)


def _failed(node: NodeState, event: ev.NodeRolledBack | ev.NodeQuarantined, at: float) -> NodeState:
    wanted = NodeStatus.ROLLED_BACK if isinstance(event, ev.NodeRolledBack) else NodeStatus.QUARANTINED
    if node.status is NodeStatus.CONFIRMED:
        raise IllegalTransition(f"{node.status} -> {wanted}: a confirmed node fails by relapsing, and in no other way")
    return replace(
        node,
        status=_to(node, wanted),
        reason=event.reason,
        message=event.message,
        failed_at=node.failed_at or at,
        ended_at=at,
        power_waits="",
    )


def _relapsed(node: NodeState, event: ev.NodeRelapsed, at: float) -> NodeState:
    status = _to(node, NodeStatus.QUARANTINED)
    return replace(
        node, status=status, reason=event.reason, message=event.message, failed_at=node.failed_at or at, ended_at=at
    )


_NODE_FOLDS: Mapping[type[ev.Event], Callable[..., NodeState]] = {
    ev.NodeAdmitted: _admitted,
    ev.NodeRefused: _refused,
    ev.NodeObserved: _observed,
    ev.SettingsObserved: _settings,
    ev.StepStarted: _step_started,
    ev.StepEnded: _step_ended,
    ev.IntentRecorded: _intended,
    ev.EffectRecorded: _happened,
    ev.EffectAbsent: _absent,
    ev.PowerWaiting: _power_waiting,
    ev.PowerReserved: _power_reserved,
    ev.PowerReleased: _power_released,
    ev.NodeUncertain: _uncertain,
    ev.NodeParked: _parked,
    ev.NodeRollingBack: _rolling_back,
    ev.NodeConfirmed: _confirmed,
    ev.NodeRelapsed: _relapsed,
    ev.NodeRolledBack: _failed,
    ev.NodeQuarantined: _failed,
}


def _created(state: RolloutState, event: ev.RolloutCreated, at: float) -> None:
    state.playbook, state.sources, state.by = event.playbook, event.sources, event.by
    state.reverses, state.created_at = event.reverses, at


def _planned(state: RolloutState, event: ev.RolloutPlanned, _at: float) -> None:
    state.plan = event.plan
    state.nodes = {node: NodeState(wave=item["wave"]) for node, item in event.plan["nodes"].items()}
    state.status = RolloutStatus.PLANNED


def _claimed(state: RolloutState, event: ev.RolloutClaimed, _at: float) -> None:
    state.owner, state.epoch = event.owner, event.epoch


def _wave_opened(state: RolloutState, event: ev.WaveOpened, at: float) -> None:
    state.wave, state.status = event.wave, RolloutStatus.RUNNING
    state.started_at = state.started_at or at


def _approval_needed(state: RolloutState, event: ev.ApprovalNeeded, _at: float) -> None:
    state.status, state.message = RolloutStatus.WAITING_APPROVAL, f"wave {event.wave + 1} waits for `fleet approve`"


def _approved(state: RolloutState, event: ev.WaveApproved, _at: float) -> None:
    state.approved |= {event.wave}
    state.status, state.message = RolloutStatus.RUNNING, ""


def _paused(state: RolloutState, event: ev.RolloutPaused, _at: float) -> None:
    state.status, state.message = RolloutStatus.PAUSED, f"paused by {event.by}"


def _continued(state: RolloutState, event: ev.RolloutContinued, at: float) -> None:
    state.status, state.cause, state.message = RolloutStatus.RUNNING, "", ""
    if event.accepted_failures > state.accepted_failures:
        state.accepted_at = at
    state.accepted_failures = event.accepted_failures
    for name, node in state.nodes.items():
        if node.waits_for and node.due_at is None:
            state.nodes[name] = replace(node, waits_for="")  # a person asks again


def _halted(state: RolloutState, event: ev.RolloutHalted, _at: float) -> None:
    state.status, state.cause, state.message = RolloutStatus.HALTED, event.cause, event.message


def _aborting(state: RolloutState, event: ev.RolloutAborting, _at: float) -> None:
    state.status, state.message = RolloutStatus.ABORTING, f"aborted by {event.by}"


def _ended(state: RolloutState, event: ev.RolloutEnded, at: float) -> None:
    state.status = RolloutStatus(event.outcome)
    state.ended_at = at


_ROLLOUT_FOLDS: Mapping[type[ev.Event], Callable[..., None]] = {
    ev.RolloutCreated: _created,
    ev.RolloutPlanned: _planned,
    ev.RolloutClaimed: _claimed,
    ev.WaveOpened: _wave_opened,
    ev.ApprovalNeeded: _approval_needed,
    ev.WaveApproved: _approved,
    ev.RolloutPaused: _paused,
    ev.RolloutContinued: _continued,
    ev.RolloutHalted: _halted,
    ev.RolloutAborting: _aborting,
    ev.RolloutEnded: _ended,
}
