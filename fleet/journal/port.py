"""What the engine needs of a journal. SQLite fulfils it; PostgreSQL can."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from fleet import events as ev
from fleet.attempts import Attempt
from fleet.events import Event, Json, Recorded, RolloutId


class Verb(StrEnum):
    """What an operator may ask of a running rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    APPROVE = "approve"


ANSWERS: Mapping[Verb, type[Event]] = {
    Verb.PAUSE: ev.RolloutPaused,
    Verb.RESUME: ev.RolloutContinued,
    Verb.APPROVE: ev.WaveApproved,
    Verb.ABORT: ev.RolloutAborting,
}
"""The event by which the process that runs a rollout answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the journal holds it. Ids grow."""

    id: int
    rollout: RolloutId
    verb: Verb
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One line of `fleet status`."""

    id: RolloutId
    created_at: float
    playbook: str
    ended: str
    """Outcome, or empty while it has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A BMC session of ours that no one has closed yet, as far as the journal knows."""

    rollout: RolloutId
    node: str
    context: str
    uri: str
    """Empty if the process died between asking for the session and hearing of it: find it by its context."""


class Journal(Protocol):
    """Append, read, and the small tables that events imply, kept in the same transaction."""

    @property
    def path(self) -> Path:
        """Where it lies; leases lie beside it."""

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """Durable when it returns. Raises JournalUnwritable."""

    def read(self, rollout: RolloutId, *, after: int = 0) -> Iterator[Recorded]:
        """Events with a sequence number above `after`, in order."""

    def rollouts(self) -> Iterable[RolloutRow]:
        """Newest first."""

    def plan_of(self, rollout: RolloutId) -> Json | None:
        """The plan that it was carried out by; None for one that has none: a dry run, a refusal."""

    def busy_nodes(self, nodes: Iterable[str], *, but: RolloutId) -> dict[str, RolloutId]:
        """Which of these are in another rollout that has not ended and that has not ended for them."""

    def open_sessions(self) -> tuple[SessionRow, ...]:
        """Sessions to clean up after a crash."""

    def logins_at(self, bmc: str) -> tuple[Attempt, ...]:
        """Logins to one BMC that any process announced, in order: those that may have failed, and the last that was accepted."""

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """As `logins_at`, with one credential, on every BMC."""

    async def request(self, rollout: RolloutId, verb: Verb, by: str) -> int:
        """Ask; returns the request's id."""

    def requests(self, rollout: RolloutId, *, after: int) -> tuple[Request, ...]:
        """Requests above `after`."""

    def last_request(self, rollout: RolloutId) -> int:
        """The newest request's id: older ones belong to a process that is gone."""

    async def close(self) -> None:
        """Flush and close."""
