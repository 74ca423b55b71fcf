"""A whole update of each box over TLS: upload, task, right reset, new version."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hall_client import Client, Start

from fleet.sim.package import build_box_package

GPUS = "HGX_FW_GPU_SXM"
HGX = "/redfish/v1/UpdateService/FirmwareInventory/HGX_0"
DGX_RESET = "/redfish/v1/Systems/DGX/Actions/ComputerSystem.Reset"
SMC_RESET = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
DELL_RESET = "/redfish/v1/Systems/System.Embedded.1/Actions/ComputerSystem.Reset"


def image(tmp_path: Path, model: str, bundle: str, versions: dict[str, str], size_bytes: int = 9000) -> bytes:
    path = tmp_path / "image.fwpkg"
    build_box_package(path, model=model, bundle=bundle, versions=versions, version="1", size_bytes=size_bytes)
    return path.read_bytes()


async def power(client: Client, action: str, kind: str, wanted: str) -> None:
    status, body, _ = await client.post(action, {"ResetType": kind})
    assert status in {202, 204}, body
    system = action.partition("/Actions")[0]
    await client.until(lambda: client.get(system), lambda seen: seen["PowerState"] == wanted)


async def push_and_wait(client: Client, uri: str, parameters: Any, data: bytes) -> Any:
    status, body, _ = await client.push(uri, parameters, data)
    assert status == 202, body
    return await client.task_end(body["Messages"][0]["MessageArgs"][0])


async def test_dgx_gpu_tray_needs_a_dc_cycle(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100")
    data = image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.99.00.01"})
    task = await push_and_wait(client, "/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, data)
    assert (task["TaskState"], task["TaskStatus"]) == ("Completed", "OK")
    awaits = [each for each in task["Messages"] if each["MessageId"].endswith("AwaitToActivate")]
    assert len(awaits) == 8
    assert awaits[0]["Resolution"] == "Medium-specific reset or DC power cycle or AC power cycle"

    await power(client, DGX_RESET, "ForceRestart", "On")
    await client.until(client.versions, lambda _: len(client.truth()["resets"]) == 1)
    assert (await client.versions())["HGX_FW_GPU_SXM_1"] == "96.00.89.00.01"  # a warm reset is not enough

    await power(client, DGX_RESET, "ForceOff", "Off")
    await power(client, DGX_RESET, "On", "On")
    versions = await client.versions()
    assert {versions[f"{GPUS}_{n}"] for n in range(1, 9)} == {"96.00.99.00.01"}
    truth = client.truth()
    assert truth["items"][f"{GPUS}_8"]["flashes"][0]["version"] == "96.00.99.00.01"
    assert truth["power_cuts_in_flash"] == 0
    assert truth["bricked"] is None


async def test_dgx_bmc_activates_by_its_own_reset(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100")
    data = image(tmp_path, "DGXH100", "motherboard", {"HostBMC": "23.12.01"})
    task = await push_and_wait(client, "/redfish/v1/UpdateService/upload", {}, data)
    assert task["TaskState"] == "Completed"
    assert (await client.versions())["HostBMC_0"] == "23.11.21"
    await client.post("/redfish/v1/Managers/BMC/Actions/Manager.Reset", {"ResetType": "ForceRestart"})
    await client.until(client.settled_or_gone, lambda seen: not seen)
    await client.back()
    assert (await client.versions())["HostBMC_0"] == "23.12.01"
    assert client.truth()["sessions"]["lost"] == 1
    assert (await client.call("GET", "/redfish/v1/TaskService/Tasks/1"))[0] == 404


async def test_dgx_downgrade_needs_the_sticky_flag(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100")
    data = image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.61.00.01"})
    task = await push_and_wait(client, "/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, data)
    assert {each["MessageId"] for each in task["Messages"]} == {"Update.1.0.UpdateSkippedVersionTooLow"}
    assert client.truth()["items"][f"{GPUS}_1"]["flashes"] == []
    options = {"HttpPushUriOptions": {"ForceUpdate": True}}
    assert (await client.call("PATCH", "/redfish/v1/UpdateService", json=options))[0] == 204
    assert (await client.get("/redfish/v1/UpdateService"))["HttpPushUriOptions"]["ForceUpdate"] is True
    await push_and_wait(client, "/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, data)
    assert client.truth()["items"][f"{GPUS}_1"]["staged"] == "96.00.61.00.01"


async def test_wrong_tray_is_no_matching_devices(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100")
    data = image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.99.00.01"})
    task = await push_and_wait(client, "/redfish/v1/UpdateService/upload", {}, data)
    assert task["TaskState"] == "Exception"
    assert task["Messages"][0]["MessageArgs"][1] == "No Matching Devices"


async def test_damaged_image_is_refused_before_anything_is_written(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100")
    data = bytearray(image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.99.00.01"}))
    data[-100] ^= 1
    task = await push_and_wait(client, "/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, bytes(data))
    assert task["Messages"][-1]["MessageId"] == "Update.1.0.VerificationFailed"
    assert client.truth()["items"][f"{GPUS}_1"]["flashes"] == []


async def test_second_update_is_refused_while_one_runs(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100", speed=100)
    data = image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.99.00.01"})
    uri = "/redfish/v1/UpdateService/upload"
    assert (await client.push(uri, {"Targets": [HGX]}, data))[0] == 202
    status, body, _ = await client.push(uri, {"Targets": [HGX]}, data)
    assert status == 503
    assert body["error"]["message"] == "An update is in progress."
    assert client.truth()["submits"] == 1


async def test_supermicro_two_phase_bmc_update_resets_itself(start: Start, tmp_path: Path) -> None:
    client = await start("SYS-821GE-TNHR")
    data = image(tmp_path, "SYS-821GE-TNHR", "bmc", {"BMC": "01.02.03"})
    parameters = {"Targets": ["/redfish/v1/Managers/1"], "@Redfish.OperationApplyTime": "OnStartUpdateRequest"}
    status, body, headers = await client.push("/redfish/v1/UpdateService/upload", parameters, data)
    assert status == 202
    task = await client.task_end(body["Accepted"]["@Message.ExtendedInfo"][0]["MessageArgs"][0])
    assert (task["Name"], task["TaskState"]) == ("BMC Verify", "Completed")
    assert headers["Location"].startswith("/redfish/v1/TaskService/")
    assert client.truth()["items"]["BMC"]["flashes"] == []
    assert (await client.post("/redfish/v1/UpdateService/Actions/UpdateService.StartUpdate", {}))[0] == 202
    await client.until(client.settled_or_gone, lambda seen: not seen)
    await client.back()
    assert (await client.versions())["BMC"] == "01.02.03"
    assert (await client.versions())["Backup_BMC"] == "11.01.01"


async def test_supermicro_bios_shows_staged_and_active(start: Start, tmp_path: Path) -> None:
    client = await start("SYS-821GE-TNHR")
    new = "BIOS Date: 01/15/2024 Ver 2.1"
    data = image(tmp_path, "SYS-821GE-TNHR", "bios", {"BIOS": new})
    targets = {"Targets": ["/redfish/v1/Systems/1/Bios"]}
    _, body, _ = await client.push("/redfish/v1/UpdateService/upload", targets, data)
    await client.task_end(body["Accepted"]["@Message.ExtendedInfo"][0]["MessageArgs"][0])
    before = await client.versions()
    assert (before["Staging_BIOS"], before["BIOS"]) == (new, "BIOS Date: 08/04/2023 Ver 1.4")
    await client.post(SMC_RESET, {"ResetType": "PowerCycle"})
    await client.until(client.versions, lambda seen: seen["BIOS"] == new)
    assert (await client.get("/redfish/v1/Systems/1"))["BiosVersion"] == "2.1"


async def test_dell_bios_is_a_job_that_runs_at_reboot(start: Start, tmp_path: Path) -> None:
    client = await start("PowerEdge R750")
    data = image(tmp_path, "PowerEdge R750", "bios", {"BIOS": "1.9.2"})
    uri = "/redfish/v1/UpdateService/MultipartUpload"
    status, body, headers = await client.push(uri, {"@Redfish.OperationApplyTime": "OnReset"}, data)
    assert (status, body) == (202, "")
    task_uri = headers["Location"]
    number = task_uri.rpartition("/")[2]
    assert number.startswith("JID_")
    job = f"/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs/{number}"
    await client.until(lambda: client.get(job), lambda seen: seen["JobState"] == "Scheduled")
    assert client.truth()["items"]["BIOS.Setup.1-1"]["flashes"] == []
    await client.post(DELL_RESET, {"ResetType": "PowerCycle"})
    assert (await client.task_end(task_uri))["TaskState"] == "Completed"
    assert (await client.get(job))["JobState"] == "Completed"
    versions = await client.versions()
    assert "Installed-159-1.9.2__BIOS.Setup.1-1" in versions
    assert "Previous-159-1.8.2__BIOS.Setup.1-1" in versions
    assert "Installed-159-1.8.2__BIOS.Setup.1-1" not in versions


async def test_idrac_resets_itself_keeps_its_jobs_and_rolls_back(start: Start, tmp_path: Path) -> None:
    client = await start("PowerEdge R750")
    data = image(tmp_path, "PowerEdge R750", "idrac", {"iDRAC": "7.10.30.00"})
    _, _, headers = await client.push("/redfish/v1/UpdateService/MultipartUpload", {}, data)
    await client.until(client.settled_or_gone, lambda seen: not seen)
    await client.back()
    assert (await client.get(headers["Location"]))["TaskState"] == "Completed"
    previous = "/redfish/v1/UpdateService/FirmwareInventory/Previous-25227-6.00.30.00__iDRAC.Embedded.1-1"
    action = "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate"
    assert (await client.post(action, {"ImageURI": previous}))[0] == 202
    await client.until(client.settled_or_gone, lambda seen: not seen)
    await client.back()
    assert "Installed-25227-6.00.30.00__iDRAC.Embedded.1-1" in await client.versions()


async def test_http_push_takes_the_raw_image(start: Start, tmp_path: Path) -> None:
    client = await start("PowerEdge R750")
    data = image(tmp_path, "PowerEdge R750", "psu", {"PSU": "00.2B.01"})
    status, _, headers = await client.call("POST", "/redfish/v1/UpdateService/FirmwareInventory", data=data)
    assert status == 202
    task = await client.until(lambda: client.get(headers["Location"]), lambda seen: seen["TaskState"] == "Starting")
    assert task["Messages"][-1]["Message"] == "Task successfully scheduled."


@pytest.mark.parametrize("breaks_at", [0, 50_000])
async def test_simple_update_pulls_and_resumes_with_range(start: Start, tmp_path: Path, breaks_at: int) -> None:
    client = await start("DGXH100")
    data = image(tmp_path, "DGXH100", "motherboard", {"HostBIOS": "01.02.01"}, size_bytes=100_000)
    ranges: list[str] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        ranges.append(wanted)
        first = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        response = web.StreamResponse(status=206 if wanted else 200)
        response.content_length = len(data) - first
        await response.prepare(request)
        if breaks_at and not wanted:
            await response.write(data[:breaks_at])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(data[first:])
        return response

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # the site is started
    order = {"ImageURI": f"http://127.0.0.1:{port}/bios.fwpkg", "TransferProtocol": "HTTP"}
    status, body, _ = await client.post("/redfish/v1/UpdateService/Actions/SimpleUpdate", order)
    assert status == 202
    assert (await client.task_end(body["@odata.id"]))["TaskStatus"] == "OK"
    await runner.cleanup()
    assert ranges == ([""] if not breaks_at else ["", f"bytes={breaks_at}-"])
    assert client.truth()["items"]["HostBIOS_0"]["staged"] == "01.02.01"
    assert client.truth()["received_bytes"] == len(data)


async def test_simple_update_of_a_missing_image_is_transfer_failed(start: Start) -> None:
    client = await start("DGXH100")
    order = {"ImageURI": "http://127.0.0.1:9/none.fwpkg", "TransferProtocol": "HTTP"}
    _, body, _ = await client.post("/redfish/v1/UpdateService/Actions/SimpleUpdate", order)
    task = await client.task_end(body["@odata.id"])
    assert task["Messages"][-1]["MessageId"] == "Update.1.0.TransferFailed"


async def test_broken_upload_starts_nothing_and_works_the_second_time(start: Start, tmp_path: Path) -> None:
    client = await start("DGXH100", rules=[{"name": "r", "effect": "upload-broken", "times": 1}])
    data = image(tmp_path, "DGXH100", "gpu", {GPUS: "96.00.99.00.01"}, size_bytes=900_000)
    with pytest.raises(aiohttp.ClientError):
        await client.push("/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, data)
    assert client.truth()["submits"] == 0
    await push_and_wait(client, "/redfish/v1/UpdateService/upload", {"Targets": [HGX]}, data)
    assert client.truth()["items"][f"{GPUS}_1"]["staged"] == "96.00.99.00.01"
