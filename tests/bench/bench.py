"""`make bench`: what a rollout costs, measured here and now, beside the tools that people use otherwise."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench_table import Machine, machine, render
from contestants import JOURNEY, OTHERS, OURS, Contestant, Unavailable, install
from halls import BenchHall, Truth, bench_hall, journey_hall, seen
from measured import Cost, measure
from pacing_bench import PacingFigures, bench_pacing
from pacing_text import render as pacing_text
from power_bench import power_rows

from fleet.journal.reading import look


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contestant's run."""

    name: str
    nodes: int
    cost: Cost | None = None
    truth: Truth | None = None
    transitions: int | None = None
    """Events in the journal; None for those that keep none."""
    why_not: str = ""
    """Why there are no figures."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the packages that were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line said."""

    nodes: int
    compare_nodes: int
    journey_nodes: int
    only: str
    speed: float
    journey_speed: float
    faults: str
    limit_s: float
    power_hours: float
    directory: Path
    environment: Path
    json_file: Path | None
    pacing_seeds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that was measured."""

    machine: Machine
    speed: float
    faults: str
    rollout: Row | None
    journey: Row | None = None
    comparison: tuple[Row, ...]
    journey_speed: float = 0.0
    power: tuple[str, ...] = ()
    """Lines of the table on power (power_bench.power_rows)."""
    pacing: PacingFigures | None = None
    """Ways of pacing, simulated; None: left out."""


HallMaker = Callable[..., AbstractContextManager[BenchHall]]


def run(contestant: Contestant, nodes: int, options: Options, *, speed: float, hall_of: HallMaker = bench_hall) -> Row:
    """One contestant on a hall of its own, fresh."""
    home = options.directory / f"{contestant.name.split(',')[0].split()[0]}-{hall_of.__name__.split('_')[0]}-{nodes}"
    try:
        versions = install(options.environment, contestant.packages) if contestant.packages else {}
    except Unavailable as error:
        return Row(name=contestant.name, nodes=nodes, why_not=str(error))
    print(f"bench: {contestant.name}, {nodes} nodes ...", file=sys.stderr)  # noqa: T201
    with hall_of(home, nodes=nodes, speed=speed, faults=options.faults) as hall:
        python = options.environment.absolute() / "bin" / "python"
        wanted = contestant.prepare(hall, python)
        before = hall.truth()
        cost = measure(wanted.command, log=home / "log", limit_s=options.limit_s, extra_env=wanted.env)
        truth = seen(before, hall.truth())
    return Row(
        name=contestant.name,
        nodes=nodes,
        cost=cost,
        truth=truth,
        transitions=_transitions(hall),
        versions=versions,
    )


def _transitions(hall: BenchHall) -> int | None:
    journal = hall.home / "journal.db"
    if not journal.exists():
        return None
    with look(journal) as view:
        return sum(1 for row in view.rollouts() for _ in view.read(row.id))


def bench(options: Options) -> Figures:
    """All of it, one after the other: two at once would measure each other."""
    before = machine()
    rollout = run(OURS, options.nodes, options, speed=options.speed) if options.nodes else None
    whole = (
        run(JOURNEY, options.journey_nodes, options, speed=options.journey_speed, hall_of=journey_hall)
        if options.journey_nodes
        else None
    )
    chosen = [each for each in (OURS, *OTHERS) if options.only in each.name] if options.compare_nodes else []
    comparison = tuple(run(each, options.compare_nodes, options, speed=options.speed) for each in chosen)
    return Figures(
        machine=before,
        speed=options.speed,
        faults=options.faults,
        rollout=rollout,
        journey=whole,
        comparison=comparison,
        journey_speed=options.journey_speed,
        power=tuple(power_rows(options.power_hours)) if options.power_hours else (),
        pacing=bench_pacing(options.pacing_seeds, before.cores) if options.pacing_seeds else None,
    )


def read_options(arguments: list[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1024, help="size of the rollout; 0: leave it out")
    parser.add_argument("--compare-nodes", type=int, default=100, help="size of the comparison; 0: leave it out")
    parser.add_argument(
        "--journey-nodes", type=int, default=256, help="size of the whole journey, at most 256; 0: leave it out"
    )
    parser.add_argument(
        "--journey-speed", type=float, default=300.0, help="simulated seconds per second of the journey"
    )
    parser.add_argument("--power-hours", type=float, default=1000, help="simulated hours of power; 0: leave it out")
    parser.add_argument(
        "--pacing-seeds", type=int, default=100, help="seeds of the bench of ways of pacing; 0: leave it out"
    )
    parser.add_argument("--only", default="", help="compare only contestants whose name contains this")
    parser.add_argument("--speed", type=float, default=600.0, help="simulated seconds per second")
    parser.add_argument("--faults", default="none", help="fault file of the hall")
    parser.add_argument("--limit-s", type=float, default=1800.0, help="a command that takes longer is killed")
    parser.add_argument("--directory", type=Path, default=Path(".fleet/bench"))
    parser.add_argument("--environment", type=Path, default=Path(".fleet/bench-venv"), help="where the others go")
    parser.add_argument("--json", dest="json_file", type=Path, help="write the figures here, too")
    return Options(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Measure, print, write."""
    options = read_options()
    figures = bench(options)
    print(render(figures))  # noqa: T201
    if figures.pacing is not None:
        print("\nWays of pacing, simulated (tests/bench/pacing_bench.py)\n\n" + pacing_text(figures.pacing))  # noqa: T201
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(asdict(figures), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
