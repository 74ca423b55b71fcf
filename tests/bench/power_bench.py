"""`make bench`, its part on power: simulated hours of burn-in below a row's breaker, by the product's ledger and by other ways.

python tests/bench/power_bench.py --hours 1000
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from bench_table import table
from power_site import IDLE_W, MIX, NODES, ROW_W, SEGMENT_S, STEP_S, Site
from power_ways import HEADROOM, ByLedger, ByMeasurement, ByNameplate, Way

LIMIT_S = 48 * 3_600.0
"""A burn-in that takes longer hangs."""
WAYS: Mapping[str, Callable[[], Way]] = {
    "on measured power only": ByMeasurement,
    "static nameplate": ByNameplate,
    "ledger (fleet.policy.power)": ByLedger,
}


@dataclass(slots=True)
class Burnin:
    """One burn-in of the whole row."""

    site: Site
    way: Way
    crashes: float
    """Of the controller, per hour."""
    left: list[list[str]] = field(init=False)
    since: list[float] = field(init=False)
    journal: dict[int, str] = field(default_factory=dict)
    """Node -> stage that was reserved for it, and not seen to be over."""
    lost: set[int] = field(default_factory=set)
    """Nodes whose load outlived the controller that began it: nobody saw how it went, so that it is done again."""
    useful_j: float = 0.0
    """Above idling, by the segments that count: what was done twice is no excuse."""
    shed: int = 0
    crashed: int = 0

    def __post_init__(self) -> None:
        # Everybody has the same tests and begins with another one, so that hungry and modest ones run side by side.
        self.left = [[MIX[(node + at) % len(MIX)] for at in range(len(MIX))] for node in range(NODES)]
        self.since = [0.0] * NODES

    def run(self) -> float:
        """To its end; seconds that it took."""
        now, back = 0.0, 0.0
        while any(self.left) or self.journal:
            self.site.advance(now)
            self._end(now)
            if now >= back and self.site.chance.random() < self.crashes * STEP_S / 3_600:
                self.crashed += 1
                self.lost = set(self.journal)
                back = now + self.site.chance.uniform(30, 300)
            if now >= back:
                if back:
                    self.way.crashed(self.journal, now)
                    back = 0.0
                self._control(now)
            now += STEP_S
            if now > LIMIT_S:
                raise SystemExit(f"seed {self.site.seed}: not done after {LIMIT_S / 3600:.0f} h")
        return now

    def _end(self, now: float) -> None:
        """Loads end by themselves, whoever looks."""
        for node in [node for node, load in self.site.loads.items() if load.ends <= now]:
            del self.site.loads[node]

    def _control(self, now: float) -> None:
        """One step of a controller that lives."""
        for node in [node for node in self.journal if node not in self.site.loads]:
            self._over(node, now, again=node in self.lost)
        for node in self.way.told(list(self.site.meters(now)), now):
            if self.site.loads.pop(node, None) is not None:
                self.shed += 1
                self._over(node, now, again=True)
        wanted = {
            node: (self.left[node][0], self.since[node], len(self.left[node]))
            for node in range(NODES)
            if self.left[node] and node not in self.journal
        }
        for node in self.way.admitted(wanted, now):
            self.journal[node] = self.left[node].pop(0)
            self.site.start(node, self.journal[node], now)

    def _over(self, node: int, now: float, *, again: bool) -> None:
        stage = self.journal.pop(node)
        self.lost.discard(node)
        self.since[node] = now
        if again:
            self.left[node].insert(0, stage)
        else:
            self.useful_j += self.site.spent_j[node]
        self.way.ended(node, stage, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one burn-in."""

    hours: float
    over_s: float
    worst_rack: float
    worst_row: float
    bound: float
    """Makespan by the energy lower bound."""
    shed: int
    crashed: int


def burnin(way: str, seed: int, faulty: float, crashes: float) -> Outcome:
    """One of them, from its seed."""
    site = Site(seed=seed, faulty=faulty)
    run = Burnin(site=site, way=WAYS[way](), crashes=crashes)
    took_s = run.run()
    bound_s = max(run.useful_j / (HEADROOM * ROW_W - NODES * IDLE_W), len(MIX) * SEGMENT_S)
    return Outcome(
        hours=took_s / 3_600,
        over_s=site.over_s,
        worst_rack=site.worst_rack,
        worst_row=site.worst_row,
        bound=took_s / bound_s,
        shed=run.shed,
        crashed=run.crashed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Many burn-ins, one after the other."""

    way: str
    faulty: float
    crashes: float
    hours: float
    outcomes: tuple[Outcome, ...]

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        runs = self.outcomes
        conditions = f"{self.faulty:g}/h, {self.crashes:g}/h" if self.faulty else "none"
        return (
            self.way,
            conditions,
            f"{self.hours:.0f}",
            f"{sum(run.over_s for run in runs):.0f}",
            f"{max(run.worst_rack for run in runs):.2f}",
            f"{max(run.worst_row for run in runs):.2f}",
            f"{sum(run.hours for run in runs) / len(runs):.2f}",
            f"{sum(run.bound for run in runs) / len(runs):.2f}",
            str(sum(run.shed for run in runs)),
            str(sum(run.crashed for run in runs)),
        )


HEAD = (
    "admission", "faults a meter, crashes", "hours", "overload s", "worst rack", "worst row", "burn-in h", "/ LB_P",
    "ended early", "crashes",
)  # fmt: skip


def many(way: str, hours: float, *, faulty: float, crashes: float, workers: int) -> Row:
    """Burn-ins of that many simulated hours altogether."""
    done: list[Outcome] = []
    seed = 0
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        while sum(run.hours for run in done) < hours:
            size = max(workers, int((hours - sum(run.hours for run in done)) / 4))
            batch = range(seed, seed + min(size, 32 * workers))
            seed = batch.stop
            args = zip(*((way, each, faulty, crashes) for each in batch), strict=True)
            done += pool.map(burnin, *args, chunksize=4)
    return Row(way=way, faulty=faulty, crashes=crashes, hours=sum(run.hours for run in done), outcomes=tuple(done))


def power_rows(hours: float = 1_000, *, workers: int = 0) -> list[str]:
    """The table as lines, with what it took: for `bench.py`. The other ways get a tenth of the hours: they show what they do at once."""
    began, cores = time.perf_counter(), workers or len(os.sched_getaffinity(0))
    rows = [
        *(many(way, hours / 10, faulty=0, crashes=0, workers=cores) for way in WAYS),
        many("ledger (fleet.policy.power)", hours, faulty=0.25, crashes=0.5, workers=cores),
    ]
    peak_mib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    lines = table([HEAD, *(row.cells() for row in rows)])
    took = f"{cores} cores, {time.perf_counter() - began:.0f} s, at most {peak_mib:.0f} MiB a process"
    return [*lines, "", f"simulated, {NODES} nodes, row {ROW_W // 1000} kW, {len(MIX)} segments of 15 min; {took}"]


def main() -> int:
    """Simulate and print; 1 if the ledger overloaded anything."""
    parser = argparse.ArgumentParser(prog="power_bench.py", description=__doc__)
    parser.add_argument("--hours", type=float, default=1_000, help="simulated, with faults and crashes")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one a core")
    options = parser.parse_args()
    lines = power_rows(options.hours, workers=options.workers)
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
