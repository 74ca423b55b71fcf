"""What a Task resource means (Task schema v1_7; field guide 1.3). A hint, never the verdict. Pure."""

from fleet.drivers.redfish import messages
from fleet.drivers.redfish.document import Document, child, number, path_of, text
from fleet.ports import TaskPhase, TaskReading
from fleet.profile import Quirks

PHASES = {
    "New": TaskPhase.ALIVE,
    "Starting": TaskPhase.ALIVE,
    "Running": TaskPhase.ALIVE,
    "Pending": TaskPhase.ALIVE,
    "Service": TaskPhase.ALIVE,
    "Suspended": TaskPhase.ALIVE,  # "expected to restart" (DSP0266), whatever other tools make of it
    "Interrupted": TaskPhase.ALIVE,
    "Stopping": TaskPhase.ALIVE,
    "Cancelling": TaskPhase.ALIVE,
    "Completed": TaskPhase.DONE,
    "Killed": TaskPhase.FAILED,
    "Exception": TaskPhase.FAILED,
    "Cancelled": TaskPhase.FAILED,
}
"""TaskState -> phase, before TaskStatus and messages are heard."""
WAITING = frozenset({"Stopping", "Pending", "Suspended", "New", "Starting"})
"""States in which a task may wait for a reset: if its last message says so, or if a profile maps a state of its own
here (Dell's UserIntervention: done, waits for a reboot; field guide 1.3)."""
STAGED_MESSAGES = frozenset({"TaskPaused", "JCP001"})
"""TaskPaused while Stopping: OpenBMC's "staged, waits for a power cycle"; JCP001: Dell's "task successfully
scheduled", which runs at the next host reboot (field guide 1.3, 1.10)."""
STAGED_WORDS = ("reboot pending", "pending reboot", "waiting for reboot")
"""Dell's RebootPending as words (field guide 1.10)."""
BAD_STATUS = frozenset({"Critical", "Warning"})
IDENTICAL = "identical"
"""BlueField cancels a task whose image is there already: "Component image is identical" (field guide F11)."""
POWER_ACTIONS = (".Reset", "Reset")
"""Tasks of a reset action carry it in Payload.TargetUri or, on DGX H100, only in their name (nvidia_viking tree)."""


def read(uri: str, document: Document, quirks: Quirks) -> TaskReading:
    """One look at a Task."""
    told = messages.of_task(document)
    state = text(document, "TaskState")
    status = text(document, "TaskStatus")
    percent = number(document, "PercentComplete")
    return TaskReading(
        uri=path_of(document.get("@odata.id")) or uri,
        phase=_phase(state, status, told, quirks),
        state=state,
        status=status,
        percent=percent,
        name=text(document, "Name"),
        started=text(document, "StartTime"),
        messages=tuple(str(message) for message in told),
        activation=_activation(told),
    )


def is_task(document: Document) -> bool:
    """Whether a reply is a Task rather than what a monitor or an error says."""
    return "TaskState" in document


def is_update(document: Document) -> bool:
    """Whether a Task may be a firmware update. Only one that is surely something else is not."""
    target = text(child(document, "Payload"), "TargetUri")
    if target:
        return not target.endswith(POWER_ACTIONS)
    return not text(document, "Name").endswith(POWER_ACTIONS)


def _phase(state: str, status: str, told: tuple[messages.Message, ...], quirks: Quirks) -> TaskPhase:
    standard = dict(quirks.states).get(state, state)
    phase = PHASES.get(standard, TaskPhase.UNKNOWN)
    if standard in WAITING and (standard != state or _waits(told)):
        return TaskPhase.STAGED
    if phase is TaskPhase.FAILED and any(_same(message) for message in told):
        return TaskPhase.DONE
    if phase is TaskPhase.DONE and (status in BAD_STATUS or any(_failed(message) for message in told)):
        return TaskPhase.FAILED
    return phase


def _waits(told: tuple[messages.Message, ...]) -> bool:
    """Whether the last word is that a reset is awaited."""
    if not told:
        return False
    last = told[-1]
    return last.id in STAGED_MESSAGES or any(words in last.message.casefold() for words in STAGED_WORDS)


def _failed(message: messages.Message) -> bool:
    return message.id in messages.FAILURES or message.severity == "Critical"


def _same(message: messages.Message) -> bool:
    return message.id in messages.SAME_VERSION or IDENTICAL in message.message.casefold()


def _activation(told: tuple[messages.Message, ...]) -> str:
    """What Update.*.AwaitToActivate ask for, each text once. Their arguments have no fixed order (field guide 0.6)."""
    wanted = dict.fromkeys(message.resolution or message.message for message in told if message.id == "AwaitToActivate")
    return "; ".join(wanted)
