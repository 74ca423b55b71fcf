"""`fleet rehearse`: the playbook over a twin of the hall, in virtual time, once for every seed. Nothing real is reached."""

import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleet.cli import compose, opened, sim, views
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE
from fleet.errors import UsageError
from fleet.events import Event, NodeEvent, Recorded
from fleet.exits import Exit
from fleet.plan import Plan, Survey
from fleet.policy.window import Openings
from fleet.sightings import sightings
from fleet.sim.faults import FaultError, load_faults
from fleet.step import StepSpec
from fleet.twin.clock import START
from fleet.twin.figures import Figures, Rehearsed, Spread, figures, rehearsed
from fleet.twin.hall import require_boxes
from fleet.twin.kinds import kinds_of
from fleet.twin.life import Scene, live
from fleet.twin.outfit import before, fitted
from fleet.words import duration, plural
from inventory.model import NodeId
from playbooks.registry import make
from playbooks.registry import steps as known_steps
from playbooks.schema import Playbook

_REHEARSED = frozenset({"firmware.update", "verify", "node.drain", "node.undrain"})
_YOUNG = 50_000
"""Generation-0 threshold, as in fleet.cli.compose."""


PlaybookFile = Annotated[Path, typer.Argument(help="playbook (YAML)", exists=True, dir_okay=False)]
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
    wait_for_window: Waits = False,
    json_document: AsJson = False,
) -> None:
    """Run a playbook over a twin of the hall in virtual time: how long it takes, what is lost, whether it halts.

    Example: [bold]fleet rehearse playbook.yaml -i hall.yaml --faults five-percent --seeds 20[/]
    """
    sources = compose.read_sources(inventory, playbook, None, baseline=baseline, select=select)
    compose.check_images(sources.playbook.baseline)
    sources = replace(sources, playbook=_without_end(sources.playbook))
    words = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory(prefix="fleet-rehearse-") as directory:
        stage = _staged(sources, faults, journal, Path(directory), wait_for_window="yes" if wait_for_window else "")
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


def _lives(scene: Scene, seeds: Iterable[int], words: Console) -> list[Figures]:
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    return [_lived(scene, seed, words) for seed in seeds]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A scene, and what has to be said of it."""

    scene: Scene
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def _staged(
    sources: compose.Sources, faults: str, journal: Path | None, directory: Path, *, wait_for_window: str
) -> _Stage:
    playbook = sources.playbook
    steps = tuple(step for step in playbook.steps if step.name in _REHEARSED)
    skipped = tuple(step.key for step in playbook.steps if step.name not in _REHEARSED)
    if not steps:
        raise UsageError(
            f"{playbook.path}: none of its steps can be rehearsed; those that can: {', '.join(_REHEARSED)}"
        )
    try:
        book = load_faults(sim.fault_file(faults))
    except FaultError as error:
        raise UsageError(str(error)) from error
    require_boxes(sources.nodes)
    kinds = {kind.model: kind for kind in kinds_of(sources.nodes)}
    readable, stood_in = fitted(playbook.baseline, kinds.values(), directory)
    seen = _seen(journal, {node.id for node in sources.nodes})
    versions = {
        str(node.id): before(playbook.baseline, kinds[node.model], seen.get(node.id, {})) for node in sources.nodes
    }

    def planned(surveys: list[Survey]) -> Plan:
        return compose.make_plan(sources, surveys, baseline=readable, steps=steps)

    scene = Scene(
        playbook=playbook.name,
        nodes=sources.nodes,
        planned=planned,
        steps=make,
        faults=book,
        versions=versions,
        pdus=tuple(pdu for pdu in sources.inventory.pdus if pdu.mib and pdu.credential),
        start=_start(playbook.rollout.window),
        wait_for_window=wait_for_window,
        takes_s={name: announced.takes_s for name, announced in known_steps().items()},
    )
    return _Stage(scene=scene, skipped=skipped, notes=_notes(sources, steps, len(seen), stood_in))


def _notes(
    sources: compose.Sources, steps: Iterable[StepSpec], seen: int, stood_in: tuple[str, ...]
) -> tuple[str, ...]:
    all_of = len(sources.nodes)
    whence = "the baseline's `previous`, else what a new box has"
    told = [
        f"versions at the start: of {seen} of {all_of} nodes as the journal last saw them; of the others {whence}"
        if seen
        else f"versions at the start: {whence}"
    ]
    if any(step.name == "node.drain" for step in steps):
        told.append("node.drain: nobody's jobs are rehearsed, a drain takes no time")
    if stood_in:
        told.append(
            f"{plural(len(stood_in), 'image')} ({stood_in[0]} first): not for a simulated BMC; a small stand-in with the same"
            " versions takes the place, so the time to hand an image over is left out"
        )
    if sources.playbook.rollout.approve:
        told.append("waves that wait for a person are let through at once")
    return tuple(told)


def _seen(journal: Path | None, missing: set[NodeId]) -> dict[NodeId, dict[str, str]]:
    """Node -> item -> version, from the newest rollout that saw it. A journal that was named must be there."""
    if journal is None and not DEFAULT_JOURNAL.exists():
        return {}
    found: dict[NodeId, dict[str, str]] = {}
    with opened.view(journal or DEFAULT_JOURNAL) as view:
        for row in view.rollouts():
            if not missing:
                break
            for node, sighting in sightings(row.id, view.read(row.id)).items():
                if node in missing and sighting.versions:
                    found[node] = dict(sighting.versions)
                    missing.discard(node)
    return found


def _without_end(playbook: Playbook) -> Playbook:
    """A window that has a last day is rehearsed as if it had none: the day of a rehearsal is not the day of the rollout."""
    window = playbook.rollout.window
    if window is None:
        return playbook
    return replace(playbook, rollout=replace(playbook.rollout, window=window.endless()))


def _start(window: Openings | None) -> float:
    """A fixed day, so that one seed gives one history; in the first window that opens after it."""
    if window is None or window.open_at(START):
        return START
    opening = window.next_opening(START)
    return START if opening is None else opening


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
