"""What a row of nodes really draws during a burn-in, and what its meters say of it. Knows nothing of who admits loads.

The case of rollout-science 3.2: 64 nodes in racks of 8, two hours of tests each in segments of 15 minutes. Levels and faults are
assumptions; they compare ways of admitting, they predict no site.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

NODES, RACK = 64, 8
ROW_W, RACK_W = 400_000, 60_000
"""What row and rack may carry for hours."""
NAMEPLATE_W, IDLE_W = 10_200, 2_074
"""DGX H100 (rollout-science 3.1)."""
PEAK_W = {"gemm": 9_600, "nccl": 6_200, "fio": 3_300}
"""Assumed: quantile 0.999 of what a node draws in each kind of test."""
MIX = ("gemm", "gemm", "nccl", "gemm", "gemm", "fio", "gemm", "nccl")
SEGMENT_S = 900.0
STEP_S = 15.0
RISE_S, DIP_S = 30.0, 60.0
SOURCES = ("pdu", "bmc")


@dataclass(slots=True)
class Load:
    """One segment on one node."""

    stage: str
    since: float
    ends: float
    level: float
    """Mean draw as a share of the peak: between 0.92 and 0.99, another one for each run."""
    dip: float
    """From when on it draws breath for a minute."""


@dataclass(slots=True)
class Fault:
    """What is wrong with one meter, until when."""

    kind: str
    """silent, frozen, low, high."""
    until: float
    watts: float


@dataclass(slots=True)
class Site:
    """The row."""

    seed: int
    faulty: float
    """Faults of a meter per hour; 0: every meter tells the truth, within 1 %."""
    chance: random.Random = field(init=False)
    idle: list[float] = field(init=False)
    loads: dict[int, Load] = field(default_factory=dict)
    watts: list[float] = field(init=False)
    worst_row: float = 0.0
    worst_rack: float = 0.0
    over_s: float = 0.0
    spent_j: list[float] = field(default_factory=lambda: [0.0] * NODES)
    """Above idling, by the load that a node has or last had."""
    _faults: dict[str, Fault] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 (the same seed, the same hours)
        self.idle = [IDLE_W * self.chance.uniform(0.97, 1.01) for _ in range(NODES)]
        self.watts = list(self.idle)

    def start(self, node: int, stage: str, now: float) -> None:
        """A segment begins."""
        level, dip = self.chance.uniform(0.92, 0.99), self.chance.uniform(0, 3_600)
        self.spent_j[node] = 0.0
        self.loads[node] = Load(stage, now, now + SEGMENT_S, level, now + dip)

    def advance(self, now: float) -> None:
        """Draw power for one step, and see whether that was too much."""
        drift = 1 + 0.01 * math.sin(now / 573)  # the room warms up and cools down, fans follow
        gauss, watts = self.chance.gauss, self.watts
        for node in range(NODES):
            load = self.loads.get(node)
            if load is None:
                watts[node] = self.idle[node]
                continue
            peak_w = PEAK_W[load.stage]
            level = load.level * drift * (1 + gauss(0, 0.005))
            if load.stage == "nccl" and int(now // 60) % 2:
                level *= 0.7
            elif load.dip <= now < load.dip + DIP_S:
                level = self.idle[node] / peak_w
            risen = min(1.0, (now - load.since) / RISE_S)
            watts[node] = self.idle[node] + (min(level, 1.0) * peak_w - self.idle[node]) * risen
            self.spent_j[node] += (watts[node] - self.idle[node]) * STEP_S
        self._weigh()

    def _weigh(self) -> None:
        row = sum(self.watts) / ROW_W
        rack = max(sum(self.watts[at : at + RACK]) for at in range(0, NODES, RACK)) / RACK_W
        self.worst_row, self.worst_rack = max(self.worst_row, row), max(self.worst_rack, rack)
        self.over_s += STEP_S if max(row, rack) > 1.0 else 0.0

    def meters(self, now: float) -> Iterator[tuple[str, str, float]]:
        """(what, source, watts) of each meter that answers: nodes by both sources, racks and the row by their own."""
        for node in range(NODES):
            for source in SOURCES:
                yield from self._told(f"n{node}", source, self.watts[node], now)
        for rack in range(NODES // RACK):
            yield from self._told(f"rack{rack}", "own", sum(self.watts[rack * RACK : (rack + 1) * RACK]), now)
        yield from self._told("row", "own", sum(self.watts), now)

    def _told(self, what: str, source: str, watts: float, now: float) -> Iterator[tuple[str, str, float]]:
        said = watts * (1 + self.chance.uniform(-0.01, 0.01))
        if not self.faulty:
            yield what, source, said
            return
        key = what + source
        fault = self._faults.get(key)
        if fault is not None and fault.until <= now:
            del self._faults[key]
            fault = None
        if fault is None and self.chance.random() < self.faulty * STEP_S / 3_600:
            kind = self.chance.choice(("silent", "frozen", "low", "high"))
            fault = self._faults[key] = Fault(kind, now + self.chance.uniform(60, 1_800), said)
            if self.chance.random() < 0.1 and source == SOURCES[0]:  # one cause, both meters of a node
                self._faults[what + SOURCES[1]] = Fault(kind, fault.until, said)
        match fault.kind if fault else "":
            case "silent":
                return
            case "frozen":
                yield what, source, fault.watts if fault else said
            case "low":
                yield what, source, said * 0.5
            case "high":
                yield what, source, said * 1.3
            case _:
                yield what, source, said
