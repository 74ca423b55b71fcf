"""The append-only record: what was intended, what happened, what operators asked for.

Contract: `append` returns only after the events are on disk (WAL, synchronous FULL), in order, all or none. Whoever reads it
sees whole events. If it cannot be written, `JournalUnwritable` is raised and nothing may be done to hardware.
"""

from fleet.journal.lease import Lease, held_elsewhere
from fleet.journal.port import ANSWERS, Journal, Request, RolloutRow, SessionRow, Verb
from fleet.journal.sqlite import SqliteJournal

__all__ = [
    "ANSWERS",
    "Journal",
    "Lease",
    "Request",
    "RolloutRow",
    "SessionRow",
    "SqliteJournal",
    "Verb",
    "held_elsewhere",
]
