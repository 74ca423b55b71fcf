"""How a rollout is paced, as a person writes it (RolloutSpec) and as numbers for one selection (Caps). Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from fleet.policy.window import Window, Windows, read_openings
from inventory.scalar import Percent

Amount = Percent | int

_IN_FLIGHT = Percent(12.0)
_BUDGET = Percent(1.0)
"""Of a rollout in explicit waves; one that is paced by evidence needs none."""
RISK = 6
"""Nodes that may be broken at once, if the playbook does not say (b of rollout-science 1.3)."""
TOLERATE = Percent(1.0)
"""Failure rate that is tolerated (p0). Ambient failures alone are 2 to 7 of 1,024 nodes a day (rollout-science 1.5)."""
CONFIDENCE = Percent(99.0)
"""That a halt is no false alarm (1 - alpha)."""

DOMAINS = ("rack", "feed", "leaf", "rail", "tenant", "nvlink_domain")
"""Kinds of what fails together, in a playbook's words."""


class OnFailure(StrEnum):
    """What happens to a node that fails."""

    QUARANTINE = "halt_and_quarantine"
    """It stays as it is and a person looks at it; the failure budget decides whether the rollout goes on."""
    ROLL_BACK_NODE = "roll_back_node"
    """It goes back to what it ran before, where the plan says that this is possible; otherwise it is quarantined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """The `rollout:` block of a playbook."""

    waves: tuple[Amount, ...] = ()
    """Cumulative: how many nodes have been admitted when the wave is full. The first is the canary. Empty: paced by evidence."""
    risk: int = RISK
    """How many nodes may be broken at once, with 95 % certainty. Without explicit waves only."""
    tolerate: Percent = TOLERATE
    """Failure rate that is tolerated; evidence of more halts the rollout. Without explicit waves only."""
    confidence: Percent = CONFIDENCE
    """How sure a halt by evidence must be."""
    alike: int | None = None
    """Failures of one signature at which to halt at once; None: by evidence alone."""
    max_in_flight: Amount = _IN_FLIGHT
    rack: Amount | None = 4
    """Most nodes of one rack that may be out at once, quarantined ones included. None: no cap of its own."""
    feed: Amount | None = None
    leaf: Amount | None = None
    rail: Amount | None = None
    tenant: Amount | None = None
    nvlink_domain: Amount | None = None
    """None: a domain is one unit, begun and ended whole (field guide 1.8: never a partial mix longer than documented)."""
    unit_order: tuple[str, ...] = ()
    """Globs over models: in which order the nodes of a unit are worked on, as the release notes of its firmware say. Models that none
    names come last; without it all of a unit go together."""
    failure_budget: Amount | None = None
    """Failures that are tolerated; one more halts the rollout. 0 tolerates none. None: 1 % of the nodes in explicit waves, else no
    number: the evidence halts."""
    bake_s: int = 0
    """In explicit waves: seconds between the end of a wave and the opening of the next. Else: the mean time after which a latent failure
    shows, by which evidence ages."""
    approve: tuple[int, ...] = ()
    """Waves (1 is the canary) that a person must let through."""
    on_failure: OnFailure = OnFailure.QUARANTINE
    window: Window | Windows | None = None
    gates: tuple[str, ...] = ()
    """Names of fleet.gates that every node must pass before it counts as a success; empty: none."""
    soak_s: int = 0
    """Seconds for which a node is left alone before the gates judge it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The same for a known number of nodes: counts only."""

    waves: tuple[int, ...]
    """Cumulative, strictly growing, the last is the number of nodes."""
    max_in_flight: int
    domains: dict[str, dict[str, int]]
    """Kind -> name -> most nodes that may be out at once. Missing: no cap."""
    failure_budget: int
    bake_s: int
    approve: tuple[int, ...]
    """Wave indices, 0 is the canary."""
    on_failure: OnFailure
    window: Window | Windows | None
    risk: int = 0
    """Nodes that may be broken at once; 0: explicit waves."""
    tolerate: float = TOLERATE.percent / 100
    confidence: float = CONFIDENCE.percent / 100
    alike: int | None = None

    def cap(self, key: tuple[str, str]) -> int:
        """Most nodes of a domain that may be out at once; very many where there is no cap."""
        return self.domains.get(key[0], {}).get(key[1], 1 << 30)

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Caps":
        """From the journal."""
        window = data["window"]
        data = {"domains": {kind: data[kind] for kind in ("rack", "feed") if kind in data}, **data}
        return cls(
            **{
                **{key: value for key, value in data.items() if key not in {"rack", "feed"}},
                "waves": tuple(data["waves"]),
                "approve": tuple(data["approve"]),
                "on_failure": OnFailure(data["on_failure"]),
                "window": read_openings(window) if window else None,
            }
        )


def count(amount: Amount, total: int) -> int:
    """Nodes that an amount means; a share is rounded down but never to nothing unless it is 0."""
    if isinstance(amount, int):
        return min(amount, total)
    return max(amount.of(total), 1 if amount.percent > 0 and total else 0)


def resolve(spec: RolloutSpec, nodes: int, members: Mapping[str, Mapping[str, int]]) -> Caps:
    """The caps for `nodes` nodes.

    Args:
        spec: as a person wrote it.
        nodes: how many.
        members: kind of domain -> name -> how many of the nodes are part of it.
    """
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
        domains={kind: _caps(getattr(spec, kind), members.get(kind, {})) for kind in DOMAINS},
        failure_budget=_budget(spec, nodes),
        bake_s=spec.bake_s,
        approve=tuple(sorted(approve)),
        on_failure=spec.on_failure,
        window=spec.window,
        risk=0 if spec.waves else spec.risk,
        tolerate=spec.tolerate.percent / 100,
        confidence=spec.confidence.percent / 100,
        alike=spec.alike,
    )


def _caps(amount: Amount | None, members: Mapping[str, int]) -> dict[str, int]:
    return {} if amount is None else {name: max(1, count(amount, total)) for name, total in members.items()}


def _budget(spec: RolloutSpec, nodes: int) -> int:
    if spec.failure_budget is None:
        return count(_BUDGET, nodes) if spec.waves else nodes
    return count(spec.failure_budget, nodes) if spec.failure_budget else 0
