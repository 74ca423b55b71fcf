"""One moment of a rollout as the screens need it: immutable, so that a thread makes it and the loop draws it."""

from dataclasses import dataclass
from enum import StrEnum

from fleet.events import Recorded
from fleet.explain import Line
from fleet.overview import Process
from fleet.report import Group, Standing
from fleet.state import ACTIVE, ENDED, NodeState, NodeStatus, RolloutStatus
from fleet.tally import WaveTally
from tui.hall import Hall
from tui.history import History


class Mode(StrEnum):
    """What is watched."""

    LIVE = "live"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """Where a replay is."""

    start: float
    end: float
    part: float
    """0 to 1."""
    speed: float
    motion: str
    """playing or held (tui.timeline.Motion)."""
    marks: tuple[float, ...] = ()
    """Parts of the whole at which a node failed or the rollout was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All of it."""

    rollout: str
    mode: Mode
    playbook: str
    status: RolloutStatus
    cause: str
    message: str
    process: Process
    owner: str
    """host:pid of the process that took it over last."""
    now: float
    """Field time: the clock's while a process works on it, else that of the newest event."""
    started_at: float | None
    ended_at: float | None
    speed: float
    """Field seconds per wall second; other than 1 only over a simulated hall."""
    hall: Hall
    statuses: tuple[NodeStatus, ...]
    """In the order of hall.nodes."""
    steps: tuple[str, ...]
    """The step of each node, in the same order: the one in progress, or the last."""
    counts: dict[NodeStatus, int]
    doing: tuple[tuple[str, int], ...]
    """Step -> nodes that are in it now; the fullest first."""
    waves: tuple[WaveTally, ...]
    wave: int
    """The open one, 0 is the canary; -1 before the first."""
    in_flight: int
    cap: int
    failures: int
    """Those that count against the budget: accepted ones are left out."""
    accepted: int
    budget: int
    left_s: float | None
    trouble_groups: tuple[Group, ...]
    """Nodes that did not get there, by status and reason."""
    history: History
    upto: int
    """How many of the history's events have happened."""
    recent: tuple[Recorded, ...]
    """Notable ones, the newest last."""
    playing: Playing | None = None
    trouble: str = ""
    """Why the journal cannot be read just now."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED

    @property
    def total(self) -> int:
        """Nodes that the rollout may touch."""
        return sum(wave.size for wave in self.waves)

    @property
    def moving(self) -> int:
        """Nodes in flight that have not reached a safe point."""
        return sum(self.counts[status] for status in ACTIVE if status is not NodeStatus.PARKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step of one node."""

    key: str
    mark: str
    """A key of tui.node_text.STEP_MARKS."""
    took_s: float | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node, whole."""

    name: str
    state: NodeState
    rack: str
    feeds: tuple[str, ...]
    model: str
    serial: str
    profile: str
    steps: tuple[StepView, ...]
    versions: tuple[tuple[str, str, str], ...]
    """Item, version before, version after; an empty text where it was not read."""
    lines: tuple[Line, ...]
    """As `fleet why ROLLOUT NODE` tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a person must know before a request: made when it is asked for."""

    snapshot: Snapshot
    standing: tuple[Standing, ...]
    """Images that are handed over and not proven to be in force."""
