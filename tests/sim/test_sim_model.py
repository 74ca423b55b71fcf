"""The BMC without any transport: a function of request, state and a clock that we move by hand."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hall_bench import BMC_RESET, BOUNDARY, HGX, Bench

from fleet.sim.boxmodel import box_names
from fleet.sim.message import Link, Wire


@pytest.mark.parametrize("model", box_names())
def test_every_link_of_every_box_leads_somewhere(model: str) -> None:
    bench = Bench(model)
    open_links, seen = ["/redfish/v1"], set[str]()
    while open_links:
        path = open_links.pop().partition("#")[0].rstrip("/")  # a fragment names a part of the resource
        if path in seen or path == "/redfish/v1/Oem/Supermicro/DumpService":
            continue
        seen.add(path)
        answer = bench.ask("GET", path)
        assert answer.status == 200, path
        open_links += links(json.loads(answer.body))
    assert len(seen) > 20


def links(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["@odata.id"]] if isinstance(value.get("@odata.id"), str) else []
        own += [value["@Redfish.ActionInfo"]] if isinstance(value.get("@Redfish.ActionInfo"), str) else []
        return own + [link for each in value.values() for link in links(each)]
    return [link for each in value for link in links(each)] if isinstance(value, list) else []


def test_durations_are_those_of_the_field_guide() -> None:
    bench = Bench("DGXH100")
    assert bench.push("gpu", {0x0020: "96.00.99.00.01", 0x0010: "HGX-23.1"}, HGX).status == 202
    bench.wait(20 + 22)
    assert bench.item("HGX_FW_GPU_SXM_1")["staged"] is None
    bench.wait(2)
    assert bench.item("HGX_FW_GPU_SXM_1")["staged"] == "96.00.99.00.01"
    assert bench.get("/redfish/v1/TaskService/Tasks/1")["PercentComplete"] == 3
    bench.wait(598)
    assert bench.get("/redfish/v1/TaskService/Tasks/1")["TaskState"] == "Running"
    bench.wait(1)
    assert bench.get("/redfish/v1/TaskService/Tasks/1")["TaskState"] == "Completed"


def test_one_long_wait_equals_many_short_ones() -> None:
    truths = []
    for steps in (1, 997):
        bench = Bench("DGXH100")
        bench.push("gpu", {0x0020: "96.00.99.00.01", 0x0050: "3.0"}, HGX)
        bench.reset("ForceRestart")
        for _ in range(steps):
            bench.wait(1000 / steps)
        truths.append(bench.bmc.truth())
    assert truths[0] == truths[1]


@pytest.mark.parametrize("item", ["HGX_FW_GPU_SXM_1", "HGX_FW_PCIeRetimer_7"])
def test_ac_only_parts_stay_staged_after_a_dc_cycle(item: str) -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0020: "96.00.99.00.01", 0x8000: "2.8.0"}, HGX)
    bench.wait(200)
    bench.reset("ForceOff")
    bench.wait(30)
    bench.reset("On")
    bench.wait(30)
    assert (bench.item(item)["staged"] is None) == (item == "HGX_FW_GPU_SXM_1")
    bench.bmc.ac_cycle(bench.clock.now())
    bench.wait(400)
    assert bench.item(item)["staged"] is None
    assert bench.bmc.truth()["host_power"] == "On"  # restored to what it was


def test_power_cut_in_flash_bricks_a_part_with_one_bank() -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0020: "96.00.99.00.01"}, HGX)
    bench.wait(20)
    bench.reset("ForceOff")
    bench.wait(10)
    truth = bench.bmc.truth()
    assert truth["power_cuts_in_flash"] == 8
    assert truth["bricked"] == "HGX_FW_GPU_SXM_1: power cut during its flash"


def test_power_cut_in_flash_spares_a_part_with_two_banks() -> None:
    bench = Bench("DGXH100")
    bench.push("motherboard", {0x0010: "24.01.01"}, [])
    bench.wait(100)
    assert bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"}).status == 204
    bench.wait(600)
    truth = bench.bmc.truth()
    assert truth["power_cuts_in_flash"] == 1
    assert truth["bricked"] is None
    assert truth["items"]["HostBMC_0"]["active"] == "23.11.21"
    assert truth["items"]["HostBMC_0"]["flashes"][0]["outcome"] == "cut"


def test_parts_on_standby_power_survive_a_host_power_off() -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0010: "HGX-23.1"}, HGX)
    bench.wait(100)
    bench.reset("ForceOff")
    bench.wait(700)
    assert bench.bmc.truth()["power_cuts_in_flash"] == 0
    assert bench.item("HGX_FW_BMC_0")["staged"] == "HGX-23.1"


def test_power_supplies_are_written_one_after_another() -> None:
    bench = Bench("DGXH100")
    bench.push("motherboard", {0x0200: "0204.0201.0299"}, [])
    bench.wait(3000)
    starts = [bench.item(f"PSU_{n}")["flashes"][0]["at"] for n in range(6)]
    assert [later - earlier for earlier, later in pairwise(starts)] == [240.0] * 5
    assert bench.item("PSU_5")["active"] == "0204.0201.0299"


def test_link_phases_of_a_restart_in_order() -> None:
    bench = Bench("DGXH100")
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    phases: list[str] = []
    for _ in range(400):
        bench.wait(1)
        if not phases or phases[-1] != bench.bmc.phase:
            phases.append(bench.bmc.phase)
    assert phases == ["refused", "tls-dead", "unavailable", "root-only", "auth-not-ready", "stubs", "ready"]


def test_a_bmc_without_link_drops_what_still_comes() -> None:
    bench = Bench("DGXH100")
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    bench.wait(2)
    assert bench.bmc.link(bench.clock.now()) is Link.REFUSED
    assert bench.ask("GET", "/redfish/v1").wire is Wire.DROP


def test_task_ids_begin_anew_after_a_restart() -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0020: "96.00.99.00.01"}, HGX)
    bench.wait(100)
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    bench.wait(400)
    bench.log_in()
    assert bench.ask("GET", "/redfish/v1/TaskService/Tasks/1").status == 404
    bench.push("gpu", {0x0070: "96.10.99.00.01"}, HGX)
    assert bench.get("/redfish/v1/TaskService/Tasks/1")["TaskState"] == "Running"


def test_await_to_activate_has_its_arguments_in_either_order() -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0020: "96.00.99.00.01", 0x8000: "2.8.0"}, HGX)
    bench.wait(200)
    messages = bench.get("/redfish/v1/TaskService/Tasks/1")["Messages"]
    args = [each["MessageArgs"] for each in messages if each["MessageId"].endswith("AwaitToActivate")]
    assert ["96.00.99.00.01", "HGX_FW_GPU_SXM_1"] in args
    assert ["HGX_FW_PCIeRetimer_0", "2.8.0"] in args


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingOrMalformedPart"),
        (BOUNDARY + b'\r\nContent-Disposition: form-data; name="UpdateFile"\r\n\r\nx\r\n' + BOUNDARY + b"--", "Prop"),
        (BOUNDARY + b"\r\n\r\nx\r\n" + BOUNDARY + b"--", "MissingOrMalformedPart"),
        (BOUNDARY + b'\r\nContent-Disposition: form-data; name="UpdateFile"\r\n\r\nx', "MissingOrMalformedPart"),
    ],
)
def test_malformed_multipart_is_refused(body: bytes, code: str) -> None:
    bench = Bench("DGXH100")
    kind = {"Content-Type": "multipart/form-data; boundary=frontier"}
    answer = bench.ask("POST", "/redfish/v1/UpdateService/upload", body, kind)
    assert answer.status == 400
    assert code in json.loads(answer.body)["error"]["code"]
    assert bench.bmc.truth()["submits"] == 0


def test_openbmc_task_is_stopping_while_an_image_waits_and_aux_cycle_needs_the_host_off() -> None:
    bench = Bench("GB300 NVL")
    assert bench.push("hgx", {0xC000: "97.00.99.00.00"}, ["/redfish/v1/Chassis/HGX_Chassis_0"]).status == 202
    bench.wait(200)
    assert bench.get("/redfish/v1/TaskService/Tasks/0")["TaskState"] == "Stopping"
    aux = "/redfish/v1/Chassis/BMC_0/Actions/Oem/NvidiaChassis.AuxPowerReset"
    refused = bench.ask("POST", aux, {"ResetType": "AuxPowerCycle"})
    assert json.loads(refused.body)["error"]["code"] == "Base.1.18.ChassisPowerStateOffRequired"
    bench.ask("POST", "/redfish/v1/Systems/System_0/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"})
    bench.wait(10)
    assert bench.ask("POST", aux, {"ResetType": "AuxPowerCycle"}).status == 204
    bench.wait(400)
    assert bench.item("HGX_FW_GPU_3")["active"] == "97.00.99.00.00"
    assert bench.bmc.truth()["host_power"] == "Off"


def test_what_the_baseboard_serves_is_missing_until_it_is_ready() -> None:
    bench = Bench("DGXH100")
    bench.ask("POST", "/redfish/v1/Managers/HGX_BMC_0/Actions/Manager.Reset", {"ResetType": "ForceRestart"})
    assert bench.ask("GET", "/redfish/v1/Systems/HGX_Baseboard_0").status == 404
    assert bench.ask("GET", "/redfish/v1/Systems/DGX").status == 200
    bench.wait(61)
    assert bench.ask("GET", "/redfish/v1/Systems/HGX_Baseboard_0").status == 200


def test_a_bmc_restart_ends_the_update_for_parts_still_in_the_queue() -> None:
    bench = Bench("DGXH100")
    bench.push("motherboard", {0x0200: "0204.0201.0299"}, [])
    bench.wait(100)
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    bench.wait(3000)
    assert [len(bench.item(f"PSU_{n}")["flashes"]) for n in range(6)] == [1, 0, 0, 0, 0, 0]


def test_dell_writes_everything_that_was_scheduled_at_one_reboot() -> None:
    bench = Bench("PowerEdge R750")
    for bundle, components in (("bios", {159: "1.9.2"}), ("cpld", {27763: "1.0.6"})):
        assert bench.push(bundle, components, []).status == 202
        bench.wait(60)
    action = "/redfish/v1/Systems/System.Embedded.1/Actions/ComputerSystem.Reset"
    bench.ask("POST", action, {"ResetType": "PowerCycle"})
    bench.wait(1000)
    assert bench.item("BIOS.Setup.1-1")["active"] == "1.9.2"
    assert bench.item("CPLD.Embedded.1")["active"] == "1.0.6"
    starts = [bench.item(item)["flashes"][0]["at"] for item in ("BIOS.Setup.1-1", "CPLD.Embedded.1")]
    assert starts[1] - starts[0] == 300
