"""The tools of a node's OS: what they print, how long they take, and what today's faults make of it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hall_bench import Bench
from journey import Open

SMI = "nvidia-smi --query-gpu=index,uuid,vbios_version,pcie.link.width.current --format=csv,noheader,nounits"
SCHEMA = Path(__file__).parents[3] / "shared" / "gpu-samples" / "dcgm-diag-schema.json"


def fits(schema: Any, value: Any, where: str = "$") -> list[str]:
    """What in `value` the schema (types, required, properties, items) does not allow."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int}
    if not isinstance(value, kinds[schema["type"]]):
        return [where]
    if isinstance(value, list):
        return [wrong for n, each in enumerate(value) for wrong in fits(schema["items"], each, f"{where}[{n}]")]
    if not isinstance(value, dict):
        return []
    missing = [f"{where}.{key}" for key in schema.get("required", ()) if key not in value]
    known = schema.get("properties", {})
    return missing + [wrong for key in value.keys() & known for wrong in fits(known[key], value[key], f"{where}.{key}")]


def said(bench: Bench, command: str) -> str:
    return bench.bmc.os.run(command, bench.clock.now()).stdout.decode()


def fault(effect: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "r", "effect": effect, "times": 1, **more}]


def means(report: str) -> list[float]:
    """GB/s host to device, one per GPU."""
    block = report.partition("Running host_to_device_memcpy_ce.")[2].partition("SUM")[0]
    return [float(cell) for cell in block.splitlines()[-2].split()[1:]]


def test_vbios_in_band_follows_the_active_firmware() -> None:
    bench = Bench("DGXH100")
    bench.bmc.firmware.parts["HGX_FW_GPU_SXM_3"].staged = "96.00.99.00.01"
    assert said(bench, SMI).count("96.00.89.00.01") == 8
    bench.reset("ForceOff")
    bench.wait(10)
    bench.reset("On")
    bench.wait(20)
    rows = [row.split(", ") for row in said(bench, SMI).splitlines()]
    assert [row[2] for row in rows] == [*["96.00.89.00.01"] * 2, "96.00.99.00.01", *["96.00.89.00.01"] * 5]
    assert len({row[1] for row in rows}) == 8


def test_dcgm_4_document_fits_nvidias_schema_and_names_every_gpu() -> None:
    document = json.loads(said(Bench("DGXH100"), "dcgmi diag -r 3 -j"))
    [software, *_] = document["DCGM Diagnostic"]["test_categories"][0]["tests"]
    assert [result["entity_id"] for result in software["results"]] == list(range(8))
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is missing")
    assert fits(json.loads(SCHEMA.read_text()), document) == []


def test_dcgm_3_document_has_one_result_per_gpu() -> None:
    bench = Bench("DGXH100", fault("dcgm-fails", gpu=4), dcgm=3)
    ran = bench.bmc.os.run("dcgmi diag -r 1 -j", 0.0)
    tests = json.loads(ran.stdout)["DCGM GPU Diagnostic"]["test_categories"][0]["tests"]
    failed = [(test["name"], each["gpu_id"]) for test in tests for each in test["results"] if each["status"] == "Fail"]
    assert (ran.exit_status, failed) == (226, [("Page Retirement/Row Remap", "4")])


def test_dcgm_fails_on_one_gpu_once() -> None:
    bench = Bench("DGXH100", fault("dcgm-fails"))
    first, second = (bench.bmc.os.run("dcgmi diag -r 2 -j", 0.0) for _ in range(2))
    tests = [t for c in json.loads(first.stdout)["DCGM Diagnostic"]["test_categories"] for t in c["tests"]]
    summary = {test["name"]: test["test_summary"]["status"] for test in tests}
    assert summary == {"software": "Pass", "pcie": "Pass", "memory": "Fail"}
    assert (first.exit_status, second.exit_status, first.lasts_s) == (226, 0, 120.0)


def test_a_slow_gpu_is_slow_by_its_percentage_and_only_it() -> None:
    plain, slow = Bench("DGXH100"), Bench("DGXH100", fault("gpu-slow", gpu=5, percent=3))
    ratios = [b / a for a, b in zip(*(means(said(each, "nvbandwidth")) for each in (plain, slow)), strict=True)]
    assert ratios[5] == pytest.approx(0.97, abs=0.001)
    assert ratios[:5] + ratios[6:] == pytest.approx([1.0] * 7, abs=1e-9)


def test_a_missing_gpu_is_missing_in_every_tool() -> None:
    bench = Bench("DGXH100", fault("gpu-missing"))
    document = json.loads(said(bench, "dcgmi diag -r 1 -j"))
    assert len(said(bench, SMI).splitlines()) == 7
    assert len(document["entity_groups"][0]["entities"]) == 7
    assert len(means(said(bench, "nvbandwidth -t host_to_device_memcpy_ce"))) == 7


@pytest.mark.parametrize("command", ["dmesg --raw", "dmesg", "journalctl -k -o short-iso --no-pager"])
def test_xid_79_is_in_the_log_and_its_gpu_off_the_bus(command: str) -> None:
    bench = Bench("DGXH100", fault("xid"))
    bench.wait(60)
    [line] = [line for line in said(bench, command).splitlines() if "Xid" in line]
    assert re.search(r"NVRM: Xid \(PCI:0000:49:00\): 79, ", line)
    assert len(said(bench, "nvidia-smi -L").splitlines()) == 7
    assert "Xid" not in said(Bench("DGXH100"), command)


def test_truncated_json_and_a_tool_that_never_ends() -> None:
    cut = Bench("DGXH100", fault("json-truncated")).bmc.os.run("dcgmi diag -r 1 -j", 0.0)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(cut.stdout)
    assert cut.exit_status == 0
    hangs = Bench("DGXH100", fault("tool-hangs", tool="nvbandwidth"))
    assert hangs.bmc.os.run("nvbandwidth", 0.0).exit_status is None
    assert hangs.bmc.os.run("dcgmi diag -r 1 -j", 0.0).exit_status == 0


def test_a_box_without_gpus_has_no_gpu_tools() -> None:
    ran = Bench("PowerEdge R750").bmc.os.run("nvidia-smi", 0.0)
    assert (ran.exit_status, ran.stderr) == (127, b"bash: line 1: nvidia-smi: command not found\n")


def test_ssh_answers_only_while_the_os_runs() -> None:
    bench = Bench("DGXH100")

    def up() -> bool:
        return bench.bmc.os.up(bench.clock.now())

    assert up()
    bench.reset("ForceOff")
    bench.wait(10)
    assert not up()
    bench.reset("On")
    bench.wait(10 + bench.bmc.host.post_s + 44)
    assert not up()
    bench.wait(2)
    assert up()


async def test_commands_over_ssh_and_who_may_log_in(opened: Open) -> None:
    journey = await opened("DGXH100", speed=600)
    async with journey.ssh("gpu1") as shell:
        ran = await shell.run("sudo -n cat /sys/class/dmi/id/product_serial '/sys/class/dmi/id/product_uuid'")
        missing = await shell.run("cat /nowhere")
        piped = await shell.run("cat /etc/machine-id | wc -c")
    spec = journey.hall.bmcs["gpu1"].spec
    assert ran.stdout == f"{spec.serial}\n{spec.uuid}\n"
    assert (missing.exit_status, piped.exit_status) == (1, 2)
    journey.doc["host_client_key"] = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await journey.ssh("gpu1")
    truth = journey.truth()["nodes"]["gpu1"]
    assert (truth["shell_logins"], truth["commands"]) == (1, {"cat": 2})


async def test_a_hung_tool_is_ended_by_whoever_waits_and_the_shell_goes_on(opened: Open) -> None:
    journey = await opened("DGXH100", rules=fault("tool-hangs"))
    async with journey.ssh("gpu1") as shell:
        process = await shell.create_process("dcgmi diag -r 1 -j")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.2)
        process.close()
        assert (await shell.run("dcgmi diag -r 1 -j")).exit_status == 0


async def test_a_command_dies_with_its_host(opened: Open) -> None:
    journey = await opened("DGXH100", speed=600)
    async with journey.ssh("gpu1") as shell:
        running = asyncio.ensure_future(shell.run("dcgmi diag -r 2 -j"))
        await journey.node_where(lambda seen: seen["commands"])
        journey.hall.ac_cycle("gpu1")
        ran = await running
    assert (ran.exit_status, ran.stdout) == (None, "")


async def test_refused_ssh_is_a_reset_connection(opened: Open) -> None:
    journey = await opened("DGXH100", rules=fault("ssh-refused"))
    with pytest.raises((OSError, asyncssh.ConnectionLost)):
        await journey.ssh("gpu1")
