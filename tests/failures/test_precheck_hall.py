"""What the plan asks before anything is touched (field guide 1.7, PRECHECK), each against the hall over TLS."""

import json
from pathlib import Path
from typing import Any

import pytest
from failure_rig import DELL, DGX, INVENTORY, SMC, Site, http, site

from fleet.errors import Reason
from fleet.plan import PlannedNode

MANAGER, CHASSIS, BASEBOARD = (f"/redfish/v1/{at}" for at in ("Managers/BMC", "Chassis/DGX", "Chassis/HGX_Chassis_0"))
LOCKDOWN = "/redfish/v1/Managers/1/Oem/Supermicro/SysLockdown"
ATTRIBUTES = "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/DellAttributes/iDRAC.Embedded.1"


async def planned(place: Site, model: str, key: str) -> PlannedNode:
    """The node's entry in a plan to flash one component; nothing was done to it."""
    node = (await place.planned(place.component(model, key))).nodes["gpu1"]
    truth = place.truth()
    assert (truth["submits"], truth["resets"], truth["sessions"]["open"]) == (0, [], 0)
    return node


@pytest.mark.parametrize(
    ("model", "key", "rule", "says"),
    [
        (SMC, "bmc", http(f"{INVENTORY}/BMC", merge={"WriteProtected": True}), "bmc: BMC says WriteProtected"),
        (
            DGX,
            "hgx",
            http(BASEBOARD, merge={"Oem": {"Nvidia": {"HardwareWriteProtected": True}}}),
            "hardware write protection of the HGX baseboard is on",
        ),
        (SMC, "bios", http(LOCKDOWN, status=200, body={"SysLockdownEnabled": True}), "system lockdown is on"),
        (
            DELL,
            "bios",
            http(ATTRIBUTES, status=200, body={"Attributes": {"Lockdown.1.SystemLockdown": "Enabled"}}),
            "system lockdown is on",
        ),
    ],
    ids=["item", "baseboard", "supermicro", "dell"],
)
async def test_a_locked_machine_is_refused(
    tmp_path: Path, model: str, key: str, rule: dict[str, Any], says: str
) -> None:
    async with site(tmp_path, model, rules=[rule]) as place:
        node = await planned(place, model, key)
        assert (node.reason, says in node.message) == (Reason.WRITE_PROTECTED, True), node.message
        assert "F26" in node.message


async def test_a_protected_baseboard_does_not_forbid_the_bmc_s_image(tmp_path: Path) -> None:
    rule = http(BASEBOARD, merge={"Oem": {"Nvidia": {"HardwareWriteProtected": True}}})
    async with site(tmp_path, DGX, rules=[rule]) as place:
        assert not (await planned(place, DGX, "bmc")).reason


async def test_what_is_unlocked_is_not_refused_and_nothing_is_to_be_known(tmp_path: Path) -> None:
    unlocked = http(LOCKDOWN, status=200, body={"SysLockdownEnabled": False})
    async with site(tmp_path, SMC, DGX, rules=[unlocked]) as place:
        plan = await place.planned(place.component(SMC, "bmc"))
        assert [(node.reason, node.notes) for node in plan.nodes.values()] == [("", ())] * 2


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("1970-01-01T00:04:28+00:00", "behind ours"),
        ("9999-12-31T23:59:59Z", "ahead of ours"),
        ("0000-00-00T00:00:00", ""),
        (None, ""),
    ],
)
async def test_a_clock_that_is_off_is_told(tmp_path: Path, told: str | None, says: str) -> None:
    async with site(tmp_path, DGX, rules=[http(MANAGER, merge={"DateTime": told})]) as place:
        node = await planned(place, DGX, "bmc")
        assert not node.reason
        assert [(note.topic, says in note.text) for note in node.notes] == ([("clock-off", True)] if says else [])


async def test_inserted_media_are_told_without_their_address(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        media = place.hall.bmcs["gpu1"].media
        body = {"Image": "http://user:secret@10.0.0.1/other.iso", "UserName": "", "Password": ""}
        for slot in media.model.slots:
            path = f"{slot}/Actions/VirtualMedia.InsertMedia"
            assert media.post(path, json.dumps(body).encode(), place.hall.clock.now() - 60)
        (note,) = (await planned(place, DGX, "bmc")).notes
        assert (note.topic, note.text.partition(":")[0]) == (
            "media-inserted",
            "CD1 inserted",
        )
        assert "secret" not in (tmp_path / "journal.db").read_bytes().decode(errors="replace")


@pytest.mark.parametrize("modern", [True, False], ids=["PowerSubsystem", "Power"])
async def test_lost_redundancy_is_told(tmp_path: Path, *, modern: bool) -> None:
    name = "PowerSubsystem" if modern else "Power"
    ill = {"Name": "Group 1", "Status": {"Health": "Warning", "State": "Enabled"}}
    empty = {"Name": "Bay 2", "Id": "PSU2", "Status": {"Health": "Critical", "State": "Absent"}}
    broken = {"@odata.id": f"{CHASSIS}/PSU1", "Name": "Bay 1", "Status": {"Health": "Critical"}}
    supplies = {"PowerSupplies": {"@odata.id": f"{CHASSIS}/Bays"}, "PowerSupplyRedundancy": [ill]}
    rules = [
        http(CHASSIS, merge={name: {"@odata.id": f"{CHASSIS}/{name}"}}),
        http(
            f"{CHASSIS}/{name}",
            status=200,
            body=supplies if modern else {"PowerSupplies": [broken, empty], "Redundancy": [ill]},
        ),
        http(f"{CHASSIS}/Bays", status=200, body={"Members": [broken, {**empty, "@odata.id": f"{CHASSIS}/PSU2"}]}),
    ]
    async with site(tmp_path, DGX, rules=rules) as place:
        node = await planned(place, DGX, "bmc")
        assert not node.reason
        (note,) = node.notes
        first = "PSU1" if modern else "Bay 1"
        assert note.topic == "power-supply"
        assert note.text.startswith(f"power supplies: {first} (Critical), redundancy Group 1 (Warning)")
