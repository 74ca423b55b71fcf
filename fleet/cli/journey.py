"""The second half of `fleet demo`: the whole journey of a node, on a few racks with switches, PDUs, hosts and an installer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from fleet.cli import compose, sim
from fleet.cli.demo import baseline_text, carry_out, write_images
from fleet.exits import Exit
from fleet.sim.osimage import build_os_image
from inventory.load import EXAMPLES, load
from playbooks import LIBRARY

OS_RELEASE = "24.04"
_RACKS = "rack=r01|r09"
"""One rack behind Cumulus leaves, one behind Arista leaves."""
_SPEED, _SEED = 500.0, 13
_OS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyFiles:
    """What an operator would have written."""

    inventory: Path
    playbook: Path
    baseline: Path


def write_journey(directory: Path) -> JourneyFiles:
    """Inventory, baseline and images of 256 DGX H100; the playbook is the one that ships."""
    images = directory / "images"
    digests = write_images(images)
    image = images / f"ubuntu-{OS_RELEASE}.iso"
    sha256 = build_os_image(image, version_id=OS_RELEASE, size_bytes=_OS_BYTES)
    inventory, baseline = directory / "inventory.yaml", directory / "baseline.yaml"
    inventory.write_text((EXAMPLES / "bring-up-256.yaml").read_text())
    # Only an AC cycle activates this GPU tray, and a DGX H100 has none by Redfish: its outlets are switched.
    system = f'os:\n  ubuntu: {{release: "{OS_RELEASE}", image: images/{image.name}, sha256: {sha256}}}\n'
    baseline.write_text(baseline_text(digests, gpu_tray="ac-cycle") + system)
    return JourneyFiles(inventory=inventory, playbook=LIBRARY / "bring-up.yaml", baseline=baseline)


@contextmanager
def hall_for_journey(
    directory: Path, files: JourneyFiles, *, select: str, speed: float, faults: str, seed: int
) -> Iterator[Path]:
    """A running hall with everything around the selected nodes."""
    hall = directory / "hall"
    hall.mkdir(parents=True, exist_ok=True)
    inventory = load(files.inventory)
    sim.write_boxes(compose.chosen(inventory, select, "--select"), hall / "boxes.json", inventory=inventory)
    process = sim.start(hall, speed=speed, faults=sim.fault_file(faults), seed=seed)
    try:
        yield hall
    finally:
        sim.stop(hall, process)


def demo(directory: Path, *, as_json: str, console: Console) -> Exit:
    """The journey of two racks with faults in every part."""
    return journey(directory, _RACKS, speed=_SPEED, faults="journey", seed=_SEED, as_json=as_json, console=console)


def journey(
    directory: Path, select: str, *, speed: float, faults: str, seed: int, as_json: str, console: Console
) -> Exit:
    """Run it all."""
    directory.mkdir(parents=True, exist_ok=True)
    files = write_journey(directory)
    journal = directory / "journal.db"
    console.print(
        f"simulated hall: {select} of bring-up-256, time {speed:g} times faster, faults: {faults}, seed {seed}"
    )
    with hall_for_journey(directory, files, select=select, speed=speed, faults=faults, seed=seed) as hall:
        sources = compose.read_sources(files.inventory, files.playbook, hall, baseline=files.baseline, select=select)
        return carry_out(sources, hall, journal, as_json=as_json, console=console)
