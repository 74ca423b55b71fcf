"""Field guide 6, D: power and activation. F41 to F50, against the hall over TLS."""

from pathlib import Path

import pytest
from failure_rig import (
    CONFIRMED,
    DGX,
    INVENTORY,
    Site,
    ended,
    fed_by_a_pdu,
    harmless,
    http,
    resets,
    rule,
    site,
)
from modes import Answer, mode
from support.imaging import NoLedger
from support.machine import Crash
from support.steps import Around, Rig

from fleet import events as ev
from fleet.errors import Reason
from fleet.events import Event
from fleet.journal import SqliteJournal
from fleet.state import NodeStatus
from fleet.vendors import profile_named
from playbooks.steps.power import cycle_ac

IGNORED = (NodeStatus.QUARANTINED, Reason.POWER_IGNORED.value)
SYSTEM = "/redfish/v1/Systems/DGX"
AC = "*/OemSystemExtensions.Reset"


@mode(
    "F41",
    symptom="A power action is accepted and nothing happens.",
    answer=Answer.MASTERED,
    does="The power state is polled until it is so twice; the action is issued again, three times in all, graceful"
    " shutdown becoming ForceOff."
    " Then the node is held. It is not AC-cycled by itself.",
)
@pytest.mark.parametrize("times", [1, 3])
async def test_f41_an_ignored_power_action_is_issued_again(tmp_path: Path, times: int) -> None:
    async with site(tmp_path, DGX, rules=[rule("power-ignored", times=times)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bios"))) == CONFIRMED
        assert sum("ignored" in kind for kind in resets(place.truth(), "host")) == times
        assert harmless(place.truth())


@mode("F41")
async def test_f41_a_host_that_never_obeys_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("power-ignored", times="always")]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bios"))) == IGNORED
        assert len(resets(place.truth(), "host")) == 6
        assert (place.truth()["host_power"], resets(place.truth(), "ac")) == ("On", [])
        assert harmless(place.truth())


@mode(
    "F44",
    symptom="POST takes longer after a BIOS update: 5 to 15 minutes, memory training.",
    answer=Answer.MASTERED,
    does="The profile's `post` (20 min) is waited for before the next power action, and versions are judged only when"
    " it is over.",
)
async def test_f44_the_first_post_after_a_bios_update_is_not_interrupted(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        place.hall.bmcs["gpu1"].host.post_s = 1100.0
        node = await place.rolled_out(place.component(DGX, "bios", stone="01.03.00"))
        assert ended(node) == CONFIRMED, node.message
        assert place.flashes("HostBIOS_0") == [("01.03.00", "done"), ("01.05.03", "done")]
        assert resets(place.truth(), "host") == ["GracefulShutdown", "On"] * 2
        assert harmless(place.truth())


@mode(
    "F47",
    symptom="Power was not really drained: another feed, a DPU on standby.",
    answer=Answer.MASTERED,
    does="By outlets: all feeds off at once for 35 s, wiring proven by what they draw, and the BMC must have"
    " restarted. A DPU is not asked.",
)
async def test_f47_an_ac_cycle_by_outlets_drains_every_feed(tmp_path: Path) -> None:
    async with fed_by_a_pdu(tmp_path, DGX) as (place, outlets):
        path = tmp_path / "journal.db"
        rig = Rig(path, place.clock, place.nodes[0], ("", ""))
        await rig.prepare()
        journal, driver = SqliteJournal(path, place.clock), place.driver()
        bmc = driver.bmc(place.nodes[0], profile_named("dgx-h100"), NoLedger())
        await bmc.connect()
        ctx, _ = rig.context(journal, edges=Around(fed_by=outlets.outlets(place.nodes[0])), bmc=bmc)
        ctx.enter((), "1 firmware.activate")
        await cycle_ac(ctx)
        await bmc.close()
        await driver.close()
        await journal.close()
        truth = place.truth()
        assert (truth["ac_cuts"], truth["ac_drained"], truth["host_power"]) == (1, 1, "On")
        assert harmless(truth)


@mode(
    "F48",
    symptom="A PSU's image is refused: redundancy is lost; a PSU drops out during its update.",
    answer=Answer.REFUSED,
    does="A machine that says Critical of itself is refused by the plan. A refusal of the BMC later holds the node"
    " with its words. Power supplies"
    " are read only as far as the system's health rolls them up.",
)
@pytest.mark.parametrize("word", ["Health", "HealthRollup"])
async def test_f48_a_machine_in_critical_health_is_refused_by_the_plan(tmp_path: Path, word: str) -> None:
    async with site(tmp_path, DGX, DGX, rules=[http(SYSTEM, merge={"Status": {word: "Critical"}})]) as place:
        plan = await place.planned(place.component(DGX, "bmc"))
        assert {node.reason for node in plan.nodes.values()} == {Reason.NOT_HEALTHY.value}
        assert place.truth()["submits"] == 0
        assert harmless(place.truth())


@mode("F48")
async def test_f48_a_node_at_its_baseline_may_be_as_ill_as_it_likes(tmp_path: Path) -> None:
    ill = http(SYSTEM, merge={"Status": {"Health": "Critical"}})
    async with site(tmp_path, DGX, rules=[ill], versions={"HostBMC_0": "24.09.17"}) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED


@mode(
    "F49",
    symptom="A GPU is in recovery mode; an ERoT says strap mismatch.",
    answer=Answer.HELD,
    does="Before: a listed part that is absent or Critical refuses the node in the plan. After a flash: no device"
    " behind it, so the node is not"
    " confirmed, and held. No AC cycle, no recovery flow by itself.",
)
@pytest.mark.parametrize("status", [{"State": "Absent"}, {"Health": "Critical"}])
async def test_f49_a_gpu_in_recovery_refuses_the_node_in_the_plan(tmp_path: Path, status: dict[str, str]) -> None:
    async with site(tmp_path, DGX, rules=[http(f"{INVENTORY}/HGX_FW_GPU_SXM_3", merge={"Status": status})]) as place:
        refused = (await place.planned(place.component(DGX, "hgx"))).nodes["gpu1"]
        assert refused.reason == Reason.NOT_HEALTHY
        assert "HGX_FW_GPU_SXM_3" in refused.message


@mode("F49")
async def test_f49_a_gpu_in_recovery_after_its_flash_holds_the_node(tmp_path: Path) -> None:
    dead = http(f"{INVENTORY}/HGX_FW_GPU_SXM_3", merge={"Status": {"State": "Absent"}})
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "hgx"))
        place.on_event = lambda event: (
            place.break_with(dead)
            if isinstance(event, ev.IntentRecorded) and event.effect.endswith("/host-off")
            else None
        )
        await place.ran()
        assert ended(place.node()) == (NodeStatus.QUARANTINED, Reason.VERSION_MISMATCH.value)
        assert "no device behind HGX_FW_GPU_SXM_3" in place.node().message
        assert harmless(place.truth())


@mode(
    "F50",
    symptom="Power goes, or the engine dies, in the middle of a flash.",
    answer=Answer.MASTERED,
    does="Every effect is on disk before it is sent: the next process reads what happened and goes on, nothing is sent twice"
    " ([recovery](recovery.md)). Power lost in a flash: the versions tell, the node is held.",
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [ev.IntentRecorded, ev.EffectRecorded])
async def test_f50_an_engine_that_dies_in_mid_flash_flashes_once(tmp_path: Path, kind: type[Event], when: str) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        with pytest.raises(Crash):
            await place.ran(dies=lambda event: when if isinstance(event, kind) else "")
        await place.ran()
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert resets(place.truth(), "bmc") == ["ForceRestart"]
        assert harmless(place.truth())


@mode("F50")
async def test_f50_power_lost_in_mid_flash_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        place.on_event = lambda event: lights_out(place) if isinstance(event, ev.EffectRecorded) else None
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.VERSION_MISMATCH.value)
        assert place.flashes("HostBMC_0") == [("24.09.17", "cut")]
        assert (place.truth()["submits"], place.truth()["power_cuts_in_flash"]) == (1, 1)


def lights_out(place: Site) -> None:
    """In the middle of the flash all feeds go, once."""
    place.on_event = lambda _event: None
    bmc, now = place.hall.bmcs["gpu1"], place.hall.clock.now()
    bmc.agenda.add(now + 300.0, bmc.ac_cycle, wakes=True)
