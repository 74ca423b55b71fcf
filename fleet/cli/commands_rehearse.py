"""`fleet rehearse`: the playbook over a twin of the hall, in virtual time, once for every seed. Nothing real is reached."""

import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.cli import compose, views
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE, playbook_file
from fleet.cli.rehearsal import Wishes, staged, without_end
from fleet.errors import UsageError
from fleet.events import Event, NodeEvent, Recorded
from fleet.exits import Exit
from fleet.twin.figures import Figures, Rehearsed, Spread, figures, rehearsed
from fleet.twin.life import Scene, live
from fleet.words import duration, plural
from inventory.scalar import duration_s

_YOUNG = 50_000
"""Generation-0 threshold, as in fleet.cli.compose."""


PlaybookFile = Annotated[
    Path,
    typer.Argument(
        help="playbook (YAML), or the name of one that ships: bring-up", parser=playbook_file, metavar="PLAYBOOK"
    ),
]
InventoryFile = Annotated[
    Path, typer.Option("--inventory", "-i", help="inventory of the hall (YAML)", exists=True, dir_okay=False)
]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", help="baseline (YAML), in place of the playbook's", exists=True, dir_okay=False),
]
Select = Annotated[str, typer.Option("--select", help="only these of the playbook's nodes: rack=r[01-04],!tenant=acme")]
Faults = Annotated[str, typer.Option(help="a shipped fault file by name, or a path")]
Seeds = Annotated[int, typer.Option(min=1, max=10_000, help="how many times, each with other luck")]
FirstSeed = Annotated[int, typer.Option(min=0, help="the first of the seeds: `--seeds 1` replays one")]
JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        "-j",
        envvar=JOURNAL_VARIABLE,
        help=f"what the nodes were last seen to run; unless given {DEFAULT_JOURNAL}, if it is there",
    ),
]
LongestJob = Annotated[
    str,
    typer.Option(
        help="how long work may still run on a node when it is drained: each node's is drawn, from nothing to this"
    ),
]
Waits = Annotated[bool, typer.Option("--wait-for-window", help="go on in the next maintenance window when one closes")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(rehearse)


def rehearse(
    playbook: PlaybookFile,
    *,
    inventory: InventoryFile,
    baseline: BaselineFile = None,
    select: Select = "",
    faults: Faults = "demo",
    seeds: Seeds = 5,
    first_seed: FirstSeed = 0,
    journal: JournalFile = None,
    longest_job: LongestJob = "4h",
    wait_for_window: Waits = False,
    json_document: AsJson = False,
) -> None:
    """Run a playbook over a twin of the hall in virtual time: how long it takes, what is lost, whether it halts.

    Example: [bold]fleet rehearse playbook.yaml -i hall.yaml --faults five-percent --seeds 20[/]
    """
    sources = compose.read_sources(inventory, playbook, None, baseline=baseline, select=select)
    compose.check_images(sources.playbook.baseline)
    sources = replace(sources, playbook=without_end(sources.playbook))
    wishes = Wishes(
        faults=faults,
        journal=journal,
        longest_job_s=_seconds(longest_job),
        wait_for_window="yes" if wait_for_window else "",
    )
    words = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="fleet-rehearse-") as directory:
        stage = staged(sources, wishes, Path(directory))
        for line in (*(f"not rehearsed: {step}" for step in stage.skipped), *stage.notes):
            words.print(line, soft_wrap=True)
        lives = _lives(stage.scene, range(first_seed, first_seed + seeds), words)
    told = rehearsed(
        lives,
        playbook=sources.playbook.name,
        baseline=sources.playbook.baseline.name,
        faults=stage.scene.faults.name,
        skipped=stage.skipped,
        notes=stage.notes,
    )
    if json_document:
        sys.stdout.write(json.dumps(told.to_json(), indent=2) + "\n")
    else:
        _show(told, Console(highlight=False))
    raise typer.Exit(_exit(lives))


def _seconds(text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as error:
        raise UsageError(f"--longest-job: {text!r} {error}") from error


def _lives(scene: Scene, seeds: Iterable[int], words: Console) -> list[Figures]:
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    return [_lived(scene, seed, words) for seed in seeds]


def _lived(scene: Scene, seed: int, words: Console) -> Figures:
    told = _Told(seed, len(scene.nodes), words)
    life = figures(live(scene, seed, told))
    told.end(life)
    return life


class _Told:
    """Progress of one life on stderr: a line that is painted over on a terminal, one at the end elsewhere."""

    def __init__(self, seed: int, nodes: int, words: Console) -> None:
        self._seed, self._nodes, self._words = seed, nodes, words
        self._ended = 0

    def __call__(self, event: Recorded | Event) -> None:
        fact = event.event if isinstance(event, Recorded) else event
        if isinstance(fact, NodeEvent) and fact.kind in _ENDS:
            self._ended += 1
            if self._words.is_terminal:
                self._words.print(f"seed {self._seed}: {self._ended} of {self._nodes} nodes", end="\r")

    def end(self, life: Figures) -> None:
        """The life's line."""
        halted = f"; {life.status}: {life.why}" if life.why else ""
        self._words.print(f"seed {self._seed}: {duration(life.makespan_s)}, {life.lost} lost{halted}", soft_wrap=True)


_ENDS = frozenset({"node.confirmed", "node.quarantined", "node.rolled-back"})


def _show(told: Rehearsed, console: Console) -> None:
    views.say(
        console,
        f"{told.playbook} to baseline {told.baseline}: {plural(told.nodes, 'node')} of a twin, faults {told.faults},"
        f" {plural(len(told.seeds), 'seed')} from {told.seeds[0]}",
        "bold",
    )
    rows = [
        ("makespan", *_each(told.makespan_s, duration)),
        ("nodes lost", *_each(told.lost, _number)),
        ("  quarantined", *_each(told.quarantined, _number)),
        ("  rolled back", *_each(told.rolled_back, _number)),
        ("nodes not reached", *_each(told.unstarted, _number)),
        ("capacity lost, node-hours", *_each(told.capacity_lost_h, _number)),
        ("in flight at most", *_each(told.in_flight_peak, _number)),
        ("hosts starting at once at most", *_each(told.hosts_starting_peak, _number)),
    ]
    views.show_table(console, ("", "p50", "p95"), rows)
    views.say(console)
    spent = sorted(told.step_h.items(), key=lambda each: -each[1].p50)
    hours = [(step, *_each(each, _number)) for step, each in spent]
    views.show_table(console, ("where it went, node-hours", "p50", "p95"), hours)
    halted = sum(told.halts.values())
    views.say(console)
    views.say(console, f"halted: {halted} of {plural(len(told.seeds), 'seed')}")
    for why, count in told.halts.items():
        views.say(console, f"  {count}: {why}")


def _each(figure: Spread, shown: Callable[[float], str]) -> tuple[str, str]:
    return shown(figure.p50), shown(figure.p95)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _exit(lives: Iterable[Figures]) -> Exit:
    """Of the worst life."""
    codes = {life.exit for life in lives}
    worst = (Exit.REFUSED, Exit.HALTED, Exit.WINDOW_CLOSED, Exit.NODES_FAILED)
    return next((code for code in worst if code in codes), Exit.OK)
