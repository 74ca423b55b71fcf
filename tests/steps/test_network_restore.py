"""network.restore: the ports as they were before the first push, over crashes, lost answers and switches that refuse."""

from pathlib import Path

import pytest
from step_rig import Leaf, Life, leaf, switches
from support.around import link
from support.machine import Crash

from fleet.errors import NodeFault, Reason
from fleet.sim.faults import Effect, NodeFaults, Rule
from fleet.state import NodeState
from fleet.step import StepSpec
from playbooks.steps.network import NetworkConfig, NetworkRestore

PROVISIONING = ("1 network.config 100", StepSpec("network.config", {"vlan": "100"}), NetworkConfig(vlan="100"))
TENANT = ("2 network.config 200", StepSpec("network.config", {"vlan": "200"}), NetworkConfig(vlan="200"))
RESTORE = ("back 1 network.restore", StepSpec("network.restore"), NetworkRestore())
WAS = {"a": {"Ethernet1": 7, "Ethernet2": 1, "Ethernet3": 9}, "b": {"swp1": 8, "swp2": 1}}
LINKS = (link("n1:eth0", "a:Ethernet1"), link("n1:eth1", "a:Ethernet2"), link("n1:eth2", "b:swp1"))


def pair() -> tuple[Leaf, Leaf]:
    return leaf("a", "arista_eos", WAS["a"]), leaf("b", "cumulus_linux", WAS["b"])


def life(tmp_path: Path, leaves: tuple[Leaf, Leaf]) -> Life:
    return Life(path=tmp_path / "journal.db", links=LINKS, edges=switches(*leaves))


async def moved(place: Life) -> None:
    await place.prepare()
    await place.walk([PROVISIONING, TENANT])


def test_the_ports_are_as_before_the_first_push(tmp_path: Path) -> None:
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> dict[str, str]:
        await moved(place)
        assert (a.vlans, b.vlans) == ({"Ethernet1": 200, "Ethernet2": 200, "Ethernet3": 9}, {"swp1": 200, "swp2": 1})
        await place.walk([PROVISIONING, TENANT, RESTORE])
        return await place.told()

    told = place.clock.run(story())
    assert {"a": a.vlans, "b": b.vlans} == WAS
    assert told["back 1 network.restore"] == "as before: a:Ethernet1 in VLAN 7, a:Ethernet2 in VLAN 1, b:swp1 in VLAN 8"


def test_what_others_changed_since_stays(tmp_path: Path) -> None:
    leaves = a, _ = pair()
    place = life(tmp_path, leaves)

    async def story() -> None:
        await moved(place)
        a.switch.running = a.switch.running.with_vlan(55).with_port("Ethernet3", vlan=55)
        await place.walk([PROVISIONING, TENANT, RESTORE])

    place.clock.run(story())
    assert a.vlans == {**WAS["a"], "Ethernet3": 55}


def test_nothing_was_pushed(tmp_path: Path) -> None:
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> dict[str, str]:
        await place.prepare()
        await place.walk([RESTORE])
        return await place.told()

    assert place.clock.run(story()) == {"back 1 network.restore": "no port of it was moved"}
    assert (a.pushes, b.pushes) == ([], [])


def test_a_switch_that_is_as_before_is_not_touched(tmp_path: Path) -> None:
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> None:
        await moved(place)
        b.switch.running = b.switch.running.with_port("swp1", vlan=8)
        b.pushes.clear()
        await place.walk([PROVISIONING, TENANT, RESTORE])

    place.clock.run(story())
    assert ({"a": a.vlans, "b": b.vlans}, b.pushes) == (WAS, [])


@pytest.mark.parametrize("written", [False, True], ids=["before the disk", "after the disk"])
def test_a_crash_at_any_append_changes_nothing(tmp_path: Path, written: bool) -> None:  # noqa: FBT001  a parameter
    places = 0
    while True:
        places += 1
        folder = tmp_path / str(places)
        folder.mkdir()
        leaves = a, b = pair()
        place = life(folder, leaves)

        async def story(place: Life = place, dies_at: int = places) -> tuple[bool, NodeState]:
            await moved(place)
            try:
                await place.walk([PROVISIONING, TENANT, RESTORE], dies_at=dies_at, written=written)
            except Crash:
                await place.walk([PROVISIONING, TENANT, RESTORE])
                return True, await place.state()
            return False, await place.state()

        died, left = place.clock.run(story())
        assert [key for key, effect in left.effects.items() if effect.result is None] == []
        assert {"a": a.vlans, "b": b.vlans} == WAS, f"died at append {places}"
        assert [len(each.pushes) for each in leaves] == [3, 3], f"died at append {places}"
        if not died:
            break
    assert places == 6  # two intents, two results, the end of the step; then it lives


@pytest.mark.parametrize("applied", [True, False])
def test_a_link_that_breaks_in_the_commit_is_decided_by_the_vlan_table(tmp_path: Path, applied: bool) -> None:  # noqa: FBT001  a parameter
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> None:
        await moved(place)
        drops = Rule(name="r", effect=Effect.LINK_DROPS_IN_COMMIT, parameters={"applied": applied})
        a.switch.faults = NodeFaults([drops])
        await place.walk([PROVISIONING, TENANT, RESTORE])

    place.clock.run(story())
    assert {"a": a.vlans, "b": b.vlans} == WAS
    assert len(a.pushes) == (3 if applied else 4)


def test_one_silent_switch_does_not_keep_the_others_back(tmp_path: Path) -> None:
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> NodeFault:
        await moved(place)
        a.silent = 99
        with pytest.raises(NodeFault) as left:
            await place.walk([PROVISIONING, TENANT, RESTORE])
        return left.value

    left = place.clock.run(story())
    assert left.reason is Reason.UNREACHABLE
    assert str(left) == ("a could not be put back (a: no answer): a:Ethernet1 in VLAN 7, a:Ethernet2 in VLAN 1 before")
    assert b.vlans == WAS["b"]
    assert a.vlans["Ethernet1"] == 200


def test_a_switch_that_refuses_every_commit_is_told_with_what_was_before(tmp_path: Path) -> None:
    leaves = a, b = pair()
    place = life(tmp_path, leaves)

    async def story() -> NodeFault:
        await moved(place)
        a.switch.faults = NodeFaults([Rule(name="r", effect=Effect.COMMIT_REFUSED, times=99)])
        with pytest.raises(NodeFault) as left:
            await place.walk([PROVISIONING, TENANT, RESTORE])
        return left.value

    left = place.clock.run(story())
    assert left.reason is Reason.SWITCH_REFUSED
    assert str(left).startswith("a could not be put back (")
    assert str(left).endswith("a:Ethernet1 in VLAN 7, a:Ethernet2 in VLAN 1 before")
    assert (len(a.pushes), b.vlans) == (5, WAS["b"])


class Deaf(Leaf):
    """Accepts what is pushed, and does nothing."""

    async def push(self, lines: tuple[str, ...]) -> None:
        """See Leaf."""
        self.pushes.append(lines)


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    a, b = pair()
    place = life(tmp_path, (a, b))

    async def story() -> NodeFault:
        await moved(place)
        place.edges = switches(Deaf(a.switch), b)
        with pytest.raises(NodeFault) as left:
            await place.walk([PROVISIONING, TENANT, RESTORE])
        return left.value

    left = place.clock.run(story())
    assert left.reason is Reason.SWITCH_REFUSED
    assert "committed and read back: a:Ethernet1 is in VLAN 200" in str(left)
