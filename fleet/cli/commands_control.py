"""`fleet pause`, `abort`, `approve`, and `resume`: ask the process that runs a rollout, or take it over where none does.

A request is a row of the journal; the engine looks five times a second and answers with an event. Words go to stderr.
"""

import asyncio
import getpass
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet import events as ev
from fleet.cli import opened
from fleet.cli.opened import Seen
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE
from fleet.clock import Clock, SystemClock
from fleet.errors import UsageError
from fleet.events import RolloutId
from fleet.exits import Exit
from fleet.journal import ANSWERS, SqliteJournal, Verb
from fleet.overview import Process
from fleet.state import ACTIVE, ENDED, NodeStatus, RolloutStatus
from fleet.words import plural, tell

_LOOK_S = 0.1
_LOOKS = 30
"""Three wall seconds: the engine looks for requests every 0.2."""

JournalFile = Annotated[Path, typer.Option("--journal", "-j", envvar=JOURNAL_VARIABLE, help="journal file")]
Name = Annotated[
    str, typer.Argument(help="rollout: its name, the beginning of it, or nothing for the newest that has not ended")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A journal, and who asks."""

    journal: Path
    by: str
    clock: Clock
    console: Console

    def say(self, text: str) -> None:
        """A sentence on stderr."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def place(journal: Path, clock: Clock | None = None) -> Place:
    """This process's user at this host; names are for the journal, they prove nothing."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return Place(
        journal=journal, by=f"{user}@{socket.gethostname()}", clock=clock or SystemClock(), console=Console(stderr=True)
    )


def register(app: typer.Typer) -> None:
    """Add these commands; `resume` is the caller's, because it starts the engine."""
    for command in (pause, abort, approve):
        app.command()(command)


def pause(rollout: Name = "last", *, journal: JournalFile = DEFAULT_JOURNAL) -> None:
    """Let no node begin anything new, within a second. What runs goes on to its next safe point and waits there.

    Example: [bold]fleet pause[/]
    """
    here = place(journal)
    seen = living(journal, rollout)
    raise typer.Exit(asyncio.run(_pause(here, seen)))


def abort(
    rollout: Name = "last",
    *,
    journal: JournalFile = DEFAULT_JOURNAL,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask on a terminal")] = False,
) -> None:
    """End a rollout for good: admit no more, let running steps reach a safe point. Nothing is flashed back by this.

    Example: [bold]fleet abort hgx-2026.10-20261004[/]
    """
    here = place(journal)
    seen = living(journal, rollout)
    name = seen.state.rollout
    out = sum(node.status in ACTIVE for node in seen.state.nodes.values())
    here.say(f"{name}: {plural(out, 'node')} in flight will stop at a safe point and need a person; an abort is final.")
    if not yes and sys.stdin.isatty() and not typer.confirm("Abort it?", err=True):
        raise typer.Exit(Exit.OK)
    if seen.process is Process.NONE:
        result = _take_over(here, name, Verb.ABORT)
        raise typer.Exit(Exit.OK if result is Exit.ABORTED else result)
    raise typer.Exit(asyncio.run(ask(here, seen, Verb.ABORT)))


def approve(
    rollout: Name = "last",
    *,
    wave: Annotated[
        int | None, typer.Option(min=1, help="refuse unless exactly this wave waits; 1 is the canary")
    ] = None,
    journal: JournalFile = DEFAULT_JOURNAL,
) -> None:
    """Let the wave through that waits for a person.

    Example: [bold]fleet approve --wave 2[/]
    """
    here = place(journal)
    seen = living(journal, rollout)
    state = seen.state
    if state.status is not RolloutStatus.WAITING_APPROVAL:
        raise UsageError(f"{state.rollout} is {state.status}: no wave waits for a person")
    waits = state.wave + 2
    if wave is not None and wave != waits:
        raise UsageError(f"{state.rollout}: wave {waits} waits for a person, not wave {wave}; nothing was approved")
    if seen.process is Process.NONE:
        raise typer.Exit(_take_over(here, state.rollout, Verb.APPROVE))
    raise typer.Exit(asyncio.run(ask(here, seen, Verb.APPROVE)))


def resume(journal: Path, rollout: RolloutId, *, as_json_lines: str = "") -> Exit:
    """Continue: by asking the process that runs it, or in this one, until it ends. `as_json_lines`: non-empty for NDJSON."""
    here = place(journal)
    with opened.view(journal) as view:
        seen = opened.see(view, rollout)
    status = seen.state.status
    if status in ENDED:
        raise UsageError(f"{rollout} has ended ({status}); there is nothing to continue")
    # Only what a person stopped, or what stopped itself, is continued by a request; a crash is continued as it was.
    stopped = status in {RolloutStatus.PAUSED, RolloutStatus.HALTED}
    if seen.process is Process.NONE:
        return _take_over(here, rollout, Verb.RESUME if stopped else None, as_json_lines=as_json_lines)
    if status is RolloutStatus.ABORTING:
        raise UsageError(f"{rollout} is being aborted, which is final")
    if not stopped:
        here.say(f"{rollout} is {status} in another process already; watch it with `fleet status {rollout}`")
        return Exit.OK
    return asyncio.run(ask(here, seen, Verb.RESUME))


def living(journal: Path, name: str) -> Seen:
    """The rollout that is meant, if it can still be stopped or let on. Raises UsageError."""
    with opened.view(journal) as view:
        seen = opened.see(view, opened.pick_living(view, name))
    state = seen.state
    if state.status in ENDED:
        raise UsageError(f"{state.rollout} has ended ({state.status}); nothing of it runs")
    if not state.plan and seen.process is not Process.NONE:
        raise UsageError(f"{state.rollout} still reads nodes and changes nothing: end it with Ctrl-C where it runs")
    return seen


async def _pause(here: Place, seen: Seen) -> Exit:
    state = seen.state
    if seen.process is Process.NONE:
        moved = sum(node.status in ACTIVE - {NodeStatus.PARKED} for node in state.nodes.values())
        left = f"; it will read {plural(moved, 'node')} first that stopped in the middle of a step" if moved else ""
        here.say(f"{state.rollout} ({state.status}): no process runs it, so nothing starts until `fleet resume`{left}")
        return Exit.OK
    if state.status in {RolloutStatus.PAUSED, RolloutStatus.HALTED, RolloutStatus.ABORTING}:
        here.say(f"{state.rollout} is {state.status} already: nothing new starts")
        return Exit.OK
    return await ask(here, seen, Verb.PAUSE)


async def ask(here: Place, seen: Seen, verb: Verb) -> Exit:
    """Write the request, and wait a moment for the event that answers it."""
    state = seen.state
    journal = SqliteJournal(here.journal, here.clock)
    try:
        await journal.request(state.rollout, verb, here.by)
        after = state.seq
        for _ in range(_LOOKS):
            for recorded in journal.read(state.rollout, after=after):
                after = recorded.seq
                if isinstance(recorded.event, ANSWERS[verb] | ev.RolloutEnded):
                    here.say(f"{state.rollout}: {tell(recorded.event)}")
                    return Exit.OK
            await here.clock.sleep_wall(_LOOK_S)
    finally:
        await journal.close()
    here.say(
        f"{state.rollout}: asked to {verb}, and {state.owner or 'its process'} has not answered within"
        f" {_LOOKS * _LOOK_S:.0f} s; see `fleet why {state.rollout}`"
    )
    return Exit.BUSY


def _take_over(here: Place, rollout: RolloutId, verb: Verb | None, *, as_json_lines: str = "") -> Exit:
    from fleet.cli.apply import continue_rollout  # noqa: PLC0415 (engine and driver take a second to import; asking needs neither)

    here.say(f"{rollout}: no process runs it; this one takes it over")
    return continue_rollout(here.journal, rollout, verb, as_json_lines=as_json_lines)
