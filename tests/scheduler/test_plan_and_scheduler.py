"""The plan refuses what could not be drained: a hall, a scontrol that knows one of its nodes, real processes."""

from pathlib import Path

from conftest import Fake
from support.command import running_hall, write_site

from fleet.exits import Exit


def test_a_node_that_the_scheduler_does_not_know_is_refused_by_the_plan(tmp_path: Path, fake: Fake) -> None:
    with running_hall(tmp_path / "hall", 3) as hall:
        site = write_site(tmp_path, hall, 3)
        site.edit(site.playbook, "steps:\n", "steps:\n  - node.drain\n")
        said = f"scheduler: {{slurm: {{scontrol: {fake.directory}/scontrol}}}}\n"
        labelled = "overrides:\n  gpu0003: {labels: {scheduler: none}}\n"
        site.inventory.write_text(f"{site.inventory.read_text()}{said}{labelled}")
        rehearsed, asked = site.apply(), site.apply("--real-scheduler")
    assert rehearsed.code == Exit.OK, rehearsed.err
    assert asked.code == Exit.REFUSED, asked.err
    assert "the scheduler knows no node gpu0002" in asked.words
    assert "no node gpu0003" not in asked.words
    assert fake.now()["updates"] == []
