"""The `http` effect: each way of spoiling a request, whom it chooses, and how often."""

from typing import Any

import aiohttp
import pytest
from hall_client import Start

from fleet.sim.faults import FaultError, read_faults

MODEL = "DGXH100"
SYSTEM = "/redfish/v1/Systems/DGX"
INVENTORY = "/redfish/v1/UpdateService/FirmwareInventory"


def rule(**parameters: Any) -> dict[str, Any]:
    """An http rule."""
    return {"name": "x", "effect": "http", "path": SYSTEM, **parameters}


async def test_a_status_with_words_and_headers_instead_of_the_answer_and_only_so_often(start: Start) -> None:
    words = {"error": {"code": "X.1.0.Y", "message": "no"}}
    hall = await start(MODEL, rules=[rule(status=418, body=words, headers={"Retry-After": "/x"}, times=1, skip=1)])
    assert [(await hall.call("GET", SYSTEM))[0] for _ in range(3)] == [200, 418, 200]


async def test_properties_are_replaced_within_objects_and_null_stays(start: Start) -> None:
    hall = await start(
        MODEL, rules=[rule(merge={"PowerState": None, "Status": {"Health": "Critical"}}, times="always")]
    )
    told = await hall.get(SYSTEM)
    assert (told["PowerState"], told["Status"]["Health"], told["Status"]["State"]) == (None, "Critical", "Enabled")
    assert (await hall.get("/redfish/v1/Managers/BMC"))["Status"]["Health"] == "OK"


async def test_an_expanded_collection_lies_as_its_members_do(start: Start) -> None:
    hall = await start(MODEL, rules=[rule(path=f"{INVENTORY}/HostBMC_0", merge={"Version": "x"}, times="always")])
    told = await hall.get(f"{INVENTORY}?$expand=.($levels=1)")
    shown = {member["Id"]: member["Version"] for member in told["Members"]}
    assert (shown["HostBMC_0"], shown["HostBIOS_0"]) == ("x", "01.01.03")
    plain = await hall.get(INVENTORY)
    assert set(plain["Members"][0]) == {"@odata.id"}


@pytest.mark.parametrize(("drop", "power"), [("before", "On"), ("after", "PoweringOff")])
async def test_a_connection_is_reset_before_or_after_the_deed(start: Start, drop: str, power: str) -> None:
    path = f"{SYSTEM}/Actions/ComputerSystem.Reset"
    hall = await start(MODEL, rules=[rule(path=path, method="POST", drop=drop)], speed=1)
    with pytest.raises(aiohttp.ClientError):
        await hall.post(path, {"ResetType": "ForceOff"})
    assert (await hall.get(SYSTEM))["PowerState"] == power


async def test_when_and_version_choose(start: Start) -> None:
    rules = [
        {**rule(status=500, when="host-off", times="always"), "name": "off"},
        {**rule(status=502, bmc_version="99.*", times="always"), "name": "version"},
    ]
    hall = await start(MODEL, rules=rules)
    assert (await hall.call("GET", SYSTEM))[0] == 200
    await hall.post(f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"})
    status, _, _ = await hall.until(lambda: hall.call("GET", SYSTEM), lambda seen: seen[0] != 200)
    assert status == 500


@pytest.mark.parametrize("wrong", [{"stauts": 500}, {"when": "noon"}, {"drop": True}, {"merge": 7}])
def test_a_rule_that_would_never_strike_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FaultError, match=r"http|one of|mapping"):
        read_faults({"faults": "t", "rules": [rule(**wrong)]}, "t")
