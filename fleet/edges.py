"""What stands around a node beside its BMC: Protocols that drivers fulfil, as fleet.ports (and with the same errors)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from fleet.watts import PowerReading
from inventory.exporters.snapshot import Sighting
from inventory.model import Node, PduId


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """One command on a node, whole."""

    argv: tuple[str, ...]
    exit_status: int | None
    """None: it was ended because it took too long, or the connection broke: its outcome is not known."""
    stdout: bytes
    stderr: bytes
    duration_s: float
    """Field seconds."""


class HostShell(Protocol):
    """Commands on one node's operating system, over SSH. Output is hostile: bounded, and bytes until somebody parses it."""

    async def run(self, argv: tuple[str, ...], *, timeout_s: float) -> CommandResult:
        """Run one command, given as a list of arguments. Raises Transient if no connection can be had."""

    async def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One LLDP neighbour of a switch port (IEEE 802.1AB)."""

    port: str
    system: str
    remote_port: str


class SwitchCli(Protocol):
    """One switch, over its command line. One command at a time."""

    @property
    def platform(self) -> str:
        """`arista_eos`, `cumulus_linux`: which templates speak its language."""

    async def running_config(self) -> str:
        """All of it, for the backup."""

    async def neighbours(self) -> tuple[Neighbour, ...]:
        """What LLDP hears now."""

    async def access_vlans(self) -> Mapping[str, str]:
        """Port -> VLAN id, of access ports."""

    async def difference(self, lines: tuple[str, ...]) -> str:
        """What `push` of these lines would change, in the platform's words; nothing is changed."""

    async def push(self, lines: tuple[str, ...]) -> None:
        """Make these lines the configuration, whole or not at all. `OutcomeUnknown` if the link broke in the middle."""

    async def restore(self, config: str) -> None:
        """Put a backup back."""


class OutletState(StrEnum):
    """What a PDU says of an outlet."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class Outlet(Protocol):
    """One PDU outlet, over SNMPv3."""

    @property
    def name(self) -> str:
        """`pdu-r01-A/3`."""

    async def state(self) -> OutletState:
        """Read now."""

    async def reading(self) -> PowerReading | None:
        """What it delivers, read now; None where the PDU does not measure outlets."""

    async def switch(self, wanted: OutletState) -> None:
        """ON or OFF, once. `OutcomeUnknown` if no answer came."""


class PduMeter(Protocol):
    """The meter at the inlet of one PDU: everything that its outlets deliver, and its own few watts."""

    @property
    def pdu(self) -> PduId:
        """Its id in the inventory, which says rack and feed."""

    async def reading(self) -> PowerReading | None:
        """Watts drawn from the feed, read now; None where the PDU has no such meter. Raises Transient if it does not answer."""


@runtime_checkable
class MetersFeeds(Protocol):
    """Says what PDUs draw. The surroundings of a hall fulfil it beside `Edges`."""

    def meters(self) -> tuple[PduMeter, ...]:
        """One of each PDU that can be asked, in the order of their ids."""


class SchedulerState(StrEnum):
    """What a scheduler does with a node."""

    NONE = "none"
    """Nobody places work on the node by a scheduler: none is declared, or the inventory says so of the node."""
    UNKNOWN = "unknown"
    """The scheduler does not know the node by this name. Whether work runs on the machine is not known either."""
    IN_SERVICE = "in-service"
    DRAINING = "draining"
    """No new work starts; work still runs."""
    DRAINED = "drained"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerNode:
    """One node as its scheduler sees it."""

    state: SchedulerState
    reason: str
    """Why it is drained or down, in the words of whoever did it; empty otherwise."""


class Scheduler(Protocol):
    """Where tenants' work is placed. We end nobody's work: what may be asked to move is moved by its owner's rules."""

    async def look(self, node: str) -> SchedulerNode:
        """Read now."""

    async def drain(self, node: str, reason: str) -> None:
        """Start no new work on it. Running work goes on."""

    async def ask_to_leave(self, node: str, reason: str) -> str:
        """Let what runs on a node that we drain for this reason move on, where its owner's rules let it; asked again until it is empty.

        What is left, in words; empty where nothing is, where work ends by itself only, or where the drain is not this one. Raises
        Transient; NodeFault where the scheduler refuses us.
        """

    async def resume(self, node: str) -> None:
        """Back into service. The caller has checked that the drain is ours."""

    async def barred(self) -> str:
        """What we lack to drain nodes here, as far as can be told without draining one; empty: nothing known. Raises as `look`."""

    async def close(self) -> None:
        """Close connections, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHome:
    """What a freshly installed OS said of itself, with the one-time token that only this installation was given."""

    serial: str
    uuid: str
    host_key: str
    """OpenSSH public key line."""
    address: str
    os_release: str
    """VERSION_ID of /etc/os-release, as installed."""
    image_sha256: str
    """Digest of what was written, as the installer read it; empty where it does not say."""


class Installs(Protocol):
    """Serves OS images and hears from what was installed."""

    async def begin(self) -> str:
        """A new installation: the SHA-256 of its one-time token, 64 hex digits. Later processes find the token again by it.

        The token itself is a secret while it lives: who has it can phone home. It stays out of the journal, and of steps.
        """

    async def offer(self, image: Path, sha256: str, installation: str) -> str:
        """A short plain URL of the image (field guide 3.2: no `?`) that holds the token, from which this installation boots."""

    async def heard(self, installation: str, *, timeout_s: float) -> PhoneHome | None:
        """The phone-home that carried this installation's token; None if none came in time."""

    def fetched_bytes(self, installation: str) -> int:
        """How much of this installation's image was handed over by this process, re-reads counted."""


class Edges(Protocol):
    """Everything around a node beside its BMC. A step asks for what it needs; connections are made lazily and shared."""

    @property
    def scheduler(self) -> Scheduler:
        """The one that places work on this hall."""

    @property
    def installs(self) -> Installs:
        """Images and phone-homes."""

    async def shell(self, node: Node, host_key: str) -> HostShell:
        """SSH to the node's OS, whose host key must be this one. Raises NodeFault UNTRUSTED_TLS otherwise."""

    async def switch(self, switch: str) -> SwitchCli:
        """The switch of that id in the inventory."""

    def host_key(self, node: Node) -> str:
        """Public key line of the OS that somebody else installed, from known_hosts; empty: it is not known."""

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """Every outlet that feeds the node, over all feeds. Empty: none declared."""

    async def publish(self, exporter: str, sighting: Sighting) -> str:
        """Hand one node on, by the exporter of that name; where it is now, in words. The same again changes nothing.

        Raises:
            Transient: the system does not answer. NodeFault NO_EDGE: no such exporter, or nobody said where it writes;
            EXPORT_REFUSED: the system says no, or something else about this node.
        """

    async def leave(self, node: Node) -> None:
        """Nobody works on the node any more: close what was kept open for it."""
