"""node.drain and node.undrain, with the real context and journal, over a scontrol that is a process."""

import pytest
from conftest import Fake
from support.rollout import node
from support.steps import Around, LeapClock, Rig

from fleet.drivers.slurm import NoScheduler, PartScheduler
from fleet.errors import NodeFault, Reason
from fleet.gate import Aborted, Gate, Mode

OURS = "fleetwave r-1"
DRAIN, RESUME = {"NodeName": "gpu0001", "State": "DRAIN", "Reason": OURS}, {"NodeName": "gpu0001", "State": "RESUME"}


@pytest.fixture
def edges(fake: Fake, clock: LeapClock) -> Around:
    return Around(scheduler=fake.scheduler(clock))


async def test_it_waits_for_what_runs(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="MIXED", runs=4)
    assert await rig.walk("node.drain", edges) == f"then: drained: {OURS}"
    assert fake.now()["updates"] == [DRAIN]
    assert await rig.walk("node.undrain", edges) == "then: in service"
    assert fake.now()["updates"] == [DRAIN, RESUME]


async def test_nobody_knows_it(rig: Rig) -> None:
    edges = Around(scheduler=NoScheduler())
    assert await rig.walk("node.drain", edges) == "met: no scheduler knows it"
    assert await rig.walk("node.undrain", edges) == "met: no scheduler knows it"


async def test_a_node_that_the_declared_scheduler_does_not_know_is_not_disturbed(
    rig: Rig, fake: Fake, clock: LeapClock, edges: Around
) -> None:
    other = Rig(rig.path.with_name("other.db"), clock, node=node("gpu0002"))
    await other.prepare()
    with pytest.raises(NodeFault, match=r"knows no node gpu0002.*scheduler: none") as held:
        await other.walk("node.drain", edges)
    assert held.value.reason is Reason.NOT_DRAINED
    assert await other.walk("node.undrain", edges) == "met: no scheduler knows it"
    declared = Around(scheduler=PartScheduler(inner=fake.scheduler(clock), outside=frozenset({"gpu0001", "gpu0002"})))
    assert await other.walk("node.drain", declared) == "met: no scheduler knows it"
    assert await rig.walk("node.drain", declared) == f"then: drained: {OURS}", "it is in the scheduler all the same"


@pytest.mark.parametrize(("state", "runs"), [("IDLE+DRAIN", 0), ("ALLOCATED+DRAIN", 3)])
async def test_what_others_drained_stays_theirs(state: str, runs: int, rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state=state, reason="RMA 4711", runs=runs)
    assert (await rig.walk("node.drain", edges)).endswith("drained: RMA 4711")
    assert "by others, which stays: RMA 4711" in await rig.walk("node.undrain", edges)
    assert (fake.now()["updates"], fake.now()["reason"]) == ([], "RMA 4711")


async def test_a_hold_that_came_meanwhile_stays(rig: Rig, fake: Fake, edges: Around) -> None:
    await rig.walk("node.drain", edges)
    fake.set(reason="RMA 4711")
    assert "which stays" in await rig.walk("node.undrain", edges)
    assert fake.now()["updates"] == [DRAIN]


async def test_a_way_back_gives_no_node_back_that_an_earlier_rollout_holds(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="IDLE+DRAIN", reason="fleetwave bring-up-1")
    assert (await rig.walk("node.drain", edges)).endswith("drained: fleetwave bring-up-1")
    assert "which stays" in await rig.walk("node.undrain", edges, of="own")
    assert fake.now()["updates"] == []
    assert await rig.walk("node.undrain", edges) == "then: in service"


async def test_a_way_back_gives_back_what_it_drained_itself(rig: Rig, fake: Fake, edges: Around) -> None:
    await rig.walk("node.drain", edges)
    assert await rig.walk("node.undrain", edges, of="own") == "then: in service"
    assert fake.now()["updates"] == [DRAIN, RESUME]


async def test_down_is_not_drained(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="DOWN*", reason="Not responding")
    with pytest.raises(NodeFault, match="Not responding") as held:
        await rig.walk("node.drain", edges)
    assert (held.value.reason, fake.now()["updates"]) == (Reason.NOT_DRAINED, [])


class Striding(LeapClock):
    """Half a minute takes five hours: two days of looks are many processes."""

    async def sleep(self, seconds: float) -> None:
        """Let more field time pass than was asked for."""
        await super().sleep(seconds * 600)


async def test_the_deadline_ends_nobodys_work_and_takes_the_drain_back(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="MIXED", runs=1_000_000)
    rig.clock = Striding()
    with pytest.raises(NodeFault, match="still runs") as late:
        await rig.walk("node.drain", edges)
    assert late.value.reason is Reason.NOT_DRAINED
    assert fake.now()["updates"] == [DRAIN, RESUME]


async def test_an_abort_leaves_the_drain_of_an_earlier_rollout(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="MIXED+DRAIN", reason="fleetwave a-rollout-that-held-it", runs=1_000_000)
    gate = Gate()
    gate.move(Mode.ABORT)
    with pytest.raises(Aborted):
        await rig.walk("node.drain", edges, gate=gate)
    assert fake.now()["updates"] == []


async def test_an_abort_takes_the_drain_back(rig: Rig, fake: Fake, edges: Around) -> None:
    fake.set(state="MIXED", runs=1_000_000)
    await rig.announce("1 node.drain/drain", {"reason": OURS})
    fake.set(state="MIXED+DRAIN", reason=OURS)
    gate = Gate()
    gate.move(Mode.ABORT)
    with pytest.raises(Aborted):
        await rig.walk("node.drain", edges, gate=gate)
    assert fake.now()["updates"] == [RESUME]


async def test_an_answer_that_was_lost_is_read(rig: Rig, fake: Fake, edges: Around) -> None:
    # Looks: check, apply, prepare, act; then the drain itself.
    fake.set(mischief=["", "", "", "", "done, answer lost"])
    assert await rig.walk("node.drain", edges) == f"then: drained: {OURS}"
    assert fake.now()["updates"] == [DRAIN]
    assert "NodeUncertain 1 node.drain/drain" in await rig.wrote()


@pytest.mark.parametrize(("state", "reason", "updates"), [("IDLE", "", [DRAIN]), ("IDLE+DRAIN", OURS, [])])
async def test_a_drain_announced_by_a_dead_process(
    state: str, reason: str, updates: list[dict[str, str]], rig: Rig, fake: Fake
) -> None:
    await rig.announce("1 node.drain/drain", {"reason": OURS})
    fake.set(state=state, reason=reason)
    edges = Around(scheduler=fake.scheduler(LeapClock()))
    assert await rig.walk("node.drain", edges) == f"then: drained: {OURS}"
    assert fake.now()["updates"] == updates


async def test_a_resume_announced_by_a_dead_process_meets_a_new_hold(rig: Rig, fake: Fake, edges: Around) -> None:
    await rig.announce("1 node.undrain/resume", {})
    fake.set(state="IDLE+DRAIN", reason="RMA 4711")
    assert "which stays" in await rig.walk("node.undrain", edges)
    assert fake.now()["updates"] == []
