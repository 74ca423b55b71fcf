"""A lower bound is what no simulated rollout beats; each term is checked by itself, under every way of pacing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pacing import Free, domains_of, luck, rules_of

from fleet.policy.bounds import Job, Supply, Use, area, bounds, ramp, risk_model, waves
from fleet.policy.forecast import Odds, Pacing, draw, simulate
from fleet.policy.paced import Paced
from fleet.policy.risk import Seen, allowed, upper_bound

RISK = 6


def pace(_stratum: str, clean: int) -> int:
    """What the product lets through after so many clean nodes of one stratum."""
    return allowed(RISK, upper_bound(Seen(clean=clean))) if clean else 1


@st.composite
def halls(draw_from: st.DrawFn) -> tuple[list[Job], Supply]:
    """Up to 40 nodes in racks, with images of some size over a line, and power to share."""
    count = draw_from(st.integers(1, 40))
    racks = draw_from(st.integers(1, 6))
    size = draw_from(st.sampled_from([0.0, 5e9, 40e9]))
    jobs = [
        Job(
            node=f"n{number}",
            seconds=draw_from(st.floats(60.0, 7200.0)),
            domains=(("rack", f"r{number % racks}"), ("feed", f"f{number % 2}")),
            image_bytes=size,
            watts=10_200.0,
        )
        for number in range(count)
    ]
    slots = draw_from(st.integers(1, 12))
    cap = draw_from(st.integers(1, 5))
    line = draw_from(st.sampled_from([math.inf, 1.25e9, 0.1e9]))
    supply = Supply(
        slots=slots,
        caps={("rack", f"r{number}"): cap for number in range(racks)},
        server_bytes_per_s=line,
        node_bytes_per_s=2.5e9,
        # Never more than the caps let through at once: every schedule that keeps them keeps the watts.
        watts={("rack", f"r{number}"): cap * 10_200.0 for number in range(racks)},
    )
    return jobs, supply


@settings(max_examples=120, deadline=None)
@given(hall=halls(), seed=st.integers(0, 10_000), how=st.sampled_from(["free", "evidence", "waves"]))
def test_no_rollout_beats_any_term(hall: tuple[list[Job], Supply], seed: int, how: str) -> None:
    jobs, supply = hall
    drawn = draw(jobs, Odds(), luck(seed))
    rules = rules_of(jobs, supply, risk=RISK) if how != "waves" else rules_of(jobs, supply, waves=(1, 5), bake_s=90)
    pacing: Pacing = Free(jobs, supply) if how == "free" else Paced(rules)
    run = simulate(drawn, supply, pacing)
    assert (run.ended, run.halted) == (len(jobs), "")
    lived = drawn.lived()
    groups = [lived[start:full] for start, full in zip((0, *rules.caps.waves), rules.caps.waves, strict=False)]
    more = [waves(groups, supply, bake_s=90)] if how == "waves" else []
    for term in bounds(lived, supply, pace=pace if how == "evidence" else None, more=more).terms:
        assert run.makespan_s >= term.seconds * (1 - 1e-9), term


def test_where_everything_fits_the_bound_is_reached() -> None:
    jobs = [Job(node=f"n{number}", seconds=100.0, domains=domains_of(number)) for number in range(64)]
    supply = Supply(slots=8)
    drawn = draw(jobs, Odds(sigma=0.0, straggler_share=0.0), luck(1))
    run = simulate(drawn, supply, Free(jobs, supply))
    assert run.makespan_s == pytest.approx(800.0) == bounds(jobs, supply).seconds


def test_the_image_server_bounds_by_its_line_and_the_last_nodes_work() -> None:
    jobs = [Job(node=f"n{number}", seconds=50.0, image_bytes=1e9) for number in range(20)]
    supply = Supply(slots=20, server_bytes_per_s=1e8, node_bytes_per_s=1e8)
    drawn = draw(jobs, Odds(sigma=0.0, straggler_share=0.0), luck(1))
    terms = {term.name: term.seconds for term in bounds(jobs, supply).terms}
    assert terms == {"image server": 250.0, "longest node": 60.0, "slots": 60.0}
    # Everybody shares the line equally, so that all have their image only at the end.
    assert simulate(drawn, supply, Free(jobs, supply)).makespan_s == pytest.approx(250.0)


def test_the_tightest_domain_of_each_kind_is_named() -> None:
    jobs = [Job(node=f"n{number}", seconds=100.0, domains=(("rack", f"r{number // 6}"),)) for number in range(10)]
    supply = Supply(slots=10, caps={("rack", "r0"): 2, ("rack", "r1"): 2})
    rack = next(term for term in bounds(jobs, supply).terms if term.name == "rack")
    assert (rack.seconds, rack.why) == (300.0, "6 nodes of rack r0, 2 at once")


def test_head_and_tail_count_once_and_at_their_least() -> None:
    uses = [Use(head=5.0, work=30.0, tail=7.0), Use(head=3.0, work=10.0, tail=9.0)]
    assert area(uses, 2.0) == 3.0 + 20.0 + 7.0


def test_the_risk_model_is_that_of_the_study() -> None:
    # rollout-science 1.2: N = 1,024, C = 128, b = 6, D = 31.3 min; 414 min simulated there were 1.17 of it.
    assert 414 / (risk_model(1024, 128, mean_s=31.3 * 60, risk=6) / 60) == pytest.approx(1.17, abs=0.01)
    assert risk_model(8, 128, mean_s=60.0, risk=6) == pytest.approx(60.0 * 2.0)


@given(seconds=st.lists(st.floats(1.0, 1e4), min_size=1, max_size=60), slots=st.integers(1, 20))
def test_a_ramp_that_is_always_open_is_the_bound_of_the_slots(seconds: list[float], slots: int) -> None:
    assert ramp(seconds, lambda _ended: slots) == pytest.approx(sum(seconds) / slots)
    assert ramp(seconds, lambda ended: min(slots, ended + 1)) >= sum(seconds) / slots * (1 - 1e-9)


def test_a_ramp_counts_the_shortest_first_as_no_order_can_be_better() -> None:
    assert ramp([10.0, 1.0], lambda ended: ended + 1) == 1.0 / 1 + 10.0 / 2


def test_nothing_to_do_has_no_bound() -> None:
    assert bounds([], Supply(slots=4)).seconds == 0.0
