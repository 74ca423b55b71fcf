"""What feeds the nodes, as far as breakers care: a tree of power domains, and what each model of node draws. Pure.

A node counts with all that it draws in every domain above it, on whichever feed: the other feed may fail at any moment, and then
this one carries the node alone (rollout-science 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DERATE = 0.8
"""Share of its rating that a breaker carries for hours, unless it is rated for 100 % (rollout-science 3.2; NEC 210.20(A))."""
START_EVERY_S = 5.0
"""Between two power-ons on one branch circuit: inrush is 3 to 5 times rated current for 20 to 50 ms (rollout-science 3.1, 3.2)."""


class DomainKind(StrEnum):
    """What a power domain is, from the node upwards."""

    BRANCH = "branch"
    """A branch circuit, or one phase of a PDU."""
    RACK = "rack"
    """A rack's whip, or its busbar."""
    ROW = "row"
    FEED = "feed"
    UPS = "ups"


class Stage(StrEnum):
    """What a node can be doing that draws more than idling. Its peak is data of the model; without a figure it is the nameplate."""

    START = "start"
    """From power-on, or a reset, to the end of POST: fans at full speed."""
    INSTALL = "install"
    DCGM = "dcgm"
    NVBANDWIDTH = "nvbandwidth"
    GEMM = "gemm"
    """A soak of matrix products on all GPUs."""
    FIO = "fio"
    NCCL = "nccl"


DomainId = str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDomain:
    """One thing that trips when too much hangs on it."""

    id: DomainId
    kind: DomainKind
    ratings_w: tuple[int, ...]
    """Watts, one of each supply that bears it together: (400000,) for a single breaker, two figures for feeds A and B."""
    derate: float = DERATE
    parent: DomainId | None = None
    meters: tuple[str, ...] = ()
    """PDUs whose inlets measure it together; empty: it is measured by its nodes."""
    ramp_w_per_s: int | None = None
    """How fast what it draws may change, up or down; None: no limit of its own."""

    @property
    def budget_w(self) -> int:
        """What it may carry for hours, once its largest supply has failed (where it has more than one)."""
        rest = sum(self.ratings_w) - (max(self.ratings_w) if len(self.ratings_w) > 1 else 0)
        return int(rest * self.derate)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPower:
    """What one model of node draws at its inlets, watts."""

    nameplate_w: int
    """It never draws more."""
    idle_w: int
    """Host on, nothing running. Also the least that is reserved for a node."""
    peak_w: Mapping[Stage, int] = field(default_factory=dict, hash=False)
    """Stage -> the most that it draws in it (quantile 0.999)."""
    steady: frozenset[Stage] = frozenset()
    """Stages that draw the same from their first minute to their last, so that less than the peak may be believed."""
    source: str = ""

    def peak(self, stage: str) -> int:
        """Of a stage; the nameplate where nobody said less."""
        known = {str(name): watts for name, watts in self.peak_w.items()}
        return known.get(stage, self.nameplate_w)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerTree:
    """All of it. Every domain's parent stands before it, every model of a node that hangs on a domain is known."""

    domains: Mapping[DomainId, PowerDomain]
    on: Mapping[str, tuple[DomainId, ...]]
    """Node -> the domains that it hangs on directly."""
    models: Mapping[str, ModelPower]

    def above(self, node: str) -> tuple[PowerDomain, ...]:
        """Every domain that carries the node, each once, in the order of the file; empty where nobody said."""
        found: set[DomainId] = set()
        for name in self.on.get(node, ()):
            at: DomainId | None = name
            while at is not None and at not in found:
                found.add(at)
                at = self.domains[at].parent
        return tuple(domain for name, domain in self.domains.items() if name in found)
