"""A commit of an Arista session replaces the whole configuration: what somebody else changed since it began stays theirs."""

from collections.abc import Callable

import pytest
from step_rig import Wire, leaf

from fleet.drivers.switch.eos import Eos
from fleet.drivers.switch.eosblocks import foreign_block
from fleet.errors import Transient
from fleet.sim.switch import Config, Switch

LINES = ("vlan 100", "interface Et1", "   switchport mode access", "   switchport access vlan 100")
PORTS = {"Ethernet1": 7, "Ethernet2": 7}


class Busy(Wire):
    """A switch on which somebody commits something once our session is filled."""

    def __init__(self, switch: Switch, change: Callable[[Config], Config]) -> None:
        super().__init__(switch)
        self._change = change

    def say(self, command: str, **how: object) -> str:
        """See Terminal."""
        if command.strip() == LINES[-1].strip():
            self._switch.running = self._change(self._switch.running)
        return super().say(command)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.with_port("Ethernet2", vlan=9), "interface Ethernet2"),
        (lambda config: config.with_port("Ethernet2", description="RMA 4711"), "interface Ethernet2"),
        (lambda config: config.with_vlan(300), "vlan 300"),
    ],
    ids=["another port", "its description", "a VLAN"],
)
def test_somebody_elses_change_is_not_taken_back(change: Callable[[Config], Config], named: str) -> None:
    switch = leaf("a", "arista_eos", PORTS).switch
    terminal, theirs = Busy(switch, change), change(switch.running)
    Eos().begin(terminal)
    with pytest.raises(Transient, match=f"somebody changed '{named}'.*nothing was committed"):
        Eos().push(terminal, LINES)
    assert (switch.running, switch.commits, switch.sessions) == (theirs, 0, {})
    again = Wire(switch)
    Eos().begin(again)
    Eos().push(again, LINES)
    assert switch.running == theirs.with_vlan(100).with_port("Ethernet1", vlan=100)


RUNNING = """! Command: show running-config
hostname a
!
vlan 7,200-202
!
vlan 300
   name storage
!
interface Ethernet1
   description gpu0001 eth0
   mtu 9214
   speed forced 100gfull
   load-interval 5
   switchport access vlan 7
!
interface Ethernet17
   switchport access vlan 7
!
end
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("", "", ""),
        ("vlan 7,200-202", "vlan 7,100,200-202", ""),
        ("vlan 7,200-202", "vlan 7,100,200,202", "vlan 201"),
        (
            "   switchport access vlan 7\n!\ninterface Ethernet17",
            "   switchport access vlan 100\n!\ninterface Ethernet17",
            "",
        ),
        ("   switchport access vlan 7\n!\nend", "   switchport access vlan 100\n!\nend", "interface Ethernet17"),
        ("   name storage\n", "", "vlan 300"),
        ("hostname a", "hostname b", "hostname a"),
        ("show running-config", "show session-config named fleetwave", ""),
    ],
)
def test_what_a_commit_would_change_beside_our_ports_is_found(old: str, new: str, named: str) -> None:
    session = RUNNING.replace(old, new)
    assert (session != RUNNING) is (old != new)
    assert foreign_block(RUNNING, session, LINES) == named
