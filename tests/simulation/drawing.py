"""All that a seed may mean, as data."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.policy.spec import RolloutSpec
from fleet.sim.faults import FaultBook
from inventory.model import Node
from simulation.goods import Wanted


class When(StrEnum):
    """Where a process dies."""

    APPEND_LOST = "append-lost"
    """At an append to the journal that does not become durable."""
    APPEND_KEPT = "append-kept"
    """At an append that does, and of which nobody hears."""
    REQUEST_UNSENT = "request-unsent"
    REQUEST_SERVED = "request-served"
    """The BMC did what it was asked; the answer finds nobody."""
    IMAGE_UNSENT = "image-unsent"
    """As before, counting only requests that hand over an image."""
    IMAGE_SERVED = "image-served"


@dataclass(frozen=True, slots=True)
class Death:
    """One process's end by kill -9; `number` counts its appends or its requests from 1."""

    when: When
    number: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody asks for something `at` field seconds after the plan was made."""

    at: float
    what: str
    """pause, resume, abort, approve; `stop`: SIGTERM; `again`: a second process is started beside the first."""


@dataclass(frozen=True, slots=True)
class Swap:
    """From `at` on another machine answers at the address of `node`."""

    at: float
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """All of it."""

    seed: int
    nodes: tuple[Node, ...]
    versions: dict[str, dict[str, str]]
    """Node -> part -> version at the start."""
    wanted: Wanted
    spec: RolloutSpec
    patient: bool
    """Whether a process waits for its window."""
    faults: FaultBook
    faults_plain: tuple[dict[str, Any], ...]
    deaths: tuple[Death, ...]
    """Of the first processes, one each."""
    full: dict[int, int] = field(default_factory=dict)
    """Process -> the append from which the disk is full; it has room again for the next process."""
    away_s: tuple[float, ...] = ()
    """Between a process's end and the next one's start."""
    lost: float = 0.0
    """Share of requests that the network spoils, for the first `rough_s`."""
    rough_s: float = 0.0
    asks: tuple[Ask, ...] = ()
    swap: Swap | None = None
    steady: bool = False
    """Nothing that is drawn depends on when it is met: the end must be the same without the deaths (I13)."""
