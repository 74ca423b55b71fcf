"""One SSH terminal of one switch, by Netmiko. Blocks: everything here runs in a thread.

Netmiko knows the prompts. What is added: the host key is pinned, what a switch prints is bounded, and a channel that is closed
is noticed at once (Netmiko itself waits until its read timeout is over).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from netmiko.arista.arista import AristaSSH
from netmiko.base_connection import BaseConnection
from netmiko.channel import SSHChannel
from netmiko.exceptions import NetmikoAuthenticationException, NetmikoBaseException, ReadException
from netmiko.linux.linux_ssh import LinuxSSH
from paramiko import Channel
from paramiko.ssh_exception import BadHostKeyException, SSHException

from fleet.clock import Clock
from fleet.drivers.switch.replies import excerpt
from fleet.errors import NotDone, OutcomeUnknown, Reason, Transient
from inventory.model import SecretRef
from inventory.secrets import SecretError, resolve

SAYS_LIMIT_CHARS = 4 << 20
"""What one command may print; the running configuration of a large leaf is below 1 MiB."""
CONNECT_S = 30.0
ANSWER_S = 120.0
"""Field seconds for one command."""
COMMIT_S = 300.0
"""Field seconds for a commit: NVUE restarts services in it."""
_KEEPALIVE_S = 30.0
_HOST_KEY = re.compile(r"(?:ssh|ecdsa)-[a-z0-9@.-]{1,60} [A-Za-z0-9+/=]{40,4096}(?: .*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAccess:
    """How the command line of a switch is reached."""

    name: str
    """Its id in the inventory."""
    platform: str
    """`arista_eos` or `cumulus_linux`."""
    address: str
    port: int = 22
    user: str
    password: SecretRef
    """Also the enable and sudo secret."""
    host_key: str
    """OpenSSH public key line, `ssh-ed25519 AAAA...`: the only key that is accepted."""
    pair: str = ""
    """Leaf pair that it is one of: never are both of them configured at the same time. Empty: of none."""


class Line(Protocol):
    """What a terminal needs of a login that stands. Raises Netmiko's errors."""

    base_prompt: str
    """The prompt without its last sign."""

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as this side can tell."""

    def ask(self, command: str, *, prompt: str, echo: bool, timeout_s: float) -> str:
        """Type a command; what it prints until the prompt (an expression) comes. `timeout_s` in wall seconds."""

    def enable(self) -> str:
        """Privileged mode. Raises ValueError where the secret is refused."""

    def leave(self) -> None:
        """Hang up."""


class _BoundedChannel(SSHChannel):
    """Reads one buffer at a time, no more than the limit for a command, and says when the channel is closed."""

    said_chars = 0

    def read_channel(self) -> str:
        """What is there now; empty: nothing yet."""
        text = self.read_buffer()
        if not text and self.remote_conn is not None and self.remote_conn.closed:
            raise ReadException("the connection was closed")
        self.said_chars += len(text)
        if self.said_chars > SAYS_LIMIT_CHARS:
            raise ReadException(f"it printed more than {SAYS_LIMIT_CHARS} characters")
        return text


class _Bounded(BaseConnection):
    """A Netmiko connection over a bounded channel."""

    bounded: _BoundedChannel

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        """See netmiko.BaseConnection."""
        super().establish_connection(width, height)
        self.channel = self.bounded = _BoundedChannel(conn=cast("Channel", self.remote_conn), encoding=self.encoding)

    @property
    def is_open(self) -> bool:
        """See Line."""
        channel = self.bounded.remote_conn
        return channel is not None and not channel.closed

    def ask(self, command: str, *, prompt: str, echo: bool, timeout_s: float) -> str:
        """See Line."""
        self.bounded.said_chars = 0
        return str(self.send_command(command, expect_string=prompt, cmd_verify=echo, read_timeout=timeout_s))

    def leave(self) -> None:
        """See Line."""
        self.paramiko_cleanup()


class _Arista(_Bounded, AristaSSH):
    """Arista EOS."""


class _Linux(_Bounded, LinuxSSH):
    """A Cumulus switch is a Linux machine."""


_KINDS: dict[str, type[_Bounded]] = {"arista_eos": _Arista, "cumulus_linux": _Linux}


class Terminal:
    """A terminal that is logged in. One command at a time."""

    def __init__(self, name: str, connection: Line, clock: Clock) -> None:
        self.name = name
        self._connection = connection
        self._clock = clock
        prompt = re.escape(connection.base_prompt)
        self._prompt = rf"(?:^|[\r\n]){prompt}[^\r\n#>$]{{0,80}}[#>$]\s*$"

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as this side can tell."""
        return self._connection.is_open

    def say(self, command: str, *, timeout_s: float = ANSWER_S, echo: bool = True) -> str:
        """One command, and what it prints. Raises Transient if the link broke or no prompt came.

        `echo=False` for several lines in one, whose echo is not one line.
        """
        try:
            said = self._connection.ask(
                command, prompt=self._prompt, echo=echo, timeout_s=self._clock.io_timeout_s(timeout_s)
            )
        except (NetmikoBaseException, SSHException, OSError, EOFError) as error:
            raise Transient(f"{self.name}: no answer to {excerpt(command, 60)!r} ({_cause(error)})") from None
        return said.replace("\r\n", "\n").strip("\r\n")

    def commit(self, command: str) -> str:
        """A command that brings a configuration into force. Raises OutcomeUnknown if the link broke in it."""
        try:
            return self.say(command, timeout_s=COMMIT_S)
        except Transient as broken:
            raise OutcomeUnknown("push", str(broken)) from None

    def enable(self) -> None:
        """Privileged mode (Arista)."""
        try:
            self._connection.enable()
        except (NetmikoBaseException, SSHException, OSError, EOFError) as error:
            raise Transient(f"{self.name}: no answer to 'enable' ({_cause(error)})") from None
        except ValueError:  # Netmiko's word for a refused secret
            raise NotDone(Reason.LOGIN_REFUSED, f"{self.name} refuses the enable secret") from None

    def close(self) -> None:
        """Leave at once: no session of ours is open, and a broken link would let a farewell wait for its timeout."""
        with suppress(NetmikoBaseException, SSHException, OSError, EOFError):
            self._connection.leave()


def known_hosts_line(access: SwitchAccess) -> str:
    """The pinned key, as a known_hosts file has it. Raises NotDone where none, or no key, was declared."""
    if not _HOST_KEY.fullmatch(access.host_key):
        raise NotDone(
            Reason.UNTRUSTED_TLS,
            f"no SSH host key is known for {access.name}: declare the key that the switch itself shows, `ssh-ed25519 AAAA...`",
        )
    host = access.address if access.port == 22 else f"[{access.address}]:{access.port}"  # noqa: PLR2004  SSH's port
    return f"{host} {' '.join(access.host_key.split()[:2])}\n"


def open_terminal(access: SwitchAccess, known_hosts: Path, clock: Clock) -> Terminal:
    """Log in. `known_hosts` holds this switch's key and nothing else.

    Raises Transient, or NotDone: UNTRUSTED_TLS (another host key) or LOGIN_REFUSED.
    """
    try:
        password = resolve(access.password)
        connection = _KINDS[access.platform](
            host=access.address,
            port=access.port,
            username=access.user,
            password=password.reveal(),
            secret=password.reveal(),
            device_type=access.platform,
            ssh_strict=True,
            system_host_keys=False,
            alt_host_keys=True,
            alt_key_file=str(known_hosts),
            conn_timeout=clock.io_timeout_s(CONNECT_S),
            auth_timeout=clock.io_timeout_s(CONNECT_S),
            banner_timeout=clock.io_timeout_s(CONNECT_S),
            read_timeout_override=clock.io_timeout_s(ANSWER_S),
            keepalive=_KEEPALIVE_S,
        )
    except SecretError as error:
        raise NotDone(Reason.LOGIN_REFUSED, f"{access.name}: {error}") from None
    except NetmikoAuthenticationException:
        raise NotDone(Reason.LOGIN_REFUSED, f"{access.name} refuses the login of {access.user}") from None
    except (
        NetmikoBaseException,
        SSHException,
        OSError,
        EOFError,
        ValueError,
    ) as error:  # ValueError: it finds no prompt
        _raise_untrusted(access, error)
        raise Transient(f"{access.name} ({access.address}:{access.port}) cannot be reached: {_cause(error)}") from None
    connection.read_timeout_override = None  # from here on each command names its own
    return Terminal(access.name, connection, clock)


def _raise_untrusted(access: SwitchAccess, error: BaseException) -> None:
    cause = error.__context__
    if isinstance(cause, BadHostKeyException) or "not found in known_hosts" in str(cause):
        raise NotDone(
            Reason.UNTRUSTED_TLS,
            f"{access.name} ({access.address}:{access.port}) shows another SSH host key than the declared one: nothing was"
            " sent; compare it at the switch itself",
        ) from None


def _cause(error: BaseException) -> str:
    """The first line that says something; Netmiko's texts are pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "Pattern not detected" in "".join(lines):
        return "no prompt came in time"
    return excerpt(lines[0] if lines else type(error).__name__, 120)
