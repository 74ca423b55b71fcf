"""From what an operator types to a rollout in a journal, for the commands that look or ask."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.errors import UsageError
from fleet.events import Recorded, RolloutId
from fleet.journal import RolloutRow, held_elsewhere
from fleet.journal.reading import JournalView, look
from fleet.journal.sqlite import existing
from fleet.overview import Process
from fleet.state import RolloutState, replay
from inventory.text import nearest

_SOME = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A rollout as its journal has it."""

    state: RolloutState
    recorded: tuple[Recorded, ...]
    process: Process

    @property
    def last_at(self) -> float:
        """Field time of the newest event."""
        return self.recorded[-1].at if self.recorded else self.state.created_at


def view(journal: Path) -> JournalView:
    """Open it to look. Raises UsageError; creates nothing."""
    return look(existing(journal))


def see(opened: JournalView, rollout: RolloutId) -> Seen:
    """Read one rollout whole."""
    recorded = tuple(opened.read(rollout))
    return Seen(state=replay(rollout, recorded), recorded=recorded, process=process_of(opened.path, rollout))


def until(seen: Seen, moment: str) -> Seen:
    """The rollout as it was after an event, by its number, or at a time in ISO 8601; local time if it names no zone.

    Raises UsageError for anything else, and for a moment before the rollout's first event.
    """
    if moment.isascii() and moment.isdecimal():
        kept = tuple(item for item in seen.recorded if item.seq <= int(moment))
    else:
        try:
            at = datetime.fromisoformat(moment).astimezone().timestamp()
        except ValueError as error:
            raise UsageError(
                f"--at {moment!r} is neither the number of an event (`fleet events`) nor a time such as 2026-11-28T02:30"
            ) from error
        kept = tuple(item for item in seen.recorded if item.at <= at)
    if not kept:
        raise UsageError(f"--at {moment}: rollout {seen.state.rollout} had no event yet")
    return Seen(state=replay(seen.state.rollout, kept), recorded=kept, process=seen.process)


def process_of(journal: Path, rollout: RolloutId) -> Process:
    """Whether a living process works on it."""
    try:
        return Process.RUNS if held_elsewhere(journal, rollout) else Process.NONE
    except OSError:
        return Process.UNKNOWN


def pick(opened: JournalView, name: str) -> RolloutId:
    """The rollout of this name or unique beginning; `last` or nothing: the newest."""
    return _pick(opened.path, list(opened.rollouts()), name)


def pick_living(opened: JournalView, name: str) -> RolloutId:
    """As `pick`; `last` or nothing: the newest that has not ended, if there is one."""
    rows = list(opened.rollouts())
    living = [row for row in rows if not row.ended]
    return _pick(opened.path, living if living and name in {"", "last"} else rows, name)


def _pick(journal: Path, rows: list[RolloutRow], name: str) -> RolloutId:
    if not rows:
        raise UsageError(f"{journal}: holds no rollout yet")
    if name in {"", "last"}:
        return rows[0].id
    found = [row.id for row in rows if row.id == name] or [row.id for row in rows if row.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(found[:_SOME]) + (" ..." if len(found) > _SOME else "")
        raise UsageError(f"{name!r} is the beginning of {len(found)} rollouts: {some}")
    raise UsageError(
        f"{journal}: holds no rollout {name!r}; {nearest(name, (row.id for row in rows)) or '`fleet status`'}"
    )
