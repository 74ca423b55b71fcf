"""The error tree, by what happens next.

    FleetError
      UsageError       nothing was touched; exit 2
      Transient        retried, in one place (fleet.limits.retrying)
      NodeFault        this node fails and counts against the failure budget
      OutcomeUnknown   reconciled; what cannot be decided quarantines the node
      Halt             the rollout stops

Each carries a `code`: a stable word for machines, shown with the sentence for people. No message ever holds a secret.
"""

from enum import StrEnum

from fleet.exits import Exit


class Reason(StrEnum):
    """Why a node was refused, quarantined or rolled back: the words that reports group by."""

    UNREACHABLE = "unreachable"
    LOGIN_REFUSED = "login-refused"
    UNTRUSTED_TLS = "untrusted-tls"
    IDENTITY_MISMATCH = "identity-mismatch"
    UNKNOWN_HARDWARE = "unknown-hardware"
    COMPONENT_MISSING = "component-missing"
    NO_PATH = "no-upgrade-path"
    NO_ACTIVATION = "activation-not-offered"
    UPDATE_SERVICE_BUSY = "update-service-busy"
    UPDATE_REJECTED = "update-rejected"
    UPDATE_FAILED = "update-failed"
    VERSION_MISMATCH = "version-mismatch"
    STEP_TIMEOUT = "step-timeout"
    POWER_IGNORED = "power-ignored"
    BMC_GONE = "bmc-gone"
    OUTCOME_UNKNOWN = "outcome-unknown"
    PROTOCOL = "bad-reply"
    WRONG_CABLE = "wrong-cable"
    SWITCH_REFUSED = "switch-refused"
    ABORTED = "aborted"
    IMAGE_FAILED = "image-failed"
    ROLLBACK_FAILED = "rollback-failed"
    NO_EDGE = "not-declared"
    BURNIN_FAILED = "burnin-failed"
    NOT_DRAINED = "not-drained"
    EXPORT_REFUSED = "export-refused"
    NOT_HEALTHY = "not-healthy"
    FORCE_LEFT_ON = "force-left-on"
    WRITE_PROTECTED = "write-protected"
    GATE_FAILED = "gate-failed"
    """What must be so before the node counts as a success is not so, or could not be judged."""
    DOMAIN_SPLIT = "domain-not-whole"
    """An NVLink domain is one unit, and not all of it can be worked on."""
    ANTI_ROLLBACK = "anti-rollback"
    """Its fuses let no image of that security version through, whatever is forced."""
    HALF_UPDATED = "half-updated"
    """One slot alone holds what runs: an AC loss may start another version."""
    SHARED_CHASSIS = "shared-chassis"
    """An AC cycle would take the power of a node that is not held."""
    DRIFTED = "drifted"
    """What an earlier step had verified is no longer so."""


class FleetError(Exception):
    """Anything Fleetwave foresaw."""


class UsageError(FleetError):
    """Bad input. Nothing was touched. The message says what, where and what to do."""

    exit = Exit.USAGE


class Refused(UsageError):
    """The precheck refused; nothing was touched."""

    exit = Exit.REFUSED


class Busy(UsageError):
    """Another process owns the rollout, or a node is in another rollout that has not ended."""

    exit = Exit.BUSY


class Transient(FleetError):
    """May pass by itself: a refused connection, a 503, a truncated reply. `retry_after_s` is the BMC's own hint, if any."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LoadShed(Transient):
    """A test was ended because a breaker above its node was nearly full. The node is not to blame: it is run again when there is room."""


class NodeFault(FleetError):
    """This node fails, with a reason an operator can act on."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotDone(NodeFault):
    """A fault that proves by itself that the effect it stopped did not happen: no byte of it was sent, or it was refused whole."""


class LoginsSpent(NodeFault):
    """No login is sent: as many have failed as a lockout allows. `wait_s`: field seconds until the next may be."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(Reason.LOGIN_REFUSED, message)
        self.wait_s = wait_s


class OutcomeUnknown(FleetError):
    """An effect was announced and its result is not known: read the hardware before anything else."""

    def __init__(self, effect: str, message: str) -> None:
        super().__init__(message)
        self.effect = effect


class Halt(FleetError):
    """The rollout stops. The journal says why."""

    exit = Exit.HALTED


class WindowClosed(Halt):
    """Outside the maintenance window."""

    exit = Exit.WINDOW_CLOSED


class JournalUnwritable(Halt):
    """The journal cannot be written, so nothing may be done."""

    exit = Exit.JOURNAL


def as_fault(error: NodeFault | Transient | OutcomeUnknown) -> NodeFault:
    """What a node fails of when nothing below it could do more."""
    match error:
        case NodeFault():
            return error
        case OutcomeUnknown():
            return NodeFault(Reason.OUTCOME_UNKNOWN, str(error))
        case _:
            return NodeFault(Reason.UNREACHABLE, str(error))
