"""Pacing by evidence, driven through whole rollouts by random outcomes: what the risk budget promises, by counts of its own."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from fleet import events as ev
from fleet.events import Event, Recorded, RolloutId
from fleet.policy.admission import Admit, Decision, Finished, OpenWave, Stop, Wait, decide
from fleet.policy.evidence import Control, weigh
from fleet.policy.risk import PSEUDO_NODES
from fleet.policy.rules import Domains, Rules
from fleet.policy.spec import RolloutSpec, resolve
from fleet.policy.standing import standing
from fleet.state import ACTIVE, NodeState, NodeStatus, RolloutState, fold
from inventory.scalar import Percent

ROLLOUT = RolloutId("r")


@dataclass
class World:
    """A rollout without machines, paced by evidence."""

    rules: Rules
    dice: Random
    fails: dict[str, float]
    """Stratum -> how often its nodes fail."""
    alike: bool = True
    """Whether failures have the same message."""
    state: RolloutState = field(default_factory=lambda: RolloutState(rollout=ROLLOUT))
    now: float = 1_780_000_000.0
    seq: int = 0
    peak: int = 0

    def record(self, *events: Event) -> None:
        """Fold them."""
        for event in events:
            self.seq += 1
            fold(self.state, Recorded(self.seq, self.now, ROLLOUT, event))

    def active(self) -> list[str]:
        """Nodes under way."""
        return [name for name in self.rules.order if self.state.nodes[name].status in ACTIVE]

    def run(self) -> Decision:
        """Until it ends or halts."""
        for _ in range(30 * len(self.rules.order) + 200):
            decision = decide(self.state, self.rules, self.now)
            match decision:
                case Finished() | Stop():
                    return decision
                case OpenWave(wave=wave):
                    self.record(ev.WaveOpened(wave=wave, nodes=0))
                case Admit(nodes=nodes):
                    self.check(nodes)
                    for node in nodes:
                        self.record(ev.NodeAdmitted(node=node, wave=0))
                    self.peak = max(self.peak, len(self.active()))
                case Wait(until=until):
                    self.wait(until)
        raise AssertionError("the rollout does not end")

    def wait(self, until: float | None) -> None:
        """Something under way ends, or time passes."""
        running = self.active()
        if not running:
            assert until is not None
            assert until > self.now
            self.now = until
            return
        self.now += 60.0
        node = self.dice.choice(running)
        self.record(ev.IntentRecorded(node=node, effect="flash"))
        if self.dice.random() >= self.fails[self.rules.stratum(node)]:
            self.record(ev.NodeConfirmed(node=node))
        else:
            said = "failed at 0x1f" if self.alike else "".join(self.dice.choices("ghijklmnop", k=12))
            self.record(ev.NodeQuarantined(node=node, reason="update-failed", message=said))

    def check(self, starting: tuple[str, ...]) -> None:
        """What these cost is within the budget, by formulas of this test's own."""
        nodes = self.state.nodes
        clean, failed, out = defaultdict[str, float](float), defaultdict[str, int](int), defaultdict[str, float](float)
        bake_s = self.rules.caps.bake_s
        for name in self.rules.order:
            node, stratum = nodes[name], self.rules.stratum(name)
            if node.status is NodeStatus.CONFIRMED:
                young = math.exp(-(self.now - (node.ended_at or 0.0)) / bake_s) if bake_s else 0.0
                clean[stratum] += 1 - young
                out[stratum] += young
            failed[stratum] += node.status is NodeStatus.QUARANTINED
            out[stratum] += node.status in ACTIVE or name in starting
        confirmed = {
            self.rules.stratum(name) for name in self.rules.order if nodes[name].status is NodeStatus.CONFIRMED
        }
        spent, alone = 0.0, len(starting) == 1 and not self.active() and not bake_s
        for stratum, exposed in out.items():
            others_clean = sum(count for name, count in clean.items() if name != stratum)
            others_failed = sum(count for name, count in failed.items() if name != stratum)
            a, b = 1.0 + failed[stratum], clean[stratum]
            if others_clean + others_failed:
                mean = (1 + others_failed) / (2 + others_clean + others_failed)
                a, b = a + PSEUDO_NODES * mean, b + PSEUDO_NODES * (1 - mean)
            spent += exposed * (beta.ppf(0.95, a, b) if b > 0 else 1.0)
            if stratum not in confirmed:
                assert exposed <= 1.001, "a stratum that has shown nothing has one node out"
        # The bound is rounded up to quarters of a node of evidence.
        assert alone or spent <= self.rules.caps.risk + 1e-6 or (not confirmed and sum(out.values()) <= 1.001)
        assert confirmed or sum(out.values()) <= 1.001, "one node until the first success"


def world(spec: RolloutSpec, nodes: int, fails: dict[str, float], seed: int, *, alike: bool = True) -> World:
    order = tuple(f"n{number}" for number in range(nodes))
    kinds = list(fails)
    strata = {name: kinds[number % len(kinds)] for number, name in enumerate(order)}
    rules = Rules(
        order=order, domains={name: Domains("r", ()) for name in order}, caps=resolve(spec, nodes, {}), strata=strata
    )
    made = World(rules=rules, dice=Random(seed), fails=fails, alike=alike)  # noqa: S311 (dice)
    made.state.nodes = {name: NodeState() for name in order}
    return made


SPEC = RolloutSpec(rack=None, max_in_flight=Percent(25.0))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 60),
    st.lists(st.sampled_from([0.0, 0.02, 0.3, 1.0]), min_size=1, max_size=3),
    st.sampled_from([0, 3600]),
    st.integers(0, 2**31),
)
def test_what_is_exposed_never_costs_more_than_the_risk(
    risk: int, nodes: int, fails: list[float], bake_s: int, seed: int
) -> None:
    spec = RolloutSpec(rack=None, risk=risk, max_in_flight=Percent(100.0), bake_s=bake_s)
    world(spec, nodes, {f"s{number}": rate for number, rate in enumerate(fails)}, seed).run()


def test_a_healthy_rollout_widens_by_itself_to_what_may_be_in_flight() -> None:
    healthy = world(SPEC, 240, {"s": 0.0}, 1)
    assert isinstance(healthy.run(), Finished)
    assert healthy.peak == 60


@pytest.mark.parametrize("strata", [1, 3])
def test_an_image_that_is_bad_on_every_node_takes_two(strata: int) -> None:
    bad = world(SPEC, 240, {f"s{number}": 1.0 for number in range(strata)}, 1, alike=False)
    end = bad.run()
    assert isinstance(end, Stop)
    assert end.cause == "evidence"
    assert bad.state.failures == 2
    assert "2 of 2 nodes failed" in end.message


def test_a_stratum_that_is_bad_halts_although_the_rest_is_clean() -> None:
    mixed = world(SPEC, 300, {"good": 0.0, "bad": 1.0}, 3, alike=False)
    end = mixed.run()
    assert isinstance(end, Stop)
    assert mixed.state.failures <= 4


def test_the_same_failure_again_halts_sooner_than_different_ones() -> None:
    def failures(*, alike: bool) -> float:
        ends = []
        for seed in range(16):
            one = world(SPEC, 240, {"s": 0.04}, seed, alike=alike)
            one.run()
            ends.append(one.state.failures)
        return sum(ends) / len(ends)

    assert failures(alike=True) < failures(alike=False)


def test_so_many_alike_halt_at_once_if_the_playbook_says_so() -> None:
    spec = RolloutSpec(rack=None, alike=2, tolerate=Percent(50.0))
    end = world(spec, 200, {"s": 0.2}, 1).run()
    assert isinstance(end, Stop)
    assert end.cause == "signature"
    assert "2 of" in end.message
    assert "failed at #" in end.message


def test_a_node_that_was_broken_before_it_was_touched_speaks_against_the_room_and_not_against_the_image() -> None:
    quiet = world(SPEC, 100, {"s": 0.0}, 1)
    quiet.record(ev.WaveOpened(wave=0, nodes=100))
    quiet.now += 3600
    for number in range(2):
        quiet.record(
            ev.NodeAdmitted(node=f"n{number}", wave=0),
            ev.NodeQuarantined(node=f"n{number}", reason="unreachable", message="gone" if number else "other"),
        )
    assert isinstance(decide(quiet.state, quiet.rules, quiet.now), Admit)
    found = weigh(standing(quiet.state, quiet.rules), Control(failed=2, node_s=1e6, run_s=1e4), quiet.now)
    assert (found.k, found.n) == (0, 0)
    assert found.tolerated == pytest.approx(0.01 + 0.02)


def test_resuming_begins_the_test_anew_and_forgets_nothing_for_the_pace() -> None:
    bad = world(SPEC, 240, {"s": 1.0}, 1)
    bad.run()
    bad.now += 600
    bad.record(ev.RolloutContinued(by="ann", accepted_failures=2))
    again = weigh(standing(bad.state, bad.rules), Control(), bad.now)
    assert (again.k, again.n, again.same, again.strata[0].k) == (0, 0, 0, 2)
    end = bad.run()
    assert isinstance(end, Stop)
    assert bad.state.failures == 4
