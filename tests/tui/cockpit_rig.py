"""A cockpit over a real journal, whose time moves when the test says so."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from cli.rollout_builder import ROLLOUT, Watch
from textual.pilot import Pilot

from fleet.events import Event
from fleet.journal import SqliteJournal
from tui.app import Cockpit
from tui.desk import Desk
from tui.feed import LiveFeed, ReplayFeed, Subject

SMALL, LARGE = (80, 24), (160, 50)
SNAPSHOTS = Path(__file__).with_name("snapshots")
_UPDATE = "FLEET_UPDATE_SNAPSHOTS"
BEAT_S = 1.0
_STILL = 3
"""Looks at an unchanged screen after which it has come to rest."""


class Metronome:
    """Wall time: one beat passes at each `beat`."""

    def __init__(self) -> None:
        self._at = 0.0
        self._go, self._idle = asyncio.Event(), asyncio.Event()

    def now(self) -> float:
        """Wall seconds."""
        return self._at

    async def sleep(self, seconds: float) -> None:
        """As wall time."""
        await self.sleep_wall(seconds)

    async def sleep_wall(self, seconds: float) -> None:
        """Until the next beat."""
        self._idle.set()
        await self._go.wait()
        self._go.clear()
        self._at += seconds

    async def idle(self) -> None:
        """Until the cockpit has drawn what it knows, and waits."""
        await self._idle.wait()

    async def beat(self) -> None:
        """Let one beat pass, and what it brings be drawn."""
        await self.idle()
        self._idle.clear()
        self._go.set()
        await self.idle()

    def io_timeout_s(self, seconds: float) -> float:
        """As it is."""
        return seconds


class Rig:
    """What a test holds."""

    def __init__(
        self, app: Cockpit, pilot: Pilot[Exception | None], wall: Metronome, feed: LiveFeed | ReplayFeed
    ) -> None:
        self.app, self.pilot, self.wall, self.feed = app, pilot, wall, feed

    async def beat(self, times: int = 1) -> None:
        """Time passes."""
        for _ in range(times):
            await self.wall.beat()
        await self.settle()

    async def press(self, *keys: str) -> None:
        """Keys, and all that follows from them."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def settle(self) -> None:
        """Until layout and painting have come to rest."""
        before, still = "", 0
        while still < _STILL:
            await self.pilot.pause()
            now = self.text()
            still, before = (still + 1 if now == before else 0), now

    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line for line in lines_of(self.app.export_screenshot()))

    async def sees(self, words: str) -> None:
        """Wait until the screen shows this; pytest's own time limit ends what never comes."""
        for look in count(1):
            if words in self.text():
                return
            await self.pilot.pause()
            if look % _PATIENCE == 0:
                await self.beat()  # on a loaded machine the first picture may come before the panels do


_PATIENCE = 200
"""Looks after which another beat may help."""


@asynccontextmanager
async def cockpit(
    path: Path, size: tuple[int, int] = LARGE, *, at: float = 0.0, replay_speed: float | None = None
) -> AsyncIterator[Rig]:
    """Watching the journal's rollout; with a speed, a replay."""
    wall, field = Metronome(), Watch(at)
    subject = Subject(journal=path, rollout=ROLLOUT, clock=field)
    feed = LiveFeed(subject) if replay_speed is None else ReplayFeed(subject, speed=replay_speed)
    app = Cockpit(feed, Desk(journal=path, rollout=ROLLOUT, by="ann@ops1", clock=field), wall, beat_s=BEAT_S)
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        await wall.idle()
        rig = Rig(app, pilot, wall, feed)
        await rig.settle()
        yield rig


async def append(path: Path, at: float, events: Sequence[Event]) -> None:
    """As the process that runs the rollout would."""
    journal = SqliteJournal(path, Watch(at))
    await journal.append(ROLLOUT, *events)
    await journal.close()


_TEXT = re.compile(r'<text class="[\w-]*?-(r\d+|matrix|title)" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>')
_CLASS = re.compile(r"-(r\d+) \{ ([^}]*) \}")


def cells_of(svg: str) -> set[tuple[float, float, str, str]]:
    """(y, x, text, style) of everything written: what a person sees, without ids, fonts and the window around it."""
    styles = dict(_CLASS.findall(svg))
    found = _TEXT.findall(svg)
    return {
        (float(y), float(x), text, styles[cls]) for cls, x, y, text in found if cls in styles and text.strip("&#160; ")
    }


def lines_of(svg: str) -> list[str]:
    """The screen as lines."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for cls, x, y, text in _TEXT.findall(svg):
        if cls.startswith("r"):
            plain = text.replace("&#160;", " ").replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
            rows.setdefault(float(y), []).append((float(x), plain.replace("&amp;", "&")))
    return ["".join(text for _, text in sorted(row)) for _, row in sorted(rows.items())]


async def matches(rig: Rig, name: str) -> None:
    """Compare with the kept picture; with FLEET_UPDATE_SNAPSHOTS=1 keep this one instead."""
    await rig.settle()
    app = rig.app
    kept = SNAPSHOTS / f"{name}.svg"
    svg = re.sub(r"terminal-\d+", "terminal-0", app.export_screenshot(title="fleet tui", simplify=True))
    if os.environ.get(_UPDATE):
        kept.write_text(svg)
    wanted = kept.read_text()
    assert lines_of(svg) == lines_of(wanted), f"{name}: set {_UPDATE}=1 to keep the new picture, then look at it"
    assert cells_of(svg) == cells_of(wanted), f"{name}: same words, other colours; {_UPDATE}=1 keeps the new picture"
