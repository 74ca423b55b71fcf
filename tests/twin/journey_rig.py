"""The whole journey of a few nodes of bring-up-256 in a twin."""

from dataclasses import replace
from pathlib import Path

from support.journey import AT_ONCE

from fleet.cli import compose
from fleet.cli.journey import JourneyFiles, write_journey
from fleet.cli.rehearsal import Stage, Wishes, staged
from fleet.step import StepSpec
from playbooks import LIBRARY

BRING_UP = (LIBRARY / "bring-up.yaml").read_text()


class Journey:
    """Its files in `directory`, as an operator would have written them; the playbook with all nodes at once."""

    def __init__(self, directory: Path, faults: str = "faults: none\n") -> None:
        self.directory = directory
        self.files: JourneyFiles = write_journey(directory)
        self.faults = directory / "faults.yaml"
        self.faults.write_text(faults)
        self.playbook = directory / "playbook.yaml"
        self.playbook.write_text(BRING_UP.partition("rollout:\n")[0] + AT_ONCE)

    def staged(self, *nodes: str, longest_job_s: float = 0.0, more: tuple[StepSpec, ...] = ()) -> Stage:
        """Everything but the life itself. `more`: steps beyond those of the playbook."""
        sources = compose.read_sources(
            self.files.inventory, self.playbook, None, baseline=self.files.baseline, select="id=" + "|".join(nodes)
        )
        sources = replace(sources, playbook=replace(sources.playbook, steps=(*sources.playbook.steps, *more)))
        wishes = Wishes(faults=str(self.faults), journal=None, longest_job_s=longest_job_s, wait_for_window="")
        return staged(sources, wishes, self.directory)

    def take_image_of(self, size_bytes: int) -> None:
        """From here on the OS image is one that no simulated host can install, as a vendor's; nobody reads it, so it is all holes."""
        with (self.directory / "images" / "ubuntu-24.04.iso").open("wb") as stream:
            stream.truncate(size_bytes)

    def declare_scheduler(self) -> None:
        """From here on the inventory has one."""
        inventory = self.files.inventory
        inventory.write_text(inventory.read_text() + "scheduler: {slurm: {}}\n")
