"""The journal, watched from a thread of its own: rows -> follower -> snapshots, at most one a beat.

The loop that paints never touches the database and never folds: it awaits `poll`. A journal is opened to read only, so watching
can disturb nobody; a rollout of an hour ago is read at about 150,000 events a second, in portions between which snapshots appear.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from fleet.clock import Clock
from fleet.events import RolloutId
from fleet.journal import held_elsewhere
from fleet.journal.reading import JournalView, look
from fleet.overview import Process
from fleet.state import ENDED
from tui.follower import Follower
from tui.snapshot import Brief, Mode, NodeView, Playing, Snapshot
from tui.timeline import Timeline

_PORTION = 4_000
"""Events that are read between two snapshots while a feed catches up."""
_QUIET_BEATS = 20
"""Beats without an event after which it is looked whether a process still works on the rollout."""
_IDLE_BEATS = 10
"""Without an event every so many beats make a snapshot, so that the time runs on."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is watched."""

    journal: Path
    rollout: RolloutId
    clock: Clock
    """Field time as the rollout lives it."""
    speed: float = 1.0
    """Field seconds per wall second."""


class Feed(Protocol):
    """Where snapshots come from."""

    mode: Mode

    async def poll(self, wall_s: float) -> Snapshot | None:
        """What is new after `wall_s` seconds of the operator's time; None: nothing."""

    async def node(self, name: str) -> NodeView | None:
        """One node, whole, at the present position."""

    async def brief(self) -> Brief:
        """What a person must know before a request."""

    async def close(self) -> None:
        """End the thread."""


class _Reader:
    """Lives in the feed's thread: connection, follower, and what they know."""

    def __init__(self, subject: Subject, mode: Mode) -> None:
        self._subject = subject
        self._view: JournalView | None = None
        self._after = 0
        self.follower = Follower(subject.rollout, mode=mode, speed=subject.speed)

    def read(self) -> int:
        """Learn a portion of what is new; how much it was."""
        if self._view is None:
            self._view = look(self._subject.journal)
        count = self.follower.learn(islice(self._view.read(self._subject.rollout, after=self._after), _PORTION))
        if count:
            self._after = self.follower.history.events[-1].seq
        return count

    def process(self) -> Process:
        """Whether a living process works on it."""
        try:
            held = held_elsewhere(self._subject.journal, self._subject.rollout)
        except OSError:
            return Process.UNKNOWN
        return Process.RUNS if held else Process.NONE

    def close(self) -> None:
        """Close the connection, in the thread that opened it."""
        if self._view is not None:
            self._view.__exit__(None, None, None)


class _Threaded:
    """What live and replay share: one thread, in which everything happens one after the other."""

    mode: Mode

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._reader = _Reader(subject, self.mode)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")

    async def _there(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def node(self, name: str) -> NodeView | None:
        """See Feed."""
        return await self._there(lambda: self._reader.follower.node(name))

    async def brief(self) -> Brief:
        """See Feed."""
        return await self._there(self._brief)

    def _brief(self) -> Brief:
        now = self._reader.follower.last_at
        return self._reader.follower.brief(self._reader.follower.snapshot(now, self._reader.process()))

    async def close(self) -> None:
        """See Feed."""
        await self._there(self._reader.close)
        self._thread.shutdown()


class LiveFeed(_Threaded):
    """Follows the journal's end."""

    mode = Mode.LIVE

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._process = Process.UNKNOWN
        self._beats = -1
        """Beats since the last event; -1: nothing was shown yet."""
        self._trouble = ""

    async def poll(self, wall_s: float) -> Snapshot | None:
        """See Feed."""
        del wall_s
        return await self._there(self._poll)

    def _poll(self) -> Snapshot | None:
        follower, before = self._reader.follower, self._trouble
        try:
            count = self._reader.read()
            self._trouble = ""
        except sqlite3.Error as error:
            count, self._trouble = 0, f"the journal cannot be read just now: {error}"
        follower.move(len(follower.history.events))
        first = self._beats < 0
        self._beats = 0 if count else self._beats + 1
        if first or (self._beats and self._beats % _QUIET_BEATS == 0):
            self._process = self._reader.process()
        elif count and follower.status not in ENDED:
            # Events come: somebody writes them. Its lock is only asked for in a silence.
            self._process = Process.RUNS
        if count or first or self._trouble != before or self._beats % _IDLE_BEATS == 0:
            return follower.snapshot(self._now(), self._process, trouble=self._trouble)
        return None

    def _now(self) -> float:
        follower = self._reader.follower
        runs = self._process is Process.RUNS and follower.status not in ENDED
        return max(self._subject.clock.now(), follower.last_at) if runs else follower.last_at


class ReplayFeed(_Threaded):
    """Plays a rollout from its beginning. The time line belongs to the loop: keys move it between two polls."""

    mode = Mode.REPLAY

    def __init__(self, subject: Subject, *, speed: float | None = None) -> None:
        """`speed`: field seconds per wall second of the replay; None: about a minute and a half for the whole."""
        super().__init__(subject)
        self._speed = speed
        self._marks: tuple[float, ...] = ()
        self._shown: tuple[float, str, float] | None = None
        self.timeline: Timeline | None = None
        """None while the journal is being read."""

    async def poll(self, wall_s: float) -> Snapshot | None:
        """See Feed."""
        if self.timeline is None:
            self.timeline = await self._there(self._load)
        else:
            self.timeline.advance(wall_s)
        line = self.timeline
        shown = (line.at, line.motion.value, line.speed)
        if shown == self._shown:
            return None
        self._shown = shown
        playing = Playing(
            start=line.start,
            end=line.end,
            part=line.part,
            speed=line.speed,
            motion=line.motion.value,
            marks=self._marks,
        )
        return await self._there(lambda: self._at(line.at, playing))

    def beside(self, direction: int) -> None:
        """Seek the next (1) or the previous (-1) notable event."""
        if self.timeline is not None:
            found = self._reader.follower.notable_beside(self.timeline.at, direction)
            self.timeline.seek(found if found is not None else (self.timeline.end if direction > 0 else 0.0))

    def _load(self) -> Timeline:
        while self._reader.read():
            pass
        events = self._reader.follower.history.events
        start, end = (events[0].at, events[-1].at) if events else (0.0, 0.0)
        self._marks = self._reader.follower.marks(start, end)
        return Timeline.over(start, end, self._speed)

    def _at(self, at: float, playing: Playing) -> Snapshot:
        follower = self._reader.follower
        follower.move(follower.history.until(at))
        return follower.snapshot(at, Process.NONE, playing=playing)
