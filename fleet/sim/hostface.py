"""The SSH face of one node's operating system."""

import asyncio
import contextlib
from collections.abc import Callable

import asyncssh

from fleet.sim.bmc import Bmc
from fleet.sim.clock import ScaledClock
from fleet.sim.sshface import SshPort

_LONGEST_S = 86400.0
"""Real seconds after which even a hanging command is ended."""
_NO_SHELL = 1


class _Logins(asyncssh.SSHServer):
    """Counts who came in."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc

    def auth_completed(self) -> None:
        """The key was accepted."""
        self._bmc.ledger.shell_logins += 1


class HostFace:
    """Serves the OS of one node by SSH, while it runs."""

    def __init__(
        self, bmc: Bmc, clock: ScaledClock, *, clients: asyncssh.SSHAuthorizedKeys, touch: Callable[[], None]
    ) -> None:
        """`clients`: whose keys are accepted. `touch()`: time has passed for the box, let its own face look."""
        self.bmc = bmc
        self._clock = clock
        self._clients = clients
        self._touch = touch
        self._made: tuple[int, asyncssh.SSHServerConnectionOptions] | None = None
        self.port = SshPort(bmc.spec.name, bmc.spec.host_address, bmc.spec.host_port, options=self._options)

    def _options(self) -> asyncssh.SSHServerConnectionOptions | None:
        now = self._clock.now()
        self.bmc.agenda.advance(now)
        self._touch()
        disk = self.bmc.disk
        if not self.bmc.os.up(now) or disk.host_key is None:
            return None
        if self._made is None or self._made[0] != disk.installation:
            options = asyncssh.SSHServerConnectionOptions(
                server_factory=lambda: _Logins(self.bmc),
                server_host_keys=[disk.host_key],
                authorized_client_keys=self._clients,
                password_auth=False,
                kbdint_auth=False,
                host_based_auth=False,
                gss_host=None,
                process_factory=self._process,
                encoding=None,
                allow_pty=False,
                x11_forwarding=False,
                agent_forwarding=False,
                server_version="OpenSSH_8.9p1 Ubuntu-3ubuntu0.10",
            )
            self._made = disk.installation, options
        return self._made[1]

    async def _process(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        now = self._clock.now()
        self.bmc.agenda.advance(now)
        if process.command is None:
            process.stderr.write(b"This simulated host runs single commands only.\n")
            process.exit(_NO_SHELL)
            return
        boot = self.bmc.installer.boot
        if not self.bmc.os.up(now):
            self.port.abort()
            return
        ran = self.bmc.os.run(process.command, now)
        wait_s = min(self._clock.wall_s(ran.lasts_s), _LONGEST_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await process.channel.wait_closed()
        if process.is_closing():  # the client went away, or killed it
            self.bmc.fittings.draw.rest(self._clock.now())
            return
        self.bmc.agenda.advance(self._clock.now())
        self._touch()
        if self.bmc.installer.boot != boot:  # the host went down meanwhile
            self.port.abort()
            return
        process.stdout.write(ran.stdout)
        process.stderr.write(ran.stderr)
        process.exit(0 if ran.exit_status is None else ran.exit_status)
