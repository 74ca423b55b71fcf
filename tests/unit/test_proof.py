"""The proof of a plan: its bounds hold of its own outlook, it is repeatable, and it says what lasts and what it rests on."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from support.rollout import baseline, component, node, plan_for

from fleet.cli.proof_view import show_proof, tell
from fleet.plan import Plan
from fleet.policy.power.proof import ProofRow, Verdict
from fleet.policy.spec import RolloutSpec
from fleet.policy.window import Window
from fleet.proof import Proof, jobs_of, prove

NODES = [node(f"n{number:02}", f"r{number % 4}", ("A", "B")) for number in range(32)]


def plan(**spec: object) -> Plan:
    """32 nodes in four racks on two feeds, paced by evidence unless told otherwise."""
    return plan_for(NODES, spec=RolloutSpec(**{"rack": 2, "max_in_flight": 6, **spec}))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def proof() -> Proof:
    return prove(plan())


def test_the_outlook_keeps_the_bounds_and_the_caps(proof: Proof) -> None:
    assert proof.outlook.peak_in_flight <= proof.slots == 6
    assert all(each.seen_out <= each.most_out for each in proof.domains)
    names = [term.name for term in proof.bounds.terms]
    assert set(names) == {"slots", "longest node", "rack", "ramp"}
    assert [term.seconds for term in proof.bounds.terms] == sorted(
        (term.seconds for term in proof.bounds.terms), reverse=True
    )
    # Means of durations are what the recipes expect, so that the median of the rollouts lies above the bound of the slots.
    assert proof.outlook.makespan_p95_s >= proof.outlook.makespan_p50_s >= 0.9 * proof.bounds.seconds


def test_a_bundle_that_fails_everywhere_costs_the_canary_and_its_successor(proof: Proof) -> None:
    worst = proof.outlook.damage[-1]
    assert (worst.rate, worst.failed_mean, worst.halts) == (1.0, 2.0, 1.0)
    assert [each.rate for each in proof.outlook.damage] == [0.01, 0.05, 0.2, 1.0]


def test_each_domain_has_its_cap_and_what_it_can_lose(proof: Proof) -> None:
    shown = {(each.kind, each.name): (each.nodes, each.cap, each.most_out) for each in proof.domains}
    assert shown["rack", "r0"] == (8, 2, 2)
    assert shown["feed", "A"] == (32, None, 32), (
        "without a cap of its own nothing bounds it: failed nodes free their slots"
    )


def test_the_same_plan_has_the_same_proof_and_json_holds_it(proof: Proof) -> None:
    again = prove(plan())
    assert again == proof
    assert json.loads(json.dumps(proof.to_json())) == proof.to_json()
    assert proof.to_json()["digest"] == plan().digest()
    assert prove(plan(rack=3)).outlook != proof.outlook


def test_explicit_waves_are_a_bound_of_their_own() -> None:
    found = prove(plan(waves=(1, 8), bake_s=600))
    waves = next(term for term in found.bounds.terms if term.name == "waves")
    assert found.risk == 0 == found.bounds.risk_model_s
    assert waves.seconds == found.bounds.seconds > 2 * 600
    assert found.outlook.damage[-1].failed_mean == 1.0, "the canary halts it"


def test_what_lasts_is_named_with_its_nodes() -> None:
    one_way = plan_for(NODES, of=baseline(component("bmc", previous=False), component("bios")), spec=RolloutSpec())
    assert [(each.what, each.nodes) for each in prove(one_way).lasting] == [("bmc", 32)]
    assert prove(plan()).lasting == ()
    erased = prove(plan(), undo={"firmware.update": "no: gone", "firmware.activate": "yes"}).lasting
    assert [(each.what, each.nodes, each.why) for each in erased] == [("firmware.update", 32, "no: gone")]


def test_a_slow_line_bounds_the_rollout() -> None:
    found = prove(plan(), server_bytes_per_s=1.0)
    assert found.bounds.terms[0].name == "image server"
    assert found.outlook.makespan_p50_s >= found.bounds.seconds
    assert sum(job.image_bytes for job in jobs_of(plan())) == 32 * 2 * 1000
    assert "the image server is no bottleneck: its rate is not known" not in found.assumptions


def test_time_to_bake_means_failures_that_show_late() -> None:
    found = prove(plan(bake_s=1800))
    assert any("1800 s later" in line for line in found.assumptions)
    assert found.outlook.makespan_p50_s > prove(plan()).outlook.makespan_p50_s


def test_the_window_and_approvals_are_said_not_to_be_counted() -> None:
    window = Window(days=("sat",), start="22:00", length_s=28_800, tz="UTC")
    lines = prove(plan(window=window, approve=(1,))).assumptions
    assert any("sat 22:00 for 8h00 UTC" in line for line in lines)
    assert "approvals come at once" in lines


def test_people_read_all_of_it(proof: Proof) -> None:
    sink = StringIO()
    show_proof(
        replace(proof, lasting=prove(plan(), undo={"firmware.update": "no: \x1b[2Jgone"}).lasting), Console(file=sink)
    )
    text = sink.getvalue()
    for words in (
        "no faster than",
        "risk model",
        "100% of nodes",
        "2.0 of 32",
        "What fails together",
        "2 of 8 nodes (r0)",
    ):
        assert words in text
    assert "What cannot be undone" in text
    assert "\x1b" not in text


def test_breakers_are_shown_with_the_least_room_first() -> None:
    def row(domain: str, worst_w: int) -> ProofRow:
        return ProofRow(
            domain=domain, budget_w=50_000, limit_w=49_000, base_w=8_000, demand_w=60_000, worst_w=worst_w,
            nodes=16, at_once=3, verdict=Verdict.IN_TURN,
        )  # fmt: skip

    found = prove(
        plan(),
        power=[row("rack r1", 30_000), *(row(f"pdu p{each}", 20_000) for each in range(9)), row("row a", 49_000)],
    )
    assert found.to_json()["power"][0]["headroom_w"] == 20_000
    sink = StringIO()
    show_proof(found, Console(file=sink, width=110))
    text = sink.getvalue()
    assert text.index("row a") < text.index("rack r1") < text.index("pdu p0")
    assert "49.0 kW" in text
    assert "and 3 more with more room" in text


def test_a_plan_without_nodes_has_no_proof(capsys: pytest.CaptureFixture[str]) -> None:
    tell(plan_for([], spec=RolloutSpec()), Console(file=StringIO()), document="yes")
    assert json.loads(capsys.readouterr().out)["proof"] is None
