"""Outputs of the four tools on a node of eight healthy GPUs, and the same with one thing wrong; written here, not by the hall."""

import json
from typing import Any

from playbooks.burnin import smi
from playbooks.burnin.profile import profile_named

PROFILE = profile_named("hgx-8gpu-quick")
GPUS = 8
SOFTWARE_3 = (
    "Denylist", "NVML Library", "CUDA Main Library", "Permissions and OS Blocks", "Persistence Mode",
    "Environment Variables", "Page Retirement/Row Remap", "Graphics Processes", "Inforom",
)  # fmt: skip


def warning(severity: int) -> dict[str, Any]:
    return {"error_category": 7, "error_id": 38, "error_severity": severity, "warning": "GPU 4 is not well."}


def dcgm(version: str, *, fails: int | None = None, severity: int = 2) -> dict[str, Any]:
    """A document of `dcgmi diag -r 1 -j`; `fails`: the GPU that fails its (last) test."""
    four = version.startswith("4")
    tests = []
    for name in ("software",) if four else SOFTWARE_3:
        results: list[dict[str, Any]] = []
        for index in range(GPUS):
            bad = index == fails and name in {"software", "Inforom"}
            told = {"status": "Fail", "warnings": [warning(severity)]} if bad else {"status": "Pass"}
            who = {"entity_group": "GPU", "entity_group_id": 1, "entity_id": index} if four else {"gpu_id": str(index)}
            results.append({**who, **told})
        worst = "Fail" if any(result["status"] == "Fail" for result in results) else "Pass"
        tests.append({"name": name, "results": results} | ({"test_summary": {"status": worst}} if four else {}))
    return {
        "DCGM Diagnostic" if four else "DCGM GPU Diagnostic": {
            "test_categories": [{"category": "Deployment", "tests": tests}]
        },
        "metadata": {"version" if four else "DCGM Version": version, "Driver Version Detected": "550.54.15"},
    }


def as_bytes(document: object) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def smi_csv(count: int = GPUS, **wrong: str) -> bytes:
    """`wrong`: field (dots as `__`) -> value on GPU 3."""
    good = {
        "uuid": "GPU-{}",
        "pci.bus_id": "00000000:1{}:00.0",
        "vbios_version": "96.00.89.00.01",
        "driver_version": "550.54.15",
        "pcie.link.width.current": "16",
        "pcie.link.width.max": "16",
        "ecc.mode.current": "Enabled",
        "ecc.errors.uncorrected.volatile.total": "0",
        "remapped_rows.uncorrectable": "0",
        "remapped_rows.pending": "No",
        "remapped_rows.failure": "No",
        "clocks_event_reasons.hw_slowdown": "Not Active",
        "clocks_event_reasons.hw_thermal_slowdown": "Not Active",
    }
    lines = [", ".join(smi.FIELDS)]
    for index in range(count):
        row = {"index": str(index)} | {field: value.format(index) for field, value in good.items()}
        if index == 3:
            row |= {field.replace("__", "."): value for field, value in wrong.items()}
        lines.append(", ".join(row[field] for field in smi.FIELDS))
    return ("\n".join(lines) + "\n").encode()


def bandwidth(slow: dict[int, float] | None = None, *, gpus: int = GPUS, version: str = "v0.6") -> bytes:
    """`slow`: GPU -> factor."""
    speed = [(slow or {}).get(index, 1.0) for index in range(gpus)]
    out = [f"nvbandwidth Version: {version}\nBuilt from Git version: {version}\n"]
    head = "  " + "".join(f"{n:10d}" for n in range(gpus))
    for test in PROFILE.minimum_gbps:
        title = f"Running {test}.\nmemcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)\n{head}"
        if test.startswith("device_to_device"):
            rows = [[None if r == c else 390.0 * min(speed[r], speed[c]) for c in range(gpus)] for r in range(gpus)]
        else:
            rows = [[55.0 * factor for factor in speed]]
        lines = ["".join("       N/A" if cell is None else f"{cell:10.2f}" for cell in row) for row in rows]
        total = sum(round(cell, 2) for row in rows for cell in row if cell is not None)
        out.append(title + "".join(f"\n {n}{line}" for n, line in enumerate(lines)) + f"\n\nSUM {test} {total:.2f}\n")
    out.append("NOTE: The reported results may not reflect the full capabilities of the platform.")
    out.append("Performance can vary with software drivers, hardware clocks, and system topology.\n")
    return "\n".join(out).encode()


def log(*messages: str) -> bytes:
    lines = [
        "Linux version 5.15.0-185-generic (gcc 11.4.0) #195-Ubuntu SMP",
        "NVRM: loading NVIDIA UNIX Module",
        *messages,
    ]
    return "".join(f"2026-06-01T00:00:00+0000 gpu0001 kernel: {line}\n" for line in lines).encode()


def xid(code: int, text: str = "pid=1, name=python", at: str = "0000:13:00") -> str:
    return f"NVRM: Xid (PCI:{at}): {code}, {text}"
