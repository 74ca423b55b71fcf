"""Two slots behind a root of trust: background copy, CommitImage, AC loss, anti-rollback (field guide 1.8, 1.11, A.4)."""

import json
from typing import Any

import pytest
from hall_bench import BMC_RESET, BOUNDARY, Bench

from fleet.sim.package import Component, Device, package_bytes

COMMIT = "/redfish/v1/UpdateService/Actions/Oem/NvidiaUpdateService.CommitImage"
ITEMS = "/redfish/v1/UpdateService/FirmwareInventory"
TRAY, GPU, IROT = "GB300 NVL", "HGX_FW_GPU_0", "/redfish/v1/Chassis/HGX_IRoT_GPU_0"
HGX_TRAY = ["/redfish/v1/Chassis/HGX_Chassis_0"]
OLD, NEW = "97.00.6C.00.03", "97.00.B0.00.01"
HALF = [{"name": "half", "effect": "half-updated", "select": {"component": GPU}}]


def slots(bench: Bench, item: str = GPU) -> tuple[tuple[str, str], tuple[str, str]]:
    """(Version, FirmwareState) of the active and of the inactive slot, as the inventory shows them."""
    shown = bench.get(f"{ITEMS}/{item}")["Oem"]["Nvidia"]
    active, inactive = shown["ActiveFirmwareSlot"], shown["InactiveFirmwareSlot"]
    assert {active["SlotId"], inactive["SlotId"]} == {0, 1}
    return (active["Version"], active["FirmwareState"]), (inactive["Version"], inactive["FirmwareState"])


def copy(bench: Bench, chassis: str = IROT) -> str:
    status: str = bench.get(chassis)["Oem"]["Nvidia"]["BackgroundCopyStatus"]
    return status


def flashed(rules: list[dict[str, Any]] | None = None) -> Bench:
    """A tray whose new GPU image is staged."""
    bench = Bench(TRAY, rules)
    assert bench.push("hgx", {0xC000: NEW}, HGX_TRAY).status == 202
    bench.wait(100)
    return bench


def power_cycled(bench: Bench) -> None:
    """AC off and on, and the BMC is back."""
    bench.bmc.ac_cycle(bench.clock.now())
    bench.wait(10)


def back(bench: Bench) -> None:
    """The BMC answers again."""
    bench.wait(600)
    bench.log_in()


def test_a_new_image_is_copied_by_itself_after_it_started() -> None:
    bench = flashed()
    assert slots(bench) == ((OLD, "Activated"), (NEW, "PendingActivation"))
    bench.bmc.firmware.activate_written([GPU])
    assert (copy(bench), slots(bench)) == ("Pending", ((NEW, "Activated"), (OLD, "ImageCopyPending")))
    bench.wait(61)
    assert (copy(bench), slots(bench)[1]) == ("InProgress", (OLD, "ImageCopyInProgress"))
    bench.wait(120)
    assert (copy(bench), slots(bench)) == ("Completed", ((NEW, "Activated"), (NEW, "Inactive")))


def test_while_it_copies_no_image_and_no_other_copy_is_taken() -> None:
    bench = flashed()
    bench.bmc.firmware.activate_written([GPU])
    for answer in (
        bench.push("hgx", {0xC000: OLD}, HGX_TRAY),
        bench.ask("POST", COMMIT, {"Targets": [f"{ITEMS}/{GPU}"]}),
    ):
        told = json.loads(answer.body)["error"]["@Message.ExtendedInfo"][0]
        assert answer.status == 400
        assert told["Resolution"] == "Retry the operation once firmware update operation is complete."
    assert bench.bmc.truth()["submits"] == 1
    bench.wait(200)
    assert bench.push("hgx", {0xC000: OLD}, HGX_TRAY).status == 202


def test_a_copy_that_is_switched_off_waits_for_commit_image() -> None:
    bench = flashed()
    off = {"Oem": {"Nvidia": {"AutomaticBackgroundCopyEnabled": False}}}
    assert bench.ask("PATCH", IROT, off).status == 204
    assert bench.get(IROT)["Oem"]["Nvidia"]["AutomaticBackgroundCopyEnabled"] is False
    bench.bmc.firmware.activate_written([GPU])
    bench.wait(900)
    assert (copy(bench), slots(bench)[1]) == ("Pending", (OLD, "ImageCopyPending"))
    assert bench.ask("POST", COMMIT, {"Targets": [f"{ITEMS}/{GPU}"]}).status == 200
    bench.wait(200)
    assert (copy(bench), slots(bench)[1]) == ("Completed", (NEW, "Inactive"))


def test_the_motherboard_of_a_dgx_copies_only_when_told_and_shows_its_banks() -> None:
    bench = Bench("DGXH100")
    erot = "/redfish/v1/Chassis/EROT_BMC_0"
    shown = bench.get(erot)["Oem"]["Nvidia"]
    assert (shown["AP_Firmware_Slot_0"], shown["AP_Firmware_Slot_1"]) == ("35.17.33", "35.17.33")  # as captured
    assert "BackgroundCopyStatus" not in shown
    bench.push("motherboard", {0x0010: "24.09.17"}, [])
    bench.wait(700)
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    back(bench)
    shown = bench.get(erot)["Oem"]["Nvidia"]
    assert (shown["EC_BootSlot"], shown["AP_Firmware_Slot_1"], shown["AP_Firmware_Slot_0"]) == (
        1,
        "36.9.23",
        "35.17.33",
    )
    assert bench.ask("POST", COMMIT, {"Targets": [f"{ITEMS}/HostBMC_0"]}).status == 200
    bench.wait(300)
    assert bench.get(erot)["Oem"]["Nvidia"]["AP_Firmware_Slot_0"] == "36.9.23"


def test_ac_loss_in_the_middle_of_a_flash_leaves_the_running_slot() -> None:
    bench = Bench(TRAY)
    bench.push("hgx", {0xC000: NEW}, HGX_TRAY)
    bench.wait(40)
    assert slots(bench)[1] == (NEW, "WriteInProgress")
    power_cycled(bench)
    truth = bench.bmc.truth()
    assert (truth["items"][GPU]["active"], truth["bricked"]) == (OLD, None)
    assert truth["slots"][GPU] == {"active": OLD, "other": "", "half": False}
    back(bench)
    assert slots(bench) == ((OLD, "Activated"), (OLD, "Inactive"))  # what runs was copied over the torso


def test_ac_loss_in_the_middle_of_a_copy_begins_it_anew() -> None:
    bench = flashed()
    bench.bmc.firmware.activate_written([GPU])
    bench.wait(100)
    power_cycled(bench)
    assert bench.bmc.truth()["slots"][GPU] == {"active": NEW, "other": "", "half": False}
    back(bench)
    assert slots(bench) == ((NEW, "Activated"), (NEW, "Inactive"))


def test_a_half_updated_part_starts_its_old_image_after_an_ac_loss() -> None:
    bench = flashed(HALF)
    bench.bmc.firmware.activate_written([GPU])
    bench.wait(300)
    assert (copy(bench), slots(bench)[1]) == ("Completed", (OLD, "ImageCopyPending"))
    power_cycled(bench)
    assert bench.item(GPU)["active"] == OLD


def test_a_commit_mends_a_half_updated_part() -> None:
    bench = flashed(HALF)
    bench.bmc.firmware.activate_written([GPU])
    bench.wait(300)
    bench.ask("POST", COMMIT, {"Targets": []})
    bench.wait(600)
    power_cycled(bench)
    assert bench.item(GPU)["active"] == NEW


@pytest.mark.parametrize(("security", "state"), [(2, "Exception"), (3, "Completed")])
def test_an_image_below_the_fused_security_version_is_refused_even_by_force(security: int, state: str) -> None:
    bench = Bench(TRAY, fused={GPU: 3})
    at = f"{IROT}/Oem/NvidiaRoT/RoTProtectedComponents/{GPU}"
    assert bench.get(at)["MinimumSecurityVersion"] == 3
    data = package_bytes(
        components=[Component(identifier=0xC000, version="96.00.00.00.01", size_bytes=64, comparison_stamp=security)],
        devices=[Device(iana=5703, sku="P4059")],
        version="1",
    )
    head = b"\r\nContent-Disposition: form-data; name=%s\r\n\r\n"
    parameters = json.dumps({"Targets": HGX_TRAY, "ForceUpdate": True}).encode()
    body = BOUNDARY + head % b'"UpdateParameters"' + parameters + b"\r\n" + BOUNDARY + head % b'"UpdateFile"' + data
    kind = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = bench.ask("POST", bench.bmc.box.update.multipart, body + b"\r\n" + BOUNDARY + b"--\r\n", kind)
    assert answer.status == 202
    bench.wait(100)
    bench.bmc.firmware.activate_written([GPU])
    assert (bench.item(GPU)["active"] == "96.00.00.00.01") == (state == "Completed")
    assert [flash["outcome"] for flash in bench.item(GPU)["flashes"]] == (["done"] if state == "Completed" else [])
