"""Field guide 6, D: two slots and the copy between them. F45 and F46, against the hall over TLS."""

from pathlib import Path
from typing import Any

import pytest
from failure_rig import CONFIRMED, DGX, GB300, UPLOAD, Site, ended, error, harmless, http, rule, site
from modes import Answer, mode
from support.machine import Crash
from trays import tray, tray_wish

from fleet import events as ev
from fleet.errors import Reason
from fleet.events import Event
from fleet.profile import CopyPolicy
from fleet.state import NodeStatus
from fleet.step import StepSpec

COMMIT_IMAGE = "*/NvidiaUpdateService.CommitImage"
GPUS = [f"HGX_FW_GPU_{number}" for number in range(4)]
NEW = "97.00.B0.00.01"
HALF = (NodeStatus.QUARANTINED, Reason.HALF_UPDATED.value)


def slots(place: Site, item: str) -> tuple[str, str]:
    """What really stands in both slots, the running one first."""
    true = place.truth()["slots"][item]
    return true["active"], true["other"]


def copies(status: str, *, times: int | str) -> dict[str, Any]:
    """One ERoT of the baseboard says so of its copy."""
    shown = {"Oem": {"Nvidia": {"BackgroundCopyStatus": status}}}
    return http("/redfish/v1/Chassis/HGX_ERoT_GPU_SXM_3", times=times, merge=shown)


@mode(
    "F45",
    symptom='The background copy is not complete: the next flash is refused ("Retry the operation once ...").',
    answer=Answer.MASTERED,
    does="BackgroundCopyStatus of every ERoT is read before each image, and nothing is sent until all are at rest, for ten minutes;"
    " then the node is held. A refusal all the same is tried again every minute. The BMC is not restarted for it.",
)
async def test_f45_no_image_is_sent_while_an_erot_copies(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        place.break_with(copies("InProgress", times=5))
        await place.ran()
        assert ended(place.node()) == CONFIRMED, place.node().message
        waited = [event.text for event in place.of(ev.StepProgress) if "background copy" in event.text]
        assert waited == ["waits for the background copy: HGX_ERoT_GPU_SXM_3 says InProgress"] * 5
        assert place.truth()["submits"] == 1
        assert harmless(place.truth())


@mode("F45")
@pytest.mark.parametrize("status", ["InProgress", "Pending", "Failed"])
async def test_f45_a_copy_that_does_not_end_holds_the_node_untouched(tmp_path: Path, status: str) -> None:
    async with site(tmp_path, DGX, rules=[copies(status, times="always")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.UPDATE_SERVICE_BUSY.value)
        assert "HGX_ERoT_GPU_SXM_3" in node.message
        assert place.truth()["submits"] == 0
        assert harmless(place.truth())


@mode("F45")
async def test_f45_a_flash_refused_during_the_background_copy_is_tried_later(tmp_path: Path) -> None:
    words = error("Base.1.12.GeneralError", "Retry the operation once firmware update operation is complete.")
    async with site(tmp_path, DGX, rules=[http(UPLOAD, times=6, status=400, body=words)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert place.truth()["submits"] == 1
        assert harmless(place.truth())


@mode(
    "F46",
    symptom="Half-updated banks: the active one is new, the backup old, and an AC loss boots the old one.",
    answer=Answer.HELD,
    does="Both slots are in the journal before and after. They are made equal last, behind `verify` and burn-in: an ERoT that copies by"
    " itself is waited for, another is told to once (CommitImage). Where they differ ten minutes later, the node is held with the"
    " difference; it is not confirmed.",
)
async def test_f46_both_slots_are_equal_before_a_node_is_confirmed(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"), steps=[StepSpec("verify")])
        assert ended(node) == CONFIRMED, node.message
        assert slots(place, "HostBMC_0") == ("24.09.17", "24.09.17")
        assert place.intents("copy") == 1
        told = {event.step: event.detail for event in place.of(ev.StepEnded)}
        assert list(told)[-2:] == ["3 verify", "4 firmware.commit bmc"]
        assert told["4 firmware.commit bmc"] == "both slots are equal: EROT_BMC_0 36.9.23"
        before = {each.effect: each.detail for each in place.of(ev.IntentRecorded)}
        shown = [[0, "35.17.33", "", None], [1, "35.17.33", "", None]]
        assert before["1 firmware.update bmc/submit"]["slots"]["banks"]["EROT_BMC_0"] == shown
        assert before["4 firmware.commit bmc/copy"]["before"]["banks"]["EROT_BMC_0"][1] == shown[0]
        assert harmless(place.truth())


@mode("F46")
async def test_f46_a_root_that_copies_by_itself_is_waited_for(tmp_path: Path) -> None:
    async with site(tmp_path, GB300) as place:
        place.profile = tray()
        node = await place.rolled_out(place.component(GB300, "hgx"))
        assert ended(node) == CONFIRMED, node.message
        assert [slots(place, item) for item in GPUS] == [(NEW, NEW)] * 4
        assert place.intents("copy") == 0
        assert harmless(place.truth())


@mode("F46")
async def test_f46_a_copy_that_is_lost_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, GB300, rules=[rule("half-updated", select={"component": "HGX_FW_GPU_2"})]) as place:
        place.profile = tray()
        node = await place.rolled_out(place.component(GB300, "hgx"))
        assert ended(node) == HALF
        assert "HGX_FW_GPU_2 runs 97.00.B0.00.01, its other slot holds 97.00.6C.00.03 ImageCopyPending" in node.message
        assert "HGX_FW_GPU_1" not in node.message
        place.hall.ac_cycle("gpu1")  # what it was held for
        assert place.truth()["items"]["HGX_FW_GPU_2"]["active"] == "97.00.6C.00.03"


@mode("F46")
async def test_f46_a_commit_without_effect_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("half-updated", times="always")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == HALF
        assert "EROT_BMC_0 runs 36.9.23, its other slot holds 35.17.33" in node.message
        assert place.intents("copy") == 1
        assert slots(place, "HostBMC_0") == ("24.09.17", "23.11.21")


@mode("F46")
@pytest.mark.parametrize(("drop", "announced"), [("before", 2), ("after", 1)])
async def test_f46_a_commit_whose_answer_is_lost_is_decided_by_the_slots(
    tmp_path: Path, drop: str, announced: int
) -> None:
    async with site(tmp_path, DGX, rules=[http(COMMIT_IMAGE, times=1, drop=drop)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED, place.node().message
        assert slots(place, "HostBMC_0") == ("24.09.17", "24.09.17")
        assert place.intents("copy") == announced


@mode("F46")
@pytest.mark.parametrize("away_s", [0.0, 3600.0], ids=["at-once", "when-the-copy-is-over"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [ev.IntentRecorded, ev.EffectRecorded])
async def test_f46_a_process_that_dies_at_the_commit_is_carried_on(
    tmp_path: Path, kind: type[Event], when: str, away_s: float
) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        with pytest.raises(Crash):
            await place.ran(
                dies=lambda event: when if isinstance(event, kind) and event.effect.endswith("/copy") else ""
            )  # type: ignore[attr-defined]
        await place.clock.sleep(away_s)
        await place.ran()
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert all(effect.result is not None for effect in place.node().effects.values())
        assert slots(place, "HostBMC_0") == ("24.09.17", "24.09.17")
        assert harmless(place.truth())


@mode("F46")
async def test_f46_a_policy_defers_the_copy_until_the_gate_has_passed(tmp_path: Path) -> None:
    async with site(tmp_path, GB300) as place:
        place.profile = tray(CopyPolicy.DEFER)
        at_the_gate: list[tuple[str, str]] = []
        place.on_event = lambda event: (
            at_the_gate.append(slots(place, GPUS[0]))
            if isinstance(event, ev.StepEnded) and event.step == "3 verify"
            else None
        )
        plan = await place.planned(tray_wish(place, goal=None, previous=None), steps=[StepSpec("verify")])
        assert [way.capability for recipe in plan.recipes.values() for way in recipe.ways_back] == ["slot-swap"]
        await place.ran()
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert at_the_gate == [(NEW, "97.00.6C.00.03")]
        assert slots(place, GPUS[0]) == (NEW, NEW)
        held = [event.effect for event in place.of(ev.EffectRecorded) if "-copy " in event.effect]
        assert len(held) == 14  # seven roots, each held and released
        roots = place.hall.bmcs["gpu1"].roots
        assert roots.automatic("HGX_IRoT_GPU_0")
        assert place.intents("copy") == 1
        assert harmless(place.truth())


@mode("F46")
async def test_f46_a_copy_that_cannot_be_deferred_holds_the_node_before_its_flash(tmp_path: Path) -> None:
    liar = http("/redfish/v1/Chassis/HGX_IRoT_GPU_1", method="PATCH", status=204)
    async with site(tmp_path, GB300, rules=[liar]) as place:
        place.profile = tray(CopyPolicy.DEFER)
        node = await place.rolled_out(tray_wish(place, goal=None, previous=None))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.UPDATE_REJECTED.value)
        assert "HGX_IRoT_GPU_1: AutomaticBackgroundCopyEnabled=False was accepted and is not so" in node.message
        assert place.truth()["submits"] == 0


@mode("F46")
@pytest.mark.parametrize("effect", ["hold-copy HGX_IRoT_GPU_2", "release-copy HGX_IRoT_GPU_2"])
@pytest.mark.parametrize("kind", [ev.IntentRecorded, ev.EffectRecorded])
async def test_f46_a_process_that_dies_at_a_deferral_leaves_none_behind(
    tmp_path: Path, kind: type[Event], effect: str
) -> None:
    async with site(tmp_path, GB300) as place:
        place.profile = tray(CopyPolicy.DEFER)
        await place.planned(tray_wish(place, goal=None, previous=None))

        def dies(event: Event) -> str:
            return "before" if isinstance(event, kind) and getattr(event, "effect", "").endswith(f"/{effect}") else ""

        with pytest.raises(Crash):
            await place.ran(dies=dies)
        await place.ran()
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert all(place.hall.bmcs["gpu1"].roots.automatic(f"HGX_IRoT_GPU_{number}") for number in range(4))
        assert slots(place, GPUS[2]) == (NEW, NEW)
