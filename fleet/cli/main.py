"""`fleet`: commands, and the one place where an error becomes a sentence and an exit code."""

import asyncio
import subprocess
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import apply as applying
from fleet.cli import (
    commands_control,
    commands_inventory,
    commands_look,
    commands_rehearse,
    commands_tui,
    compose,
    demo,
    sim,
)
from fleet.cli import journey as bring_up
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE, playbook_file
from fleet.errors import FleetError, Halt, UsageError
from fleet.eventcodec import UnknownEvent
from fleet.exits import Exit
from fleet.state import ENDED
from inventory.load import load
from inventory.secrets import SecretError
from inventory.select import SelectorError
from inventory.text import InputError

app = typer.Typer(
    name="fleet",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Change firmware on thousands of nodes, safely. stdout is data, stderr is words, exit codes are in the README.",
)

Inventory = Annotated[
    Path, typer.Option("--inventory", "-i", help="inventory of the hall (YAML)", exists=True, dir_okay=False)
]
PlaybookFile = Annotated[
    Path,
    typer.Argument(
        help="playbook (YAML), or the name of one that ships, such as bring-up",
        parser=playbook_file,
        metavar="PLAYBOOK",
    ),
]
HallDirectory = Annotated[
    Path | None, typer.Option("--hall", help="directory of a running `fleet sim`: act on the simulated hall")
]
JournalFile = Annotated[Path, typer.Option("--journal", "-j", envvar=JOURNAL_VARIABLE, help="journal file")]
BaselineFile = Annotated[
    Path | None,
    typer.Option("--baseline", help="baseline (YAML), in place of the playbook's", exists=True, dir_okay=False),
]
Select = Annotated[str, typer.Option("--select", help="only these of the playbook's nodes: rack=r[01-04],!tenant=acme")]
DespiteChanges = Annotated[
    bool, typer.Option("--despite-changes", help="also where firmware was moved back and forth twice within a day")
]
AsJson = Annotated[bool, typer.Option("--json", help="events as NDJSON on stdout, and nothing else there")]
Name = Annotated[str, typer.Argument(help="rollout: its name, the beginning of it, or nothing for the newest")]


_Misuse: type[typer.BadParameter] = typer.BadParameter.__mro__[2]
"""ClickException, whatever click Typer uses: it has carried a copy of its own since 0.26, and gives this base no public name."""


def _flag(on: bool) -> str:  # noqa: FBT001 (typer gives flags as bool; inside they are words)
    return "yes" if on else ""


@app.command()
def plan(
    playbook: PlaybookFile,
    inventory: Inventory,
    hall: HallDirectory = None,
    journal: JournalFile = DEFAULT_JOURNAL,
    baseline: BaselineFile = None,
    select: Select = "",
    json_document: Annotated[
        bool, typer.Option("--json", help="plan and proof as one JSON document on stdout")
    ] = False,
) -> None:
    """Read every node, change nothing, and show what `fleet apply` would do, to whom not, how long, and what it could break.

    Example: [bold]fleet plan playbook.yaml -i hall.yaml[/]
    """
    sources = compose.read_sources(inventory, playbook, hall, baseline=baseline, select=select)
    wishes = applying.Wishes(journal=journal, document=_flag(json_document), console=applying.words())
    raise typer.Exit(compose.on_loop(applying.apply(sources, wishes)))


@app.command()
def apply(
    playbook: PlaybookFile,
    inventory: Inventory,
    hall: HallDirectory = None,
    journal: JournalFile = DEFAULT_JOURNAL,
    baseline: BaselineFile = None,
    select: Select = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="really do it; without it this is a dry run")] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="leave out nodes that the precheck refuses")
    ] = False,
    wait_for_window: Annotated[
        bool, typer.Option("--wait-for-window", help="wait while the maintenance window is closed")
    ] = False,
    as_json: AsJson = False,
    real_scheduler: Annotated[
        bool,
        typer.Option(
            "--real-scheduler", help="with --hall: drain and resume by the inventory's real scheduler, all the same"
        ),
    ] = False,
    despite_changes: DespiteChanges = False,
) -> None:
    """Carry a playbook out over the hall. A dry run unless you add --yes.

    Example: [bold]fleet apply playbook.yaml -i hall.yaml --yes[/]
    """
    sources = compose.read_sources(
        inventory, playbook, hall, baseline=baseline, select=select, real_scheduler=_flag(real_scheduler)
    )
    wishes = applying.Wishes(
        journal=journal,
        as_json=_flag(as_json),
        go=_flag(yes),
        skip_refused=_flag(skip_refused),
        wait_for_window=_flag(wait_for_window),
        despite_changes=_flag(despite_changes),
        console=applying.words(),
    )
    raise typer.Exit(compose.on_loop(applying.apply(sources, wishes)))


@app.command()
def resume(rollout: Name = "last", journal: JournalFile = DEFAULT_JOURNAL, as_json: AsJson = False) -> None:
    """Continue a rollout: after a crash, after a pause, or after a halt whose failures you have seen and accept.

    Example: [bold]fleet resume[/]
    """
    found = commands_look.find_rollout(journal, rollout, living="yes")
    raise typer.Exit(commands_control.resume(journal, found, as_json_lines=_flag(as_json)))


@app.command()
def rollback(
    rollout: Name = "last",
    journal: JournalFile = DEFAULT_JOURNAL,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="really do it; without it this is a dry run")] = False,
    as_json: AsJson = False,
    despite_changes: DespiteChanges = False,
) -> None:
    """Take the nodes that an ended rollout touched back to the previous images, as a paced rollout of its own.

    Example: [bold]fleet rollback dgx-h100-firmware-20261123-1200 --yes[/]
    """
    found = commands_look.find_rollout(journal, rollout)
    old = commands_look.read_state(journal, found)
    if old.status not in ENDED:
        raise UsageError(f"{found} has not ended ({old.status}): `fleet abort {found}` first")
    wishes = applying.Wishes(
        journal=journal,
        go=_flag(yes),
        as_json=_flag(as_json),
        despite_changes=_flag(despite_changes),
        console=applying.words(),
    )
    raise typer.Exit(compose.on_loop(applying.roll_back(old, applying.sources_of(old), wishes)))


@app.command("sim")
def simulate(
    inventory: Inventory,
    directory: Annotated[
        Path, typer.Option("--directory", "-d", help="where hall.json, CA and ground truth go")
    ] = Path(".fleet/hall"),
    playbook: Annotated[Path | None, typer.Option(help="simulate only the nodes that this playbook selects")] = None,
    baseline: BaselineFile = None,
    select: Annotated[str, typer.Option("--select", help="simulate only these nodes: rack=r[01-04]")] = "",
    speed: Annotated[float, typer.Option(min=1.0, help="simulated seconds per second")] = 600.0,
    faults: Annotated[str, typer.Option(help="a shipped fault file by name, or a path")] = "none",
    seed: Annotated[int, typer.Option(help="which nodes are hit, how long they take")] = 0,
) -> None:
    """Run a simulated hall: a BMC for each node, on loopback, over TLS. Ctrl-C ends it.

    Example: [bold]fleet sim -i hall.yaml --speed 600 --faults demo[/]
    """
    hall = load(inventory)
    nodes = (
        compose.read_sources(inventory, playbook, None, baseline=baseline, select=select).nodes
        if playbook
        else compose.chosen(hall, select, "--select")
    )
    directory.mkdir(parents=True, exist_ok=True)
    sim.write_boxes(nodes, directory / "boxes.json", inventory=hall)
    run_hall = sim.command(directory, speed=speed, faults=sim.fault_file(faults), seed=seed)
    raise typer.Exit(subprocess.run(run_hall, check=False).returncode)  # noqa: S603 (our own interpreter and module)


@app.command("demo")
def demonstrate(
    nodes: Annotated[int, typer.Option(min=1, max=1024, help="how many DGX H100")] = 1024,
    directory: Annotated[Path, typer.Option("--directory", "-d", help="where everything goes")] = Path(".fleet/demo"),
    speed: Annotated[float, typer.Option(min=1.0, help="simulated seconds per second")] = 600.0,
    faults: Annotated[str, typer.Option(help="a shipped fault file by name, or a path")] = "demo",
    seed: Annotated[int, typer.Option(help="which nodes are hit, how long they take")] = 0,
    as_json: AsJson = False,
    journey: Annotated[
        bool, typer.Option(help="then the whole journey of a node, bare metal to accepted, on two racks")
    ] = True,
) -> None:
    """A firmware rollout over a simulated hall, then the journey of 32 nodes from bare metal to accepted, with faults on the way.

    Example: [bold]fleet demo --nodes 64[/]
    """
    console, lines = applying.words(), _flag(as_json)
    ends = [demo.demo(directory, nodes, speed=speed, faults=faults, seed=seed, as_json=lines, console=console)]
    if journey and ends[0] in {Exit.OK, Exit.NODES_FAILED}:
        ends.append(bring_up.demo(directory / "journey", as_json=lines, console=console))
    # The demo injects faults: nodes that end rolled back or quarantined are what it shows.
    raise typer.Exit(next((end for end in ends if end not in {Exit.OK, Exit.NODES_FAILED}), Exit.OK))


@app.command("version")
def show_version() -> None:
    """Print the version.

    Example: [bold]fleet version[/]
    """
    typer.echo(version("fleetwave"))


commands_look.register(app)
commands_control.register(app)
commands_tui.register(app)
commands_inventory.register(app)
commands_rehearse.register(app)


def run() -> None:
    """The `fleet` command."""
    sys.exit(outcome(sys.argv[1:]))


def outcome(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error is a sentence on stderr."""
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except _Misuse as wrong:
        wrong.show(sys.stderr)
        return Exit.USAGE
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return _say("interrupted; `fleet resume` continues", Exit.INTERRUPTED)
    except (InputError, SelectorError, SecretError, UnknownEvent, FleetError) as foreseen:
        return _say(str(foreseen), _code(foreseen))
    except Exception:  # noqa: BLE001 (the last line of defence: say that it is our fault, keep the trace)
        traceback.print_exc()
        return _say("this is a fault of Fleetwave; the journal is intact, please report the lines above", Exit.FAULT)


def _code(foreseen: Exception) -> Exit:
    if isinstance(foreseen, FleetError):
        return foreseen.exit if isinstance(foreseen, UsageError | Halt) else Exit.FAULT
    return Exit.USAGE


def _say(message: str, code: Exit) -> int:
    print(f"fleet: {message}", file=sys.stderr)  # noqa: T201 (words go to stderr)
    return code
