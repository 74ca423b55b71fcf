"""A login on a simulated switch, in place of Netmiko's: lines typed into the hall's own command line, answered on the virtual clock.

The product's terminal, dialects and parsers stand above it unchanged. It blocks as Netmiko does, so it lives in `fleet.twin.blocking`.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from netmiko.exceptions import ReadException, ReadTimeout

from fleet.clock import Clock
from fleet.drivers.switch import SwitchAccess, SwitchDriver, Way
from fleet.drivers.switch.connection import Terminal
from fleet.sim.switch import Switch
from fleet.sim.switchface import CLIS, USERS, Cli
from fleet.twin.blocking import Blocking, Broken
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import secret

_PREPARES: Mapping[str, tuple[str, ...]] = {
    "arista_eos": ("terminal width 511", "terminal length 0", ""),
    "cumulus_linux": ("", ""),
}
"""What Netmiko 4 types after a login (AristaSSH, LinuxSSH: session_preparation): widths, no pages, and the prompt twice."""
_LOGIN_S = 1.0
"""Key exchange and password on a switch's control processor [inf]."""
_ENABLE_S = 120.0
"""As a login waits at most for what it types (fleet.drivers.switch.connection: read_timeout_override)."""
_HOST_KEY = "ssh-ed25519 " + "A" * 68
"""Of nobody: there is no SSH here, and a driver goes to no switch without a key."""


def switch_driver(
    switches: Mapping[str, Switch], pairs: Mapping[str, str], clock: VirtualClock, directory: Path
) -> SwitchDriver:
    """The product's driver for these switches. `pairs`: leaf -> its pair; `directory`: where the twin's secret lies."""
    blocking = Blocking(clock)

    def opened(access: SwitchAccess, _known_hosts: Path, clock: Clock) -> Terminal:
        switch = switches[access.name]
        blocking.pause(_LOGIN_S)
        switch.logins += 1
        line = TwinLine(switch, CLIS[access.platform](switch), blocking)
        line.type(_PREPARES[access.platform], timeout_s=_ENABLE_S)
        return Terminal(access.name, line, clock)

    accesses = [
        SwitchAccess(
            name=name,
            platform=switch.spec.platform,
            address=name,
            user=USERS[switch.spec.platform],
            password=secret(directory),
            host_key=_HOST_KEY,
            pair=pairs.get(name, ""),
        )
        for name, switch in switches.items()
    ]
    return SwitchDriver(accesses, clock=clock, way=Way(open=opened, lock=_alone), pool=blocking)


@asynccontextmanager
async def _alone(_access: SwitchAccess, _what: str, _clock: Clock) -> AsyncIterator[None]:
    """No other process is at a switch of a twin, and a rehearsal must not wait for, or hold up, one at the real switch."""
    yield


class TwinLine:
    """Fulfils fleet.drivers.switch.connection.Line. Called within a call of `Blocking`, and nowhere else."""

    def __init__(self, switch: Switch, cli: Cli, blocking: Blocking) -> None:
        self._switch = switch
        self._cli = cli
        self._blocking = blocking
        self.is_open = True
        self.base_prompt = cli.prompt.strip()[:-1]

    def ask(self, command: str, *, prompt: str, echo: bool, timeout_s: float) -> str:  # noqa: ARG002 (nothing is echoed here)
        """Type a command; what it prints until the prompt comes. Raises ReadException where the link breaks, ReadTimeout."""
        said = self.type(command.split("\n"), timeout_s=timeout_s)
        if not re.search(prompt, f"\n{self._cli.prompt}"):
            raise ReadTimeout("Pattern not detected")
        return said

    def enable(self) -> str:
        """Privileged mode. Raises ValueError where the secret is refused."""
        said = self.type(("enable",), timeout_s=_ENABLE_S)
        if self._cli.hides_input:
            said = self.type((self._switch.secret,), timeout_s=_ENABLE_S)
        if not self._cli.prompt.endswith("#"):
            raise ValueError("Failed to enter enable mode.")
        return said

    def leave(self) -> None:
        """Hang up."""
        self.is_open = False

    def type(self, lines: Iterable[str], *, timeout_s: float) -> str:
        """Line by line; all that they print."""
        said = []
        for line in lines:
            if not self.is_open:
                raise ReadException("the connection was closed")
            reply = self._cli.line(line)
            delay_s = self._switch.delay_s(reply)
            if delay_s:
                self._wait(min(delay_s, timeout_s))
            if reply.breaks or reply.ends:
                self.is_open = False
                raise ReadException("the connection was closed")
            if delay_s > timeout_s:
                raise ReadTimeout("Pattern not detected")
            timeout_s -= delay_s
            said.append(reply.text)
        return "\n".join(text for text in said if text)

    def _wait(self, seconds: float) -> None:
        try:
            self._blocking.pause(seconds)
        except Broken as gone:
            self.is_open = False
            raise ReadException(str(gone)) from gone
