"""No breaker is ever asked for more than it bears: any order of asking, ending, lying meters, silence, and crashes of the controller.

Ground truth is kept apart from the ledger: a load draws up to its peak from the moment it was granted until it has ended.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.policy.power.account import Standing
from fleet.policy.power.ledger import Ask, PowerLedger
from fleet.policy.power.pacing import JITTER
from fleet.policy.power.proof import PlanFacts, Verdict, power_proof
from fleet.policy.power.spec import Others, PowerSpec
from fleet.policy.power.watch import How, Watch
from fleet.watts import PowerReading
from inventory.power import START_EVERY_S, DomainKind, ModelPower, PowerDomain, PowerTree, Stage

PLATE_W, IDLE_W = 10_000, 2_000
PEAK_W = {Stage.GEMM: 9_000, Stage.FIO: 4_000, Stage.START: 6_000}
NODES = tuple(f"n{index}" for index in range(8))
SPEC = PowerSpec(others=Others.MEASURED, period_s=10)


def domain(name: str, kind: DomainKind, budget_w: int, parent: str | None = None) -> PowerDomain:
    return PowerDomain(id=name, kind=kind, ratings_w=(budget_w,), derate=1.0, parent=parent)


def tree(*, steady: frozenset[Stage] = frozenset(), ramp_w_per_s: int | None = None) -> PowerTree:
    """A row of two racks, each of two branches of two nodes. Row and racks bear less than what hangs on them."""
    row = PowerDomain(id="row", kind=DomainKind.ROW, ratings_w=(44_000,), derate=1.0, ramp_w_per_s=ramp_w_per_s)
    domains = [row]
    domains += [domain(f"rack{at}", DomainKind.RACK, 26_000, "row") for at in range(2)]
    domains += [domain(f"br{at}", DomainKind.BRANCH, 17_000, f"rack{at // 2}") for at in range(4)]
    figures = ModelPower(nameplate_w=PLATE_W, idle_w=IDLE_W, peak_w=PEAK_W, steady=steady)
    return PowerTree(
        domains={each.id: each for each in domains},
        on={node: (f"br{at // 2}",) for at, node in enumerate(NODES)},
        models={"M": figures},
    )


def fresh(of: PowerTree) -> PowerLedger:
    ledger = PowerLedger(of, dict.fromkeys(NODES, "M"), SPEC)
    for node in NODES:
        ledger.stands(node, Standing.OURS)
    return ledger


@dataclass
class Hall:
    """What is true, and the ledger that has to keep it harmless."""

    of: PowerTree
    now: float = 0.0
    runs: dict[str, set[str]] = field(default_factory=lambda: {node: set() for node in NODES})
    ledger: PowerLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = fresh(self.of)

    def truth_w(self, name: str) -> int:
        return max((PEAK_W[Stage(stage)] for stage in self.runs[name]), default=IDLE_W)

    def drawn_w(self) -> dict[str, int]:
        return {each: sum(self.truth_w(node) for node in self.ledger.below(each)) for each in self.of.domains}

    def do(self, what: str, node: str, stage: Stage, share: float) -> None:
        match what:
            case "ask":
                self.ledger.ask(Ask(node=node, stage=stage, since=self.now))
            case "end" if stage in self.runs[node]:
                self.runs[node].discard(stage)
                self.ledger.ended(node, stage, self.now)
            case "pass":
                self.now += share * 120
            case "read":  # one meter tells the truth, the other whatever it likes
                for each in NODES:
                    self.read(each, phase=share, lie=1 - share)
            case "honest":
                self.now += SPEC.period_s
                for each in NODES:
                    self.read(each, phase=share, lie=None)
            case "crash":
                self.crash()
            case _:
                pass

    def crash(self) -> None:
        """The next process knows what the journal knows: which stages were granted and have not ended."""
        self.ledger = fresh(self.of)
        for node, held in self.runs.items():
            for stage in held:
                self.ledger.hold(node, stage, self.now)

    def read(self, node: str, *, phase: float, lie: float | None) -> None:
        """A load draws anything up to its peak at the moment of a reading, and its peak a moment later."""
        drawn_w = IDLE_W + phase * (self.truth_w(node) - IDLE_W)
        truth = PowerReading(watts=drawn_w, at=self.now)
        other = truth if lie is None else PowerReading(watts=lie * PLATE_W, at=self.now)
        self.ledger.read(node, "bmc", other, self.now)
        self.ledger.read(node, "pdu", truth, self.now)

    def round(self) -> None:
        found = self.ledger.round(self.now)
        rising = [ask for ask, _ in found.granted if PEAK_W[Stage(ask.stage)] > self.truth_w(ask.node)]
        for ask, _ in found.granted:
            self.runs[ask.node].add(ask.stage)
        spoken = self.ledger.reserved_w(self.now)
        for ask in rising:
            for above in self.ledger.above(ask.node):
                assert spoken[above.id] <= self.ledger.limit_w(above)


steps = st.tuples(
    st.sampled_from(("ask", "ask", "ask", "end", "pass", "read", "honest", "crash")),
    st.sampled_from(NODES),
    st.sampled_from(tuple(PEAK_W)),
    st.floats(0, 1),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=60))
def test_no_budget_is_exceeded_whatever_happens(history: list[tuple[str, str, Stage, float]]) -> None:
    hall = Hall(tree())
    hall.do("honest", NODES[0], Stage.FIO, 0)
    for what, node, stage, share in history:
        hall.do(what, node, stage, share)
        hall.round()
        drawn = hall.drawn_w()
        assert all(watts <= hall.of.domains[name].budget_w for name, watts in drawn.items())


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=40), st.sampled_from(NODES))
def test_when_all_is_over_and_measured_anybody_may_start(
    history: list[tuple[str, str, Stage, float]], last: str
) -> None:
    hall = Hall(tree())
    for what, node, stage, share in history:
        hall.do(what, node, stage, share)
        hall.round()
    hall.ledger = fresh(hall.of) if not any(hall.runs.values()) else hall.ledger
    for each in NODES:
        for held in tuple(hall.runs[each]):
            hall.do("end", each, Stage(held), 0)
    for node in NODES:
        for stage in PEAK_W:
            hall.ledger.withdraw(Ask(node=node, stage=stage, since=0))
    for _ in range(4):
        hall.do("honest", last, Stage.GEMM, 0)
    hall.do("ask", last, Stage.GEMM, 0)
    hall.round()
    assert Stage.GEMM in hall.runs[last]


def test_after_a_crash_what_runs_counts_with_its_peak_however_little_it_draws_now() -> None:
    hall = Hall(tree())
    hall.do("honest", NODES[0], Stage.FIO, 0)
    for node in (NODES[0], NODES[2], NODES[4]):
        hall.do("ask", node, Stage.GEMM, 0)
    hall.round()
    assert sum(map(bool, hall.runs.values())) == 3
    hall.crash()
    hall.do("honest", NODES[0], Stage.FIO, 0)
    for node in NODES:
        hall.do("ask", node, Stage.GEMM, 0)
    hall.round()
    assert sum(map(bool, hall.runs.values())) == 3


def test_silence_counts_as_the_nameplate_and_lets_nobody_in() -> None:
    hall = Hall(tree())
    hall.do("honest", NODES[0], Stage.FIO, 0)
    assert hall.ledger.reserved_w(hall.now)["row"] == len(NODES) * IDLE_W
    hall.now += 2 * SPEC.period_s + 1
    assert hall.ledger.reserved_w(hall.now)["row"] == len(NODES) * PLATE_W
    hall.do("ask", NODES[0], Stage.FIO, 0)
    hall.round()
    assert not hall.runs[NODES[0]]


def test_what_has_ended_is_given_back_when_a_meter_has_looked_since() -> None:
    hall = Hall(tree())
    hall.do("honest", NODES[0], Stage.FIO, 0)
    hall.do("ask", NODES[0], Stage.GEMM, 0)
    hall.round()
    hall.do("end", NODES[0], Stage.GEMM, 0)
    hall.read(NODES[0], phase=0, lie=None)
    assert hall.ledger.accounts[NODES[0]].reserved_w(hall.now) == PEAK_W[Stage.GEMM]
    hall.do("honest", NODES[0], Stage.FIO, 0)
    assert hall.ledger.accounts[NODES[0]].reserved_w(hall.now) == IDLE_W


@pytest.mark.parametrize(
    ("bmc_share", "counts_w"), [(1.0, 8_100), (0.5, 9_000), (None, 9_000)], ids=["agrees", "lies", "silent"]
)
def test_only_two_meters_that_agree_give_back_what_a_steady_stage_does_not_draw(
    bmc_share: float | None, counts_w: int
) -> None:
    hall = Hall(tree(steady=frozenset({Stage.GEMM})))
    hall.ledger.read(NODES[0], "pdu", PowerReading(watts=IDLE_W, at=hall.now), hall.now)
    for node in NODES[1:]:
        hall.read(node, phase=0, lie=None)
    hall.do("ask", NODES[0], Stage.GEMM, 0)
    hall.round()
    assert hall.runs[NODES[0]]
    for _ in range(20):
        hall.now += SPEC.period_s
        hall.ledger.read(NODES[0], "pdu", PowerReading(watts=8_100, at=hall.now), hall.now)
        if bmc_share is not None:
            hall.ledger.read(NODES[0], "bmc", PowerReading(watts=8_100 * bmc_share, at=hall.now), hall.now)
    assert hall.ledger.accounts[NODES[0]].reserved_w(hall.now) == counts_w


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_power_ons_of_one_branch_keep_their_distance(jitters: list[float]) -> None:
    hall = Hall(tree())
    hall.do("honest", NODES[0], Stage.FIO, 0)
    starts: list[float] = []
    for jitter in jitters:
        hall.ledger.ask(Ask(node=NODES[0], stage=Stage.START, since=hall.now, turn=60.0, jitter=jitter))
        found = hall.ledger.round(hall.now)
        while found.refused:
            assert found.until is not None
            hall.now = found.until
            found = hall.ledger.round(hall.now)
        starts.append(hall.now)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap >= START_EVERY_S * (1 - JITTER) - 1e-6 for gap in gaps)


def test_a_row_rises_and_falls_no_faster_than_it_may() -> None:
    hall = Hall(tree(ramp_w_per_s=100))
    hall.do("honest", NODES[0], Stage.FIO, 0)
    for node in (NODES[0], NODES[4]):
        hall.do("ask", node, Stage.FIO, 0)
    first = hall.ledger.round(hall.now)
    assert len(first.granted) == 1
    assert first.until == hall.now + (PEAK_W[Stage.FIO] - IDLE_W) / 100
    assert len(hall.ledger.round(first.until).granted) == 1
    ends = [hall.ledger.falls_at(node, Stage.FIO, hall.now) for node in (NODES[0], NODES[4])]
    assert ends == [hall.now, hall.now + 20]


def test_the_second_check_shuts_caps_and_ends_the_latest_loads_first() -> None:
    of = tree()
    hall = Hall(of)
    hall.do("honest", NODES[0], Stage.FIO, 0)
    watch = Watch(hall.ledger, cappable={NODES[2]: 3_000})
    for node in (NODES[0], NODES[2]):
        hall.now += 1
        hall.do("ask", node, Stage.GEMM, 0)
        hall.round()

    def rack_draws(watts: int) -> tuple[tuple[str, How], ...]:
        hall.now += SPEC.period_s
        for node in NODES[:4]:
            for source in ("pdu", "bmc"):
                hall.ledger.read(node, source, PowerReading(watts=watts / 4, at=hall.now), hall.now)
        return tuple((order.node, order.how) for order in watch.look(hall.now))

    assert rack_draws(24_000) == ()
    assert "rack0" not in hall.ledger.shut
    assert rack_draws(25_000) == ()
    assert "rack0" in hall.ledger.shut
    assert rack_draws(25_600) == ((NODES[2], How.CAP),)
    assert rack_draws(26_100)[:1] == ((NODES[2], How.CAP),)
    assert rack_draws(26_100) == ((NODES[2], How.END),)
    assert rack_draws(20_000) == ()
    assert "rack0" not in hall.ledger.shut


def test_what_nobody_was_told_of_counts_by_the_domains_own_meter() -> None:
    of = tree()
    row = PowerDomain(id="row", kind=DomainKind.ROW, ratings_w=(44_000,), derate=1.0, meters=("pdu",))
    hall = Hall(PowerTree(domains={**of.domains, "row": row}, on=of.on, models=of.models))
    hall.do("honest", NODES[0], Stage.FIO, 0)
    watch = Watch(hall.ledger)
    watch.read("row", PowerReading(watts=41_500, at=hall.now))
    watch.look(hall.now)
    hall.do("ask", NODES[0], Stage.FIO, 0)
    hall.round()
    assert not hall.runs[NODES[0]]


def test_the_proof_says_who_waits_and_who_would_wait_for_ever() -> None:
    models = dict.fromkeys(NODES, "M")
    stages = dict.fromkeys(NODES, (Stage.GEMM,))

    def verdicts(spec: PowerSpec, in_flight: int) -> dict[str, tuple[int, Verdict]]:
        facts = PlanFacts(models=models, stages=stages, max_in_flight=in_flight)
        return {row.domain: (row.at_once, row.verdict) for row in power_proof(tree(), facts, spec)}

    found = verdicts(SPEC, 8)
    assert found["row row"] == (3, Verdict.IN_TURN)
    assert found["branch br0"] == (1, Verdict.IN_TURN)
    assert verdicts(SPEC, 1)["row row"] == (1, Verdict.AT_ONCE)
    assert verdicts(PowerSpec(), 8)["row row"] == (0, Verdict.NEVER)
