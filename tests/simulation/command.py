# ruff: noqa: T201 (a command speaks)
"""`python tests/simulation/run.py`: many seeds on all cores, one seed again, or the planted bugs."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulation.planted import PLANTED, hunted
from simulation.trial import Result, judged, tried

REPLAY = "python tests/simulation/run.py --seed {seed}"
_SHOWN = 5
"""Failing seeds whose trail is printed."""


def main(arguments: list[str] | None = None) -> int:
    """0 if nothing was violated; with --planted, if every bug was caught."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="from which one on")
    parser.add_argument("--seed", type=int, help="replay this one, with its trail")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--planted", action="store_true", help="see every planted bug caught")
    parser.add_argument("--only", default="", help="with --planted: bugs whose name contains this")
    parser.add_argument(
        "--brief", action="store_true", help="print only seeds that fail, one a line, and end at the first"
    )
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return replay(chosen.seed)
    if chosen.planted:
        return planted(chosen.only, chosen.jobs)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.brief:
        return brief(seeds)
    return soak(seeds, chosen.jobs)


def brief(seeds: Iterable[int]) -> int:
    """For the hunt for planted bugs: `SEED what is wrong` of the first that fails."""
    quick()
    for seed in seeds:
        found = tried(seed).violations
        if found:
            print(seed, found[0][:300])
            return 1
    return 0


def replay(seed: int) -> int:
    """One seed again, and all that is known of it."""
    history, found, _ = judged(seed)
    drawing = history.drawing
    print(f"seed {seed}: {len(drawing.nodes)} nodes, {drawing.spec}")
    print(f"faults: {list(drawing.faults_plain)}")
    print(
        f"deaths: {drawing.deaths}; disk full: {drawing.full}; network spoils {drawing.lost:.1%}; asks: {drawing.asks}"
    )
    print(f"swap: {drawing.swap}; wanted: {drawing.wanted}")
    print(history.trail())
    print(f"processes: {', '.join(history.ends)}")
    for name, node in history.state.nodes.items():
        print(f"{name}: {node.status} {node.reason} {node.message}")
    print(f"journal {history.digest()}")
    print("\n".join(found) or "violations 0")
    return 1 if found else 0


@dataclass(slots=True)
class Sum:
    """Of all results."""

    seeds: int = 0
    histories: int = 0
    processes: int = 0
    deaths: int = 0
    spoiled: int = 0
    effects: int = 0
    unanswered: int = 0
    doubtful: int = 0
    """Seeds with such images."""
    nodes: int = 0
    field_s: float = 0.0
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One more."""
        self.seeds += 1
        self.histories += result.histories
        self.processes += result.processes
        self.deaths += result.deaths
        self.spoiled += result.spoiled
        self.effects += result.effects
        self.unanswered += result.unanswered
        self.doubtful += result.unanswered > 0
        self.nodes += result.nodes
        self.field_s += result.field_s
        if result.violations:
            self.failed.append(result)


def soak(seeds: range, jobs: int) -> int:
    """All of them; what failed is printed with its trail and the command that replays it."""
    begun = time.perf_counter()
    total = Sum()
    for result in results(seeds, jobs):
        total.add(result)
        if result.violations:
            print(f"seed {result.seed}: {result.violations[0][:300]}", flush=True)
    wall_s = time.perf_counter() - begun
    print(
        f"simulation: seeds {total.seeds} ({seeds.start} to {seeds.stop - 1}), histories {total.histories}, nodes {total.nodes},"
        f" processes {total.processes}, crashes {total.deaths}, requests or replies lost {total.spoiled},"
        f" effects on machines {total.effects}, images that came unanswered and without a task {total.unanswered} (in"
        f" {total.doubtful} seeds), simulated hours {total.field_s / 3600:,.0f},"
        f" wall {wall_s:.0f} s ({total.histories / wall_s:.1f} histories/s on {jobs} processes),"
        f" violations {sum(len(result.violations) for result in total.failed)}"
    )
    for result in sorted(total.failed, key=lambda each: each.seed)[:_SHOWN]:
        print(f"\n--- seed {result.seed}: {REPLAY.format(seed=result.seed)}")
        replay(result.seed)
    return 1 if total.failed else 0


def results(seeds: range, jobs: int) -> Iterator[Result]:
    """In no order; by processes that were begun afresh, so that nothing of one seed reaches another's process by fork."""
    if jobs == 1:
        quick()
        yield from map(tried, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=quick) as pool:
        yield from pool.imap_unordered(tried, seeds, chunksize=4)


def quick() -> None:
    """Collect garbage seldom: histories are short-lived, and most of what they leave is freed by counting."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def planted(only: str, jobs: int) -> int:
    """Every planted bug, and the seed that caught it."""
    wanted = [bug for bug in PLANTED if only in bug.name]
    caught = 0
    for hunt in hunted(wanted, jobs, Path(__file__).parents[2]):
        caught += hunt.seed is not None
        said = (
            f"caught by seed {hunt.seed}: {hunt.violation}"
            if hunt.seed is not None
            else f"NOT CAUGHT: {hunt.violation}"
        )
        print(f"{hunt.bug.name}: {said}", flush=True)
    print(f"planted bugs: caught {caught}/{len(wanted)}")
    return 0 if caught == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
