"""`fleet demo`: a simulated hall, a firmware rollout over it with faults on the way, and the report. Everything is left to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from fleet.cli import apply, compose, sim
from fleet.cli.commands_look import print_report
from fleet.cli.hall import read_hall
from fleet.exits import Exit
from fleet.sim.package import build_box_package
from inventory.load import EXAMPLES

MODEL = "DGXH100"
_PAYLOAD_BYTES = 96 * 1024
_GPU_TRAY = {"HGX_FW_GPU_SXM": "HGX_FW_GPU_SXM_*", "HGX_FW_NVSwitch": "HGX_FW_NVSwitch_*", "HGX_FW_BMC": "HGX_FW_BMC_0"}
_OLD = {"HGX_FW_GPU_SXM": "96.00.89.00.01", "HGX_FW_NVSwitch": "96.10.4A.00.01", "HGX_FW_BMC": "HGX-22.10-1-rc57"}
_NEW = {"HGX_FW_GPU_SXM": "96.00.99.00.01", "HGX_FW_NVSwitch": "96.10.57.00.01", "HGX_FW_BMC": "HGX-22.10-1-rc80"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A package that the demo builds."""

    file: str
    bundle: str
    version: str
    contents: dict[str, str]
    """Family of parts -> version."""


IMAGES = {
    "bmc": Image(
        file="dgx-bmc-24.09.17.fwpkg", bundle="motherboard", version="24.09.17", contents={"HostBMC": "24.09.17"}
    ),
    "bmc-old": Image(
        file="dgx-bmc-23.11.21.fwpkg", bundle="motherboard", version="23.11.21", contents={"HostBMC": "23.11.21"}
    ),
    "bios": Image(
        file="dgx-bios-01.05.03.fwpkg", bundle="motherboard", version="01.05.03", contents={"HostBIOS": "01.05.03"}
    ),
    "bios-old": Image(
        file="dgx-bios-01.01.03.fwpkg", bundle="motherboard", version="01.01.03", contents={"HostBIOS": "01.01.03"}
    ),
    "hgx": Image(file="hgx-h100-2409.fwpkg", bundle="gpu", version="HGX-H100-24.09", contents=_NEW),
    "hgx-old": Image(file="hgx-h100-2311.fwpkg", bundle="gpu", version="HGX-H100-23.11", contents=_OLD),
}


BY_EVIDENCE = (
    "pacing: {risk: 12}                       # how many nodes may be broken at once; it widens as nodes succeed"
)
IN_WAVES = "waves: [1, 5%, 25%, 100%]"


def write_demo(
    directory: Path,
    nodes: int,
    *,
    on_failure: str = "roll_back_node",
    budget: str = "5%",
    pace: str = BY_EVIDENCE,
) -> Path:
    """Inventory, baseline, playbook and images for `nodes` DGX H100; returns the playbook's path.

    `pace`: the line of the playbook that says how the rollout widens.
    """
    digests = write_images(directory / "images")
    (directory / "inventory.yaml").write_text((EXAMPLES / "hall-1024.yaml").read_text())
    (directory / "baseline.yaml").write_text(baseline_text(digests))
    playbook = directory / "playbook.yaml"
    playbook.write_text(_playbook(nodes, on_failure, budget, pace))
    return playbook


def write_images(images: Path) -> dict[str, str]:
    """Every package of IMAGES; key -> sha256."""
    images.mkdir(parents=True, exist_ok=True)
    return {
        key: build_box_package(
            images / image.file,
            model=MODEL,
            bundle=image.bundle,
            versions=image.contents,
            version=image.version,
            size_bytes=_PAYLOAD_BYTES,
        )
        for key, image in IMAGES.items()
    }


def baseline_text(digests: dict[str, str], *, gpu_tray: str = "dc-cycle, ac-cycle") -> str:
    """The YAML that a person would write. `gpu_tray`: what activates the GPU tray."""

    def component(key: str, activation: str, items: str, old_items: str = "") -> str:
        image, old = IMAGES[key], IMAGES[f"{key}-old"]
        return (
            f'  {key}:\n    version: "{image.version}"\n    image: images/{image.file}\n    sha256: {digests[key]}\n'
            f"    activation: [{activation}]\n    items: {items}\n"
            f'    previous:\n      version: "{old.version}"\n      image: images/{old.file}\n      sha256: {digests[f"{key}-old"]}\n'
            f"      items: {old_items}\n"
        )

    def tray(versions: dict[str, str]) -> str:
        return "{" + ", ".join(f'{_GPU_TRAY[family]}: "{version}"' for family, version in versions.items()) + "}"

    return (
        "# Versions that were tested together.\n"
        f"baseline: dgx-h100-2026.10\nmodels: [{MODEL}]\ncomponents:\n"
        + component("bmc", "bmc-reset", '{HostBMC_0: "24.09.17"}', '{HostBMC_0: "23.11.21"}')
        + component("hgx", gpu_tray, tray(_NEW), tray(_OLD))
        + component("bios", "dc-cycle, ac-cycle", '{HostBIOS_0: "01.05.03"}', '{HostBIOS_0: "01.01.03"}')
    )


def _playbook(nodes: int, on_failure: str, budget: str, pace: str) -> str:
    return f"""playbook: dgx-h100-firmware
select: {{model: {MODEL}, id: "gpu[0001-{nodes:04}]"}}
baseline: baseline.yaml
steps:
  - firmware.update: {{component: bmc}}
  - firmware.update: {{component: hgx}}
  - firmware.update: {{component: bios}}
rollout:
  {pace}
  max_in_flight: 25%
  spread: {{rack: 8}}
  failure_budget: {{tolerate: 3%, total: {budget}}}   # evidence of a higher rate halts, and so does one failure more than the total
  on_failure: {on_failure}
"""


@contextmanager
def hall_for(directory: Path, playbook: Path, *, speed: float, faults: str, seed: int) -> Iterator[Path]:
    """A running hall that simulates the nodes which the playbook selects."""
    hall = directory / "hall"
    hall.mkdir(parents=True, exist_ok=True)
    sources = compose.read_sources(directory / "inventory.yaml", playbook, None)
    sim.write_boxes(sources.nodes, hall / "boxes.json")
    process = sim.start(hall, speed=speed, faults=sim.fault_file(faults), seed=seed)
    try:
        yield hall
    finally:
        sim.stop(hall, process)


def demo(directory: Path, nodes: int, *, speed: float, faults: str, seed: int, as_json: str, console: Console) -> Exit:
    """Run it all."""
    playbook = write_demo(directory, nodes)
    journal = directory / "journal.db"
    console.print(f"simulated hall: {nodes} DGX H100, time {speed:g} times faster, faults: {faults}, seed {seed}")
    with hall_for(directory, playbook, speed=speed, faults=faults, seed=seed) as hall:
        sources = compose.read_sources(directory / "inventory.yaml", playbook, hall)
        return carry_out(sources, hall, journal, as_json=as_json, console=console)


def carry_out(sources: compose.Sources, hall: Path, journal: Path, *, as_json: str, console: Console) -> Exit:
    """Apply the playbook over a running hall, and show the report and the ground truth."""
    wishes = apply.Wishes(journal=journal, as_json=as_json, go="yes", console=console)
    result = compose.on_loop(apply.apply(sources, wishes))
    truth = read_hall(hall).truth()
    if not as_json:
        print_report(journal, None, console=Console())
        show_truth(truth, Console())
    console.print(f"journal: {journal}; look at it with: fleet report --journal {journal}")
    return result


def show_truth(truth: dict[str, Any], console: Console) -> None:
    """What only a simulated hall can say."""
    told = judge(truth)
    console.print("ground truth of the hall: " + ", ".join(f"{what}: {number}" for what, number in told.items()))


def judge(truth: dict[str, Any]) -> dict[str, int]:
    """What must be zero, counted over all nodes of the hall."""
    nodes = truth["nodes"].values()
    return {
        "components flashed twice with one image": sum(
            len(item["flashes"]) - len({flash["sha256"] for flash in item["flashes"]})
            for node in nodes
            for item in node["items"].values()
        ),
        "power cuts during a flash": sum(node["power_cuts_in_flash"] for node in nodes),
        "bricked nodes": sum(node["bricked"] is not None for node in nodes),
        "sessions left open": sum(node["sessions"]["open"] for node in nodes),
        "BMCs asked two things at once": sum(node["max_in_flight"] > 1 for node in nodes),
    }
