"""What DSP0266 demands of the hall: roles, ETags, queries, headers, OData documents; and the quirks that break its schemas."""

from pathlib import Path

import pytest
import yaml
from hall_client import Start

from fleet.sim.boxmodel import BOXES, box_names, load_box
from fleet.sim.query import QueryError, applied

ACCOUNTS = "/redfish/v1/AccountService/Accounts"
CAPTURED = Path(BOXES).parent / "faults" / "as-captured.yaml"


async def test_a_read_only_user_changes_nothing_but_the_own_password(start: Start) -> None:
    client = await start("DGXH100")
    said = {"UserName": "guest", "Password": "guest-guest", "RoleId": "ReadOnly"}
    status, _, headers = await client.post(ACCOUNTS, said)
    assert status == 201
    own = headers["Location"]
    status, _, headers = await client.post(
        "/redfish/v1/SessionService/Sessions", {"UserName": "guest", "Password": "guest-guest"}
    )
    assert status == 201
    client.headers = {"X-Auth-Token": headers["X-Auth-Token"]}
    assert (await client.call("GET", "/redfish/v1/Systems/DGX"))[0] == 200
    reset = await client.post("/redfish/v1/Managers/BMC/Actions/Manager.Reset", {"ResetType": "ForceRestart"})
    assert reset[0] == 403
    assert (await client.call("PATCH", f"{ACCOUNTS}/1", json={"Password": "taken-over"}))[0] == 403
    assert (await client.call("PATCH", own, json={"RoleId": "Administrator"}))[0] == 403
    assert (await client.call("PATCH", own, json={"Password": "another-one"}))[0] == 200
    assert client.truth()["resets"] == []


async def test_an_account_changes_only_for_who_knows_its_latest_state(start: Start) -> None:
    client = await start("GB300 NVL")
    said = {"UserName": "ops", "Password": "ops-ops-ops", "RoleId": "Operator"}
    _, _, headers = await client.post(ACCOUNTS, said)
    uri, old = headers["Location"], headers["Etag"]
    first = await client.call("PATCH", uri, json={"Enabled": False})
    assert (first[0], first[1]["Enabled"]) == (200, False)
    client.headers["If-Match"] = old
    status, body, _ = await client.call("PATCH", uri, json={"Enabled": True})
    assert (status, body["error"]["code"].rpartition(".")[2]) == (412, "PreconditionFailed")
    del client.headers["If-Match"]
    assert (await client.get(uri))["Enabled"] is False
    assert (await client.call("DELETE", uri))[0] == 204
    assert (await client.call("DELETE", f"{ACCOUNTS}/1"))[0] == 403


async def test_queries_do_what_the_root_promises(start: Start) -> None:
    client = await start("SYS-821GE-TNHR")
    roles = "/redfish/v1/AccountService/Roles"
    found = await client.get(f"{roles}?$filter=Id eq 'Operator' or not (Id ne 'ReadOnly')")
    assert [each["@odata.id"] for each in found["Members"]] == [f"{roles}/Operator", f"{roles}/ReadOnly"]
    short = await client.get("/redfish/v1/Systems/1?$select=Boot/BootSourceOverrideMode,PowerState")
    assert set(short) == {"@odata.id", "@odata.type", "Boot", "PowerState"}
    assert short["Boot"] == {"BootSourceOverrideMode": "UEFI"}
    deep = await client.get("/redfish/v1/Chassis?$expand=.($levels=2)")
    assert deep["Members"][0]["Model"] == "SYS-821GE-TNHR"
    assert (await client.call("GET", "/redfish/v1/Chassis?$expand=.($levels=3)"))[0] == 400
    assert (await client.call("GET", "/redfish/v1/Chassis?$orderby=Id"))[0] == 501
    assert (await client.call("GET", "/redfish/v1/Systems/1?$filter=Id eq '1'"))[0] == 400


async def test_the_root_expands_nothing_for_who_has_not_logged_in(start: Start) -> None:
    client = await start("DGXH100", login=False)
    root = await client.get("/redfish/v1/?$expand=*")
    assert root["Systems"] == {"@odata.id": "/redfish/v1/Systems"}
    assert (await client.call("GET", "/redfish/v1/$metadata"))[0] == 200
    assert (await client.call("GET", "/redfish/v1/Systems"))[0] == 401


async def test_methods_that_are_not_for_a_resource_say_which_are(start: Start) -> None:
    client = await start("DGXH100")
    status, _, headers = await client.call("DELETE", "/redfish/v1/Systems/DGX")
    assert (status, headers["Allow"]) == (405, "GET, HEAD, PATCH")
    status, _, headers = await client.call("PATCH", "/redfish/v1/TaskService", json={})
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert (await client.call("BREW", "/redfish/v1/"))[0] == 501
    status, body, headers = await client.call("HEAD", "/redfish/v1/Systems/DGX")
    assert (status, body, headers["OData-Version"]) == (200, "", "4.0")
    assert "ComputerSystem.v1_17_0" in headers["Link"]
    client.headers["OData-Version"] = "3.0"
    assert (await client.call("GET", "/redfish/v1/Systems/DGX"))[0] == 412


async def test_arrays_are_patched_as_the_standard_has_it(start: Start) -> None:
    client = await start("DGXH100")
    uri = "/redfish/v1/Managers/BMC/NetworkProtocol"
    for said, expected in (
        (["a", "b", "c"], ["a", "b", "c"]),
        ([{}, None, {}], ["a", "c"]),
        ([{}], ["a"]),
    ):
        assert (await client.call("PATCH", uri, json={"NTP": {"NTPServers": said}}))[0] == 204
        assert (await client.get(uri))["NTP"]["NTPServers"] == expected


async def test_forced_restart_of_a_host_that_is_off_starts_it(start: Start) -> None:
    client = await start("DGXH100")
    reset = "/redfish/v1/Systems/DGX/Actions/ComputerSystem.Reset"
    await client.post(reset, {"ResetType": "ForceOff"})
    system = "/redfish/v1/Systems/DGX"
    await client.until(lambda: client.get(system), lambda seen: seen["PowerState"] == "Off")
    await client.post(reset, {"ResetType": "ForceRestart"})
    await client.until(lambda: client.get(system), lambda seen: seen["PowerState"] == "On")


async def test_captured_quirks_come_back_by_their_fault_file(start: Start) -> None:
    client = await start("DGXH100", rules=yaml.safe_load(CAPTURED.read_text())["rules"])
    service = await client.get("/redfish/v1/UpdateService")
    target = service["Actions"]["#UpdateService.SimpleUpdate"]["target"]
    assert target == "/redfish/v1/UpdateService/Actions/SimpleUpdate"
    assert (await client.get("/redfish/v1/Managers/HGX_BMC_0"))["Id"] == "bmc"
    assert (await client.post(target, {"ImageURI": "http://127.0.0.1/none"}))[0] == 202


async def test_the_monitor_of_an_ilo_is_gone_when_the_work_is_done(start: Start) -> None:
    client = await start("ProLiant DL385 Gen10 Plus v2")
    order = {"ImageURI": "http://127.0.0.1:9/none"}
    status, task, headers = await client.post("/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate", order)
    assert status == 202
    await client.task_end(task["@odata.id"])
    assert (await client.call("GET", headers["Location"]))[0] == 404
    assert (await client.get("/redfish/v1/UpdateService"))["Oem"]["Hpe"]["State"] == "Error"


@pytest.mark.parametrize("broken", ["Id eq", "(Id eq 'a'", "Id like 'a'", "Id eq 'a' 'b'", "Id gt 3"])
def test_a_filter_that_cannot_be_read_is_refused(broken: str) -> None:
    collection = {"Members": [{"@odata.id": "/a"}]}
    with pytest.raises(QueryError):
        applied(f"$filter={broken}", collection, lambda _: {"Id": "a"}, levels=1)


@pytest.mark.parametrize("model", box_names())
def test_every_box_offers_only_what_it_accepts(model: str) -> None:
    """Reset values that are advertised inline are those that the action takes; versions are texts."""
    box = load_box(model)
    text = b"".join(resource.render(lambda *_: "") for resource in box.resources.values()).decode()
    for path, values in box.action_values.items():
        at = text.find(f'"target":"{path}"')
        assert at >= 0, path
        listed = text[at : at + 400].partition('"ResetType@Redfish.AllowableValues":')[2].partition("]")[0]
        if listed and "target" not in listed.partition("[")[0]:
            assert set(yaml.safe_load(listed + "]")) == set(values), path
    assert all(part.bundle is None or part.bundle in box.bundles for part in box.parts)
