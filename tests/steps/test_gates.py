"""Gates: pure verdicts on what the journal holds, and a node of the hall that is measured, soaked, judged and held."""

import sys
from pathlib import Path
from typing import Any

import pytest
from support.machine import Crash
from twin_place import Place, run

from fleet.errors import NodeFault, Reason
from fleet.events import Json
from fleet.gates import AFTER, BEFORE, Facts, Outcome, facts_of, gates, judge
from fleet.sim.faults import Effect, FaultBook, Rule
from fleet.step import Met, StepSpec
from playbooks.burnin.verdict import Verdict as BurnIn
from playbooks.names import with_gates
from playbooks.registry import make

REQUIRE = ("health.ok", "devices.as_before", "firmware.at_baseline")
OPENED = ("1 gate.before", StepSpec("gate.before"))
CLOSED = ("2 gate.after", StepSpec("gate.after", {"require": list(REQUIRE), "soak_s": 1800}))


def measured(health: str = "OK", **more: Any) -> Json:
    return {"health": health, "items": {}, "picture": {"pcie GPU_0": "16 of 16 lanes"}, "unmet": {}} | more


def burnt(verdict: str = BurnIn.PASS, **measures: float) -> Json:
    return {"verdict": verdict, "text": f"burn-in: {verdict}", "measures": measures}


@pytest.mark.parametrize(
    ("gate", "facts", "outcome", "says"),
    [
        ("health.ok", Facts(before=measured(), after=measured()), Outcome.PASSED, "health OK"),
        ("health.ok", Facts(before=measured("Warning"), after=measured("Warning")), Outcome.PASSED, "Warning before"),
        ("health.ok", Facts(before=measured(), after=measured("Critical")), Outcome.FAILED, "it was OK before"),
        ("health.ok", Facts(before=measured(), after=measured(items={"GPU_3": "Absent"})), Outcome.FAILED, "GPU_3 is Absent"),
        ("health.ok", Facts(before=measured(items={"P": "Critical"}), after=measured(items={"P": "Critical"})), Outcome.PASSED, ""),
        ("health.ok", Facts(), Outcome.UNJUDGED, "not read"),
        ("firmware.at_baseline", Facts(after=measured(unmet={"4 firmware.update bmc": "shows 1"})), Outcome.FAILED, "bmc: shows 1"),
        ("firmware.at_baseline", Facts(after=measured(unmet={"2 network.config": "x"})), Outcome.PASSED, ""),
        ("devices.as_before", Facts(before=measured(), after=measured(picture={})), Outcome.FAILED, "is gone"),
        ("devices.as_before", Facts(before=measured(), after=measured(picture={"pcie GPU_0": "8 of 16 lanes"})), Outcome.FAILED, "8 of 16"),
        ("devices.as_before", Facts(after=measured()), Outcome.UNJUDGED, "both before and after"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(a=95.1), burnin_before=burnt(a=100.0)), Outcome.PASSED, "1 measures"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(a=94.9), burnin_before=burnt(a=100.0)), Outcome.FAILED, "94.9, 100.0 before"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(), burnin_before=burnt(a=100.0)), Outcome.FAILED, "0.0, 100.0 before"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(BurnIn.UNJUDGED, a=1), burnin_before=burnt(a=1)), Outcome.FAILED, "unjudged"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(a=1.0)), Outcome.UNJUDGED, "nobody tried"),
        ("burnin.no_worse_than_before", Facts(burnin=burnt(a=1.0), burnin_before=burnt(BurnIn.UNJUDGED)), Outcome.PASSED, "it passed"),
        ("burnin.no_worse_than_before", Facts(), Outcome.UNJUDGED, "no burn-in"),
        ("of.nobody", Facts(), Outcome.UNJUDGED, "no installed package"),
    ],
)  # fmt: skip
def test_a_gate_judges_what_was_measured(gate: str, facts: Facts, outcome: Outcome, says: str) -> None:
    verdict = judge([gate], facts)[gate]
    assert verdict.outcome is outcome
    assert says in verdict.text


def test_a_gate_of_another_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site_gates.py").write_text(
        "from fleet.gates import passed\ndef quiet(facts):\n    return passed('quiet')\n"
    )
    info = tmp_path / "site_gates-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: site-gates\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fleet.gates]\nsite.quiet = site_gates:quiet\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    gates.cache_clear()
    try:
        assert judge(["site.quiet"], Facts())["site.quiet"].text == "quiet"
    finally:
        gates.cache_clear()


def test_gates_stand_before_the_first_step_and_before_the_node_is_given_back() -> None:
    steps = (StepSpec("node.drain"), StepSpec("verify"), StepSpec("node.undrain"), StepSpec("inventory.export"))
    names = [step.name for step in with_gates(steps, REQUIRE, 60)]
    assert names == ["gate.before", "node.drain", "verify", "gate.after", "node.undrain", "inventory.export"]
    assert with_gates(steps, (), 60) == steps


async def gated(place: Place) -> str:
    """Measured, restarted, soaked and judged by one process after the other."""
    with place.process([OPENED]) as (ctx, bmc):
        await bmc.connect()
        await make(OPENED[1]).apply(ctx)
        await bmc.close()
    place.restart()
    await place.clock.sleep(1200)
    return await closed(place)


async def closed(place: Place) -> str:
    with place.process([OPENED, CLOSED]) as (ctx, bmc):
        step = make(CLOSED[1])
        try:
            await bmc.reconnect()
            await step.apply(ctx)
            found = await step.check(ctx)
            assert isinstance(found, Met), found
            return found.detail
        finally:
            await bmc.close()


def test_a_node_that_is_as_before_passes_after_its_soak(tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def story() -> tuple[str, float]:
        begun = place.clock.now()
        return await gated(place), place.clock.now() - begun

    said, took_s = run(place, story)
    assert "health.ok: health OK" in said
    assert "devices.as_before" in said
    assert took_s >= 1200 + 1800


def test_a_node_that_lost_a_part_is_held_with_what_it_lost(tmp_path: Path) -> None:
    place = Place(tmp_path, faults=FaultBook(name="t", rules=(Rule(name="f", effect=Effect.DEVICE_MISSING),)))

    async def story() -> NodeFault:
        with pytest.raises(NodeFault) as held:
            await gated(place)
        return held.value

    held = run(place, story)
    assert held.reason is Reason.GATE_FAILED
    assert "devices.as_before failed: " in str(held)
    assert "NIC_1" in str(held)
    facts = facts_of(place.memory.state)
    assert facts.before is not None
    assert judge(REQUIRE, facts)["devices.as_before"].outcome is Outcome.FAILED


@pytest.mark.parametrize("append", range(2, 6))
def test_a_soak_goes_on_where_a_process_died(append: int, tmp_path: Path) -> None:
    place = Place(tmp_path)

    async def story() -> tuple[str, float]:
        begun = place.clock.now()
        place.memory.dies = lambda _event, number: "after" if number == append else ""
        with pytest.raises(Crash):
            await gated(place)
        place.memory.live()
        return await closed(place), place.clock.now() - begun

    said, took_s = run(place, story)
    assert "health.ok: health OK" in said
    assert took_s < 1200 + 1800 + 1300
    assert {effect.rpartition("/")[2] for effect in place.memory.state.effects} == {BEFORE, AFTER, "soak"}
