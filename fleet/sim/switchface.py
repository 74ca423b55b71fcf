"""The SSH face of one switch: a terminal with echo, for people and for Netmiko."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import asyncssh

from fleet.sim.clock import ScaledClock
from fleet.sim.eos import EosCli
from fleet.sim.nvue import NvueCli
from fleet.sim.sshface import SshPort
from fleet.sim.switch import Reply, Switch

_READ_CHARACTERS = 4096
_LINE_LIMIT = 1 << 16


class Cli(Protocol):
    """A command line: a function of line and state."""

    greeting: str

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        ...

    @property
    def hides_input(self) -> bool:
        """Whether what is typed is not echoed."""
        ...

    def line(self, text: str) -> Reply:
        """Do one line."""
        ...


CLIS: Mapping[str, Callable[[Switch], Cli]] = {"arista_eos": EosCli, "cumulus_linux": NvueCli}
USERS = {"arista_eos": "admin", "cumulus_linux": "cumulus"}
"""Who logs in."""


class _Login(asyncssh.SSHServer):
    """One user, one password."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  asyncssh's signature
        """Everybody must."""
        return True

    def password_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Whether both are right."""
        return username == USERS[self._switch.spec.platform] and password == self._switch.secret

    def auth_completed(self) -> None:
        """Somebody is in."""
        self._switch.logins += 1


class SwitchFace:
    """Serves one switch at its address."""

    def __init__(self, switch: Switch, clock: ScaledClock, key: asyncssh.SSHKey) -> None:
        self.switch = switch
        self._clock = clock
        self._key = key
        self._made: asyncssh.SSHServerConnectionOptions | None = None
        self.port = SshPort(switch.spec.name, switch.spec.address, switch.spec.port, options=self._options)

    def _options(self) -> asyncssh.SSHServerConnectionOptions:
        if self._made is None:
            self._made = asyncssh.SSHServerConnectionOptions(
                server_factory=lambda: _Login(self.switch),
                server_host_keys=[self._key],
                gss_host=None,
                kbdint_auth=False,
                public_key_auth=False,
                process_factory=self._process,
                line_editor=False,
                x11_forwarding=False,
                agent_forwarding=False,
            )
        return self._made

    async def _process(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        cli = CLIS[self.switch.spec.platform](self.switch)
        try:
            if process.command is None:
                await self._terminal(process, cli)
            else:
                await self._once(process, cli, process.command)
            process.exit(0)
        except (asyncssh.Error, OSError):  # the client went away
            process.close()

    async def _once(self, process: "asyncssh.SSHServerProcess[str]", cli: Cli, command: str) -> None:
        for line in command.splitlines():
            reply = await self._do(process, cli, line)
            process.stdout.write(reply.text + "\n" if reply.text else "")

    async def _terminal(self, process: "asyncssh.SSHServerProcess[str]", cli: Cli) -> None:
        process.stdout.write(cli.greeting + cli.prompt)
        typed = ""
        while len(typed) < _LINE_LIMIT:
            data = await process.stdin.read(_READ_CHARACTERS)
            if not data or "\x04" in data:
                return
            typed += data.replace("\r\n", "\n").replace("\r", "\n")
            while "\n" in typed:
                line, _, typed = typed.partition("\n")
                process.stdout.write("\r\n" if cli.hides_input else f"{line}\r\n")
                reply = await self._do(process, cli, line)
                if reply.ends:
                    return
                text = reply.text.replace("\n", "\r\n")
                process.stdout.write(f"{text}\r\n{cli.prompt}" if text else cli.prompt)

    async def _do(self, process: "asyncssh.SSHServerProcess[str]", cli: Cli, line: str) -> Reply:
        reply = cli.line(line)
        await asyncio.sleep(self._clock.wall_s(self.switch.delay_s(reply)))
        if reply.breaks:
            process.get_extra_info("connection").abort()
            raise ConnectionAbortedError
        return reply
