"""One rollout at one glance: what `fleet status` shows and prints as JSON. Pure."""

from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum

from fleet.events import Json
from fleet.state import RolloutState, RolloutStatus
from fleet.tally import Tally, WaveTally
from fleet.words import clean


class Process(StrEnum):
    """Whether a living process works on the rollout."""

    RUNS = "runs"
    NONE = "none"
    UNKNOWN = "unknown"
    """Its lock cannot be read from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A rollout in numbers."""

    rollout: str
    playbook: str
    status: str
    cause: str
    message: str
    process: Process
    owner: str
    """host:pid of the process that took it over last."""
    created_at: float
    started_at: float | None
    ended_at: float | None
    last_at: float
    """Field time of the newest event; what follows is true of that moment."""
    nodes: dict[str, int]
    """Every status -> nodes."""
    wave: int
    """The open wave, 0 is the canary; -1 before the first."""
    waves: tuple[WaveTally, ...]
    in_flight: int
    in_flight_cap: int
    failures: int
    accepted_failures: int
    failure_budget: int
    power_waits: dict[str, int]
    """Which breaker has no room -> nodes that wait for it."""
    left_s: float | None
    """Expected field seconds to the end, while it runs."""

    def to_json(self) -> Json:
        """JSON's own types."""
        return asdict(self)


def waiting_for_power(state: RolloutState) -> Counter[str]:
    """Which breaker has no room, as it was said first -> nodes that wait for it."""
    return Counter(clean(node.power_waits) for node in state.nodes.values() if node.power_waits)


def overview(state: RolloutState, *, last_at: float, process: Process) -> Overview:
    """The rollout as its events tell it."""
    tally = Tally(state)
    return Overview(
        rollout=state.rollout,
        playbook=state.playbook,
        status=state.status.value,
        cause=state.cause,
        message=clean(state.message),
        process=process,
        owner=state.owner,
        created_at=state.created_at,
        started_at=state.started_at,
        ended_at=state.ended_at,
        last_at=last_at,
        nodes={status.value: count for status, count in tally.counts.items()},
        wave=state.wave,
        waves=tuple(tally.waves),
        in_flight=tally.in_flight,
        in_flight_cap=tally.cap,
        failures=state.failures,
        accepted_failures=state.accepted_failures,
        failure_budget=tally.budget,
        power_waits=dict(waiting_for_power(state)),
        left_s=tally.left_s(last_at) if state.status is RolloutStatus.RUNNING else None,
    )
