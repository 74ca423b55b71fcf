"""The ledger of reservations: nothing that draws more begins before all that it may draw is kept free, up to the feed. Pure.

It may change under its own eyes only downwards or by what is measured; what raises a node's reservation by our hand goes through
`ask` and `round`, and is granted only if every domain above the node still holds it (rollout-science 3.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.policy.power.account import Account, Load, Standing
from fleet.policy.power.pacing import Pacing, circuits
from fleet.policy.power.spec import PowerSpec
from fleet.watts import PowerReading
from inventory.power import DomainId, PowerDomain, PowerTree

PATIENCE_S = 900.0
"""For so long smaller loads may overtake one that does not fit; then nothing above it is given to anybody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Somebody wants to do something that draws more."""

    node: str
    stage: str
    since: float
    left_s: float = 0.0
    """How long the node will still draw more than idling, this stage and those after it: the longest goes first (rollout-science 1.2)."""
    turn: float | None = None
    """Not None: the node is turned on for it, and draws so for that many seconds at most; its branch gives one turn after the other."""
    jitter: float = 0.0
    """-JITTER to JITTER (fleet.policy.power.pacing), drawn outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Not now."""

    domain: DomainId
    why: str
    until: float | None = None
    """Field time at which that changes by itself, if it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Who of those who asked may go on, and why the others may not."""

    granted: tuple[tuple[Ask, int], ...]
    """With the watts that are now kept free for the node."""
    refused: tuple[tuple[Ask, Refusal], ...]

    @property
    def until(self) -> float | None:
        """When another round may end otherwise, by itself."""
        return min((each.until for _, each in self.refused if each.until is not None), default=None)


@dataclass(slots=True)
class _Book:
    """Sums at one moment."""

    node_w: dict[str, int]
    domain_w: dict[DomainId, int]
    closed: set[DomainId] = field(default_factory=set)
    """Kept for somebody who waited too long."""


class PowerLedger:
    """See the module. Owned by one process; it reads no clock, every call says what time it is."""

    def __init__(self, tree: PowerTree, models: Mapping[str, str], spec: PowerSpec) -> None:
        """`models`: node -> model. Nodes on no domain have no account, and are never asked about."""
        self.tree = tree
        self.spec = spec
        self.accounts = {
            str(node): Account(figures=tree.models[models[str(node)]], spec=spec) for node in tree.on if node in models
        }
        self._above = {node: tree.above(node) for node in self.accounts}
        self._asks: dict[tuple[str, str, bool], Ask] = {}
        self._pacing = Pacing()
        below: dict[DomainId, list[str]] = {domain: [] for domain in tree.domains}
        for node, above in self._above.items():
            for domain in above:
                below[domain.id].append(node)
        self._below = {domain: tuple(nodes) for domain, nodes in below.items()}
        self.unlisted_w: dict[DomainId, int] = {}
        """What domains with meters of their own draw beyond what their nodes draw: switches, pumps, somebody's kettle, or a lie."""
        self.shut: dict[DomainId, str] = {}
        """Domains that are measured to be nearly full -> what was measured: nothing more is admitted."""

    def __contains__(self, node: str) -> bool:
        return node in self.accounts

    def above(self, node: str) -> tuple[PowerDomain, ...]:
        """Every domain above the node."""
        return self._above[node]

    def below(self, domain: DomainId) -> tuple[str, ...]:
        """Every node below the domain."""
        return self._below[domain]

    def ask(self, wanted: Ask) -> None:
        """Wait for a reservation; asking again for the same changes nothing."""
        self._asks.setdefault(_key(wanted), wanted)

    def withdraw(self, wanted: Ask) -> None:
        """Nobody waits for it any more."""
        self._asks.pop(_key(wanted), None)

    def hold(self, node: str, stage: str, now: float, *, ends_at: float | None = None) -> None:
        """A reservation of an earlier process, from the journal: it stands, whatever else is booked."""
        self.accounts[node].begin(stage, now, ends_at=ends_at)

    def stands(self, node: str, standing: Standing) -> None:
        """Who may load the node while nothing of ours runs."""
        self.accounts[node].standing = standing

    def ended(self, node: str, stage: str, now: float) -> None:
        """A stage was seen to be over. Its power is free once a meter has looked since."""
        self.accounts[node].end(stage, now)

    def read(self, node: str, source: str, reading: PowerReading, now: float) -> None:
        """A meter of one node was read."""
        self.accounts[node].read(source, reading, now)

    def unplug(self, node: str, source: str) -> None:
        """This meter is not read any more: its last word must not grow stale."""
        self.accounts[node].meters.pop(source, None)

    def falls_at(self, node: str, stage: str, now: float) -> float:
        """When a load that we end may be ended without breaking a ramp limit; it is booked."""
        account = self.accounts[node]
        rest_w = account.figures.idle_w
        return self._pacing.falls_at(self._above[node], max(0, account.figures.peak(stage) - rest_w), now)

    def loads_of(self, node: str) -> tuple[Load, ...]:
        """What power is reserved for on it, also what has ended and was not measured since."""
        return tuple(self.accounts[node].loads.values())

    def reserved_w(self, now: float) -> dict[DomainId, int]:
        """Domain -> watts that are spoken for."""
        return self._book(now).domain_w

    def limit_w(self, domain: PowerDomain) -> int:
        """What may be spoken for in a domain."""
        return self.spec.limit_w(domain.budget_w)

    def _book(self, now: float) -> _Book:
        node_w: dict[str, int] = {}
        domain_w = dict.fromkeys(self.tree.domains, 0)
        for node, account in self.accounts.items():
            account.pass_time(now)
            node_w[node] = watts = account.reserved_w(now)
            for domain in self._above[node]:
                domain_w[domain.id] += watts
        for domain_id, watts in self.unlisted_w.items():
            domain_w[domain_id] += watts
        return _Book(node_w, domain_w)

    def round(self, now: float) -> Round:
        """Give what can be given: first to those who lost patience, then to those who have most before them. All of one or nothing."""
        if not self._asks:
            return Round(granted=(), refused=())
        book = self._book(now)
        granted: list[tuple[Ask, int]] = []
        refused: list[tuple[Ask, Refusal]] = []
        for wanted in sorted(self._asks.values(), key=lambda each: _rank(each, now)):
            watts = self.accounts[wanted.node].wanted_w(wanted.stage, now)
            refusal = self._refusal(wanted, watts - book.node_w[wanted.node], book, now)
            if refusal is None:
                self._grant(wanted, watts, book, now)
                granted.append((wanted, watts))
                continue
            refused.append((wanted, refusal))
            if now - wanted.since > PATIENCE_S:
                book.closed.update(domain.id for domain in self._above[wanted.node] if domain.id == refusal.domain)
        return Round(granted=tuple(granted), refused=tuple(refused))

    def _refusal(self, wanted: Ask, more_w: int, book: _Book, now: float) -> Refusal | None:
        above = self._above[wanted.node]
        # A node of which nothing is known counts with its nameplate, so that no stage raises its account. What it really draws would
        # rise all the same: only what was granted before needs no room now.
        if not self.accounts[wanted.node].covers(wanted.stage):
            for domain in above:
                refusal = self._full(domain, more_w, book, now)
                if refusal is not None:
                    return refusal
        if wanted.turn is not None:
            at = self._pacing.starts_at(above)
            if at > now:
                return Refusal(domain=circuits(above)[0].id, why="turns on one node after the other", until=at)
        return None

    def _full(self, domain: PowerDomain, more_w: int, book: _Book, now: float) -> Refusal | None:
        limit_w = self.limit_w(domain)
        left_w = limit_w - book.domain_w[domain.id]
        name = f"{domain.kind} {domain.id}"
        if more_w > left_w:
            left = (
                f"{_kw(left_w)} of {_kw(limit_w)} left"
                if left_w >= 0
                else f"{_kw(-left_w)} more than {_kw(limit_w)} spoken for"
            )
            return Refusal(domain=domain.id, why=f"{name} has {left}, {_kw(more_w)} needed")
        if domain.id in self.shut:
            return Refusal(domain=domain.id, why=f"{name} {self.shut[domain.id]}")
        if domain.id in book.closed:
            return Refusal(domain=domain.id, why=f"{name} is kept for a node that has waited longer")
        at = self._pacing.rises_at(domain)
        if at > now:
            return Refusal(domain=domain.id, why=f"{name} rises by {domain.ramp_w_per_s} W/s at most", until=at)
        return None

    def _grant(self, wanted: Ask, watts: int, book: _Book, now: float) -> None:
        above, more_w = self._above[wanted.node], watts - book.node_w[wanted.node]
        ends_at = None if wanted.turn is None else now + wanted.turn
        self.accounts[wanted.node].begin(wanted.stage, now, ends_at=ends_at)
        book.node_w[wanted.node] = watts
        for domain in above:
            book.domain_w[domain.id] += more_w
        self._pacing.rose(above, more_w, now)
        if wanted.turn is not None:
            self._pacing.started(above, now, wanted.jitter)
        self.withdraw(wanted)


def _rank(wanted: Ask, now: float) -> tuple[float, float, float]:
    return (0.0, wanted.since, 0.0) if now - wanted.since > PATIENCE_S else (1.0, -wanted.left_s, wanted.since)


def _key(wanted: Ask) -> tuple[str, str, bool]:
    return wanted.node, wanted.stage, wanted.turn is not None


def _kw(watts: int) -> str:
    return f"{watts / 1000:.1f} kW"
