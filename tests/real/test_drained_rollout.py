"""`fleet apply` over a simulated hall whose nodes a real Slurm schedules: no image before `drained`, nobody's work ended.

Both sides are asked: Slurm by its commands and its controller's own log, the hardware by the hall's truth, us by the journal.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from drained_hall import Drained, Work, drained_hall, work_on
from slurm_cluster import Cluster, cluster, lacking

from fleet import events as ev
from fleet.exits import Exit
from fleet.state import NodeStatus

pytestmark = [pytest.mark.skipif(bool(lacking()), reason=lacking() or "-"), pytest.mark.timeout(240)]
CANARY, BUSY, THEIRS, FAILS, DIES = NODES = tuple(f"gpu{number:04}" for number in range(1, 6))
FAULTS = (
    f"{{name: refuses, select: {{node: {FAILS}}}, effect: update-fails, times: always}},"
    f"{{name: dies, select: {{node: {DIES}}}, effect: bmc-dead}}"
)
KILLER = """#!/bin/sh
# The scontrol of this host, for whoever is killed right after a drain: Slurm has done it, and fleet never hears of it.
echo "$*" >> {directory}/asked
scontrol "$@"
status=$?
case "$*" in
    "update NodeName={node} State=DRAIN"*) [ -e {directory}/killed ] || {{ touch {directory}/killed; kill -9 $PPID; }} ;;
esac
exit $status
"""

WITNESS = """#!/bin/sh
# The scontrol of this host, and how each of its runs ended.
scontrol "$@"
status=$?
echo "$status $*" >> {directory}/asked
exit $status
"""


@pytest.fixture
async def slurm(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path, NODES) as started:
        yield started


async def ended_by_itself(slurm: Cluster, work: Work) -> bool:
    """By Slurm's word: completed with status 0, begun once."""
    said = await slurm.run("scontrol", "show", "job", work.number)
    return all(fact in said for fact in ("JobState=COMPLETED", "ExitCode=0:0", "Restarts=0"))


async def in_service(slurm: Cluster, node: str) -> bool:
    """Nobody holds it, and it takes work."""
    if "DRAIN" in await slurm.states(node) or await slurm.reason(node):
        return False
    await slurm.until("COMPLETED", "scontrol", "show", "job", await slurm.submit(node, "true"))
    return True


def drained_at(both: Drained, node: str) -> list[float]:
    """When Slurm's controller took the node out for our reason, by its own log."""
    ours = both.slurm.wrote(f"update_node: node {node} reason set to: fleetwave {both.rollout}")
    states = both.slurm.wrote(f"update_node: node {node} state set to DRAIN")
    assert len(ours) == len(states)
    return [at for at, _ in states]


def resumed(both: Drained, node: str) -> int:
    """How often Slurm's controller put the node back."""
    return len(both.slurm.wrote(f"update_node: node {node} state set to IDLE"))


def script(directory: Path, text: str) -> str:
    """Path of a scontrol that does more than the real one, which it calls."""
    path = directory / "scontrol"
    path.write_text(text.format(directory=directory, node=BUSY))
    path.chmod(0o755)
    return str(path)


def ended(both: Drained, node: str, step: str) -> str:
    """With what detail a step of the node ended."""
    details = [e.detail for _, e in both.events(node) if isinstance(e, ev.StepEnded) and step in e.step]
    assert len(details) == 1, details
    return details[0]


async def test_nothing_is_updated_before_its_work_has_ended(slurm: Cluster, tmp_path: Path) -> None:
    busy, theirs = await work_on(slurm, BUSY), await work_on(slurm, THEIRS)
    await slurm.run("scontrol", "update", f"NodeName={THEIRS}", "State=DRAIN", "Reason=RMA 4711, ask anna")
    with drained_hall(tmp_path / "site", slurm, len(NODES), faults=FAULTS) as both:
        life = both.begin()
        settled = {
            CANARY: NodeStatus.CONFIRMED,
            BUSY: NodeStatus.RUNNING,
            THEIRS: NodeStatus.RUNNING,
            FAILS: NodeStatus.ROLLED_BACK,
            DIES: NodeStatus.QUARANTINED,
        }
        await both.until(lambda: both.statuses() == settled, life)

        # Everybody else is through; where work runs, nothing has begun, and nothing is announced.
        for work in (busy, theirs):
            assert await slurm.states(work.node) == {"ALLOCATED", "DRAIN"}
            assert "JobState=RUNNING" in await slurm.run("scontrol", "show", "job", work.number)
            assert both.truth(work.node)["submits"] == 0
            assert (both.touched(work.node), both.handed_over(work.node)) == ([], [])
        assert await slurm.reason(BUSY) == f"fleetwave {both.rollout}"
        assert await slurm.reason(THEIRS) == "RMA 4711, ask anna"

        for work in (busy, theirs):
            work.let_go()
        assert await both.end(life) == Exit.NODES_FAILED, life.said()
        assert both.statuses() == settled | {BUSY: NodeStatus.CONFIRMED, THEIRS: NodeStatus.CONFIRMED}

        for work in (busy, theirs):
            assert await ended_by_itself(slurm, work)
            [(completed, _)] = slurm.wrote(f"_job_complete: JobId={work.number} done")
            assert both.begun(work.node) > max(completed, work.ended_at())
            assert both.truth(work.node)["submits"] == 2
        for node in (CANARY, FAILS, DIES):
            [drained] = drained_at(both, node)
            assert both.begun(node) > drained

        # In service again, but for who failed and for who is somebody else's.
        for node in (CANARY, BUSY):
            assert (len(drained_at(both, node)), resumed(both, node)) == (1, 1)
            assert await in_service(slurm, node)
        for node in (FAILS, DIES):
            assert await slurm.states(node) == {"IDLE", "DRAIN"}
            assert (await slurm.reason(node), resumed(both, node)) == (f"fleetwave {both.rollout}", 0)
        assert (await slurm.states(THEIRS), await slurm.reason(THEIRS)) == ({"IDLE", "DRAIN"}, "RMA 4711, ask anna")
        assert [text for _, text in slurm.wrote(f"node {THEIRS} ") if "update_node" in text] == [
            f"update_node: node {THEIRS} reason set to: RMA 4711, ask anna",
            f"update_node: node {THEIRS} state set to DRAINING",
        ]
        assert ended(both, THEIRS, "node.undrain") == "drained by others, which stays: RMA 4711, ask anna"


async def test_a_drain_of_ours_is_recognised_after_kill_9(slurm: Cluster, tmp_path: Path) -> None:
    work = await work_on(slurm, BUSY)
    killer = script(tmp_path, KILLER)
    with drained_hall(tmp_path / "site", slurm, 2, waves="[100%]", scontrol=killer) as both:
        # The first process dies when Slurm has drained the node: announced, done, never heard of.
        assert await both.end(both.begin()) == -9
        drains = [e for _, e in both.events(BUSY) if isinstance(e, ev.IntentRecorded | ev.EffectRecorded)]
        assert [(e.kind, e.effect) for e in drains] == [("effect.intended", "1 node.drain/drain")]
        assert await slurm.states(BUSY) == {"ALLOCATED", "DRAIN"}

        # The second finds it, and is killed while it waits for the work.
        life = both.begin("resume")
        await both.until(lambda: both.statuses()[CANARY] is NodeStatus.CONFIRMED, life)
        recorded = [e.effect for _, e in both.events(BUSY) if isinstance(e, ev.EffectRecorded)]
        assert recorded == ["1 node.drain/drain"]
        life.kill()
        assert (both.truth(BUSY)["submits"], both.handed_over(BUSY)) == (0, [])
        assert "JobState=RUNNING" in await slurm.run("scontrol", "show", "job", work.number)

        # The work ends while nobody looks; the third goes on from drained.
        work.let_go()
        await slurm.until("State=IDLE+DRAIN ", "scontrol", "show", "node", BUSY)
        assert await slurm.reason(BUSY) == f"fleetwave {both.rollout}"
        third = both.begin("resume")
        assert await both.end(third) == Exit.OK, third.said()

        assert await ended_by_itself(slurm, work)
        assert both.begun(BUSY) > work.ended_at()
        for node in (CANARY, BUSY):
            assert both.truth(node)["submits"] == 2
            assert (len(drained_at(both, node)), resumed(both, node)) == (1, 1)
            assert await in_service(slurm, node)
        asked = [line for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("update")]
        assert sorted(asked) == sorted(
            f"update NodeName={node} State={what}"
            for node in (CANARY, BUSY)
            for what in (f"DRAIN Reason=fleetwave {both.rollout}", "RESUME")
        )


async def test_an_abort_gives_back_a_node_whose_work_goes_on(slurm: Cluster, tmp_path: Path) -> None:
    work = await work_on(slurm, BUSY)
    with drained_hall(tmp_path / "site", slurm, 2, waves="[100%]") as both:
        life = both.begin()
        await both.until(lambda: both.statuses().get(CANARY) is NodeStatus.CONFIRMED, life)
        assert await slurm.states(BUSY) == {"ALLOCATED", "DRAIN"}
        assert await both.end(both.begin("abort", "--yes")) == Exit.OK
        assert await both.end(life) == Exit.ABORTED, life.said()

        # Until its next ping a resumed node counts as not responding; its work goes on all the same.
        assert await slurm.states(BUSY) - {"NOT_RESPONDING"} == {"ALLOCATED"}
        assert await slurm.reason(BUSY) == ""
        assert (len(drained_at(both, BUSY)), both.truth(BUSY)["submits"], both.handed_over(BUSY)) == (1, 0, [])
        work.let_go()
        await slurm.until("JobState=COMPLETED", "scontrol", "show", "job", work.number)
        assert await ended_by_itself(slurm, work)
        assert await in_service(slurm, BUSY)


async def test_a_drain_outlasts_a_restart_of_the_controller(slurm: Cluster, tmp_path: Path) -> None:
    work, asked = await work_on(slurm, BUSY), tmp_path / "asked"
    with drained_hall(tmp_path / "site", slurm, 2, waves="[100%]", scontrol=script(tmp_path, WITNESS)) as both:
        life = both.begin()
        await both.until(lambda: both.statuses().get(CANARY) is NodeStatus.CONFIRMED, life)
        await slurm.stop_controller()
        await both.until(lambda: asked.read_text().count(f"1 show node {BUSY}") >= 1, life)
        await slurm.start_controller()
        await slurm.until("State=ALLOCATED+DRAIN", "scontrol", "show", "node", BUSY)
        assert (both.truth(BUSY)["submits"], both.handed_over(BUSY)) == (0, [])
        work.let_go()
        assert await both.end(life) == Exit.OK, life.said()

        assert await ended_by_itself(slurm, work)
        assert both.begun(BUSY) > work.ended_at()
        assert (len(drained_at(both, BUSY)), resumed(both, BUSY)) == (1, 1)
        assert await in_service(slurm, BUSY)


async def test_a_node_given_back_while_nobody_watched_is_not_reset_under_new_work(
    slurm: Cluster, tmp_path: Path
) -> None:
    with drained_hall(tmp_path / "site", slurm, 1) as both:
        life = both.begin()
        await both.until(lambda: len(both.handed_over(CANARY)) > 1, life)
        life.kill()
        await slurm.run("scontrol", "update", f"NodeName={CANARY}", "State=RESUME")
        work = await work_on(slurm, CANARY)
        life = both.begin("resume")
        assert await both.end(life) == Exit.NODES_FAILED, life.said()
        assert both.truth(CANARY)["resets"] == []
        assert [e.reason for _, e in both.events(CANARY) if isinstance(e, ev.NodeQuarantined)] == ["not-drained"]
        assert await slurm.states(CANARY) == {"ALLOCATED"}
        work.let_go()
        await slurm.until("JobState=COMPLETED", "scontrol", "show", "job", work.number)
        assert await ended_by_itself(slurm, work)
