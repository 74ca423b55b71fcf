"""Shells on the hosts of a twin: who answers, and what becomes of a command whose host goes down."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from journey_rig import Journey

from fleet.edges import CommandResult
from fleet.errors import NodeFault, Reason, Transient
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall
from fleet.twin.life import hall_of
from fleet.twin.shell import TwinShell

DCGM = ("dcgmi", "diag", "-r", "2", "-j")
DCGM_S = 120.0


class Host:
    """One node, and a shell on what it runs at the start."""

    def __init__(self, directory: Path, faults: str = "faults: none\n") -> None:
        scene = Journey(directory, faults).staged("gpu0001").scene
        self.clock = VirtualClock(scene.start)
        self.hall: TwinHall = hall_of(scene, 0, self.clock)
        self.attendant = self.hall.attendants["gpu0001"]
        self.bmc = self.attendant.bmc
        self.shell = TwinShell(self.attendant, self.bmc.disk.host_key_line, self.clock)

    def reset(self, kind: str) -> None:
        self.bmc.reset_host(kind, self.attendant.sim_now())
        self.attendant.look()

    def run(self, work: Callable[[], Coroutine[Any, Any, CommandResult]]) -> CommandResult:
        return self.clock.run(work())


def test_a_command_takes_its_time_and_one_login_does_for_several(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def two() -> CommandResult:
        await host.shell.run(("hostname",), timeout_s=30)
        return await host.shell.run(DCGM, timeout_s=600)

    ran = host.run(two)
    assert (ran.exit_status, ran.argv) == (0, DCGM)
    assert DCGM_S <= ran.duration_s < DCGM_S + 1
    assert ran.stdout.startswith(b"{")
    assert host.bmc.ledger.shell_logins == 1


def test_a_command_that_takes_too_long_has_no_outcome(tmp_path: Path) -> None:
    host = Host(tmp_path)
    ran = host.run(lambda: host.shell.run(DCGM, timeout_s=60))
    assert (ran.exit_status, ran.stdout) == (None, b"")
    assert 60 <= ran.duration_s < 61


def test_a_host_that_goes_down_takes_its_command_along_and_is_asked_anew(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.clock.call_at(host.clock.now() + 30, lambda: host.reset("ForceRestart"))
    assert host.run(lambda: host.shell.run(DCGM, timeout_s=600)).exit_status is None
    with pytest.raises(Transient, match="no SSH connection"):  # POST
        host.run(lambda: host.shell.run(("hostname",), timeout_s=30))

    async def later() -> CommandResult:
        await host.clock.sleep(3600)
        return await host.shell.run(("hostname",), timeout_s=30)

    assert host.run(later).stdout == b"gpu0001\n"
    assert host.bmc.ledger.shell_logins == 2


def test_a_host_that_started_anew_in_between_is_logged_in_to_again(tmp_path: Path) -> None:
    host = Host(tmp_path)

    async def around_a_restart() -> CommandResult:
        await host.shell.run(("hostname",), timeout_s=30)
        host.reset("ForceRestart")
        await host.clock.sleep(3600)
        return await host.shell.run(("hostname",), timeout_s=30)

    assert host.run(around_a_restart).exit_status == 0
    assert host.bmc.ledger.shell_logins == 2


def test_another_host_key_is_not_spoken_to(tmp_path: Path) -> None:
    host = Host(tmp_path)
    other = TwinShell(host.attendant, "ssh-ed25519 AAAA", host.clock)
    with pytest.raises(NodeFault) as caught:
        host.run(lambda: other.run(("hostname",), timeout_s=30))
    assert caught.value.reason is Reason.UNTRUSTED_TLS
    assert not host.bmc.ledger.commands
