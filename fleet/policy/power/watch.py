"""The second check: what meters say of whole domains, beside what the ledger says. Pure.

The ledger is right as long as its figures are. Here a wrong one is found out before a breaker finds it: from 95 % of a budget
nothing more is admitted, from 98 % the loads that came last are capped (or ended, where they cannot be), above 100 % for two
samples they are ended (rollout-science 3.2). A node's power is never cut for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.policy.power.account import STALE_PERIODS, Load
from fleet.policy.power.ledger import PowerLedger
from fleet.watts import PowerReading
from inventory.power import DomainId, PowerDomain, Stage

SHUT, HIGH, FULL = 0.95, 0.98, 1.0
SAMPLES = 2
SHED = frozenset(Stage) - {Stage.START, Stage.INSTALL}
"""Loads that can be ended through the node's shell: tests. A start ends by itself, and half an installation is a brick."""
CONTRADICTED = 0.02
"""By so much a domain's own meter may exceed those of its nodes, or what is spoken for: beyond it something lies, or was never told."""


class How(StrEnum):
    """What is asked of a load."""

    CAP = "cap"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Bring one load down."""

    node: str
    stage: str
    how: How
    why: str


@dataclass(slots=True)
class _Seen:
    """What one domain was last measured at."""

    at: float
    watts: float
    above_high: int = 0
    above_full: int = 0
    """Samples in a row."""


@dataclass(slots=True)
class Watch:
    """Over one ledger. `cappable`: node -> watts that it draws at its lowest cap, of those whose caps can be set and read back."""

    ledger: PowerLedger
    cappable: Mapping[str, int] = field(default_factory=dict)
    _meters: dict[DomainId, PowerReading] = field(default_factory=dict)
    _seen: dict[DomainId, _Seen] = field(default_factory=dict)

    def read(self, domain: DomainId, reading: PowerReading) -> None:
        """What all meters of a domain say together, with the time of the oldest of them."""
        self._meters[domain] = reading

    def look(self, now: float) -> tuple[Order, ...]:
        """Compare, shut and open domains, and say which loads have to come down. Once after each round of readings."""
        orders: list[Order] = []
        self.ledger.unlisted_w.clear()
        spoken_w = self.ledger.reserved_w(now)
        for domain in self.ledger.tree.domains.values():
            found = self._measured(domain, now)
            if found is None:
                continue
            if domain.meters:
                self.ledger.unlisted_w[domain.id] = self._unlisted_w(domain, found, now)
            if found.watts > spoken_w[domain.id] * (1 + CONTRADICTED):
                self._contradict(domain, found.watts, spoken_w[domain.id])
            seen = self._sampled(domain, found)
            share = found.watts / domain.budget_w
            if share > SHUT:
                self.ledger.shut[domain.id] = f"is measured at {share:.0%} of what it may carry"
            else:
                self.ledger.shut.pop(domain.id, None)
            orders += self._orders(domain, seen, now)
        return tuple(orders)

    def _measured(self, domain: PowerDomain, now: float) -> PowerReading | None:
        """By its own meters; without any by its nodes, each at least as its meters say. None: its meters are silent."""
        spec = self.ledger.spec
        if domain.meters:
            reading = self._meters.get(domain.id)
            return reading if reading and reading.at >= now - STALE_PERIODS * spec.period_s else None
        watts = 0
        for node in self.ledger.below(domain.id):
            account = self.ledger.accounts[node]
            seen_w = account.seen_w(now)
            # What nobody measured is not measured to be too much: the ledger keeps room for it, and that is all that can be done.
            watts += seen_w if seen_w is not None else 0
        return PowerReading(watts=watts, at=now)

    def _unlisted_w(self, domain: PowerDomain, found: PowerReading, now: float) -> int:
        accounts = [self.ledger.accounts[node] for node in self.ledger.below(domain.id)]
        seen_w = sum(account.seen_w(now) or account.reserved_w(now) for account in accounts)
        more_w = math.ceil(found.watts - seen_w)
        return more_w if more_w > CONTRADICTED * found.watts else 0

    def _sampled(self, domain: PowerDomain, found: PowerReading) -> _Seen:
        seen = self._seen.setdefault(domain.id, _Seen(at=-1.0, watts=0.0))
        if found.at > seen.at:
            share = found.watts / domain.budget_w
            seen.above_high = seen.above_high + 1 if share > HIGH else 0
            seen.above_full = seen.above_full + 1 if share > FULL else 0
            seen.at, seen.watts = found.at, found.watts
        return seen

    def _contradict(self, domain: PowerDomain, watts: float, spoken_w: int) -> None:
        why = f"{domain.kind} {domain.id} draws {watts:.0f} W, {spoken_w} W are spoken for"
        for node in self.ledger.below(domain.id):
            self.ledger.accounts[node].doubt(why)

    def _orders(self, domain: PowerDomain, seen: _Seen, now: float) -> list[Order]:
        if not seen.above_high:
            return []
        ending = seen.above_full >= SAMPLES
        excess_w = seen.watts - SHUT * domain.budget_w - self._leaving_w(domain, now)
        orders: list[Order] = []
        for node, load in self._latest_first(domain):
            if excess_w <= 0:
                break
            how = self._how(node, seen, ending=ending)
            if how is None:
                continue
            account = self.ledger.accounts[node]
            rest_w = self.cappable[node] if how is How.CAP else account.figures.idle_w
            excess_w -= max(0, (account.seen_w(now) or account.reserved_w(now)) - rest_w)
            if how is How.END:
                load.told_at = now
            share = seen.watts / domain.budget_w
            why = f"{domain.kind} {domain.id} is measured at {share:.0%} of what it may carry"
            orders.append(Order(node=node, stage=load.stage, how=how, why=why))
        return orders

    def _how(self, node: str, seen: _Seen, *, ending: bool) -> How | None:
        if ending:
            return How.END
        if node in self.cappable:
            return How.CAP if self.ledger.accounts[node].cap_w is None else None
        return How.END if not self.cappable and seen.above_high >= SAMPLES else None

    def _leaving_w(self, domain: PowerDomain, now: float) -> int:
        """What loads that were told to end, and still draw, will take away."""
        told = [
            (account, load)
            for account in (self.ledger.accounts[node] for node in self.ledger.below(domain.id))
            for load in account.loads.values()
            if load.told_at is not None
        ]
        return sum(max(0, (account.seen_w(now) or load.peak_w) - account.figures.idle_w) for account, load in told)

    def _latest_first(self, domain: PowerDomain) -> list[tuple[str, Load]]:
        found = [
            (node, load)
            for node in self.ledger.below(domain.id)
            for load in self.ledger.loads_of(node)
            if load.stage in SHED and load.ended_at is None and load.told_at is None
        ]
        return sorted(found, key=lambda each: -each[1].since)
