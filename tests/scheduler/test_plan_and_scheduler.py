"""The plan refuses what could not be drained: a hall, a scontrol that knows one of its nodes, real processes."""

import asyncio
from pathlib import Path

from conftest import Fake
from kube_server import TOKEN, serving
from support.command import FLEET, run, running_hall, write_site

from fleet.cli import demo
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


async def test_a_cluster_that_cannot_be_used_is_found_before_any_node_is_read(tmp_path: Path) -> None:
    playbook = demo.write_demo(tmp_path, 2)
    playbook.write_text(playbook.read_text().replace("steps:\n", "steps:\n  - node.drain\n"))
    inventory = tmp_path / "inventory.yaml"
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    plan = [str(FLEET), "plan", str(playbook), "-i", str(inventory), "--journal", str(tmp_path / "journal.db")]
    async with serving(tmp_path) as kube:
        at = f"{{server: '{kube.server}', ca: ca.pem, token: 'file:{token}'}}"
        inventory.write_text(f"{inventory.read_text()}scheduler: {{kubernetes: {at}}}\n")
        kube.denied = {"create pods/eviction"}
        barred = await asyncio.to_thread(run, plan)
        assert not any(asked.startswith("PATCH") or asked.endswith("eviction") for asked in kube.asked)
    gone = await asyncio.to_thread(run, plan)
    assert barred.code == Exit.USAGE, barred.err
    assert "its token may not create pods/eviction" in barred.words
    assert gone.code == Exit.USAGE, gone.err
    assert "cannot be reached" in gone.words
    assert TOKEN not in barred.out + barred.err + gone.out + gone.err
