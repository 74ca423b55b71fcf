"""A shell on the OS of a simulated node, without SSH: what `fleet.drivers.ssh` is at the port, what `fleet.sim.hostface` is behind it.

The connection is that of one start of the OS: it is made when it is needed, and again when it has broken. Only the OS that holds the
expected host key is spoken to.
"""

import shlex

from fleet.edges import CommandResult
from fleet.errors import NodeFault, Reason, Transient
from fleet.twin.attend import Attendant
from fleet.twin.clock import VirtualClock

_CONNECT_S = 0.5
"""TCP, key exchange and login on a management network [inf]."""
_NEVER = -1


class TwinShell:
    """Fulfils fleet.edges.HostShell for one node."""

    def __init__(self, attendant: Attendant, host_key: str, clock: VirtualClock) -> None:
        """`host_key`: OpenSSH public key line of the one OS that may answer."""
        self._attendant = attendant
        self._bmc = attendant.bmc
        self._host_key = host_key
        self._clock = clock
        self._boot = _NEVER
        """The start of the OS that the connection leads to."""

    async def run(self, argv: tuple[str, ...], *, timeout_s: float) -> CommandResult:
        """Run one command and wait for it.

        Raises:
            Transient: nobody answers; the command was not started.
            NodeFault: UNTRUSTED_TLS, another host key answers.
        """
        began = self._clock.now()
        if not self._up() or self._boot != self._bmc.installer.boot:
            await self._connect()
        boot = self._boot
        ran = self._bmc.os.run(shlex.join(argv), self._attendant.sim_now())
        await self._clock.sleep(min(ran.lasts_s, timeout_s))
        self._attendant.look()
        ended = ran.lasts_s <= timeout_s and self._bmc.installer.boot == boot
        if not ended:
            self._boot = _NEVER
        return CommandResult(
            argv=argv,
            exit_status=ran.exit_status if ended else None,
            stdout=ran.stdout if ended else b"",
            stderr=ran.stderr if ended else b"",
            duration_s=self._clock.now() - began,
        )

    async def close(self) -> None:
        """Close the connection."""
        self._boot = _NEVER

    async def _connect(self) -> None:
        self._boot = _NEVER
        await self._clock.sleep(_CONNECT_S)
        name = self._bmc.spec.name
        if not self._up():
            raise Transient(f"root@{name}: no SSH connection: the connection was reset")
        if self._bmc.disk.host_key_line != self._host_key:
            raise NodeFault(Reason.UNTRUSTED_TLS, f"root@{name}: the SSH server does not hold the expected host key")
        self._bmc.ledger.shell_logins += 1
        self._boot = self._bmc.installer.boot

    def _up(self) -> bool:
        self._attendant.look()
        return self._bmc.os.up(self._attendant.sim_now())
