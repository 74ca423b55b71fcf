"""Who may ask: sessions, limits, lockout; and what a BMC restart looks like from outside."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hall_bench import Bench
from hall_client import PASSWORD, Start, boxes

from fleet.sim.hall import Hall, HallError, HallSpec

SESSIONS = "/redfish/v1/SessionService/Sessions"


async def test_only_the_root_is_public(start: Start) -> None:
    client = await start("DGXH100", login=False)
    assert await client.get("/redfish") == {"v1": "/redfish/v1/"}
    assert (await client.get("/redfish/v1/"))["Vendor"] == "AMI"
    for path in ("/redfish/v1/Systems", "/redfish/v1/UpdateService/FirmwareInventory", SESSIONS):
        assert (await client.call("GET", path))[0] == 401


async def test_session_is_listed_with_its_context_and_deleted(start: Start) -> None:
    client = await start("DGXH100")
    listed = (await client.get(SESSIONS))["Members"]
    assert len(listed) == 1
    assert (await client.get(listed[0]["@odata.id"]))["Context"] == "test"
    assert (await client.call("DELETE", listed[0]["@odata.id"]))[0] == 204
    assert (await client.call("GET", SESSIONS))[0] == 401
    assert client.truth()["sessions"] == {"open": 0, "created": 1, "deleted": 1, "lost": 0, "expired": 0}


@pytest.mark.parametrize(
    ("model", "limit", "code"),
    [
        ("PowerEdge R750", 8, "IDRAC.2.8.RAC0218"),
        ("SYS-821GE-TNHR", 16, "Base.v1_10_3.SessionLimitExceeded"),
    ],
)
async def test_session_limit(start: Start, model: str, limit: int, code: str) -> None:
    client = await start(model, login=False, speed=600)
    assert [await client.log_in() for _ in range(limit)] == [201] * limit
    status, body, _ = await client.post(SESSIONS, {"UserName": "admin", "Password": PASSWORD})
    assert (status, body["error"]["code"]) == (503, code)


def test_idle_session_expires() -> None:
    one = Bench("SYS-821GE-TNHR")
    one.wait(299)
    assert one.ask("GET", SESSIONS).status == 200
    one.wait(301)
    assert one.ask("GET", SESSIONS).status == 401
    assert one.bmc.truth()["sessions"]["expired"] == 1


async def test_five_wrong_passwords_lock_the_account_for_a_while(start: Start) -> None:
    client = await start("DGXH100", login=False, speed=600)
    assert [await client.log_in("wrong") for _ in range(5)] == [401] * 5
    assert await client.log_in() == 401
    assert client.truth()["failed_logins"] == 5
    await client.until(client.log_in, lambda status: status == 201)
    assert client.hall.clock.now() > 300


async def test_basic_authentication(start: Start) -> None:
    client = await start("DGXH100", login=False)
    client.headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    assert (await client.call("GET", "/redfish/v1/Systems/DGX"))[0] == 200
    client.headers = {"Authorization": aiohttp.encode_basic_auth("admin", "wrong")}
    assert (await client.call("GET", "/redfish/v1/Systems/DGX"))[0] == 401
    assert client.truth()["sessions"]["created"] == 0


async def test_large_body_with_a_dead_token_is_not_read(start: Start) -> None:
    client = await start("DGXH100")
    client.headers = {"X-Auth-Token": "dead"}
    assert (await client.push("/redfish/v1/UpdateService/upload", {}, bytes(100_000)))[0] == 401
    assert client.truth()["submits"] == 0


async def test_bmc_restart_seen_from_outside(start: Start) -> None:
    client = await start("DGXH100", speed=150)
    before = (await client.get("/redfish/v1/Managers/BMC"))["LastResetTime"]
    await client.post("/redfish/v1/Managers/BMC/Actions/Manager.Reset", {"ResetType": "ForceRestart"})
    seen: list[str] = []

    async def look() -> str:
        try:
            status, body, _ = await client.call("GET", "/redfish/v1/Managers/BMC")
        except aiohttp.ClientConnectorError as gone:
            return "reset" if isinstance(gone.os_error, ConnectionResetError) else "refused"
        except (aiohttp.ClientError, OSError):
            return "reset"
        return "html" if isinstance(body, str) else str(status)

    async with asyncio.timeout(20):
        while await client.log_in_quietly() != 201:
            for what in (await look(), await look()):  # two: answers alternate between JSON and HTML
                if what not in seen:
                    seen.append(what)
    order = [each for each in ("refused", "503", "401") if each in seen]
    assert sorted(order, key=seen.index) == ["refused", "503", "401"]
    assert {"reset", "html"} <= set(seen)
    assert (await client.call("GET", "/redfish/v1/UpdateService/FirmwareInventory/HGX_FW_GPU_SXM_1"))[0] == 404
    stubs = await client.versions()
    assert "HostBMC_0" in stubs
    assert not any(item.startswith("HGX_") for item in stubs)
    await client.until(client.settled, bool)
    assert len(await client.versions()) == 66
    assert (await client.get("/redfish/v1/Managers/BMC"))["LastResetTime"] > before


async def test_reset_types_that_are_not_offered_are_refused(start: Start) -> None:
    client = await start("DGXH100")
    action = "/redfish/v1/Systems/DGX/Actions/ComputerSystem.Reset"
    info = await client.get("/redfish/v1/Systems/DGX/ResetActionInfo")
    assert info["Parameters"][0]["AllowableValues"] == ["ForceOff", "ForceRestart", "GracefulShutdown", "On"]
    status, body, _ = await client.post(action, {"ResetType": "PowerCycle"})
    assert (status, body["error"]["code"]) == (400, "Base.1.12.ActionParameterNotSupported")
    assert (await client.post("/redfish/v1/Systems/HGX_Baseboard_0/Actions/ComputerSystem.Reset", {}))[0] == 404
    assert client.truth()["resets"] == []


async def test_hall_files(tmp_path: Path) -> None:
    directory = tmp_path / "h"
    spec = HallSpec(boxes=boxes("DGXH100"), directory=directory)
    async with Hall(spec):
        assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600
        connector = aiohttp.UnixConnector(str(directory / "truth.sock"))
        async with aiohttp.ClientSession(connector=connector) as http, http.get("http://hall/truth") as answer:
            truth: Any = await answer.json()
        assert list(truth["nodes"]) == [spec.boxes[0].name]
        assert truth["process"]["rss_bytes"] > 0
    assert not (directory / "hall.json").exists()


async def test_a_directory_too_deep_for_a_socket_is_refused(tmp_path: Path) -> None:
    spec = HallSpec(boxes=boxes("DGXH100"), directory=tmp_path / ("d" * 100))
    with pytest.raises(HallError, match="choose a shorter directory"):
        await Hall(spec).__aenter__()


async def test_one_address_cannot_be_used_twice(tmp_path: Path) -> None:
    box = boxes("DGXH100")
    async with Hall(HallSpec(boxes=box, directory=tmp_path / "a")):
        with pytest.raises(HallError, match="stop the other hall"):
            await Hall(HallSpec(boxes=box, directory=tmp_path / "b")).__aenter__()


async def test_requests_in_flight_are_counted(start: Start) -> None:
    client = await start("DGXH100", speed=10)
    paths = ["/redfish/v1/Systems", "/redfish/v1/Chassis", "/redfish/v1/Managers"]
    for _ in range(2):  # the second round finds its connections open
        await asyncio.gather(*(client.get(path) for path in paths))
    assert client.truth()["max_in_flight"] == 3
    assert client.truth()["requests"] == 7
