"""Live progress on stderr: a display on a terminal, plain lines elsewhere. Told of every event, paints when it is time.

It never disturbs the rollout: an event costs a few dictionary look-ups, and a terminal that is gone is ignored.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from fleet.cli.screen import Look, line, look, paint
from fleet.clock import Clock
from fleet.events import Event, NodeEvent, Recorded
from fleet.state import RolloutState
from fleet.tally import Tally
from fleet.words import NOTABLE, tell, time_of_day

_PAINT_S = 0.1
"""Wall seconds between two paintings at least."""
_IDLE_PAINTS = 10
"""Without an event every so many beats are painted, so that the time runs on."""
_LINE_S = 10.0
"""Wall seconds between two plain lines."""
_RECENT = 5


class Output(StrEnum):
    """Where words go."""

    LIVE = "live"
    LINES = "lines"
    GONE = "gone"
    """The terminal or pipe was closed; the rollout goes on."""


class Progress:
    """A watcher for the engine: use it as a context, call it with each event."""

    def __init__(self, state: RolloutState, clock: Clock, console: Console, *, speed: float = 1.0) -> None:
        """`speed`: field seconds per wall second, to show the operator's time beside a simulated hall's."""
        self._state = state
        self._clock = clock
        self._console = console
        self._speed = speed
        self._tally = Tally(state)
        self._recent: deque[tuple[float, str]] = deque(maxlen=_RECENT)
        self._output = Output.LIVE if console.is_terminal and not console.is_dumb_terminal else Output.LINES
        # stdout stays what it is: `--json` writes there while this paints on stderr.
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False)
        self._painter: asyncio.Task[None] | None = None
        self._news = 0
        """Events since the last painting."""

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._output is Output.LIVE:
            self._safely(self._live.start)
        self._safely(self._show)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and leave it standing."""
        if self._painter is not None:
            self._painter.cancel()
        self._safely(self._show)
        if self._output is Output.LIVE:
            self._safely(self._live.stop)

    def __call__(self, event: Recorded | Event) -> None:
        """Take in one event, already folded. Cheap; called from the engine's loop."""
        self._tally.follow(event)
        self._news += 1
        if isinstance(event, Recorded) and isinstance(event.event, NOTABLE):
            about = f"{event.event.node} " if isinstance(event.event, NodeEvent) else ""
            self._recent.append((event.at, about + tell(event.event)))
            if self._output is Output.LINES:
                self._safely(lambda: self._write(f"{time_of_day(event.at)} {self._recent[-1][1]}"))
        if self._painter is None:
            self._painter = asyncio.get_running_loop().create_task(self._paint_on(), name="progress")

    async def _paint_on(self) -> None:
        beats = 0
        while self._output is not Output.GONE:
            await self._clock.sleep_wall(_PAINT_S if self._output is Output.LIVE else _LINE_S)
            beats += 1
            if self._output is Output.LINES or self._news or beats % _IDLE_PAINTS == 0:
                self._safely(self._show)

    def _show(self) -> None:
        self._news = 0
        if self._output is Output.LIVE:
            self._live.update(paint(self._state, self._tally, self._recent, self._look()), refresh=True)
        elif self._output is Output.LINES:
            self._write(line(self._state, self._tally, self._look()))

    def _look(self) -> Look:
        return look(self._clock.now(), self._speed, self._console.encoding)

    def _write(self, text: str) -> None:
        """Past rich: it would wrap, and answers a closed pipe with SystemExit."""
        self._console.file.write(text + "\n")
        self._console.file.flush()

    def _safely(self, show: Callable[[], None]) -> None:
        """A closed terminal or a full disk behind a log must not stop a rollout."""
        try:
            show()
        except OSError:
            self._output = Output.GONE
