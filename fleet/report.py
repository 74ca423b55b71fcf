"""What became of a rollout: totals, failures by reason, plan against actual. Pure; made from events and state alone.

Works for a rollout that still runs: what has not ended yet is None.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import mean, quantiles

from fleet.condense import condense
from fleet.events import Json, Recorded
from fleet.plan import Plan
from fleet.recipe import ACTIVATE
from fleet.state import TERMINAL, NodeState, NodeStatus, RolloutState
from fleet.trace import Trace, trace
from fleet.words import clean, target_of

_EXPLAINED = (NodeStatus.QUARANTINED, NodeStatus.ROLLED_BACK, NodeStatus.ROLLING_BACK, NodeStatus.REFUSED)
_P95 = 94
"""Index of the 95th percentile among the 99 cut points of 100 quantiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that ended alike."""

    status: NodeStatus
    reason: str
    nodes: tuple[str, ...]
    example: str
    """Message of the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveReport:
    """One wave, as planned and as it went."""

    wave: int
    """0 is the canary."""
    size: int
    done: int
    """Nodes in a terminal state."""
    failed: int
    opened_at: float | None
    """Field time; None if it never opened."""
    duration_s: float | None
    """From its opening to the end of its last node; None while nodes are out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Plan against actual. Durations are field seconds."""

    predicted_s: float
    actual_s: float | None
    """From the first wave's opening to the end, or to the last event so far."""
    held_s: float
    """Of that, paused, halted or waiting for approval."""
    node_predicted_s: float | None
    """Mean over the recipes of the nodes that were confirmed after work."""
    node_mean_s: float | None
    node_p95_s: float | None
    in_flight_peak: int
    in_flight_cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survived:
    """What went wrong and was settled without a person."""

    uncertain: int
    """Effects whose outcome was not known at first."""
    found_done: int
    """Of those, the hardware showed that they had happened."""
    found_absent: int
    """Of those, proven not to have happened."""
    open: int
    """Of those, not settled."""
    retried: int
    """Effects announced again after the first was proven absent or refused."""
    power_retried: int
    """Of those, power actions that were accepted and ignored."""
    processes: int
    """Processes that ran the rollout one after the other; more than 1: it was resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Images that were handed over to nodes and are not proven to be in force."""

    component: str
    version: str
    stage: str
    """`not staged` (the flash goes on, or failed), `not activated` (the next reset will) or `not verified` (it was reset)."""
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All of it."""

    rollout: str
    playbook: str
    baseline: str
    status: str
    cause: str
    message: str
    by: str
    reverses: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    totals: Mapping[str, int]
    """Every status -> nodes."""
    failure_budget: int
    failures: int
    accepted_failures: int
    groups: tuple[Group, ...]
    """Quarantined, rolled back and refused nodes by reason; the largest group of a status first."""
    pace: Pace
    waves: tuple[WaveReport, ...]
    flashes: Mapping[str, int]
    """Component -> images that were handed over, ways back included."""
    survived: Survived
    standing: tuple[Standing, ...]

    def to_json(self) -> Json:
        """JSON's own types; `nodes` of groups also condensed, as `nodes_condensed`."""
        data = asdict(self)
        for item in (*data["groups"], *data["standing"]):
            item["nodes_condensed"] = condense(item["nodes"])
        return data


def make_report(state: RolloutState, recorded: Iterable[Recorded]) -> Report:
    """The report.

    Args:
        state: what the events make.
        recorded: the rollout's events from the first, in order.
    """
    seen = trace(recorded)
    plan = Plan.from_json(state.plan) if state.plan else None
    return Report(
        rollout=state.rollout,
        playbook=state.playbook,
        baseline=plan.baseline if plan else "",
        status=state.status.value,
        cause=state.cause,
        message=clean(state.message),
        by=state.by,
        reverses=state.reverses,
        created_at=state.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        totals={status.value: count for status, count in state.count().items()},
        failure_budget=plan.caps.failure_budget if plan else 0,
        failures=state.failures,
        accepted_failures=state.accepted_failures,
        groups=groups(state.nodes),
        pace=_pace(state, plan, seen),
        waves=_waves(state, plan, seen),
        flashes=_flashes(plan, seen),
        survived=_survived(seen),
        standing=standing(state, plan),
    )


def groups(nodes: Mapping[str, NodeState]) -> tuple[Group, ...]:
    """Nodes that did not get there, by status and reason; the largest group of a status first."""
    found: defaultdict[tuple[NodeStatus, str], list[str]] = defaultdict(list)
    for name, node in nodes.items():
        if node.status in _EXPLAINED:
            found[node.status, node.reason].append(name)
    ordered = sorted(found.items(), key=lambda item: (_EXPLAINED.index(item[0][0]), -len(item[1]), item[0][1]))
    return tuple(
        Group(status=status, reason=reason, nodes=tuple(sorted(names)), example=clean(nodes[names[0]].message))
        for (status, reason), names in ordered
    )


def _pace(state: RolloutState, plan: Plan | None, seen: Trace) -> Pace:
    worked = {
        name: node.ended_at - node.admitted_at
        for name, node in state.nodes.items()
        if node.status is NodeStatus.CONFIRMED
        and node.effects
        and node.ended_at is not None
        and node.admitted_at is not None
    }
    took = list(worked.values())
    expected = [plan.recipes[plan.nodes[name].recipe].expected_s for name in worked] if plan else []
    end = state.ended_at if state.ended_at is not None else seen.last_at
    return Pace(
        predicted_s=plan.expected_s() if plan else 0.0,
        actual_s=None if state.started_at is None else end - state.started_at,
        held_s=seen.held_s,
        node_predicted_s=mean(expected) if expected else None,
        node_mean_s=mean(took) if took else None,
        node_p95_s=_p95(took),
        in_flight_peak=seen.in_flight_peak,
        in_flight_cap=plan.caps.max_in_flight if plan else 0,
    )


def _p95(values: list[float]) -> float | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else quantiles(values, n=100, method="inclusive")[_P95]


def _waves(state: RolloutState, plan: Plan | None, seen: Trace) -> tuple[WaveReport, ...]:
    if plan is None:
        return ()
    starts = (0, *plan.caps.waves[:-1])
    return tuple(
        _wave(index, [state.nodes[node] for node in plan.order[start:full]], seen.wave_opened_at.get(index))
        for index, (start, full) in enumerate(zip(starts, plan.caps.waves, strict=True))
    )


def _wave(index: int, members: list[NodeState], opened_at: float | None) -> WaveReport:
    ends = [node.ended_at for node in members if node.status in TERMINAL and node.ended_at is not None]
    over = opened_at is not None and len(ends) == len(members)
    return WaveReport(
        wave=index,
        size=len(members),
        done=len(ends),
        failed=sum(node.status in {NodeStatus.QUARANTINED, NodeStatus.ROLLED_BACK} for node in members),
        opened_at=opened_at,
        duration_s=max(ends, default=opened_at) - opened_at if over and opened_at is not None else None,
    )


def _flashes(plan: Plan | None, seen: Trace) -> dict[str, int]:
    flashes: Counter[str] = Counter()
    for target, times in seen.submitted.items():
        known = plan.targets.get(target) if plan else None
        flashes[known.component if known else target] += times
    return dict(sorted(flashes.items()))


def _survived(seen: Trace) -> Survived:
    return Survived(
        uncertain=seen.uncertain,
        found_done=seen.found_done,
        found_absent=seen.found_absent,
        open=len(seen.unsettled),
        retried=seen.retried,
        power_retried=seen.power_retried,
        processes=seen.processes,
    )


def standing(state: RolloutState, plan: Plan | None) -> tuple[Standing, ...]:
    """Images that are handed over and not proven to be in force, on nodes that have not reached their goal."""
    if plan is None:
        return ()
    found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name, node in state.nodes.items():
        if node.status not in {NodeStatus.CONFIRMED, NodeStatus.ROLLED_BACK} and node.effects:
            for target, stage in waiting(node).items():
                known = plan.targets.get(target)
                key = (known.component, known.version, stage) if known else (target, "", stage)
                found[key].append(name)
    return tuple(
        Standing(component=component, version=version, stage=stage, nodes=tuple(sorted(names)))
        for (component, version, stage), names in sorted(found.items())
    )


def waiting(node: NodeState) -> dict[str, str]:
    """Target -> stage (see Standing) of images that were handed over to this node."""
    left: dict[str, str] = {}
    for effect, entry in node.effects.items():
        step, _, name = effect.rpartition("/")
        if name == "submit" and target_of(step) and entry.result is not None:
            left[target_of(step)] = "not activated" if step in node.steps else "not staged"
        elif ACTIVATE in step:
            verified = node.steps.get(step) == "done"
            left = {} if verified else dict.fromkeys(left, "not verified")
    return left
