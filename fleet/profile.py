"""What a platform is, as data: how its parts are named, updated, activated and rolled back.

Profiles are written in `fleet/vendors/*.yaml`, each with its sources; this module only says what a profile is made of, so
that plan, steps and drivers can read one without knowing a vendor's name.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from inventory.baseline import Activation


class Trust(StrEnum):
    """What the tool may do to a machine of this profile."""

    READ_ONLY = "read-only"
    MANAGED = "managed"


class Rollback(StrEnum):
    """How a component can go back (field guide 1.11). Shown before a rollout starts."""

    SLOT_SWAP = "slot-swap"
    REFLASH = "reflash"
    NONE = "none"


class CopyPolicy(StrEnum):
    """When the running firmware is copied into the other slot (field guide B.17)."""

    AS_FOUND = "as-found"
    """The machine's setting stays: where a root of trust copies by itself, that is waited for."""
    DEFER = "defer"
    """AutomaticBackgroundCopyEnabled is false from before the flash until both slots are equal, behind the gate."""


class Push(StrEnum):
    """Ways to hand over an image (DSP0266 and UpdateService schema; field guide 1.1)."""

    MULTIPART = "multipart"
    HTTP_PUSH = "http-push"
    SIMPLE_UPDATE = "simple-update"


class Force(StrEnum):
    """How a downgrade is let through, where the platform wants to be told."""

    NOT_NEEDED = "not-needed"
    PARAMETER = "parameter"
    """`ForceUpdate: true` in the request (GB200/GB300; field guide 1.2)."""
    STICKY_FLAG = "sticky-flag"
    """PATCH UpdateService.HttpPushUriOptions.ForceUpdate, set back afterwards (DGX; field guide 1.2, F22)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateLog:
    """A log in which the BMC itself tells that an image for the component came (LogEntry schema; field guide 1.4).

    Only a log that is known to tell belongs here: its silence lets an image be handed over again. Each is a glob over
    `<last part of MessageId>: <Message>`.
    """

    entries: str
    """Path of the collection of its entries."""
    tells: tuple[str, ...] = ()
    """Messages that are enough: nobody but us gives this BMC such an image."""
    tells_version: tuple[str, ...] = ()
    """Messages that have the image's version among their arguments; they are of ours if it is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentProfile:
    """One firmware target of a platform."""

    items: tuple[str, ...]
    """Globs over FirmwareInventory Ids that this component comprises. Where Ids change with each version (Dell), the glob
    covers the stable part: `Installed-*__BIOS.Setup.1-1`."""
    push: tuple[Push, ...]
    """In order of preference; the first that the machine advertises is used."""
    targets: tuple[str, ...] = ()
    """`Targets` of UpdateParameters or SimpleUpdate, exactly as the platform wants them written."""
    apply_time: str | None = None
    """@Redfish.OperationApplyTime to send if, and only if, the service lists it."""
    activation: frozenset[Activation] = frozenset()
    """Any one of these puts a staged image in force, unless the baseline says otherwise."""
    rollback: Rollback = Rollback.NONE
    roots: tuple[str, ...] = ()
    """Globs over Chassis Ids: the roots of trust that keep two copies of it (ERoT; field guide 1.8)."""
    background_copy: CopyPolicy = CopyPolicy.AS_FOUND
    force: Force = Force.NOT_NEEDED
    flash_s: float = 600.0
    """Expected seconds from submission to staged; sets the polling cadence and the ETA."""
    deadline_s: float = 7200.0
    """Hard limit of the same; then the outcome is reconciled from the inventory, never guessed."""
    log: UpdateLog | None = None
    """None: no log is known to tell. Then an image that may have come is never taken for absent."""
    copies: tuple[str, ...] = ()
    """Globs over inventory Ids that show other copies of the component (`Staging_BIOS`): one that changed speaks of an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcCycle:
    """An AC cycle offered by Redfish (field guide 2.2)."""

    target: str
    body: tuple[tuple[str, str], ...]
    host_off_first: bool = True


class BootProperty(StrEnum):
    """A property of ComputerSystem.Boot that an override consists of (ComputerSystem schema)."""

    ENABLED = "BootSourceOverrideEnabled"
    TARGET = "BootSourceOverrideTarget"
    MODE = "BootSourceOverrideMode"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaProfile:
    """Habits of virtual media and boot override (field guide 3.2, 3.3)."""

    boot_target: str = "Cd"
    """BootSourceOverrideTarget that boots the virtual disc."""
    empty_texts: tuple[str, ...] = ()
    """Parameters of InsertMedia that must be there even when they say nothing."""
    always_send: frozenset[BootProperty] = frozenset()
    """Sent with each change of the override, changed or not. Others are not sent again: some refuse what does not change."""


class Setting(StrEnum):
    """A setting that can be put back where a flash reset it (field guide F38). The value is its name in a picture of settings."""

    POWER_RESTORE_POLICY = "power-restore-policy"
    """ComputerSystem.PowerRestorePolicy."""
    BOOT_ORDER = "boot-order"
    """ComputerSystem.Boot.BootOrder."""
    NTP = "ntp"
    """ManagerNetworkProtocol.NTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Where this platform says that it takes no image: a lockdown, a write protection (field guide 1.7, F26)."""

    path: str
    """Of the resource that says so."""
    keys: tuple[str, ...]
    """From its top to the property."""
    blocks: str
    """The value that forbids; JSON's true and false as `true` and `false`."""
    says: str
    """What it is, for people."""
    components: frozenset[str] = frozenset()
    """Components that it forbids to flash; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds, all from the field guide (1.14, 4, B.19) unless the profile's file says more."""

    bmc_return_s: float = 600.0
    bmc_return_hard_s: float = 1800.0
    settle_interval_s: float = 30.0
    settle_reads: int = 3
    power_off_s: float = 300.0
    off_dwell_s: float = 10.0
    post_s: float = 1200.0
    overall_s: float = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Where this platform leaves the standard. Each is a fact with a source in the profile's file."""

    tasks_kept_s: float = 60.0
    """Seconds for which a task that has ended stays listed, if the BMC does not restart. Only within them does the absence of a
    task prove that there was none. The default is the shortest known: iDRAC before 5.00 (field guide 1.3)."""
    expand: bool = True
    """Whether $expand may be used to read the firmware inventory (field guide 4)."""
    dell_item_ids: bool = False
    """Ids are `<State>-<component>-<version>__<FQDD>`: key items by FQDD and component, read Installed-* only."""
    serial_is_sku: bool = False
    """The asset key is System.SKU (Dell's service tag); SerialNumber is the board's (field guide 5)."""
    states: tuple[tuple[str, str], ...] = ()
    """Non-standard TaskState -> standard one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One platform. Chosen once per node, shown in the plan."""

    name: str
    title: str
    trust: Trust
    system: str = "*"
    """Glob over Systems ids: which ComputerSystem is the host (`HGX_Baseboard_0` never is)."""
    bmc: str = "*"
    """Glob over Managers ids: which Manager is the BMC."""
    components: dict[str, ComponentProfile] = field(default_factory=dict)
    ac_cycle: AcCycle | None = None
    power_sensor: str = ""
    """Id of the Sensor of the host's chassis that shows what the machine draws, where neither EnvironmentMetrics nor PowerControl does."""
    media: MediaProfile = MediaProfile()
    restores: frozenset[Setting] = frozenset()
    """Settings that are put back by themselves; any other that a flash changed holds the node."""
    obstacles: tuple[Obstacle, ...] = ()
    timings: Timings = Timings()
    quirks: Quirks = Quirks()
    sources: tuple[str, ...] = ()
