"""`make bench`: what a rollout costs, measured here and now, beside the tools that people use otherwise."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench_table import Machine, machine, render
from contestants import OTHERS, OURS, Contestant, Unavailable, install
from halls import BenchHall, Truth, bench_hall, seen
from measured import Cost, measure

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
    only: str
    speed: float
    faults: str
    limit_s: float
    directory: Path
    environment: Path
    json_file: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that was measured."""

    machine: Machine
    speed: float
    faults: str
    rollout: Row | None
    comparison: tuple[Row, ...]


def run(contestant: Contestant, nodes: int, options: Options) -> Row:
    """One contestant on a hall of its own, fresh."""
    home = options.directory / f"{contestant.name.split()[0].strip(',')}-{nodes}"
    try:
        versions = install(options.environment, contestant.packages) if contestant.packages else {}
    except Unavailable as error:
        return Row(name=contestant.name, nodes=nodes, why_not=str(error))
    print(f"bench: {contestant.name}, {nodes} nodes ...", file=sys.stderr)  # noqa: T201
    with bench_hall(home, nodes=nodes, speed=options.speed, faults=options.faults) as hall:
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
    rollout = run(OURS, options.nodes, options) if options.nodes else None
    chosen = [each for each in (OURS, *OTHERS) if options.only in each.name] if options.compare_nodes else []
    comparison = tuple(run(each, options.compare_nodes, options) for each in chosen)
    return Figures(machine=before, speed=options.speed, faults=options.faults, rollout=rollout, comparison=comparison)


def read_options(arguments: list[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1024, help="size of the rollout; 0: leave it out")
    parser.add_argument("--compare-nodes", type=int, default=100, help="size of the comparison; 0: leave it out")
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
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(asdict(figures), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
