"""Ways to admit loads below a breaker: the product's ledger, and what people do otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from power_site import IDLE_W, NAMEPLATE_W, NODES, PEAK_W, RACK, RACK_W, ROW_W, SEGMENT_S, STEP_S

from fleet.policy.power.account import Standing
from fleet.policy.power.ledger import Ask, PowerLedger
from fleet.policy.power.spec import Others, PowerSpec
from fleet.policy.power.watch import Watch
from fleet.watts import PowerReading
from inventory.power import DomainKind, ModelPower, PowerDomain, PowerTree, Stage

HEADROOM = 0.98
DERATE = 0.8
RAMP_W_PER_S = 5_000
Reading = tuple[str, str, float]
Wish = tuple[str, float, int]
"""Stage, since when, and how many segments the node has before it."""


class Way(Protocol):
    """Who decides which loads may start."""

    def told(self, readings: Sequence[Reading], now: float) -> list[int]:
        """One round of readings; nodes whose load must end at once."""

    def admitted(self, wanted: Mapping[int, Wish], now: float) -> list[int]:
        """Of nodes that want to start, those that may."""

    def ended(self, node: int, stage: str, now: float) -> None:
        """A load has ended."""

    def crashed(self, running: Mapping[int, str], now: float) -> None:
        """Its process died, and another one takes over what the journal holds: the loads that were reserved."""


def tree() -> PowerTree:
    """Row and racks, with meters of their own."""
    domains = [
        PowerDomain(
            id="row",
            kind=DomainKind.ROW,
            ratings_w=(round(ROW_W / DERATE),),
            derate=DERATE,
            meters=("row",),
            ramp_w_per_s=RAMP_W_PER_S,
        )
    ]
    domains += [
        PowerDomain(
            id=f"rack{rack}",
            kind=DomainKind.RACK,
            ratings_w=(round(RACK_W / DERATE),),
            derate=DERATE,
            parent="row",
            meters=(f"rack{rack}",),
        )
        for rack in range(NODES // RACK)
    ]
    figures = ModelPower(
        nameplate_w=NAMEPLATE_W,
        idle_w=IDLE_W,
        peak_w={Stage(stage): watts for stage, watts in PEAK_W.items()},
        steady=frozenset({Stage.GEMM}),
    )
    return PowerTree(
        domains={domain.id: domain for domain in domains},
        on={f"n{node}": (f"rack{node // RACK}",) for node in range(NODES)},
        models={"M": figures},
    )


@dataclass(slots=True)
class ByLedger:
    """The product: fleet.policy.power."""

    ledger: PowerLedger = field(init=False)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        spec = PowerSpec(others=Others.MEASURED, period_s=round(STEP_S))
        self.ledger = PowerLedger(tree(), {f"n{node}": "M" for node in range(NODES)}, spec)
        self.watch = Watch(self.ledger)
        for node in range(NODES):
            self.ledger.stands(f"n{node}", Standing.OURS)

    def told(self, readings: Sequence[Reading], now: float) -> list[int]:
        """See Way."""
        for what, source, watts in readings:
            reading = PowerReading(watts=watts, at=now)
            if source == "own":
                self.watch.read(what, reading)
            else:
                self.ledger.read(what, source, reading, now)
        return [int(order.node[1:]) for order in self.watch.look(now)]

    def admitted(self, wanted: Mapping[int, Wish], now: float) -> list[int]:
        """Rounds as the ledger wants them, until the next readings."""
        for node, (stage, since, left) in wanted.items():
            self.ledger.ask(Ask(node=f"n{node}", stage=stage, since=since, left_s=left * SEGMENT_S))
        found: list[int] = []
        at: float | None = now
        while at is not None and at < now + STEP_S:
            given = self.ledger.round(at)
            found += [int(ask.node[1:]) for ask, _ in given.granted]
            at = given.until
        return found

    def ended(self, node: int, stage: str, now: float) -> None:
        """See Way."""
        self.ledger.ended(f"n{node}", stage, now)

    def crashed(self, running: Mapping[int, str], now: float) -> None:
        """See Way."""
        self._begin()
        for node, stage in running.items():
            self.ledger.hold(f"n{node}", stage, now)


@dataclass(slots=True)
class ByMeasurement:
    """Admit while what is measured, and this one more, fits: no reservation for what still rises."""

    seen: dict[int, float] = field(default_factory=dict)

    def told(self, readings: Sequence[Reading], now: float) -> list[int]:
        """See Way."""
        self.seen |= {int(what[1:]): watts for what, source, watts in readings if source == "pdu"}
        return []

    def admitted(self, wanted: Mapping[int, Wish], now: float) -> list[int]:
        """See Way."""
        row = sum(self.seen.values())
        racks = [sum(self.seen.get(node, 0) for node in range(at, at + RACK)) for at in range(0, NODES, RACK)]
        return [
            node
            for node, (stage, _, _) in wanted.items()
            if row + PEAK_W[stage] - IDLE_W <= ROW_W and racks[node // RACK] + PEAK_W[stage] - IDLE_W <= RACK_W
        ]

    def ended(self, node: int, stage: str, now: float) -> None:
        """Measured."""

    def crashed(self, running: Mapping[int, str], now: float) -> None:
        """It remembers nothing anyway."""


@dataclass(slots=True)
class ByNameplate:
    """Count whatever runs with its nameplate, and the rest as idle."""

    running: set[int] = field(default_factory=set)

    def told(self, readings: Sequence[Reading], now: float) -> list[int]:
        """See Way."""
        return []

    def admitted(self, wanted: Mapping[int, Wish], now: float) -> list[int]:
        """See Way."""
        found: list[int] = []
        for node in sorted(wanted, key=lambda each: (-wanted[each][2], wanted[each][1])):
            more = NAMEPLATE_W - IDLE_W
            row = NODES * IDLE_W + (len(self.running) + 1) * more
            rack = RACK * IDLE_W + (sum(each // RACK == node // RACK for each in self.running) + 1) * more
            if row <= ROW_W * HEADROOM and rack <= RACK_W * HEADROOM:
                self.running.add(node)
                found.append(node)
        return found

    def ended(self, node: int, stage: str, now: float) -> None:
        """See Way."""
        self.running.discard(node)

    def crashed(self, running: Mapping[int, str], now: float) -> None:
        """See Way."""
        self.running = set(running)
