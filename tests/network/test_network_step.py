"""The step against a switch that lives in memory: what a crash, a half-done commit and a stranger lead to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from support.around import Memory, context, link, walk
from support.clock import VirtualClock

from fleet.edges import Neighbour
from fleet.errors import OutcomeUnknown, Transient, UsageError
from fleet.state import Effect, NodeState, NodeStatus
from playbooks.steps.network import NetworkConfig

LINKS = (link("n1:eth0", "a:Ethernet1"), link("n1:eth1", "a:Ethernet2"), link("n1:eth2", "b:Ethernet1"))


@dataclass(slots=True)
class ModelSwitch:
    """Fulfils fleet.edges.SwitchCli as an Arista switch would."""

    vlans: dict[str, str] = field(default_factory=lambda: {"Ethernet1": "1", "Ethernet2": "7"})
    dead_ports: frozenset[str] = frozenset()
    """Stay where they are whatever is committed."""
    drops: list[bool] = field(default_factory=list)
    """For each commit in turn: the link breaks, and whether the commit took effect."""
    pushes: list[tuple[str, ...]] = field(default_factory=list)
    falls_silent: bool = False
    """After the first commit it answers nothing any more."""
    platform: str = "arista_eos"

    async def running_config(self) -> str:
        """See fleet.edges.SwitchCli."""
        blocks = [f"interface {port}\n   switchport access vlan {vlan}\n!" for port, vlan in self.vlans.items()]
        return "\n".join(blocks)

    async def neighbours(self) -> tuple[Neighbour, ...]:
        """See fleet.edges.SwitchCli."""
        return ()

    async def access_vlans(self) -> Mapping[str, str]:
        """See fleet.edges.SwitchCli."""
        if self.falls_silent and self.pushes:
            raise Transient("it does not answer")
        return dict(self.vlans)

    async def difference(self, lines: tuple[str, ...]) -> str:
        """See fleet.edges.SwitchCli."""
        return "\n".join(lines)

    async def push(self, lines: tuple[str, ...]) -> None:
        """See fleet.edges.SwitchCli."""
        self.pushes.append(lines)
        applied = self.drops.pop(0) if self.drops else None
        if applied is not False:
            self._commit(lines)
        if applied is not None:
            raise OutcomeUnknown("push", "the link broke")

    async def restore(self, config: str) -> None:
        """See fleet.edges.SwitchCli."""
        raise AssertionError("the step never puts back what others may have changed")

    def _commit(self, lines: tuple[str, ...]) -> None:
        port = ""
        for line in lines:
            words = line.split()
            if words[0] == "interface":
                port = words[1]
            elif words[:3] == ["switchport", "access", "vlan"] and port not in self.dead_ports:
                self.vlans[port] = words[3]


def configured(switches: dict[str, ModelSwitch], memory: Memory, vlan: str = "100") -> str:
    clock = VirtualClock()
    return clock.run(walk(NetworkConfig(vlan=vlan), context("n1", LINKS, dict(switches), clock, memory)))


def test_one_commit_a_switch_and_no_effect_the_second_time() -> None:
    switches = {"a": ModelSwitch(), "b": ModelSwitch()}
    assert configured(switches, Memory()) == "done"
    assert {name: each.vlans for name, each in switches.items()} == {
        "a": {"Ethernet1": "100", "Ethernet2": "100"},
        "b": {"Ethernet1": "100", "Ethernet2": "7"},
    }
    assert configured(switches, Memory()) == "met"
    assert [len(each.pushes) for each in switches.values()] == [1, 1]


def test_a_port_that_did_not_move_puts_all_of_them_back() -> None:
    switches = {"a": ModelSwitch(), "b": ModelSwitch(dead_ports=frozenset({"Ethernet1"}))}
    assert configured(switches, Memory()) == (
        "switch-refused: VLAN 100 was committed and read back: b:Ethernet1 is in VLAN 1; the former lines are back on a;"
        " the former lines are back on b"
    )
    assert switches["a"].vlans == {"Ethernet1": "1", "Ethernet2": "7"}


def test_a_switch_that_changes_by_itself_is_not_decided_by_guessing() -> None:
    half = ModelSwitch(dead_ports=frozenset({"Ethernet2"}), drops=[True])
    assert configured({"a": half, "b": ModelSwitch()}, Memory()) == (
        "outcome-unknown: a:Ethernet1 in VLAN 100, a:Ethernet2 in VLAN 7: neither as before (a:Ethernet1 in VLAN 1,"
        " a:Ethernet2 in VLAN 7) nor as wanted; somebody else may be configuring this switch"
    )
    assert len(half.pushes) == 1


@pytest.mark.parametrize(("landed", "pushes"), [(True, 0), (False, 1)])
def test_an_intent_that_a_crash_left_is_decided_by_the_vlan_table(landed: bool, pushes: int) -> None:  # noqa: FBT001  a parameter
    switches = {"a": ModelSwitch(), "b": ModelSwitch()}
    if landed:
        switches["a"].vlans = dict.fromkeys(switches["a"].vlans, "100")
    intent = {"was": {"Ethernet1": "1", "Ethernet2": "7"}, "former": [], "backup_sha256": "", "difference": ""}
    effects = {"step/push a": Effect(detail=intent)}
    memory = Memory(state=NodeState(status=NodeStatus.RUNNING, effects=effects))
    assert configured(switches, memory) == "done"
    assert len(switches["a"].pushes) == pushes


def test_a_link_that_breaks_again_and_again_has_an_end() -> None:
    switches = {"a": ModelSwitch(drops=[False] * 99), "b": ModelSwitch()}
    assert configured(switches, Memory()).startswith("outcome-unknown: push a: attempted 3 times")
    assert len(switches["a"].pushes) == 3


def test_a_switch_that_falls_silent_in_a_commit_is_not_said_to_have_refused_it() -> None:
    silent = ModelSwitch(drops=[True], falls_silent=True)
    assert configured({"a": silent, "b": ModelSwitch()}, Memory()) == (
        "outcome-unknown: not known whether a took VLAN 100 (it does not answer): a:Ethernet1 in VLAN 1, a:Ethernet2 in VLAN 7"
        " before"
    )
    assert len(silent.pushes) == 1


def test_no_cable_is_nothing_to_do() -> None:
    clock = VirtualClock()
    assert clock.run(walk(NetworkConfig(vlan="100"), context("n9", LINKS, {}, clock, Memory()))) == "met"


@pytest.mark.parametrize("vlan", ["tenant", "0", "4095", "100\nno vlan 1"])
def test_what_is_no_vlan_is_said_before_anything_is_done(vlan: str) -> None:
    with pytest.raises(UsageError, match="is no VLAN"):
        NetworkConfig(vlan=vlan)
