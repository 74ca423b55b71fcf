"""`fleet status`, `report`, `why`, `events`: look at a journal and change nothing. Data goes to stdout."""

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fleet import events as ev
from fleet.cli import opened, views
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE
from fleet.clock import Clock, SystemClock
from fleet.eventcodec import as_json
from fleet.events import Recorded, RolloutId
from fleet.explain import explain
from fleet.journal import RolloutRow
from fleet.journal.reading import JournalView
from fleet.overview import Process, overview
from fleet.report import make_report
from fleet.state import RolloutState

_LOOK_S = 0.2
"""Wall seconds between two looks of `events --follow`."""

JournalFile = Annotated[
    Path, typer.Option("--journal", "-j", envvar=JOURNAL_VARIABLE, help="journal file, read without changing it")
]
Name = Annotated[str, typer.Argument(help="rollout: its name, the beginning of it, or nothing for the newest")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (status, report, why, events):
        app.command()(command)


def status(
    rollout: Annotated[
        str | None, typer.Argument(help="rollout, its beginning, or `last`; nothing: all of them")
    ] = None,
    *,
    journal: JournalFile = DEFAULT_JOURNAL,
    json_document: AsJson = False,
) -> None:
    """All rollouts of the journal, or where one of them is.

    Example: [bold]fleet status last[/]
    """
    with opened.view(journal) as view:
        if rollout is None:
            _list(view, json_document=json_document)
            return
        seen = opened.see(view, opened.pick(view, rollout))
        shown = overview(seen.state, last_at=seen.last_at, process=seen.process)
        if json_document:
            _document(shown.to_json())
        else:
            views.show_overview(Console(), shown)


def report(rollout: Name = "last", *, journal: JournalFile = DEFAULT_JOURNAL, json_document: AsJson = False) -> None:
    """What became of a rollout: totals, failures with reasons, plan against actual. Also while it runs.

    Example: [bold]fleet report --json[/]
    """
    if json_document:
        with opened.view(journal) as view:
            seen = opened.see(view, opened.pick(view, rollout))
            _document(make_report(seen.state, seen.recorded).to_json())
    else:
        print_report(journal, rollout, console=Console())


def why(
    rollout: Name = "last",
    node: Annotated[str | None, typer.Argument(help="tell this node's trail")] = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(help="as it was then: number of an event of the journal, or a time such as 2026-11-28T02:30"),
    ] = None,
    journal: JournalFile = DEFAULT_JOURNAL,
    json_document: AsJson = False,
) -> None:
    """Why a rollout is where it is and who waits for what; or what happened to one node, and what can be done next.

    It answers from the journal alone, for now or for any moment of the past: with the failures k of n nodes, what they count as once
    aged (n_eff), the bound U, the evidence e and the ambient failure rate, and with the numbers of the events that they rest on.

    Example: [bold]fleet why last --at 2026-11-28T02:30[/]
    """
    with opened.view(journal) as view:
        seen = opened.see(view, opened.pick(view, rollout))
        if at is not None:
            seen = opened.until(seen, at)
        lines = explain(seen.state, seen.recorded, node)
        if json_document:
            _document({"rollout": seen.state.rollout, "node": node, "lines": [line.to_json() for line in lines]})
        else:
            views.show_lines(Console(), lines)


def events(
    rollout: Name = "last",
    *,
    node: Annotated[str | None, typer.Option(help="only what is about this node")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the rollout ends")] = False,
    journal: JournalFile = DEFAULT_JOURNAL,
) -> None:
    """Every event as one JSON object a line.

    Example: [bold]fleet events last --follow | jq .kind[/]
    """
    with opened.view(journal) as view:
        found = opened.pick(view, rollout)
        last = _write(view.read(found), node)
        if follow:
            asyncio.run(tail(view, found, node, last, SystemClock()))


def find_rollout(journal: Path, rollout: str, *, living: str = "") -> RolloutId:
    """The rollout that a person means by this name, this beginning of a name, or `last`. Raises UsageError.

    `living`: non-empty, `last` is the newest that has not ended, if there is one.
    """
    with opened.view(journal) as view:
        return opened.pick_living(view, rollout) if living else opened.pick(view, rollout)


def read_state(journal: Path, rollout: RolloutId) -> RolloutState:
    """Where it is now."""
    with opened.view(journal) as view:
        return opened.see(view, rollout).state


def print_report(journal: Path, rollout: str | None, *, console: Console) -> None:
    """The report for people; None: the newest rollout's."""
    with opened.view(journal) as view:
        seen = opened.see(view, opened.pick(view, rollout or "last"))
        views.show_report(console, make_report(seen.state, seen.recorded))


def _list(view: JournalView, *, json_document: bool) -> None:
    rows = [(row, *_standing(view, row)) for row in view.rollouts()]
    if json_document:
        _document(
            {
                "rollouts": [
                    {
                        "rollout": row.id,
                        "playbook": row.playbook,
                        "created_at": row.created_at,
                        "status": status,
                        "process": process,
                    }
                    for row, status, process in rows
                ]
            }
        )
    elif rows:
        views.show_rollouts(Console(), rows)
    else:
        Console(stderr=True).print(f"{view.path}: holds no rollout yet", markup=False, highlight=False)


def _standing(view: JournalView, row: RolloutRow) -> tuple[str, Process]:
    """An ended rollout is not read again: its row says how it ended."""
    if row.ended:
        return row.ended, Process.NONE
    seen = opened.see(view, row.id)
    return seen.state.status.value, seen.process


def _document(data: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def _write(recorded: Iterable[Recorded], node: str | None) -> Recorded | None:
    """Print those about the node, or all; the last one read, printed or not."""
    last = None
    for last in recorded:
        if node is None or (isinstance(last.event, ev.NodeEvent) and last.event.node == node):
            sys.stdout.write(json.dumps(as_json(last), separators=(",", ":")) + "\n")
    sys.stdout.flush()
    return last


async def tail(view: JournalView, rollout: RolloutId, node: str | None, last: Recorded | None, clock: Clock) -> None:
    """Print what is appended after `last`, until the rollout has ended."""
    while last is None or not isinstance(last.event, ev.RolloutEnded):
        await clock.sleep_wall(_LOOK_S)
        last = _write(view.read(rollout, after=last.seq if last else 0), node) or last
