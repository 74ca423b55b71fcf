"""What a step is, and what it is given. A step sees ports and nothing else.

The runner does check -> (Met: skip) -> apply -> check again. The same `check` is the dry run, the resume, the verification
and the drift report.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from fleet.clock import Clock
from fleet.edges import Edges
from fleet.events import Json
from fleet.limits import Seat
from fleet.ports import Bmc, BootMarker, Restarted
from fleet.power_port import Power
from fleet.target import Target
from inventory.baseline import Activation
from inventory.exporters.snapshot import Sighting
from inventory.model import Link, Node
from inventory.observed import Observation

_UNSHOWN = frozenset({"image", "sha256"})
"""Arguments that tell a person nothing: a path, a digest."""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A step as a playbook names it: data, until the registry makes a Step of it."""

    name: str
    """Such as `firmware.update`."""
    args: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the step within its playbook: `firmware.update bmc`."""
        shown = (str(value) for name, value in self.args.items() if isinstance(value, str) and name not in _UNSHOWN)
        return " ".join([self.name, *shown])


def numbered(steps: Sequence[StepSpec], prefix: str = "") -> list[tuple[str, StepSpec]]:
    """Each step with the key that the journal knows it by: `1 firmware.update bmc`."""
    return [(f"{prefix}{index} {spec.key}".rstrip(), spec) for index, spec in enumerate(steps, 1)]


class Disrupts(StrEnum):
    """How far a step's disturbance reaches."""

    NOTHING = "nothing"
    BMC = "bmc"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Met:
    """Nothing to do, and the evidence for it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unmet:
    """Something to do: the difference."""

    detail: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Applied; a later step brings it into force and verifies it."""

    detail: str


class NodeContext(Protocol):
    """What a step may use, for one node."""

    @property
    def node(self) -> Node:
        """As declared."""

    @property
    def bmc(self) -> Bmc:
        """Connected."""

    @property
    def clock(self) -> Clock:
        """The only time there is."""

    @property
    def rollout(self) -> str:
        """Names us in reasons that others read."""

    @property
    def edges(self) -> Edges:
        """Everything around the node beside its BMC: shells, switches, outlets, the scheduler, images."""

    @property
    def seat(self) -> Seat | None:
        """The node's place in the power domain of its chassis; None: its power supplies are its own."""

    @property
    def power(self) -> Power:
        """Asked before whatever draws more: a host that is turned on, an installation, a test under load."""

    def links(self) -> tuple[Link, ...]:
        """The node's cables, as the inventory declares them."""

    def planned_identity(self) -> tuple[str, str]:
        """(serial, uuid) as they were when the plan was made."""

    def target(self, name: str) -> Target:
        """One component's goal, from the plan."""

    def flashed(self) -> Mapping[str, Target]:
        """Components handed over in this block of updates and not activated yet -> the goal that was flashed."""

    def flash_tasks(self) -> tuple[str, ...]:
        """Addresses of the tasks of what `flashed` names, as far as the BMC told them."""

    async def observe(self) -> Observation:
        """Read the node now."""

    def offers(self) -> frozenset[Activation]:
        """What activates firmware on this node: what its BMC offers, and an AC cycle where all its feeds have outlets."""

    async def safe_point(self) -> None:
        """Wait here while the rollout is paused; leave here if it stops. Called where the node may be left as it is."""

    async def require_identity(self) -> None:
        """Raise IDENTITY_MISMATCH unless the machine behind the address is still this node (field guide B.8)."""

    async def require_drained(self) -> None:
        """Raise NOT_DRAINED if this rollout found or made the node drained and somebody gave it back since: new work may run on it.

        Before whatever disturbs the node. Never between an off and its on: a host that is off runs nobody's work.
        """

    async def once(
        self,
        effect: str,
        act: Callable[[Json], Awaitable[Json]],
        *,
        prepare: Callable[[], Awaitable[Json]],
        reconcile: Callable[[Json], Awaitable[Json | None]],
    ) -> Json:
        """Do `act` at most once per intent, over crashes too, and return its result.

        `prepare()` runs before each intent, the second as the first: it checks that the effect may begin, and answers what the
        intent keeps. The intent is on disk before `act(intent)` begins. If an earlier process announced it and no result is
        known, or if `act` raises OutcomeUnknown, `reconcile(intent)` reads the hardware and answers: the result, if it happened; None, if
        it is proven not to have happened (then it is announced anew); or it raises NodeFault, if that cannot be decided.
        """

    def announced(self, effect: str) -> bool:
        """Whether this step's effect has been announced, whatever became of it."""

    def latest(self, effect: str) -> Json | None:
        """The newest recorded result of an effect of this name, in whichever step of this node."""

    async def restarted_since(self, marker: BootMarker) -> Restarted:
        """As fleet.ports.Bmc, and with what was seen on connecting, before sessions of a crashed process were deleted."""

    def progress(self, percent: int | None, text: str) -> None:
        """Show how far this is."""

    async def recheck(self) -> tuple[tuple[str, Met | Unmet], ...]:
        """(key, what its check says now) of every step before this one that no later one of them has replaced.

        A firmware.update is replaced by a later one of the same component, any other step by a later one of its name.
        """

    def pushed(self) -> Mapping[str, Json]:
        """Switch -> the intent of the first configuration that this rollout pushed to it for this node, with what was before."""

    def settings_before(self) -> Mapping[str, str]:
        """What a flash must leave alone, as it was before the first image was handed over; empty if none was."""

    async def sighting(self) -> Sighting:
        """What this rollout has seen of the node, as exporters want it: with its versions now, and confirmed."""


class Step(Protocol):
    """One thing done to one node."""

    disrupts: Disrupts

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Read only."""

    async def apply(self, ctx: NodeContext) -> Deferred | None:
        """Act. None: the runner verifies by `check` at once."""


StepFactory = Callable[[StepSpec], Step]
