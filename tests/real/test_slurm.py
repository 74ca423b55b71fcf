"""node.drain and node.undrain against a real Slurm on loopback: nothing is touched before it is drained, no work is ended."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slurm_cluster import NODES, Cluster, cluster, lacking
from support.rollout import node
from support.steps import Around, Rig

from fleet.clock import SystemClock
from fleet.drivers.slurm import SlurmScheduler
from fleet.edges import SchedulerState

pytestmark = [pytest.mark.skipif(bool(lacking()), reason=lacking() or "-"), pytest.mark.timeout(120)]
SPEED = 100.0
"""The step looks every half minute; a third of a second is enough here."""


@pytest.fixture
async def slurm(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as started:
        yield started


async def test_the_whole_life_of_a_drain(slurm: Cluster, tmp_path: Path) -> None:
    clock = SystemClock(speed=SPEED, origin=0.0)
    scheduler = SlurmScheduler(clock=clock, conf=str(slurm.conf))
    edges = Around(scheduler=scheduler)
    first, second, third = NODES

    # Work that has begun ends by itself, and only then is the node drained.
    done = tmp_path / "done"
    work = await slurm.submit(first, f"sleep 4; echo whole > {done}")
    await slurm.until("State=ALLOCATED", "scontrol", "show", "node", first)
    rig = Rig(tmp_path / "first.db", clock, node(first))
    await rig.prepare()
    assert await rig.walk("node.drain", edges) == "then: drained: fleetwave r-1"
    assert done.read_text() == "whole\n"
    assert "COMPLETED" in await slurm.run("scontrol", "show", "job", work)
    # What comes meanwhile waits, and starts when the node is back.
    waiting = await slurm.submit(first, "true")
    assert "PENDING" in await slurm.run("scontrol", "show", "job", waiting)
    assert await rig.walk("node.undrain", edges) == "then: in service"
    await slurm.until("COMPLETED", "scontrol", "show", "job", waiting)

    # Somebody else's drain keeps its reason and stays.
    await slurm.run("scontrol", "update", f"NodeName={second}", "State=DRAIN", "Reason=RMA 4711")
    theirs = Rig(tmp_path / "second.db", clock, node(second))
    await theirs.prepare()
    assert await theirs.walk("node.drain", edges) == "met: drained: RMA 4711"
    assert await theirs.walk("node.undrain", edges) == "met: drained by others, which stays: RMA 4711"
    assert "IDLE+DRAIN" in await slurm.run("scontrol", "show", "node", second)

    # The driver alone: a node with work drains, one that was powered down by hand is down, an unknown one is unknown.
    await slurm.submit(third, "exec sleep 30")
    await slurm.until("State=ALLOCATED", "scontrol", "show", "node", third)
    await scheduler.drain(third, "fleetwave r-2")
    seen = await scheduler.look(third)
    assert (seen.state, seen.reason) == (SchedulerState.DRAINING, "fleetwave r-2")
    await slurm.run("scontrol", "update", f"NodeName={first}", "State=DOWN", "Reason=PSU")
    assert (await scheduler.look(first)).state is SchedulerState.DOWN
    assert (await scheduler.look("gpu0009")).state is SchedulerState.UNKNOWN
