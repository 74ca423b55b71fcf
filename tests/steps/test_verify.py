"""verify: what was done still holds, by the steps' own checks, read again and with patience."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from step_rig import Life, leaf, switches
from support.around import link

from fleet.errors import NodeFault, Reason, Transient
from fleet.step import Disrupts, Met, NodeContext, StepSpec, Unmet
from playbooks.steps.network import NetworkConfig
from playbooks.steps.verify import Verify

VERIFY = ("9 verify", StepSpec("verify"), Verify())
CONFIG = ("1 network.config 100", StepSpec("network.config", {"vlan": "100"}), NetworkConfig(vlan="100"))


@dataclass(slots=True, kw_only=True)
class Thing:
    """A step about something that changes by itself: each look takes the next of `looks`, the last one for ever."""

    looks: list[Met | Unmet | Exception]
    looked: int = 0
    disrupts: Disrupts = Disrupts.NOTHING
    applied: list[str] = field(default_factory=list)

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """See fleet.step.Step."""
        now = self.looks[min(self.looked, len(self.looks) - 1)]
        self.looked += 1
        if isinstance(now, Exception):
            raise now
        return now

    async def apply(self, ctx: NodeContext) -> None:
        """See fleet.step.Step."""
        self.applied.append(str(ctx.node.id))


def thing(number: int, *looks: Met | Unmet | Exception) -> tuple[str, StepSpec, Thing]:
    return f"{number} thing.{number}", StepSpec(f"thing.{number}"), Thing(looks=[Met("at first"), *looks])


def walked(tmp_path: Path, *steps: tuple[str, StepSpec, Thing]) -> tuple[dict[str, str], float]:
    """What each step ended with, and how long it all took."""
    place = Life(path=tmp_path / "journal.db")

    async def story() -> tuple[dict[str, str], float]:
        await place.prepare()
        begun = place.clock.now()
        await place.walk([*steps, VERIFY])
        return await place.told(), place.clock.now() - begun

    return place.clock.run(story())


def test_what_holds_was_read_again(tmp_path: Path) -> None:
    one, two = thing(1, Met("v2")), thing(2, Met("up"))
    told, took_s = walked(tmp_path, one, two)
    assert told["9 verify"] == "still so, read again: 1 thing.1, 2 thing.2"
    assert (one[2].looked, two[2].looked, took_s) == (2, 2, 0)


def test_nothing_was_done_before(tmp_path: Path) -> None:
    assert walked(tmp_path)[0] == {"9 verify": "nothing was done before it"}


def test_a_drift_holds_the_node_and_is_not_mended(tmp_path: Path) -> None:
    drifted = [thing(number, Unmet(f"{number} is gone")) for number in range(1, 6)]
    with pytest.raises(NodeFault) as held:
        walked(tmp_path, *drifted)
    assert held.value.reason is Reason.DRIFTED
    assert str(held.value) == (
        "no longer so, although it was verified: 1 thing.1: 1 is gone; 2 thing.2: 2 is gone; 3 thing.3: 3 is gone; and 2 more"
    )
    assert not any(each.applied for _, _, each in drifted)


def test_what_is_still_starting_up_is_waited_for(tmp_path: Path) -> None:
    slow = thing(1, Unmet("no login"), Unmet("no login"), Met("runs 24.04"))
    told, took_s = walked(tmp_path, slow)
    assert told["9 verify"] == "still so, read again: 1 thing.1"
    assert 60 <= took_s <= 300


def test_what_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    silent = thing(1, Transient("503"), Transient("503"), Met("v2"))
    told, took_s = walked(tmp_path, silent)
    assert told["9 verify"] == "still so, read again: 1 thing.1"
    assert took_s == 120


def test_what_never_answers_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(NodeFault, match="what was done to it cannot be read again: 503") as held:
        walked(tmp_path, thing(1, Transient("503")))
    assert held.value.reason is Reason.UNREACHABLE


def test_a_fault_of_a_check_is_the_fault(tmp_path: Path) -> None:
    with pytest.raises(NodeFault, match="another machine") as held:
        walked(tmp_path, thing(1, NodeFault(Reason.WRONG_CABLE, "another machine")))
    assert held.value.reason is Reason.WRONG_CABLE


def test_a_port_that_somebody_moved_after_it_was_verified(tmp_path: Path) -> None:
    leaf1 = leaf("a", "arista_eos", {"Ethernet1": 1})
    place = Life(path=tmp_path / "journal.db", links=(link("n1:eth0", "a:Ethernet1"),), edges=switches(leaf1))

    async def story() -> dict[str, str]:
        await place.prepare()
        await place.walk([CONFIG, VERIFY])
        return await place.told()

    assert place.clock.run(story())["9 verify"] == "still so, read again: 1 network.config 100"

    async def moved() -> str:
        leaf1.switch.running = leaf1.switch.running.with_vlan(55).with_port("Ethernet1", vlan=55)
        with pytest.raises(NodeFault) as held:
            await place.walk([CONFIG, ("10 verify", StepSpec("verify"), Verify())])
        return str(held.value)

    assert "1 network.config 100: a:Ethernet1 is in VLAN 55; wanted 100" in place.clock.run(moved())
    assert len(leaf1.pushes) == 1
