"""The forecast decides as the engine does, keeps every cap, repeats itself, and counts what fails when it fails."""

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pacing import Free, domains_of, luck, rules_of

from fleet import events as ev
from fleet.events import Event, Recorded, RolloutId
from fleet.policy.admission import Admit, Finished, OpenWave, Stop, Wait, decide
from fleet.policy.bounds import Job, Supply
from fleet.policy.forecast import AMBIENT, BAD_BUNDLE, Draw, Odds, draw, simulate
from fleet.policy.outlook import outlook, quantile, runs_for
from fleet.policy.paced import Paced
from fleet.policy.rules import Rules
from fleet.policy.sequence import by_duration, ramp_nodes
from fleet.state import ACTIVE, NodeState, RolloutState, RolloutStatus, fold

ROLLOUT = RolloutId("r")
START = 1_780_000_000.0


class Witness:
    """Paces by the forecast's own code, and asks the engine's `decide` the same thing of a state that real events made."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.paced = Paced(rules)
        self.state = RolloutState(rollout=ROLLOUT, status=RolloutStatus.PLANNED)
        self.state.nodes = {node: NodeState() for node in rules.order}
        self.admitted = 0

    def _record(self, at: float, *events: Event) -> None:
        for event in events:
            fold(self.state, Recorded(1, START + at, ROLLOUT, event))

    def start(self, now: float) -> Collection[str]:
        """Both, and they must say the same."""
        nodes = self.paced.start(now)
        self.admitted += len(nodes)
        decision = decide(self.state, self.rules, START + now)
        while isinstance(decision, OpenWave):
            self._record(now, ev.WaveOpened(wave=decision.wave, nodes=0))
            decision = decide(self.state, self.rules, START + now)
        match decision:
            case Admit(nodes=others):
                assert tuple(nodes) == others
                self._record(now, *(ev.NodeAdmitted(node=node, wave=0) for node in nodes))
                self._record(now, *(ev.IntentRecorded(node=node, effect="e", detail={}) for node in nodes))
            case Stop():
                assert (tuple(nodes), bool(self.paced.halted())) == ((), True)
            case Wait() if self.admitted == len(self.rules.order) and not self.state_in_flight():
                # All have ended; the engine looks at the last ones again while they ripen, the forecast is over.
                assert (tuple(nodes), self.paced.halted()) == ((), "")
            case Wait(until=until):
                wake = self.paced.wake()
                assert (tuple(nodes), self.paced.halted()) == ((), "")
                assert (wake is None) == (until is None)
                assert until is None or wake is None or START + wake == pytest.approx(until, abs=1e-3)
            case Finished():
                assert (tuple(nodes), self.admitted) == ((), len(self.rules.order))
        return nodes

    def state_in_flight(self) -> int:
        """Nodes under way."""
        return sum(node.status in ACTIVE for node in self.state.nodes.values())

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """Both learn of it."""
        self.paced.ended(node, failure=failure, at=at)
        end = (
            ev.NodeQuarantined(node=node, reason="simulated", message=failure)
            if failure
            else ev.NodeConfirmed(node=node)
        )
        self._record(at, end)

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """The engine has no event for it."""
        raise AssertionError("no failure is latent here")

    def wake(self) -> float | None:
        """As the forecast."""
        return self.paced.wake()

    def halted(self) -> str:
        """As the forecast."""
        return self.paced.halted()


def jobs_of(count: int, *, strata: int = 1, seconds: float = 1800.0) -> list[Job]:
    """Nodes in eight racks on two feeds, of so many kinds."""
    return [
        Job(node=f"n{number:04}", seconds=seconds, domains=domains_of(number), stratum=f"s{number % strata}", watts=1e4)
        for number in range(count)
    ]


SUPPLY = Supply(slots=12, caps={("rack", f"r{number}"): 3 for number in range(8)})


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    failure=st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    strata=st.integers(1, 3),
    bake_s=st.sampled_from([0, 900, 14_400]),
    waves=st.sampled_from([(), (1, 9)]),
    causes=st.sampled_from([BAD_BUNDLE, AMBIENT]),
)
def test_the_forecast_decides_as_the_engine_does(  # noqa: PLR0917 (hypothesis passes them by name)
    seed: int, failure: float, strata: int, bake_s: int, waves: tuple[int, ...], causes: dict[str, float]
) -> None:
    jobs = jobs_of(48, strata=strata)
    rules = rules_of(jobs, SUPPLY, waves=waves, bake_s=bake_s, budget=3 if waves else None)
    run = simulate(draw(jobs, Odds(failure=failure, causes=causes), luck(seed)), SUPPLY, Witness(rules))
    assert run.peak_in_flight <= SUPPLY.slots
    assert all(run.peak_out[key] <= cap for key, cap in SUPPLY.caps.items() if key in run.peak_out)
    assert run.ended == len(jobs) or run.halted


def test_a_failure_that_shows_late_is_out_again_and_counts() -> None:
    jobs = jobs_of(3, seconds=100.0)
    odds = Odds(failure=1.0, latent_share=1.0, lag_s=50.0, sigma=0.0, straggler_share=0.0)
    run = simulate(draw(jobs, odds, luck(1)), SUPPLY, Free(jobs, SUPPLY))
    assert (run.ended, run.failed, run.makespan_s) == (3, 3, pytest.approx(100.0))
    assert run.peak_out["feed", "f0"] == 2


def test_time_to_bake_catches_what_shows_late() -> None:
    jobs = jobs_of(400)
    supply = Supply(slots=50)
    odds = Odds(failure=0.2, latent_share=1.0, lag_s=3600.0)

    def lost(bake_s: int) -> float:
        rules = rules_of(jobs, supply, bake_s=bake_s)
        runs = [simulate(draw(jobs, odds, luck(seed)), supply, Paced(rules)) for seed in range(10)]
        return sum(run.failed for run in runs) / len(runs)

    assert lost(3600) < 0.6 * lost(0)


def test_power_is_reserved_while_a_node_is_worked_on() -> None:
    jobs = jobs_of(16)
    run = simulate(draw(jobs, Odds(failure=1.0), luck(2)), Supply(slots=4), Free(jobs, Supply(slots=4)))
    assert max(run.peak_watts.values()) <= 4e4
    # Failed nodes hold their place, not their power.
    assert [run.peak_out["feed", name] for name in ("f0", "f1")] == [8, 8]


def test_the_mean_duration_is_what_was_expected_but_for_stragglers() -> None:
    jobs = jobs_of(4000, seconds=100.0)
    drawn = draw(jobs, Odds(), luck(7))
    mean = sum(drawn.seconds.values()) / len(jobs)
    assert mean == pytest.approx(100.0 * (1 + 0.02 * 1.5), rel=0.03)


def test_the_same_seed_gives_the_same_outlook_and_another_another() -> None:
    jobs = jobs_of(24)
    rules = rules_of(jobs, SUPPLY)

    def seen(seed: str) -> object:
        return outlook(jobs, SUPPLY, lambda _drawn: Paced(rules), seed=seed)

    assert seen("d1g357") == seen("d1g357")
    assert seen("d1g357") != seen("0th3r")


def test_progress_is_told_to_the_end() -> None:
    jobs = jobs_of(12)
    rules = rules_of(jobs, SUPPLY)
    told: list[tuple[int, int]] = []
    outlook(jobs, SUPPLY, lambda _drawn: Paced(rules), seed="s", told=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    assert {total for _, total in told} == {sum(runs_for(12, rate) for rate in (0.0, 0.01, 0.05, 0.2, 1.0))}


def test_asking_now_and_then_starts_nobody_before_his_time() -> None:
    jobs = jobs_of(96)
    drawn: Draw = draw(jobs, Odds(), luck(4))
    exact = simulate(drawn, SUPPLY, Paced(rules_of(jobs, SUPPLY)))
    coarse = simulate(drawn, SUPPLY, Paced(rules_of(jobs, SUPPLY)), beat_s=9.0)
    assert coarse.ended == exact.ended == 96
    assert coarse.makespan_s == pytest.approx(exact.makespan_s, rel=0.05)
    assert coarse.peak_in_flight <= 12


def test_short_nodes_open_the_slots_and_long_ones_fill_them() -> None:
    expected = {"a": 30.0, "b": 10.0, "c": 20.0, "d": 10.0, "e": 40.0}
    assert by_duration("abcde", expected, ramp=2) == ("b", "d", "e", "a", "c")
    assert by_duration("abcde", dict.fromkeys("abcde", 1.0), ramp=2) == tuple("abcde")
    assert (ramp_nodes(128, 6), ramp_nodes(10, 0)) == (64, 0)


def test_longest_first_costs_most_while_the_slots_are_still_shut() -> None:
    """What the order of admission is worth (fleet.policy.sequence): the same nodes, the same luck, another order."""
    jobs = jobs_of(256)
    supply = Supply(slots=32)
    drawn = draw(jobs, Odds(), luck(11))
    by_order = {job.node: job for job in jobs}

    def makespan(order: Collection[str]) -> float:
        ordered = [by_order[node] for node in order]
        return simulate(drawn, supply, Paced(rules_of(ordered, supply))).makespan_s

    longest = sorted(by_order, key=lambda node: -drawn.estimates[node])
    assert makespan(by_duration(tuple(by_order), drawn.estimates, ramp=ramp_nodes(32, 6))) < 0.7 * makespan(longest)


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.25, 0.5, 0.95, 1.0)] == [1.0, 2.0, 4.0, 4.0]
