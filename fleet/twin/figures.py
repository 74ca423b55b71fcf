"""What lives in a twin came to: one life's figures, and their spread over seeds. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles

from fleet.events import Json
from fleet.report import groups
from fleet.state import NodeStatus, RolloutState, RolloutStatus
from fleet.trace import trace
from fleet.twin.life import Life
from fleet.twin.steptimes import HOUR_S, step_hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One life."""

    seed: int
    exit: int
    status: str
    why: str
    """Why it halted or was refused; empty where it ran to its end."""
    makespan_s: float
    """Field seconds from the opening of the first wave to the end, or to the halt."""
    nodes: Mapping[str, int]
    """Status -> nodes."""
    reasons: Mapping[str, int]
    """`status: reason` -> nodes that did not get there."""
    lost: int
    """Quarantined or rolled back."""
    capacity_lost_h: float
    """Node-hours during which a node was out of service: from its admission to its end, or, where nobody gets it back without
    a person, to the end of the rollout."""
    step_h: Mapping[str, float]
    """Step -> its part of the capacity lost, in node-hours."""
    in_flight_peak: int
    hosts_starting_peak: int
    """Most hosts that were in their start (power on, POST) at one moment."""
    requests: int
    """That BMCs answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over seeds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """All seeds."""

    playbook: str
    baseline: str
    nodes: int
    faults: str
    seeds: tuple[int, ...]
    makespan_s: Spread
    lost: Spread
    quarantined: Spread
    rolled_back: Spread
    unstarted: Spread
    """Nodes that were not reached, because the rollout halted."""
    capacity_lost_h: Spread
    step_h: Mapping[str, Spread]
    """Step -> its part of the capacity lost, in node-hours; in the order in which the first life came to them."""
    in_flight_peak: Spread
    hosts_starting_peak: Spread
    halts: Mapping[str, int]
    """Why -> how many seeds."""
    skipped: tuple[str, ...]
    """Steps of the playbook that are not rehearsed."""
    notes: tuple[str, ...]
    lives: tuple[Figures, ...]

    def to_json(self) -> Json:
        """JSON's own types."""
        return asdict(self)


def figures(life: Life) -> Figures:
    """One life's figures."""
    state, end = life.state, life.recorded[-1].at
    started = state.started_at if state.started_at is not None else end
    count = state.count()
    reasons = {f"{group.status.value}: {group.reason}": len(group.nodes) for group in groups(state.nodes)}
    return Figures(
        seed=life.seed,
        exit=int(life.exit),
        status=state.status.value,
        why=_why(state),
        makespan_s=end - started,
        nodes={status.value: number for status, number in count.items() if number},
        reasons=reasons,
        lost=count[NodeStatus.QUARANTINED] + count[NodeStatus.ROLLED_BACK],
        capacity_lost_h=_capacity_lost_s(state, end) / HOUR_S,
        step_h=step_hours(life.recorded, end),
        in_flight_peak=trace(life.recorded).in_flight_peak,
        hosts_starting_peak=_starting_peak(life.starts),
        requests=life.truth["process"]["requests"],
    )


def _why(state: RolloutState) -> str:
    if state.status is RolloutStatus.COMPLETED:
        return ""
    if state.cause:
        return f"{state.cause}: {state.message}"
    first = next((f": {node.reason}: {node.message}" for node in state.nodes.values() if node.reason), "")
    return f"the precheck refused all {len(state.nodes)} nodes{first}"


def rehearsed(
    lives: Iterable[Figures],
    *,
    playbook: str,
    baseline: str,
    faults: str,
    skipped: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Rehearsed:
    """All of them together; there is at least one."""
    all_of = tuple(lives)

    def nodes(status: NodeStatus) -> Spread:
        return spread([life.nodes.get(status.value, 0) for life in all_of])

    return Rehearsed(
        playbook=playbook,
        baseline=baseline,
        nodes=sum(all_of[0].nodes.values()),
        faults=faults,
        seeds=tuple(life.seed for life in all_of),
        makespan_s=spread([life.makespan_s for life in all_of]),
        lost=spread([life.lost for life in all_of]),
        quarantined=nodes(NodeStatus.QUARANTINED),
        rolled_back=nodes(NodeStatus.ROLLED_BACK),
        unstarted=nodes(NodeStatus.PENDING),
        capacity_lost_h=spread([life.capacity_lost_h for life in all_of]),
        step_h={
            step: spread([life.step_h.get(step, 0.0) for life in all_of])
            for step in dict.fromkeys(step for life in all_of for step in life.step_h)
        },
        in_flight_peak=spread([life.in_flight_peak for life in all_of]),
        hosts_starting_peak=spread([life.hosts_starting_peak for life in all_of]),
        halts=dict(Counter(life.why for life in all_of if life.why)),
        skipped=skipped,
        notes=notes,
        lives=all_of,
    )


def spread(values: Sequence[float]) -> Spread:
    """Median and 95th percentile; of one value, that value."""
    if len(values) == 1:
        return Spread(p50=values[0], p95=values[0])
    cuts = quantiles(values, n=100, method="inclusive")
    return Spread(p50=cuts[49], p95=cuts[94])


def _capacity_lost_s(state: RolloutState, end: float) -> float:
    lost = 0.0
    for node in state.nodes.values():
        if node.admitted_at is not None:
            back = node.ended_at if node.status in {NodeStatus.CONFIRMED, NodeStatus.ROLLED_BACK} else None
            lost += (end if back is None else back) - node.admitted_at
    return lost


def _starting_peak(starts: Iterable[tuple[float, float]]) -> int:
    """Sweep over the spans in which hosts start; at one moment, ends come before beginnings."""
    edges = sorted(edge for began, ended in starts for edge in ((began, 1), (ended, -1)))
    now = peak = 0
    for _, step in edges:
        now += step
        peak = max(peak, now)
    return peak
