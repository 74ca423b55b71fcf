"""What a step may touch: Protocols that drivers fulfil. No step, plan or engine ever sees a driver.

Every method may raise `Transient` (worth retrying), `NodeFault` (a refusal that will not pass by itself) or, only where the
docstring says so, `OutcomeUnknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from fleet.profile import ComponentProfile, Profile
from inventory.baseline import Activation
from inventory.exporters.snapshot import Sighting
from inventory.model import Node
from inventory.observed import Observation


class PowerState(StrEnum):
    """ComputerSystem.PowerState, and UNKNOWN for null and for what no schema lists (field guide 2.1)."""

    ON = "On"
    OFF = "Off"
    POWERING_ON = "PoweringOn"
    POWERING_OFF = "PoweringOff"
    UNKNOWN = "Unknown"


class PowerAction(StrEnum):
    """Primitive power effects; the driver maps them on the ResetType values that the machine lists."""

    ON = "on"
    SHUT_DOWN = "shut-down"
    FORCE_OFF = "force-off"
    WARM_RESET = "warm-reset"
    AC_CYCLE = "ac-cycle"


class TaskPhase(StrEnum):
    """What a Task resource means to us (field guide 1.3). A hint, never the verdict."""

    ALIVE = "alive"
    STAGED = "staged"
    """Finished on its side, waits for a reset (Stopping/TaskPaused, Dell reboot pending)."""
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """A state no table lists: keep watching until the deadline, then reconcile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReading:
    """One look at a Task resource."""

    uri: str
    phase: TaskPhase
    state: str
    status: str
    percent: int | None
    name: str
    started: str
    """StartTime as the BMC wrote it: compared for equality only, BMC clocks lie."""
    messages: tuple[str, ...]
    """"MessageId: Message" of each, oldest first."""
    activation: str
    """The Resolution text of Update.*.AwaitToActivate, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReadiness:
    """May an image be handed over now?"""

    enabled: bool
    alive: tuple[TaskReading, ...]
    """Update tasks that still run. Power must not be touched and nothing submitted while there is one."""
    known_tasks: tuple[str, ...]
    """URIs of all tasks seen, for telling a new one from an old one after a crash."""
    max_image_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOrder:
    """One image for one component."""

    component: str
    profile: ComponentProfile
    image: Path
    size_bytes: int
    sha256: str
    force: bool
    """Let a downgrade through. Only ever true for a rollback that the plan announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the BMC answered to an accepted image."""

    task: str | None
    """Path of the Task resource, None where the BMC named none."""
    status: int
    note: str
    """First message of the body, for the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootMarker:
    """What changes when a BMC really restarts (field guide 1.5). Kept in the journal beside the intent to reset it."""

    manager_last_reset: str
    """Manager.LastResetTime, empty where absent."""
    system_last_reset: str
    session: str
    """Path of the session we held: sessions do not outlive the BMC."""


class Restarted(StrEnum):
    """Whether a BMC restarted since a marker was taken."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot-tell"


class SessionLedger(Protocol):
    """Where a driver writes down the sessions that it opens, before and after, so that a crash leaks none."""

    async def opening(self, context: str) -> None:
        """A session carrying `context` (Session.Context, Session v1_5) is about to be created. Durable on return."""

    async def opened(self, uri: str, context: str) -> None:
        """It exists at `uri`. Durable on return."""

    async def absent(self, context: str) -> None:
        """No session carries it: the login was refused, was never sent, or left nothing that could be found. Durable on return."""

    async def closed(self, uri: str) -> None:
        """It is gone."""


class Bmc(Protocol):
    """One BMC behind one connection, one session, one request in flight."""

    @property
    def profile(self) -> Profile:
        """The platform, chosen once."""

    async def connect(self) -> None:
        """TLS, identity of the service, a session. Idempotent. LOGIN_REFUSED and UNTRUSTED_TLS are faults at once."""

    async def reconnect(self) -> None:
        """Forget connection and session, which did not outlive a restart, and connect anew."""

    async def observe(self) -> Observation:
        """Identity, power and every firmware item, read now."""

    async def identify(self) -> tuple[str, str]:
        """(serial, uuid) of the host system, read now: checked before each destructive call."""

    async def power_state(self) -> PowerState:
        """The BMC's belief about host power."""

    async def boot_marker(self) -> BootMarker:
        """Taken before a reset is announced."""

    async def restarted_since(self, marker: BootMarker) -> Restarted:
        """Whether the BMC restarted since."""

    def offers(self) -> frozenset[Activation]:
        """Activations this machine can perform, from what it advertises and from its profile. After `connect`."""

    async def readiness(self) -> UpdateReadiness:
        """UpdateService and its tasks."""

    async def submit_update(self, order: UpdateOrder) -> Submission:
        """Hand over one image, once: never retried here. `OutcomeUnknown` if bytes left and no answer came."""

    async def restore_force_flag(self) -> None:
        """Set a sticky ForceUpdate flag back, if the profile has one (F22)."""

    async def read_task(self, uri: str) -> TaskReading | None:
        """None: the BMC does not know it (404, 410)."""

    async def power(self, action: PowerAction) -> None:
        """One power effect, once. Already being in the wanted state is success. `OutcomeUnknown` if no answer came."""

    async def reset_bmc(self) -> None:
        """Restart the BMC itself, once. `OutcomeUnknown` if no answer came (which is usual)."""

    async def clear_sessions(self, uris: tuple[str, ...], contexts: tuple[str, ...]) -> tuple[str, ...]:
        """Delete sessions that an earlier process of ours left: by URI, or by the Context it had announced.

        Never anybody else's. Returns the URIs that are gone.
        """

    async def close(self) -> None:
        """Delete the session and close the connection."""


class BmcDriver(Protocol):
    """Makes BMCs. The composition root gives one to the engine."""

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> Bmc:
        """A BMC that is not connected yet."""

    async def close(self) -> None:
        """Close whatever is shared."""


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

    async def power_w(self) -> float | None:
        """Watts drawn; None where the PDU does not measure outlets."""

    async def switch(self, wanted: OutletState) -> None:
        """ON or OFF, once. `OutcomeUnknown` if no answer came."""


class SchedulerState(StrEnum):
    """What a scheduler does with a node."""

    UNKNOWN = "unknown"
    """The scheduler does not know the node: nothing to drain."""
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
    """Where tenants' work is placed. We never end anybody's work."""

    async def look(self, node: str) -> SchedulerNode:
        """Read now."""

    async def drain(self, node: str, reason: str) -> None:
        """Start no new work on it. Running work goes on."""

    async def resume(self, node: str) -> None:
        """Back into service. The caller has checked that the drain is ours."""


@runtime_checkable
class BootMedia(Protocol):
    """Virtual media and boot override of one machine (Redfish VirtualMedia, ComputerSystem.Boot; field guide 3.2, 3.3)."""

    async def insert_media(self, url: str) -> None:
        """Mount an image, stale ones ejected first; returns when the BMC says that it is inserted."""

    async def eject_media(self) -> None:
        """Unmount; an empty slot is success."""

    async def boot_once(self) -> None:
        """Boot the virtual disc (`Cd`, or what the profile calls it) at the next start, and only then; read back."""

    async def boot_override(self) -> tuple[str, str]:
        """(BootSourceOverrideEnabled, BootSourceOverrideTarget) now."""

    async def clear_boot_override(self) -> None:
        """Disabled; read back."""


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

    async def offer(self, image: Path, sha256: str, token: str) -> str:
        """A short plain URL of the image (field guide 3.2: no `?`), from which this installation boots."""

    async def heard(self, token: str, *, timeout_s: float) -> PhoneHome | None:
        """The phone-home that carried this token; None if none came in time."""

    def fetched_bytes(self, token: str) -> int:
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
