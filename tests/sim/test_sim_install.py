"""An installation from beginning to end over the real protocols: media, override, power, phone-home, SSH."""

import asyncio
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hall_client import Client
from journey import ImageServer, Open

from fleet.sim.disk import public_line
from fleet.sim.osimage import build_os_image

STRANGER = public_line(asyncssh.generate_private_key("ssh-ed25519"))
HABITS = {
    "DGXH100": {
        "slot": "/redfish/v1/Managers/BMC/VirtualMedia/CD1",
        "insert": {"UserName": "", "Password": ""},
        "boot": ("/redfish/v1/Systems/DGX/SD", "Cd"),
        "system": "/redfish/v1/Systems/DGX",
    },
    "SYS-821GE-TNHR": {
        "slot": "/redfish/v1/Managers/1/VirtualMedia/VirtualMedia1",
        "insert": {},
        "boot": ("/redfish/v1/Systems/1", "UsbCd"),
        "system": "/redfish/v1/Systems/1",
    },
    "PowerEdge R750": {
        "slot": "/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1",
        "insert": {},
        "boot": ("/redfish/v1/Systems/System.Embedded.1/Settings", "Cd"),
        "system": "/redfish/v1/Systems/System.Embedded.1",
    },
    "GB300 NVL": {
        "slot": "/redfish/v1/Managers/BMC_0/VirtualMedia/Slot_0",
        "insert": {},
        "boot": ("/redfish/v1/Systems/System_0/Settings", "Cd"),
        "system": "/redfish/v1/Systems/System_0",
    },
}


async def install(client: Client, url: str, enabled: str = "Once") -> None:
    """Insert, override, off, on."""
    habits: dict[str, Any] = HABITS[client.bmc.spec.model]
    assert await client.log_in() == 201
    insert = f"{habits['slot']}/Actions/VirtualMedia.InsertMedia"
    assert (await client.post(insert, {"Image": url} | habits["insert"]))[0] == 204
    await client.until(lambda: client.get(habits["slot"]), lambda slot: slot["Inserted"])
    path, target = habits["boot"]
    boot = {"Boot": {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target}}
    assert (await client.call("PATCH", path, json=boot))[0] == 204
    system = await client.get(habits["system"])
    assert system["Boot"]["BootSourceOverrideTarget"] == target
    reset = f"{habits['system']}/Actions/ComputerSystem.Reset"
    await client.post(reset, {"ResetType": "ForceOff"})
    await client.until(lambda: client.get(habits["system"]), lambda seen: seen["PowerState"] == "Off")
    await client.post(reset, {"ResetType": "On"})


def sources(truth: Any) -> list[str]:
    """What was booted, oldest first."""
    return [boot["from"] for boot in truth["boots"]]


@pytest.mark.parametrize("model", list(HABITS))
async def test_media_override_and_power_install_an_os(opened: Open, tmp_path: Path, model: str) -> None:
    digest = build_os_image(tmp_path / "os.iso", version_id="24.04", size_bytes=3 << 20)
    journey = await opened(model, box={"os": ""})
    assert "host_key" not in journey.doc["hosts"]["gpu1"]
    with pytest.raises((OSError, asyncssh.Error)):
        await journey.ssh("gpu1", STRANGER)
    async with ImageServer(tmp_path / "os.iso") as server:
        await install(journey.bmc("gpu1"), f"{server.base}/one-time-token.iso")
        async with asyncio.timeout(20):
            await server.called.wait()  # nobody asks the BMC meanwhile
        truth = await journey.node_where(lambda seen: sources(seen) == ["media", "disk"])
    [said] = server.heard
    spec = journey.hall.bmcs["gpu1"].spec
    assert (said["token"], said["serial"], said["uuid"]) == ("one-time-token", spec.serial, spec.uuid)
    assert (said["version_id"], said["image_sha256"]) == ("24.04", digest)
    assert server.ranges == [f"bytes={n << 20}-{(n + 1 << 20) - 1}" for n in range(3)]
    assert truth["image_write_counts"] == {digest: 1}
    assert (truth["image_writes"][0]["outcome"], truth["media_bytes"]) == ("done", 3 << 20)
    assert sources(truth) == ["media", "disk"]
    assert (truth["phone_homes"], truth["boot_override"]) == (1, ["Disabled", "None"])
    await journey.node_where(lambda _: journey.hall.bmcs["gpu1"].os.up(journey.hall.clock.now()))
    async with journey.ssh("gpu1", said["host_key"]) as shell:
        release = str((await shell.run("cat /etc/os-release", check=True)).stdout)
        machine = str((await shell.run("cat /etc/machine-id", check=True)).stdout)
    assert 'VERSION_ID="24.04"' in release
    assert machine.strip() == said["machine_id"]
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await journey.ssh("gpu1", STRANGER)


@pytest.mark.parametrize(
    ("effect", "boots", "outcome", "homes"),
    [
        ("image-unreadable", ["disk"], None, 0),
        ("wrong-identity", ["media", "disk"], "done", 1),
        ("no-phone-home", ["media", "disk"], "done", 0),
        ("media-dropped", ["media"], "dropped", 0),
    ],
)
async def test_installations_that_go_wrong(
    opened: Open, tmp_path: Path, *, effect: str, boots: list[str], outcome: str | None, homes: int
) -> None:
    build_os_image(tmp_path / "os.iso", version_id="24.04")
    journey = await opened("DGXH100", "DGXH100", rules=[{"name": "r", "effect": effect, "select": {"node": "gpu1"}}])
    async with ImageServer(tmp_path / "os.iso") as server:
        await install(journey.bmc("gpu1"), f"{server.base}/t.iso")
        wanted = [outcome] if outcome else []

        def over(seen: Any) -> bool:
            return sources(seen) == boots and [w["outcome"] for w in seen["image_writes"]] == wanted

        truth = await journey.node_where(over)
    assert len(server.heard) == homes
    if effect == "wrong-identity":
        other = journey.hall.bmcs["gpu2"].spec
        assert (server.heard[0]["serial"], server.heard[0]["uuid"]) == (other.serial, other.uuid)
    versions = {"image-unreadable": "22.04", "media-dropped": None}
    assert truth["os"]["version_id"] == versions.get(effect, "24.04")


async def test_a_phone_home_needs_the_provisioning_vlan(opened: Open, tmp_path: Path) -> None:
    build_os_image(tmp_path / "os.iso", version_id="24.04")
    journey = await opened("DGXH100", switch={"provisioning_vlan": 77})
    async with ImageServer(tmp_path / "os.iso") as server:
        await install(journey.bmc("gpu1"), f"{server.base}/t.iso")
        truth = await journey.node_where(lambda seen: sources(seen) == ["media", "disk"])
    assert (server.heard, truth["phone_homes"], truth["phone_home_tries"]) == ([], 0, 16)
