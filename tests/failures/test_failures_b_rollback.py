"""Field guide 6, B: what can go back, and what cannot. F21, against the hall over TLS."""

from dataclasses import replace
from pathlib import Path

import pytest
from failure_rig import DGX, GB300, ended, harmless, site
from modes import Answer, mode
from trays import tray, tray_wish

from fleet.errors import Reason
from fleet.state import NodeStatus
from inventory.baseline import ItemWant

UPDATE_FAILED = (NodeStatus.QUARANTINED, Reason.UPDATE_FAILED.value)


@mode(
    "F21",
    symptom="A downgrade is refused: UpdateSkippedVersionTooLow, security version, anti-rollback.",
    answer=Answer.HELD,
    does="Nothing is forced unless the plan announced a way back. Where the machine shows MinimumSecurityVersion and the baseline the"
    " image's, an image below it refuses the node in the plan, and a previous image below it is no way back, with the reason. Otherwise"
    " the node is held with the BMC's words.",
)
async def test_f21_a_downgrade_is_never_forced_silently(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        node = await place.rolled_out(place.component(DGX, "bmc", version="22.01.01"))
        assert ended(node) == UPDATE_FAILED
        assert "lower than the active one" in node.message
        assert place.flashes("HostBMC_0") == []
        assert harmless(place.truth())


@mode("F21")
async def test_f21_an_image_that_the_fuses_refuse_is_refused_by_the_plan(tmp_path: Path) -> None:
    async with site(tmp_path, GB300, fused={"HGX_FW_GPU_1": 3}) as place:
        place.profile = tray()
        refused = (await place.planned(tray_wish(place, goal=2, previous=None))).nodes["gpu1"]
        assert refused.reason == Reason.ANTI_ROLLBACK
        assert "HGX_FW_GPU_1 takes nothing below security version 3" in refused.message
        assert place.truth()["submits"] == 0


@mode("F21")
@pytest.mark.parametrize(
    ("previous", "capability", "why"),
    [
        (2, "none", "anti-rollback: HGX_FW_GPU_1 takes nothing below security version 3"),
        (3, "reflash", "reflash, slot swap not available: it copies by itself; flashes 97.00.6C.00.03 again"),
        (None, "reflash", "whether its fuses let 97.00.6C.00.03 through is not known: they want security version 3"),
    ],
)
async def test_f21_the_way_back_is_what_slots_and_fuses_leave(
    tmp_path: Path, previous: int | None, capability: str, why: str
) -> None:
    async with site(tmp_path, GB300, fused={"HGX_FW_GPU_1": 3}) as place:
        place.profile = tray()
        (recipe,) = (await place.planned(tray_wish(place, goal=3, previous=previous))).recipes.values()
        (way,) = recipe.ways_back
        assert (way.capability, bool(way.target)) == (capability, capability != "none")
        assert why in way.why


@mode("F21")
async def test_f21_a_slot_swap_is_promised_only_where_the_other_slot_will_keep_what_runs(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        wishes = [
            place.component(DGX, "bmc", previous="23.11.21"),
            place.component(DGX, "hgx", previous="96.00.89.00.01"),
        ]
        assert wishes[1].previous is not None
        items = (ItemWant(pattern="HGX_FW_GPU_SXM_*", version="96.00.89.00.01"),)
        wishes[1] = replace(wishes[1], previous=replace(wishes[1].previous, items=items))
        (recipe,) = (await place.planned(*wishes)).recipes.values()
        assert {way.component: way.why for way in recipe.ways_back} == {
            "bmc": "slot-swap: the other slot keeps 23.11.21 until the copy behind the gate; then reflash; flashes 23.11.21 again,"
            " told to allow the downgrade",
            "hgx": "reflash, slot swap not available: it copies by itself; flashes 96.00.89.00.01 again, told to allow the downgrade",
        }


@mode("F21")
async def test_f21_what_the_fuses_refuse_unforeseen_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, GB300, fused={"HGX_FW_GPU_1": 3}) as place:
        place.profile = tray()
        node = await place.rolled_out(tray_wish(place, goal=None, previous=None), downgrade="a rollback")
        assert ended(node) == UPDATE_FAILED
        assert "below the minimum 3 of 'HGX_FW_GPU_1'" in node.message
        assert place.flashes("HGX_FW_GPU_1") == []
        assert harmless(place.truth())
