"""The bench of ways of pacing: its rivals follow their own rules, ours is the product, and a goal that is missed says so."""

from dataclasses import replace

import pytest
from pacing_bench import BLIND, OURS, RATES, Task, carried_out, row_of_each, setting
from pacing_reference import Reference
from pacing_rivals import Barrier, Flood
from pacing_targets import Planned, judged, planning
from support.pacing import luck, rules_of

from fleet.policy.bounds import Job, Supply
from fleet.policy.forecast import Odds, draw, simulate
from fleet.policy.paced import Paced

SERIAL = "serial: 10%, max_fail_percentage: 10"
WAVES = "waves 1, 4, 16, 64, 128 ..., 5 % each"


def test_a_bundle_that_is_all_bad_costs_each_its_first_wave() -> None:
    tasks = [Task(policy=policy, rate=1.0, first=3, count=1) for policy in (OURS, SERIAL, WAVES)]
    lost = {task.policy: carried_out(task)[0].failed for task in tasks}
    assert lost == {OURS: 2, SERIAL: 102, WAVES: 1}


def test_a_barrier_waits_for_the_last_of_its_wave_and_counts_each_wave_by_itself() -> None:
    order = [f"n{number}" for number in range(7)]
    barrier = Barrier(order, [2, 4], 0.5)
    assert barrier.start(0.0) == order[:2]
    barrier.ended("n0", failure="", at=1.0)
    assert barrier.start(1.0) == ()
    barrier.ended("n1", failure="x", at=2.0)
    assert barrier.start(2.0) == order[2:6], "half of a wave may fail"
    for node in order[2:5]:
        barrier.ended(node, failure="x", at=3.0)
    barrier.ended("n5", failure="", at=4.0)
    assert barrier.start(4.0) == ()
    assert barrier.halted() == "3 of 4 failed"


def test_a_flood_fills_its_slots_and_never_stops() -> None:
    flood = Flood(["a", "b", "c"], 2)
    assert flood.start(0.0) == ["a", "b"]
    flood.ended("a", failure="x", at=1.0)
    assert (flood.start(1.0), flood.halted()) == (["c"], "")


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_fails_ours_is_the_rule_of_the_study(seed: int) -> None:
    jobs, supply = setting()
    drawn = draw(jobs, Odds(), luck(seed))
    domains = {job.node: job.domains for job in jobs}
    study = Reference([job.node for job in jobs], domains, slots=supply.slots, caps=supply.caps)
    theirs = simulate(drawn, supply, study)
    ours = simulate(drawn, supply, Paced(rules_of(jobs, supply)))
    assert ours.makespan_s == pytest.approx(theirs.makespan_s, rel=1e-3)


def test_a_bad_bundle_halts_ours_and_the_rule_of_the_study_alike() -> None:
    jobs = [Job(node=f"n{number}", seconds=1800.0, domains=(("rack", f"r{number % 8}"),)) for number in range(200)]
    supply = Supply(slots=25)
    domains = {job.node: job.domains for job in jobs}
    lost = []
    for seed in range(20):
        drawn = draw(jobs, Odds(failure=0.2), luck(seed))
        study = simulate(drawn, supply, Reference([job.node for job in jobs], domains, slots=25, caps={}))
        ours = simulate(drawn, supply, Paced(rules_of(jobs, supply)))
        assert ours.halted
        assert study.halted
        lost.append(ours.failed - study.failed)
    assert abs(sum(lost) / len(lost)) <= 1.0


def test_goals_are_judged_by_what_was_measured() -> None:
    tasks = [Task(policy=policy, rate=rate, first=0, count=1) for policy in (OURS, BLIND) for rate in RATES]
    rows = row_of_each({(task.policy, task.rate, ""): carried_out(task) for task in tasks})
    slow = tuple(replace(row, safe_ratio_p95=1.3) if row.policy == BLIND else row for row in rows)
    targets = judged(slow, Planned(build_s=1.5, prove_s=1.0, cpu_s=2.0))
    missed = [each.what for each in targets if not each.met]
    assert f"{BLIND}: makespan / LB_safe, nothing fails, p95" in missed
    assert f"{OURS}: makespan / LB_safe, nothing fails, p95" not in missed
    assert "plan: 10000 nodes planned, proof included" in missed


def test_planning_is_measured_on_a_whole_plan() -> None:
    cost = planning(32)
    assert cost.total_s > 0
    assert cost.cpu_s > 0
