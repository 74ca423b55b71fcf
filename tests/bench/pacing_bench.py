"""Ways of pacing a rollout, one table: how long, what a bad bundle breaks, how often a good one is halted. Simulated, seeded.

Run: python tests/bench/pacing_bench.py --seeds 100 [--json FILE]. `make bench` prints the same. The setting is rollout-science 1.2: 1,024
nodes in 64 racks, 128 slots, 4 of a rack at once, a 20 GB image over 100 Gb/s. Ours is the product's own code (fleet.policy.paced).
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from pacing_rivals import Barrier, Flood
from pacing_targets import Target, judged, measured_statistics, planning
from pacing_text import render
from support.pacing_statistics import Coverage, Halts

from fleet.policy.bounds import Job, Supply, bounds
from fleet.policy.forecast import AMBIENT, BAD_BUNDLE, Draw, Odds, Pacing, draw, simulate
from fleet.policy.outlook import quantile
from fleet.policy.paced import Paced
from fleet.policy.rules import Domains, Rules
from fleet.policy.sequence import by_duration, ramp_nodes
from fleet.policy.spec import RISK, RolloutSpec, resolve

NODES, RACKS, SLOTS, RACK_CAP = 1024, 64, 128, 4
MEAN_S = 1824.0
"""With 2 % stragglers 31.3 min on average, as in rollout-science 1.2 (LB of the slots 250.6 min)."""
IMAGE_BYTES, LINE_BYTES_PER_S = 20e9, 12.5e9
BAKE_S = 3600
RATES = (0.0, 0.002, 0.01, 0.05, 0.2, 1.0)
OURS = "Fleetwave"
LONGEST = "Fleetwave, longest first from the start"
BLIND = "Fleetwave, no node's duration known"
BAKED = "Fleetwave, bake 60 min"
_CHUNK = 25
"""Seeds of one task of the pool."""
_STATISTICS_RUNS = 1000
"""So many times more runs of the bare test, which are cheap."""
_HALT_TIMES = 10
"""So many times more seeds for the false halts: a rate below 1 % does not show in 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Some seeds of one policy under one failure rate."""

    policy: str
    rate: float
    alike: str = ""
    """Non-empty: all failures look the same, whatever the rate. Else those of up to 1 % have the field's causes."""
    latent: str = ""
    """Non-empty: failures show after a node is back in service, 60 min later on average."""
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run."""

    makespan_s: float
    bound_s: float
    """LB of what really came."""
    safe_s: float
    """LB_safe of the same."""
    failed: int
    halted: str
    seconds: float
    """Of CPU, for the simulation of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy under one failure rate."""

    policy: str
    rate: float
    variant: str
    runs: int
    makespan_min: float
    """Mean; of runs that halted too, so only good for rates at which none does."""
    ratio: float
    """Makespan over LB, mean."""
    ratio_p95: float
    safe_ratio: float
    """Makespan over LB_safe, mean."""
    safe_ratio_p95: float
    failed_mean: float
    failed_p95: int
    halts: int
    run_s: float
    """Seconds of CPU for the simulation of one run, mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingFigures:
    """All of it."""

    seeds: int
    cores: int
    wall_s: float
    peak_rss_mib: float
    """Of the largest process."""
    rows: tuple[Row, ...]
    coverage: tuple[Coverage, ...]
    halts: tuple[Halts, ...]
    targets: tuple[Target, ...]


def setting() -> tuple[list[Job], Supply]:
    """The nodes, in the plan's order: neighbours stand in different racks."""
    jobs = [
        Job(node=f"n{n:04}", seconds=MEAN_S, domains=(("rack", f"r{n % RACKS:02}"),), image_bytes=IMAGE_BYTES)
        for n in range(NODES)
    ]
    caps = {("rack", f"r{rack:02}"): RACK_CAP for rack in range(RACKS)}
    supply = Supply(slots=SLOTS, caps=caps, server_bytes_per_s=LINE_BYTES_PER_S, node_bytes_per_s=LINE_BYTES_PER_S)
    return jobs, supply


def _rules(order: Sequence[str], jobs: Sequence[Job], bake_s: int = 0) -> Rules:
    racks: dict[str, int] = {}
    for job in jobs:
        racks[job.domains[0][1]] = racks.get(job.domains[0][1], 0) + 1
    spec = RolloutSpec(max_in_flight=SLOTS, rack=RACK_CAP, bake_s=bake_s)
    caps = resolve(spec, len(jobs), {"rack": racks})
    return Rules(order=tuple(order), domains={job.node: Domains(job.domains[0][1], ()) for job in jobs}, caps=caps)


def _by_estimate(drawn: Draw) -> tuple[str, ...]:
    return by_duration(tuple(drawn.jobs), drawn.estimates, ramp=ramp_nodes(SLOTS, RISK))


def _longest(drawn: Draw) -> list[str]:
    return sorted(drawn.jobs, key=lambda node: -drawn.estimates[node])


POLICIES: dict[str, Callable[[Draw, list[Job]], Pacing]] = {
    OURS: lambda drawn, jobs: Paced(_rules(_by_estimate(drawn), jobs)),
    BLIND: lambda drawn, jobs: Paced(_rules(tuple(drawn.jobs), jobs)),
    LONGEST: lambda drawn, jobs: Paced(_rules(_longest(drawn), jobs)),
    "serial: 10%, max_fail_percentage: 10": lambda drawn, _: Barrier(list(drawn.jobs), [NODES // 10], 0.1),
    "waves 1, 4, 16, 64, 128 ..., 5 % each": lambda drawn, _: Barrier(list(drawn.jobs), [1, 4, 16, 64, SLOTS], 0.05),
    "all slots, longest first, never halts": lambda drawn, _: Flood(_longest(drawn), SLOTS),
    "all at once": lambda drawn, _: Flood(list(drawn.jobs), NODES),
    BAKED: lambda drawn, jobs: Paced(_rules(_by_estimate(drawn), jobs, BAKE_S)),
}


def carried_out(task: Task) -> list[Result]:
    """Every seed of a task. The same seed gives every policy the same nodes."""
    jobs, supply = setting()
    causes = BAD_BUNDLE if task.alike or task.rate > 0.01 else AMBIENT
    odds = Odds(failure=task.rate, causes=causes, latent_share=1.0 if task.latent else 0.0, lag_s=BAKE_S)
    found = []
    for seed in range(task.first, task.first + task.count):
        drawn = draw(jobs, odds, Random(seed))  # noqa: S311 (luck, to be repeated)
        pacing = POLICIES[task.policy](drawn, jobs)
        begin = time.process_time()
        run = simulate(drawn, supply, pacing)
        seconds = time.process_time() - begin
        least = bounds(drawn.lived(), supply, risk=RISK)
        found.append(
            Result(
                makespan_s=run.makespan_s,
                bound_s=least.seconds,
                safe_s=least.risk_model_s,
                failed=run.failed,
                halted=run.halted,
                seconds=seconds,
            )
        )
    return found


def _tasks(seeds: int) -> list[Task]:
    several = [(policy, rate) for policy in POLICIES if policy != BAKED for rate in RATES]
    found = [Task(policy=policy, rate=rate, first=0, count=seeds) for policy, rate in several]
    found += [Task(policy=OURS, rate=0.01, alike="alike", first=0, count=seeds)]
    found += [
        Task(policy=policy, rate=rate, latent="latent", first=0, count=max(1, seeds // 4))
        for policy in (OURS, BAKED)
        for rate in (0.05, 0.2, 1.0)
    ]
    found += [Task(policy=BAKED, rate=0.0, latent="latent", first=0, count=max(1, seeds // 4))]
    found += [Task(policy=BLIND, rate=0.01, first=seeds, count=(_HALT_TIMES - 1) * seeds)]
    found += [Task(policy=OURS, rate=0.01, first=seeds, count=(_HALT_TIMES - 1) * seeds)]
    return found


def _chunks(task: Task) -> list[Task]:
    end = task.first + task.count
    return [
        Task(
            policy=task.policy,
            rate=task.rate,
            alike=task.alike,
            latent=task.latent,
            first=first,
            count=min(_CHUNK, end - first),
        )
        for first in range(task.first, end, _CHUNK)
    ]


def bench_pacing(seeds: int, cores: int) -> PacingFigures:
    """Everything, on so many processes."""
    begin = time.monotonic()
    tasks = [chunk for task in _tasks(seeds) for chunk in _chunks(task)]
    found: dict[tuple[str, float, str], list[Result]] = {}
    with ProcessPoolExecutor(max_workers=cores) as pool:
        for task, results in zip(tasks, pool.map(carried_out, tasks), strict=True):
            found.setdefault((task.policy, task.rate, task.alike or task.latent), []).extend(results)
    rows = row_of_each(found)
    targets = judged(rows, planning())
    covers, sizes = measured_statistics(_STATISTICS_RUNS * seeds)
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return PacingFigures(
        seeds=seeds,
        cores=cores,
        wall_s=time.monotonic() - begin,
        peak_rss_mib=max(usage) / 1024,
        rows=rows,
        coverage=covers,
        halts=sizes,
        targets=targets,
    )


def row_of_each(found: Mapping[tuple[str, float, str], Sequence[Result]]) -> tuple[Row, ...]:
    """One row for each (policy, rate, variant)."""
    return tuple(_row(policy, rate, variant, results) for (policy, rate, variant), results in found.items())


def _row(policy: str, rate: float, variant: str, results: Sequence[Result]) -> Row:
    ratios = sorted(each.makespan_s / each.bound_s for each in results)
    safe = sorted(each.makespan_s / each.safe_s for each in results)
    failed = sorted(each.failed for each in results)
    size = len(results)
    return Row(
        policy=policy,
        rate=rate,
        variant=variant,
        runs=size,
        makespan_min=sum(each.makespan_s for each in results) / size / 60,
        ratio=sum(ratios) / size,
        ratio_p95=quantile(ratios, 0.95),
        safe_ratio=sum(safe) / size,
        safe_ratio_p95=quantile(safe, 0.95),
        failed_mean=sum(failed) / size,
        failed_p95=int(quantile(failed, 0.95)),
        halts=sum(1 for each in results if each.halted),
        run_s=sum(each.seconds for each in results) / size,
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="pacing_bench.py", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", dest="json_file", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    figures = bench_pacing(options.seeds, options.cores)
    print(render(figures))  # noqa: T201
    if options.json_file is not None:
        options.json_file.write_text(json.dumps(asdict(figures), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
