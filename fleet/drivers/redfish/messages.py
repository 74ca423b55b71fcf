"""Messages of the registries: what a BMC says about a request or a task (DSP0266 12.8; field guide 1.3, 1.4). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.drivers.redfish.document import Document, child, objects, text, texts

MAX_MESSAGES = 64
"""Kept of one reply: an OpenBMC task gains a message with each per cent (field guide 1.3)."""

FAILURES = frozenset(
    {
        "TransferFailed",
        "VerificationFailed",
        "ApplyFailed",
        "ActivateFailed",
        "TaskAborted",
        "TaskCancelled",
        "ResourceErrorsDetected",
        "NoTargetsDetermined",
        "UpdateNotApplicable",
        "UpdateSkippedVersionTooLow",
    }
)
"""Update 1.3 and TaskEvent 1.0; ResourceErrorsDetected is how a GH200 said "No Matching Devices" (field guide 1.3)."""
SAME_VERSION = frozenset({"ResourceAlreadyExists", "UpdateSkippedSameVersion", "SUP029"})
"""The image is there already: no failure, the inventory decides (field guide F11)."""
BUSY = frozenset(
    {
        "UpdateInProgress",
        "FirmwareFlashAlreadyInProgress",
        "ServiceTemporarilyUnavailable",
        "UpdateInPOST",
        "UnableToModifyDuringSystemPOST",
        "SYS518",
        "ServiceInUnknownState",
        "ResourceInUse",
    }
)
"""Refusals that pass by themselves (field guide F15, F24, 1.10)."""
BUSY_WORDS = (
    "update is in progress",
    "update in progress",
    "not finished booting",
    "not fully booted",
    "not ready",
    "retry the operation once",
)
"""The same without a message of its own (BlueField, AMI, an ERoT that copies its slots: field guide 1.8, 1.2, F45)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One Message object (Message schema v1)."""

    id: str
    """The last dot-part of MessageId: the registry's name and version differ by firmware (field guide 1.4)."""
    full_id: str
    message: str
    severity: str
    resolution: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.full_id}: {self.message}" if self.full_id else self.message


def of_task(document: Document) -> tuple[Message, ...]:
    """The newest messages of a Task, oldest first."""
    return tuple(_messages(objects(document, "Messages")[-MAX_MESSAGES:]))


def of_reply(document: Document) -> tuple[Message, ...]:
    """ExtendedInfo of an error or a success, or the error's own words where there is none."""
    error = child(document, "error")
    for holder in (error, document):
        for key in ("@Message.ExtendedInfo", "Messages"):
            found = tuple(_messages(objects(holder, key)[:MAX_MESSAGES]))
            if found:
                return found
    words = text(error, "message")
    full_id = text(error, "code")
    if not words and not full_id:
        return ()
    return (Message(id=_last(full_id), full_id=full_id, message=words, severity="", resolution="", args=()),)


def of_entries(documents: tuple[Document, ...]) -> tuple[Message, ...]:
    """What log entries say: a LogEntry has a Message's properties."""
    return tuple(_messages(documents))


def sentence(found: tuple[Message, ...]) -> str:
    """The first messages in one line, for an error's text."""
    return "; ".join(str(message) for message in found[:3])


def is_busy(found: tuple[Message, ...]) -> bool:
    """Whether the BMC only asks to come back later."""
    return any(
        message.id in BUSY or any(words in message.message.casefold() for words in BUSY_WORDS) for message in found
    )


def _messages(documents: tuple[Document, ...]) -> Iterator[Message]:
    for document in documents:
        full_id = text(document, "MessageId")
        yield Message(
            id=_last(full_id),
            full_id=full_id,
            message=text(document, "Message"),
            severity=text(document, "MessageSeverity") or text(document, "Severity"),
            resolution=text(document, "Resolution"),
            args=texts(document, "MessageArgs"),
        )


def _last(message_id: str) -> str:
    return message_id.rpartition(".")[2]
