"""How fast: power-ons of a branch circuit one after the other, and how steeply a row's draw may change. Pure; chance is given."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory.power import START_EVERY_S, DomainId, DomainKind, PowerDomain

JITTER = 0.2
"""Power-ons are spread by as much, both ways, so that branches do not keep step (rollout-science 3.2)."""


@dataclass(slots=True)
class Pacing:
    """When the next start, and the next change of load, may come."""

    _start: dict[DomainId, float] = field(default_factory=dict)
    _up: dict[DomainId, float] = field(default_factory=dict)
    _down: dict[DomainId, float] = field(default_factory=dict)

    def starts_at(self, above: Iterable[PowerDomain]) -> float:
        """When a node below these may be turned on."""
        return max((self._start.get(domain.id, -math.inf) for domain in circuits(above)), default=-math.inf)

    def started(self, above: Iterable[PowerDomain], now: float, jitter: float) -> None:
        """One was. `jitter` is -JITTER to JITTER, drawn outside."""
        for domain in circuits(above):
            self._start[domain.id] = now + START_EVERY_S * (1 + max(-JITTER, min(JITTER, jitter)))

    def rises_at(self, domain: PowerDomain) -> float:
        """When the domain's draw may rise again."""
        return self._up.get(domain.id, -math.inf)

    def rose(self, above: Iterable[PowerDomain], watts: int, now: float) -> None:
        """It does, by so much."""
        for domain in above:
            if domain.ramp_w_per_s is not None and watts > 0:
                self._up[domain.id] = now + watts / domain.ramp_w_per_s

    def falls_at(self, above: Iterable[PowerDomain], watts: int, now: float) -> float:
        """When a load of so much below these may be ended; it is booked."""
        ramped = [domain for domain in above if domain.ramp_w_per_s is not None]
        at = max((now, *(self._down.get(domain.id, now) for domain in ramped)))
        for domain in ramped:
            self._down[domain.id] = at + watts / (domain.ramp_w_per_s or 1)
        return at


def circuits(above: Iterable[PowerDomain]) -> tuple[PowerDomain, ...]:
    """The domains whose breaker feels a power-on first: branches, or else whatever is nearest to the node."""
    known = tuple(above)
    kinds = {domain.kind for domain in known}
    nearest = next((kind for kind in DomainKind if kind in kinds), None)
    return tuple(domain for domain in known if domain.kind is nearest)
