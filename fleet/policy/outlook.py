"""What a plan is likely to come to: many simulated rollouts under its own policy, put together. Pure; seeded by the caller.

The proof that `fleet plan` prints rests on it: makespan, nodes lost to a bad image, chance of a halt, most nodes out at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from fleet.policy.bounds import Job, Supply
from fleet.policy.forecast import Draw, Odds, Pacing, Run, draw, simulate
from fleet.policy.rules import Key

Number = TypeVar("Number", int, float)

RATES = (0.01, 0.05, 0.2, 1.0)
"""Failure rates for which the damage is told: nearly good, one box in twenty, one in five, all of them (rollout-science 1.6)."""
_WHOLE, _NOISY, _BAD = 12_500, 6_500, 20_000
"""Node runs for one rate: with no failures, with 1 %, with more. A halt comes early, so that bad bundles are cheap and good ones are not;
together they leave 10,000 nodes planned within two seconds (tests/bench/pacing_bench.py)."""
_LEAST, _MOST = 1, 20
"""Runs for one rate."""
_BEATS = 100
"""The policy is asked at most so many times in the mean time of a node: 0.2 % longer than at once, three times as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What a bundle does that fails on this share of the nodes."""

    rate: float
    failed_mean: float
    failed_p95: int
    halts: float
    """Share of the runs that halted."""
    runs: int

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        return {
            "rate": self.rate,
            "failed_mean": self.failed_mean,
            "failed_p95": self.failed_p95,
            "halts": self.halts,
            "runs": self.runs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All of it."""

    makespan_p50_s: float
    """Of runs in which nothing failed."""
    makespan_p95_s: float
    makespan_runs: int
    damage: tuple[Damage, ...]
    """One for each of RATES."""
    peak_in_flight: int
    peak_out: Mapping[Key, int]
    """Largest of all runs."""
    peak_watts: Mapping[Key, float]


PacingFor = Callable[[Draw], Pacing]
"""A fresh pacing for one course of events; of the draw it may know the estimates, not the outcome."""


def outlook(
    jobs: Sequence[Job],
    supply: Supply,
    pacing_for: PacingFor,
    *,
    seed: str,
    odds: Odds | None = None,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> Outlook:
    """Simulate the plan.

    Args:
        jobs: its nodes, with the seconds that are expected.
        supply: what they share.
        pacing_for: its policy.
        seed: the same seed gives the same outlook; of a plan, its digest.
        odds: assumptions about chance, its failure rate apart.
        told: called after each run with the number of runs done and of all.
    """
    base = odds or Odds()
    sizes = {rate: runs_for(len(jobs), rate) for rate in (0.0, *RATES)}
    runs: dict[float, list[Run]] = {rate: [] for rate in sizes}
    total = sum(sizes.values())
    beat_s = sum(job.seconds for job in jobs) / len(jobs) / _BEATS if jobs else 0.0
    for rate, count in sizes.items():
        for number in range(count):
            # Seeded by text: one more run of one rate changes no other run.
            random = Random(f"{seed} {rate} {number}")  # noqa: S311 (luck of a simulation, to be repeated)
            drawn = draw(jobs, replace(base, failure=rate), random)
            runs[rate].append(simulate(drawn, supply, pacing_for(drawn), beat_s=beat_s))
            told(sum(map(len, runs.values())), total)
    makespans = sorted(run.makespan_s for run in runs[0.0])
    every = [run for some in runs.values() for run in some]
    return Outlook(
        makespan_p50_s=quantile(makespans, 0.5),
        makespan_p95_s=quantile(makespans, 0.95),
        makespan_runs=len(makespans),
        damage=tuple(_damage(rate, runs[rate]) for rate in RATES),
        peak_in_flight=max(run.peak_in_flight for run in every),
        peak_out=_largest([run.peak_out for run in every]),
        peak_watts=_largest([run.peak_watts for run in every]),
    )


def runs_for(nodes: int, rate: float) -> int:
    """How many runs for a failure rate."""
    share = _BAD if rate > RATES[0] else _NOISY if rate else _WHOLE
    return max(_LEAST, min(_MOST, share // max(1, nodes)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the sorted values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _damage(rate: float, runs: Sequence[Run]) -> Damage:
    failed = sorted(run.failed for run in runs)
    return Damage(
        rate=rate,
        failed_mean=sum(failed) / len(failed),
        failed_p95=int(quantile(failed, 0.95)),
        halts=sum(1 for run in runs if run.halted) / len(runs),
        runs=len(runs),
    )


def _largest(peaks: Sequence[Mapping[Key, Number]]) -> dict[Key, Number]:
    found: dict[Key, Number] = {}
    for peak in peaks:
        for key, value in peak.items():
            found[key] = max(found.get(key, value), value)
    return found
