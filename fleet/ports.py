"""What a step may touch: Protocols that drivers fulfil. No step, plan or engine ever sees a driver.

Every method may raise `Transient` (worth retrying), `NodeFault` (a refusal that will not pass by itself) or, only where the
docstring says so, `OutcomeUnknown`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from fleet.profile import ComponentProfile, Obstacle, Profile, Setting
from fleet.slots import SlotReading
from fleet.watts import PowerReading
from inventory.baseline import Activation
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
    forced: bool = False
    """The sticky ForceUpdate flag is on (field guide F22)."""


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
    started: str = ""
    """StartTime of the task, as the BMC wrote it: its id may be another task's after a restart (field guide F02)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootMarker:
    """What changes when a BMC really restarts (field guide 1.5). Kept in the journal beside the intent to reset it."""

    manager_last_reset: str
    """Manager.LastResetTime, empty where absent."""
    system_last_reset: str
    session: str
    """Path of the session we held: sessions do not outlive the BMC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a plan asks of a machine beside its firmware (field guide 1.7). What could not be read says nothing either way."""

    parts: Mapping[str, str] = field(default_factory=dict)
    """Part -> SerialNumber, as `GPU_SXM_3` -> `1652923003067`."""
    ahead_s: float | None = None
    """The BMC's clock minus ours."""
    media: tuple[str, ...] = ()
    """Ids of virtual media that are inserted. Never what: a URL may carry a password."""
    supplies: tuple[str, ...] = ()
    """What is not well with the power supplies: "PSU3 (Critical)", "redundancy PowerSupplies (Warning)"."""
    obstacles: tuple[Obstacle, ...] = ()
    """Those of the profile that stand in the way now."""


class Restarted(StrEnum):
    """Whether a BMC restarted since a marker was taken."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMark:
    """The newest entry of a BMC's own log. Kept in the journal beside the intent to hand over an image."""

    last: int
    """Its id."""
    print: str
    """Digest of what it says: ids begin anew in a log that was cleared, dates are no order (field guide headline 9)."""


class LogSays(StrEnum):
    """What a BMC's own log says of an image that was announced."""

    TOLD = "told"
    """It came."""
    SILENT = "silent"
    """The log is whole since the mark, writes, and has nothing of an image."""
    CANNOT_TELL = "cannot-tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogVerdict:
    """And why, in words for people."""

    says: LogSays
    why: str


class SessionLedger(Protocol):
    """Where a driver writes down the sessions that it opens, before and after, so that a crash leaks none."""

    async def opening(self, context: str) -> None:
        """A session carrying `context` (Session.Context, Session v1_5) is about to be created. Durable on return.

        Raises LoginsSpent, or Transient where the logins before it only got no answer: it must not be sent now.
        """

    async def opened(self, uri: str, context: str) -> None:
        """It exists at `uri`. Durable on return."""

    async def refused(self, context: str) -> None:
        """The login was refused: it counts. Durable on return."""

    async def accepted(self, context: str) -> None:
        """The password was right, and there is no session: it went with a request (Basic). Durable on return."""

    async def absent(self, context: str) -> None:
        """No session carries it, and no password was judged: never sent, turned away, or nothing was found. Durable on return."""

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

    async def clear_sessions(self, left: Mapping[str, str]) -> frozenset[str]:
        """Delete sessions that an earlier process of ours left: Context -> URI, empty for one that was only announced.

        Never anybody else's: only a session that shows such a Context. Returns the Contexts whose sessions are gone.
        """

    async def close(self) -> None:
        """Delete the session and close the connection."""


class BmcDriver(Protocol):
    """Makes BMCs. The composition root gives one to the engine."""

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> Bmc:
        """A BMC that is not connected yet."""

    async def close(self) -> None:
        """Close whatever is shared."""


@runtime_checkable
class CountsEffects(Protocol):
    """Says whether a fault came before or after the BMC was told to do something."""

    @property
    def effects_sent(self) -> int:
        """Effects that may have reached the BMC since it was made."""


@runtime_checkable
class KeepsLog(Protocol):
    """Tells from the BMC's own log whether an image came (rollout-science 4.2, step 6: "read back tasks, inventory, update log")."""

    async def log_mark(self, component: str) -> LogMark | None:
        """Where the log stands that tells of this component's images; None: no such log is known, or it cannot be read now."""

    async def log_since(self, component: str, mark: LogMark, versions: frozenset[str]) -> LogVerdict:
        """What it says since of an image with one of these versions. Never raises for a log that cannot be read."""


@runtime_checkable
class SideEffects(Protocol):
    """What a flash must leave alone: settings, users, sensors and parts of one machine (field guide B.26)."""

    async def settings(self) -> Mapping[str, str]:
        """What -> value, read now with few requests; never a secret. What a BMC does not show is left out (fleet.keeping)."""

    async def put_back(self, what: Setting, value: str) -> None:
        """Change one setting to what `settings` said of it before, once. `OutcomeUnknown` if no answer came."""


@runtime_checkable
class TwoSlots(Protocol):
    """Roots of trust that keep two copies of a firmware (field guide 1.8, B.17)."""

    async def slots(self) -> SlotReading:
        """Background copies, both slots, read now; nothing where the profile names no root of trust. What is not shown is left out."""

    async def security_floors(self) -> Mapping[str, int]:
        """Inventory item -> MinimumSecurityVersion; for a plan: it costs several requests a root."""

    async def copy_slots(self, items: Sequence[str]) -> None:
        """CommitImage: have what runs copied into the other slot of these inventory items, once.

        `Transient` while the BMC refuses because something is being written; `OutcomeUnknown` if no answer came.
        """

    async def copy_by_itself(self, root: str, *, enabled: bool) -> None:
        """Set AutomaticBackgroundCopyEnabled of a root of trust, once; `slots` shows whether it is so. `OutcomeUnknown` as above."""


@runtime_checkable
class RestoresPower(Protocol):
    """What a machine does with its host when AC returns (ComputerSystem.PowerRestorePolicy)."""

    async def restore_policy(self) -> str:
        """AlwaysOn, AlwaysOff or LastState, read now; empty where the BMC does not show it (field guide 2.1: Dell, HPE, Lenovo)."""

    async def set_restore_policy(self, policy: str) -> None:
        """PATCH it, once; read it back. NotDone (PROTOCOL): refused, nothing changed. `OutcomeUnknown` if no answer came."""


@runtime_checkable
class MetersPower(Protocol):
    """Says what the whole machine draws (EnvironmentMetrics.PowerWatts, Power.PowerControl, or a sensor that the profile names)."""

    async def power_reading(self) -> PowerReading | None:
        """Input watts of the machine, read now: one request, once it is known where. None: the BMC does not say (or no number)."""


@runtime_checkable
class TakesTurns(Protocol):
    """Shares the way to all BMCs with other nodes."""

    def turn(self, told: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Entered when this node's image may be sent; to be left when it was. `told` hears why, if it has to wait."""


@runtime_checkable
class TellsCondition(Protocol):
    """Says what a plan asks beside firmware."""

    async def condition(self) -> Condition:
        """Read now, with few requests."""


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
