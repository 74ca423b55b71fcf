"""Whether nodes fail more often than is tolerated: a test that may be looked at after every node. Pure.

An e-process (rollout-science 1.3; Ville's inequality): the evidence is the mean, over alternatives q above the tolerated rate p0, of
the likelihood ratio of the outcomes under q and under p0. If the true rate is at most p0, the chance that it ever reaches 1 / alpha,
however often one looks, is at most alpha.
"""

import math
from functools import lru_cache

_GRID = 32
"""Alternatives, evenly spaced in their logarithm from 2 * p0 to 1: a rate ten times the tolerated one is found as fast as any."""


@lru_cache(maxsize=64)
def _grid(tolerated: float) -> tuple[tuple[float, float], ...]:
    """For each alternative: ln(q/p0) and ln((1-q)/(1-p0)); the last is minus infinity for q = 1."""
    low = min(2.0 * tolerated, (1.0 + tolerated) / 2.0)
    steps = (low ** (1.0 - index / (_GRID - 1)) for index in range(_GRID))
    return tuple(
        (math.log(q / tolerated), math.log((1.0 - q) / (1.0 - tolerated)) if q < 1.0 else -math.inf)
        for q in (min(step, 1.0) for step in steps)
    )


@lru_cache(maxsize=65_536)
def evidence(failed: int, tried: int, tolerated: float) -> float:
    """The e-value of `failed` failures among `tried` nodes; above 1 speaks against the tolerated rate.

    Nodes whose end is not known yet are tried and not failed: that can only make the evidence smaller than it will be when they have
    ended, so that failures which show sooner than successes (they do: a refused image takes a minute, a good one an hour) halt nothing
    that would not be halted in the end.

    Args:
        failed: failures, at most `tried`.
        tried: nodes that were started, in the order of admission.
        tolerated: p0, above 0 and below 1.
    """
    clean = tried - failed
    total = 0.0
    for failure, success in _grid(tolerated):
        exponent = failed * failure + (clean * success if clean else 0.0)
        total += math.exp(min(exponent, 700.0))
    return total / _GRID


def needed(confidence: float) -> float:
    """The evidence that halts: 1 / alpha, alpha = 1 - confidence."""
    return 1.0 / (1.0 - confidence)
