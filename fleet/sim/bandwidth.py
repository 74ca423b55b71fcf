"""nvbandwidth's report (layout: nvbandwidth v0.6 as logged by SuperBench's test data)."""

import hashlib
import random
from typing import TYPE_CHECKING

from fleet.sim.gpus import Gpu
from fleet.sim.smi import DRIVER

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_ROW_TESTS = {
    "host_to_device_memcpy_ce": "CPU(row) -> GPU(column)",
    "device_to_host_memcpy_ce": "CPU(row) <- GPU(column)",
}
_PEER_TESTS = {
    "device_to_device_memcpy_read_ce": "GPU(row) -> GPU(column)",
    "device_to_device_memcpy_write_ce": "GPU(row) <- GPU(column)",
}


def report(bmc: "Bmc", gpus: tuple[Gpu, ...], args: list[str]) -> str:
    """Everything, or the tests named after -t/--testcase."""
    wanted = _wanted(args) or [*_ROW_TESTS, *_PEER_TESTS]
    bmc_seed = f"{bmc.spec.name}/{bmc.ledger.commands['nvbandwidth']}"
    chance = random.Random(hashlib.sha256(bmc_seed.encode()).digest())
    out = ["nvbandwidth Version: v0.6\nBuilt from Git version: v0.6\n\nCUDA Runtime Version: 12040"]
    out.append(f"CUDA Driver Version: 12040\nDriver Version: {DRIVER}\n")
    out += [f"Device {n}: {gpu.name} ({gpu.bus_id[:-2]})" for n, gpu in enumerate(gpus)]
    out.append("")
    for test in wanted:
        if test in _ROW_TESTS:
            out.append(_row(bmc, gpus, test, chance))
        elif test in _PEER_TESTS:
            out.append(_peers(bmc, gpus, test, chance))
        else:
            out.append(f"ERROR: Testcase {test} not found!\n")
    out.append("NOTE: The reported results may not reflect the full capabilities of the platform.")
    out.append("Performance can vary with software drivers, hardware clocks, and system topology.\n")
    return "\n".join(out)


def _wanted(args: list[str]) -> list[str]:
    names: list[str] = []
    taking = False
    for arg in args:
        if arg in {"-t", "--testcase"}:
            taking = True
        elif arg.startswith("-"):
            taking = False
        elif taking:
            names += arg.split(",")
    return names


def _row(bmc: "Bmc", gpus: tuple[Gpu, ...], test: str, chance: random.Random) -> str:
    base = bmc.box.gpus.h2d if bmc.box.gpus else 0.0
    factor = 1.0 if test.startswith("host") else 0.98
    values = [base * factor * gpu.speed * chance.uniform(0.998, 1.002) for gpu in gpus]
    cells = "".join(f"{value:10.2f}" for value in values)
    head = _head(test, f"memcpy CE {_ROW_TESTS[test]}", len(gpus))
    return f"{head}\n 0{cells}\n\nSUM {test} {sum(round(value, 2) for value in values):.2f}\n"


def _peers(bmc: "Bmc", gpus: tuple[Gpu, ...], test: str, chance: random.Random) -> str:
    base = bmc.box.gpus.d2d if bmc.box.gpus else 0.0
    lines, total = [], 0.0
    for row, one in enumerate(gpus):
        cells = []
        for column, other in enumerate(gpus):
            value = round(base * min(one.speed, other.speed) * chance.uniform(0.998, 1.002), 2)
            cells.append(f"{'N/A':>10}" if row == column else f"{value:10.2f}")
            total += 0.0 if row == column else value
        lines.append(f"{row:2d}{''.join(cells)}")
    head = _head(test, f"memcpy CE {_PEER_TESTS[test]}", len(gpus))
    return f"{head}\n" + "\n".join(lines) + f"\n\nSUM {test} {total:.2f}\n"


def _head(test: str, what: str, columns: int) -> str:
    numbers = "".join(f"{n:10d}" for n in range(columns))
    return f"Running {test}.\n{what} bandwidth (GB/s)\n  {numbers}"
