"""The statistics of the pacing, measured: does the bound cover, does the test keep its size under peeking? Vectorised, seeded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from fleet.policy.etest import evidence, needed
from fleet.policy.evidence import SAME_SHARE
from fleet.policy.risk import Seen, upper_bound

_MOST_FAILURES = 40
"""More than a rollout of 1,024 nodes ever sees before it halts or ends at the rates that are tested."""
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often U is at least the true rate, exactly (summed over the binomial, no luck)."""

    nodes: int
    up_to: float
    worst: float
    """Over true rates up to `up_to`."""
    at: float
    """The rate at which it is."""
    mean: float
    """Over all true rates, each as likely as any: what a credible bound promises."""


def coverage(nodes: int, *, up_to: float) -> Coverage:
    """Of the product's U after so many nodes; coverage falls just below each value that U can take, so there it is looked at."""
    failed = np.arange(nodes + 1)
    bound = np.array([upper_bound(Seen(clean=nodes - k, failed=k)) for k in failed])
    rates = np.concatenate([bound - 1e-9, np.linspace(0.001, 0.999, 999)])
    rates = rates[(rates > 0) & (rates <= up_to)]
    covers = np.array([binom.pmf(failed[bound >= rate], nodes, rate).sum() for rate in rates])
    even = np.linspace(0.0005, 0.9995, 1000)
    mean = np.mean([binom.pmf(failed[bound >= rate], nodes, rate).sum() for rate in even])
    at = int(covers.argmin())
    return Coverage(nodes=nodes, up_to=up_to, worst=float(covers[at]), at=float(rates[at]), mean=float(mean))


@dataclass(frozen=True, slots=True, kw_only=True)
class Halts:
    """Share of the runs that halted."""

    rate: float
    """True failure rate."""
    looks: int
    """How many causes the failures have; 1: all alike."""
    runs: int
    evidence: float
    """By the test of all failures."""
    alike: float
    """By the test of the commonest signature."""
    either: float


def halts(
    rate: float,
    causes: Mapping[str, float],
    *,
    tolerated: float,
    confidence: float,
    runs: int,
    nodes: int = 1024,
    seed: int = 1,
) -> Halts:
    """Rollouts in which every node fails by itself with `rate`; looked at after every node, as the engine does.

    Args:
        rate: true failure rate.
        causes: what failures look like -> how often.
        tolerated: p0.
        confidence: of a halt, 1 - alpha.
        runs: how many rollouts.
        nodes: of each.
        seed: of the generator.
    """
    whole, same = _table(nodes, tolerated), _table(nodes, tolerated * SAME_SHARE)
    tried = np.arange(1, nodes + 1)[None, :]
    limit = needed(confidence)
    weights = np.array(list(causes.values()), dtype=float)
    random = np.random.default_rng(seed)
    counts = np.zeros(3)
    for _ in range(runs // _CHUNK):
        failed = random.random((_CHUNK, nodes)) < rate
        cause = np.zeros(failed.shape, dtype=int)
        cause[failed] = random.choice(len(weights), size=int(failed.sum()), p=weights / weights.sum())
        most = np.zeros(failed.shape, dtype=int)
        for index in range(len(weights)):
            np.maximum(most, (failed & (cause == index)).cumsum(1), out=most)
        by_all = (whole[np.minimum(failed.cumsum(1), _MOST_FAILURES), tried] >= limit).any(1)
        by_same = ((same[np.minimum(most, _MOST_FAILURES), tried] >= limit) & (most > 0)).any(1)
        counts += (by_all.sum(), by_same.sum(), (by_all | by_same).sum())
    shares = counts / (runs // _CHUNK * _CHUNK)
    return Halts(
        rate=rate,
        looks=len(weights),
        runs=runs // _CHUNK * _CHUNK,
        evidence=float(shares[0]),
        alike=float(shares[1]),
        either=float(shares[2]),
    )


@lru_cache
def _table(nodes: int, tolerated: float) -> np.ndarray:
    """The product's e-value of k failures among n nodes, by k and n."""
    return np.array(
        [
            [evidence(min(failed, tried), tried, tolerated) if tried else 1.0 for tried in range(nodes + 1)]
            for failed in range(_MOST_FAILURES + 1)
        ]
    )
