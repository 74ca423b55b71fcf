"""``dcgmi diag -j``: the documents of DCGM 3.3 and of DCGM 4 (shapes: NVIDIA's schema for 4, rollout-science 2.2 for 3)."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fleet.sim.faults import Effect, Rule
from fleet.sim.gpus import Gpu
from fleet.sim.smi import DRIVER

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_VERSIONS = {3: "3.3.9", 4: "4.2.3"}
_TESTS = {
    1: (("Deployment", ("software",)),),
    2: (("Deployment", ("software",)), ("Integration", ("pcie",)), ("Hardware", ("memory",))),
    3: (
        ("Deployment", ("software",)),
        ("Integration", ("pcie",)),
        ("Hardware", ("memory", "diagnostic", "nvbandwidth")),
        ("Stress", ("targeted_stress", "targeted_power", "memory_bandwidth")),
    ),
}
"""Level -> (category, tests). Level 4 adds nothing that we model."""
_SOFTWARE_3 = (
    "Denylist", "NVML Library", "CUDA Main Library", "Permissions and OS Blocks", "Persistence Mode",
    "Environment Variables", "Page Retirement/Row Remap", "Graphics Processes", "Inforom",
)  # fmt: skip
_FAILING_CHECK_3 = "Page Retirement/Row Remap"
_FAILED = 226
"""Exit status of a failed diag since DCGM 3.1 (rollout-science 2.2 names it for failures)."""
_GROUP_GPU, _GROUP_CPU = 1, 7


def version(bmc: "Bmc") -> str:
    """What ``dcgmi -v`` prints."""
    return f"Version : {_VERSIONS[bmc.spec.dcgm]}\nBuild ID : 1\nBuild Date : 2025-01-01\nBuild Type : Release\n"


def level(args: list[str]) -> int | None:
    """The level of ``diag -r N -j``, or None if that is not what is asked."""
    if args[:1] != ["diag"] or not {"-j", "--json"} & set(args):
        return None
    words = [word for arg in args[1:] for word in (arg.split("=") if arg.startswith("--") else [arg])]
    for option, value in pairwise(words):
        if option in {"-r", "--run"} and value.isdigit() and 1 <= int(value) <= 4:  # noqa: PLR2004  dcgmi's levels
            return int(value)
    return None


def diag(bmc: "Bmc", gpus: tuple[Gpu, ...], run_level: int) -> tuple[str, int]:
    """(document, exit status)."""
    fault = bmc.faults.take(Effect.DCGM_FAILS)
    tests = _TESTS[min(run_level, 3)]
    failing = "" if fault is None else fault.text("test", "memory")
    names = [name for _, listed in tests for name in listed]
    build = _third if bmc.spec.dcgm == 3 else _fourth  # noqa: PLR2004  major version
    verdict = _Verdict(fault=fault, test=failing if failing in names else names[-1])
    return json.dumps(build(bmc, gpus, tests, verdict), indent=2) + "\n", 0 if fault is None else _FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """Who fails which test."""

    fault: Rule | None
    test: str

    def result(self, gpu: Gpu, number: int, test: str) -> dict[str, Any]:
        """Status and warnings of one GPU in one test."""
        if self.fault is None or test != self.test or gpu.index != int(self.fault.number("gpu", 4)):
            return {"status": "Pass"}
        warning = f"GPU {number} failed the {test} test; run a field diagnostic on the GPU."
        severity = int(self.fault.number("severity", 2))
        said = {"error_category": 7, "error_id": 38, "error_severity": severity, "warning": warning}
        return {"status": "Fail", "warnings": [said]}


def _fourth(
    bmc: "Bmc", gpus: tuple[Gpu, ...], tests: tuple[tuple[str, tuple[str, ...]], ...], verdict: _Verdict
) -> dict[str, Any]:
    categories = []
    for category, names in tests:
        listed = []
        for name in names:
            results: list[dict[str, Any]] = [
                {"entity_group": "GPU", "entity_group_id": _GROUP_GPU, "entity_id": number}
                | verdict.result(gpu, number, name)
                for number, gpu in enumerate(gpus)
            ]
            worst = "Fail" if any(result["status"] == "Fail" for result in results) else "Pass"
            listed.append({"name": name, "results": results, "test_summary": {"status": worst}})
        categories.append({"category": category, "tests": listed})
    device = bmc.box.gpus.device_id if bmc.box.gpus is not None else ""
    entities = [{"device_id": device, "entity_id": n, "serial_num": gpu.serial} for n, gpu in enumerate(gpus)]
    return {
        "DCGM Diagnostic": {"test_categories": categories},
        "entity_groups": [
            {"entities": entities, "entity_group": "GPU", "entity_group_id": _GROUP_GPU},
            {"entities": [], "entity_group": "CPU", "entity_group_id": _GROUP_CPU},
        ],
        "metadata": {"version": _VERSIONS[bmc.spec.dcgm], "Driver Version Detected": DRIVER},
    }


def _third(
    bmc: "Bmc", gpus: tuple[Gpu, ...], tests: tuple[tuple[str, tuple[str, ...]], ...], verdict: _Verdict
) -> dict[str, Any]:
    categories = []
    for category, names in tests:
        listed: list[dict[str, Any]] = []
        for name in names:
            for check in _SOFTWARE_3 if name == "software" else (name,):
                judged = name if check in {name, _FAILING_CHECK_3} else ""
                results = [{"gpu_id": str(n)} | verdict.result(gpu, n, judged) for n, gpu in enumerate(gpus)]
                listed.append({"name": check, "results": results})
        categories.append({"category": category, "tests": listed})
    device = bmc.box.gpus.device_id if bmc.box.gpus is not None else ""
    return {
        "DCGM GPU Diagnostic": {"test_categories": categories},
        "metadata": {
            "DCGM Version": _VERSIONS[bmc.spec.dcgm],
            "Driver Version Detected": DRIVER,
            "GPU Device IDs": [device] * len(gpus),
            "GPU Device Serials": {str(n): gpu.serial for n, gpu in enumerate(gpus)},
        },
    }
