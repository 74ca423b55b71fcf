"""What scontrol prints, and a scontrol that misbehaves."""

from pathlib import Path

import pytest
from conftest import Fake
from support.steps import LeapClock

from fleet.drivers.slurm import NoScheduler, SlurmScheduler, read_node, read_state
from fleet.edges import SchedulerState
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient

STATES = {
    SchedulerState.IN_SERVICE: ["IDLE", "MIXED", "ALLOCATED", "IDLE+RESERVED", "MIXED+COMPLETING", "IDLE~", "UNKNOWN", "ODD"],
    SchedulerState.DRAINING: [
        "MIXED+DRAIN", "ALLOCATED+DRAIN", "DRAINING", "DRAINING*", "IDLE+COMPLETING+DRAIN", "UNKNOWN+DRAIN", "ODD+DRAIN",
    ],
    SchedulerState.DRAINED: ["IDLE+DRAIN", "IDLE*+DRAIN", "DRAINED", "DRAINED*", "DOWN*+DRAIN", "DOWN+DRAIN", "idle+drain"],
    SchedulerState.DOWN: ["DOWN", "DOWN*", "DOWN*+POWERING_UP", "ERROR", "IDLE+FAIL"],
}  # fmt: skip
DRAINED = """NodeName=gpu0001 Arch=x86_64 CoresPerSocket=1 
   NodeAddr=127.0.0.1 NodeHostName=vm Port=56903 Version=22.05.8
   RealMemory=1 AllocMem=1 FreeMem=21577 Sockets=1 Boards=1
   State=ALLOCATED+DRAIN ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=all 
   Reason={reason}
"""  # noqa: W291  as scontrol of 22.05.8 prints it


@pytest.mark.parametrize(("text", "state"), [(text, state) for state, texts in STATES.items() for text in texts])
def test_states(text: str, state: SchedulerState) -> None:
    assert read_state(text) is state


def test_a_reason_without_its_stamp() -> None:
    seen = read_node(DRAINED.format(reason="fleetwave r-1 x [root@2026-11-23T13:41:48]"), "gpu0001")
    assert (seen.state, seen.reason) == (SchedulerState.DRAINING, "fleetwave r-1 x")


def test_a_reason_is_no_state() -> None:
    seen = read_node(DRAINED.format(reason="x State=IDLE+DRAIN\n   State=IDLE+DRAIN [a@b]"), "gpu0001")
    assert (seen.state, seen.reason) == (SchedulerState.DRAINING, "x State=IDLE+DRAIN")


@pytest.mark.parametrize("text", ["", "NodeName=gpu0001 Arch=x", "NodeName=gpu0002\n   State=IDLE x", 2 * DRAINED])
def test_an_answer_about_something_else_is_none(text: str) -> None:
    with pytest.raises(Transient):
        read_node(text, "gpu0001")


async def test_drain_and_resume(fake: Fake, clock: LeapClock) -> None:
    slurm = fake.scheduler(clock)
    await slurm.drain("gpu0001", "fleetwave r-1; $(reboot)")
    assert fake.now()["updates"] == [{"NodeName": "gpu0001", "State": "DRAIN", "Reason": "fleetwave r-1; $(reboot)"}]
    assert (await slurm.look("gpu0001")).reason == "fleetwave r-1; $(reboot)"
    await slurm.resume("gpu0001")
    assert (await slurm.look("gpu0001")).state is SchedulerState.IN_SERVICE
    assert (await slurm.look("gpu0002")).state is SchedulerState.UNKNOWN


@pytest.mark.parametrize("name", ["gpu[1-100]", "a,b", "ALL", "all", "", "-h", "x y", "x" * 200])
async def test_only_one_node_is_ever_named(name: str, fake: Fake, clock: LeapClock) -> None:
    for call in (fake.scheduler(clock).look(name), fake.scheduler(clock).drain(name, "r"), NoScheduler().look(name)):
        with pytest.raises(NodeFault):
            await call
    assert fake.now()["updates"] == []


async def test_mischief(fake: Fake, clock: LeapClock) -> None:
    slurm = fake.scheduler(clock)
    fake.set(mischief=["flood", "unreachable", "unreachable", "denied"])
    with pytest.raises(NodeFault, match="more than"):
        await slurm.look("gpu0001")
    with pytest.raises(Transient, match="Unable to contact"):
        await slurm.look("gpu0001")
    with pytest.raises(OutcomeUnknown, match="Unable to contact"):
        await slurm.resume("gpu0001")
    with pytest.raises(NodeFault, match="operator") as refused:
        await slurm.drain("gpu0001", "fleetwave r-1")
    assert refused.value.reason is Reason.LOGIN_REFUSED


class Hasty(LeapClock):
    """Gives a process a second."""

    def io_timeout_s(self, seconds: float) -> float:
        """Few."""
        return min(seconds, 1.0)


async def test_a_scontrol_that_hangs_is_ended(fake: Fake) -> None:
    slurm = fake.scheduler(Hasty())
    fake.set(mischief=["hang", "hang"])
    with pytest.raises(Transient):
        await slurm.look("gpu0001")
    with pytest.raises(OutcomeUnknown):
        await slurm.drain("gpu0001", "fleetwave r-1")


async def test_no_scontrol_is_named(tmp_path: Path, clock: LeapClock) -> None:
    with pytest.raises(NodeFault, match="install slurm-client"):
        await SlurmScheduler(clock=clock, scontrol=str(tmp_path / "scontrol")).look("gpu0001")


async def test_a_scontrol_that_is_not_found_is_no_node_that_is_not_found(fake: Fake, clock: LeapClock) -> None:
    fake.set(state="ALLOCATED", mischief=["wrapped"])
    with pytest.raises(Transient, match="/opt/slurm/bin/scontrol"):
        await fake.scheduler(clock).look("gpu0001")
