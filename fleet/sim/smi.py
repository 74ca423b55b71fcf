"""nvidia-smi as a node prints it (layout: a capture of driver 590.48.01; only the fields listed here)."""

from typing import TYPE_CHECKING

from fleet.sim.gpus import Gpu

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

DRIVER = "550.54.15"
_UNITS = {"temperature.gpu": "", "power.draw": " W", "power.limit": " W", "memory.total": " MiB", "memory.used": " MiB"}
_NO_DEVICES = 6
_INVALID = 2


def report(bmc: "Bmc", gpus: tuple[Gpu, ...], args: list[str]) -> tuple[str, int]:
    """(stdout, exit status) of nvidia-smi with these arguments."""
    if not gpus:
        return "No devices were found\n", _NO_DEVICES
    query = next((arg.partition("=")[2] for arg in args if arg.startswith("--query-gpu=")), "")
    if query:
        return _query(gpus, query.split(","), _options(args))
    if "-L" in args:
        lines = [f"GPU {n}: {gpu.name} (UUID: {gpu.uuid})" for n, gpu in enumerate(gpus)]
        return "\n".join(lines) + "\n", 0
    if "-q" in args and "-x" in args:
        return _xml(gpus), 0
    if args:
        return f"Invalid combination of input arguments: {' '.join(args)}\n", _INVALID
    return _table(bmc, gpus), 0


def _options(args: list[str]) -> set[str]:
    return set(next((arg.partition("=")[2] for arg in args if arg.startswith("--format=")), "").split(","))


def fields_of(gpu: Gpu, number: int) -> dict[str, str]:
    """Every field that --query-gpu knows here, without units."""
    zero = dict.fromkeys(
        [
            f"ecc.errors.{kind}.{when}.{where}"
            for kind in ("corrected", "uncorrected")
            for when in ("volatile", "aggregate")
            for where in ("total", "dram", "sram", "device_memory")
        ]
        + ["remapped_rows.correctable", "remapped_rows.uncorrectable"],
        "0",
    )
    return zero | {
        "index": str(number),
        "name": gpu.name,
        "gpu_name": gpu.name,
        "uuid": gpu.uuid,
        "serial": gpu.serial,
        "vbios_version": gpu.vbios,
        "driver_version": DRIVER,
        "pci.bus_id": gpu.bus_id,
        "temperature.gpu": str(31 + gpu.index % 4),
        "power.draw": f"{71 + gpu.index % 5}.{gpu.index}4",
        "power.limit": "700.00",
        "memory.total": "81559",
        "memory.used": "0",
        "utilization.gpu": "0",
        "pstate": "P0",
        "persistence_mode": "Enabled",
        "ecc.mode.current": "Enabled",
        "mig.mode.current": "Disabled",
        "compute_mode": "Default",
        "pcie.link.gen.current": "5",
        "pcie.link.gen.max": "5",
        "pcie.link.width.current": "16",
        "pcie.link.width.max": "16",
        "remapped_rows.pending": "No",
        "remapped_rows.failure": "No",
        "gpu_recovery_action": "None",
        "clocks_event_reasons.hw_slowdown": "Not Active",
        "clocks_event_reasons.hw_thermal_slowdown": "Not Active",
    }


def _query(gpus: tuple[Gpu, ...], names: list[str], options: set[str]) -> tuple[str, int]:
    names = [name.strip() for name in names]
    if "csv" not in options:
        return '"--format" switch is missing\n', _INVALID
    for name in names:
        if name not in fields_of(gpus[0], 0):
            return f'Field "{name}" is not a valid field to query.\n', _INVALID
    lines = [] if "noheader" in options else [", ".join(f"{name}{_header(name, options)}" for name in names)]
    for number, gpu in enumerate(gpus):
        said = fields_of(gpu, number)
        units = {} if "nounits" in options else _UNITS
        lines.append(", ".join(said[name] + units.get(name, "") for name in names))
    return "\n".join(lines) + "\n", 0


def _header(name: str, options: set[str]) -> str:
    unit = _UNITS.get(name, "").strip()
    return f" [{unit}]" if unit and "nounits" not in options else ""


def _xml(gpus: tuple[Gpu, ...]) -> str:
    blocks = [
        f'\t<gpu id="{gpu.bus_id}">\n\t\t<product_name>{gpu.name}</product_name>\n\t\t<serial>{gpu.serial}</serial>\n'
        f"\t\t<uuid>{gpu.uuid}</uuid>\n\t\t<vbios_version>{gpu.vbios}</vbios_version>\n"
        f"\t\t<pci>\n\t\t\t<pci_bus_id>{gpu.bus_id}</pci_bus_id>\n\t\t</pci>\n\t</gpu>\n"
        for gpu in gpus
    ]
    head = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
    count = f"\t<driver_version>{DRIVER}</driver_version>\n\t<attached_gpus>{len(gpus)}</attached_gpus>\n"
    return head + count + "".join(blocks) + "</nvidia_smi_log>\n"


def _table(bmc: "Bmc", gpus: tuple[Gpu, ...]) -> str:
    rule = "+" + "-" * 89 + "+"
    head = f"| NVIDIA-SMI {DRIVER:<22} Driver Version: {DRIVER:<14} CUDA Version: 12.4     |"
    rows = [f"| {n:>3}  {gpu.name:<26} On  | {gpu.bus_id} Off | {0:>24} |" for n, gpu in enumerate(gpus)]
    return "\n".join([bmc.stamp(max(0.0, bmc.installer.since)), rule, head, rule, *rows, rule]) + "\n"
