"""How a rollout is paced, as a person writes it (RolloutSpec) and as numbers for one selection (Caps). Pure."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from fleet.policy.window import Window
from inventory.scalar import Percent

Amount = Percent | int

_WAVES: tuple[Amount, ...] = (1, Percent(5.0), Percent(25.0), Percent(100.0))
_IN_FLIGHT = Percent(12.0)
_BUDGET = Percent(1.0)


class OnFailure(StrEnum):
    """What happens to a node that fails."""

    QUARANTINE = "halt_and_quarantine"
    """It stays as it is and a person looks at it; the failure budget decides whether the rollout goes on."""
    ROLL_BACK_NODE = "roll_back_node"
    """It goes back to what it ran before, where the plan says that this is possible; otherwise it is quarantined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The `rollout:` block of a playbook."""

    waves: tuple[Amount, ...] = _WAVES
    """Cumulative: how many nodes have been admitted when the wave is full. The first is the canary."""
    max_in_flight: Amount = _IN_FLIGHT
    rack: Amount | None = 4
    """Most nodes of one rack that may be out at once, quarantined ones included. None: no cap of its own."""
    feed: Amount | None = None
    failure_budget: Amount = _BUDGET
    """Failures that are tolerated; one more halts the rollout. 0 tolerates none."""
    bake_s: int = 0
    """Seconds between the end of a wave and the opening of the next."""
    approve: tuple[int, ...] = ()
    """Waves (1 is the canary) that a person must let through."""
    on_failure: OnFailure = OnFailure.QUARANTINE
    window: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The same for a known number of nodes: counts only."""

    waves: tuple[int, ...]
    """Cumulative, strictly growing, the last is the number of nodes."""
    max_in_flight: int
    rack: dict[str, int]
    feed: dict[str, int]
    failure_budget: int
    bake_s: int
    approve: tuple[int, ...]
    """Wave indices, 0 is the canary."""
    on_failure: OnFailure
    window: Window | None

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Caps":
        """From the journal."""
        window = data["window"]
        return cls(
            **{
                **data,
                "waves": tuple(data["waves"]),
                "approve": tuple(data["approve"]),
                "on_failure": OnFailure(data["on_failure"]),
                "window": Window(**{**window, "days": tuple(window["days"])}) if window else None,
            }
        )


def count(amount: Amount, total: int) -> int:
    """Nodes that an amount means; a share is rounded down but never to nothing unless it is 0."""
    if isinstance(amount, int):
        return min(amount, total)
    return max(amount.of(total), 1 if amount.percent > 0 and total else 0)


def resolve(spec: RolloutSpec, nodes: int, by_rack: dict[str, int], by_feed: dict[str, int]) -> Caps:
    """The caps for `nodes` nodes, of which each rack and feed holds some."""
    waves: list[int] = []
    approve: set[int] = set()
    for number, amount in enumerate((*spec.waves, nodes), 1):
        if number in spec.approve:
            # In a small selection waves fall together: what a person must let through is the next nodes, whichever wave it is.
            approve.add(len(waves))
        size = count(amount, nodes)
        if size > (waves[-1] if waves else 0):
            waves.append(size)
    return Caps(
        waves=tuple(waves),
        max_in_flight=max(1, count(spec.max_in_flight, nodes)),
        rack={} if spec.rack is None else {rack: max(1, count(spec.rack, total)) for rack, total in by_rack.items()},
        feed={} if spec.feed is None else {feed: max(1, count(spec.feed, total)) for feed, total in by_feed.items()},
        failure_budget=count(spec.failure_budget, nodes) if spec.failure_budget else 0,
        bake_s=spec.bake_s,
        approve=tuple(sorted(approve)),
        on_failure=spec.on_failure,
        window=spec.window,
    )
