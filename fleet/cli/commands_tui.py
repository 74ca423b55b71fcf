"""`fleet tui`: the cockpit. This is where it gets its journal, its clocks and the name of who asks."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import opened
from fleet.cli.commands_control import place
from fleet.cli.hall import read_hall
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE
from fleet.clock import SystemClock
from fleet.errors import UsageError
from fleet.events import RolloutCreated, RolloutId
from fleet.journal.reading import JournalView

_BEAT_S = 0.1
"""Ten paintings a second: more is not seen (measurements.md)."""
_REMOTE_BEAT_S = 0.25
"""Over SSH: 5,000 nodes at ten a second are 2.5 MB/s (measurements.md)."""

JournalFile = Annotated[Path, typer.Option("--journal", "-j", envvar=JOURNAL_VARIABLE, help="journal file")]
Name = Annotated[
    str, typer.Argument(help="rollout: its name, the beginning of it, or nothing for the newest that has not ended")
]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(tui)


def tui(
    rollout: Name = "last",
    *,
    journal: JournalFile = DEFAULT_JOURNAL,
    replay: Annotated[bool, typer.Option("--replay", help="play it from its beginning")] = False,
    speed: Annotated[
        float | None, typer.Option(min=1.0, help="of a replay: its seconds per second; whole in 90 s unless given")
    ] = None,
) -> None:
    """Watch a rollout on a screen, control it, or replay one that has ended. Quitting changes nothing.

    Example: [bold]fleet tui --replay --speed 600[/]
    """
    from tui.app import Cockpit  # noqa: PLC0415 (Textual takes 0.3 s to import; no other command needs it)
    from tui.desk import Desk  # noqa: PLC0415 (as above)
    from tui.feed import LiveFeed, ReplayFeed, Subject  # noqa: PLC0415 (as above)

    if speed is not None and not replay:
        raise UsageError("--speed is for --replay; a living rollout goes at its own pace")
    with opened.view(journal) as view:
        found = opened.pick(view, rollout) if replay else opened.pick_living(view, rollout)
        clock = _clock(view, found)
    here = place(journal)
    subject = Subject(journal=journal, rollout=found, clock=clock, speed=clock.speed)
    feed = ReplayFeed(subject, speed=speed) if replay else LiveFeed(subject)
    desk = Desk(journal=journal, rollout=found, by=here.by, clock=here.clock)
    beat_s = _REMOTE_BEAT_S if os.environ.get("SSH_CONNECTION") else _BEAT_S
    error = Cockpit(feed, desk, SystemClock(), beat_s=beat_s).run()
    if error is not None:
        raise error


def _clock(view: JournalView, rollout: RolloutId) -> SystemClock:
    """Field time as the rollout lives it: a simulated hall's, while that runs."""
    first = next(view.read(rollout), None)
    hall = first.event.sources.get("hall", "") if first and isinstance(first.event, RolloutCreated) else ""
    try:
        return read_hall(Path(hall)).clock() if hall else SystemClock()
    except UsageError:
        return SystemClock()
