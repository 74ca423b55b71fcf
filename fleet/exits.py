"""Exit codes. Scripts and schedulers branch on them, so a number never changes its meaning."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """What the process tells its caller. The README's table is generated from here."""

    OK = 0, "everything asked for is done: each node confirmed or already at baseline"
    FAULT = 1, "an error that Fleetwave did not foresee; the journal is intact, please report it"
    USAGE = 2, "bad input: arguments, inventory, playbook, baseline or image; nothing was touched"
    NODES_FAILED = 3, "the rollout ended; some nodes were rolled back or quarantined, each with a reason"
    HALTED = 4, "the rollout stopped itself: failure budget, canary or gate; `fleet why` tells which"
    ABORTED = 5, "an operator aborted the rollout"
    PAUSED = 6, "the rollout is paused or waits for approval, and the process was asked to stop"
    REFUSED = (
        7,
        "the precheck refused at least one node: unreachable, wrong password, unknown hardware; nothing was touched",
    )
    WINDOW_CLOSED = 8, "the maintenance window is closed; nothing new was started"
    JOURNAL = 9, "the journal cannot be written (read-only, full disk, locked); nothing was started without it"
    BUSY = 10, "another process owns this rollout or one of its nodes"
    INTERRUPTED = 130, "interrupted from the keyboard; `fleet resume` continues"

    reason: str

    def __new__(cls, value: int, reason: str) -> Self:
        """An integer that carries the sentence printed in the README."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.reason = reason
        return member
