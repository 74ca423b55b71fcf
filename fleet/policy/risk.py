"""How many nodes of one kind may be at risk at once, given what was seen of them. Pure.

Risk-budgeted pacing (rollout-science 1.3): with `U` the 95 % upper confidence bound of the probability that a node fails, at most
`b / U` nodes may be exposed, where `b` is how many nodes may be broken at once. After n clean nodes U is about 3 / (n + 1), so that the
number in flight grows by itself as evidence comes in, without waves and without barriers.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

CREDIBLE = 0.95
"""Of the bound U (rollout-science 1.3)."""
PSEUDO_NODES = 5.0
"""What the rest of the fleet says of a stratum that is new counts as so many nodes (kappa, rollout-science 1.3)."""
_ROUND = 0.25
"""Aged evidence is rounded down to this fraction of a node: the bound changes by less than anybody could act on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What nodes have shown: `failed` of them failed, `clean` did not. Aged evidence counts in fractions (rollout-science 1.4)."""

    clean: float = 0.0
    failed: float = 0.0


@lru_cache(maxsize=65_536)
def _quantile(a: float, b: float) -> float:
    from scipy.special import betaincinv  # noqa: PLC0415 (numpy and scipy take 0.2 s to import; `fleet --help` needs neither)

    return float(betaincinv(a, b, CREDIBLE))


def upper_bound(own: Seen, fleet: Seen | None = None) -> float:
    """U: with probability 0.95 a node of this kind fails less often than this, 0 to 1.

    It is the quantile of Beta(1 + failed, clean), Clopper and Pearson's bound, 1 - 0.05^(1/n) for n clean nodes: unlike that of
    Beta(1 + failed, 1 + clean) it covers the true rate at least 95 times in a hundred, whatever that rate is. Where other strata have
    shown something, that counts as PSEUDO_NODES nodes more, in the fleet's proportion. Unlike rollout-science 1.3, which puts kappa*m
    and kappa*(1 - m) in place of the ones: with a clean fleet that makes U less than 1 % before the stratum has shown anything, and the
    second box of a new kind would be a hundred nodes.

    Args:
        own: of this stratum.
        fleet: of all others; None or nothing seen: they say nothing.
    """
    a, b = 1.0 + own.failed, own.clean
    if fleet is not None and fleet.clean + fleet.failed > 0:
        mean = (1.0 + fleet.failed) / (2.0 + fleet.clean + fleet.failed)
        a, b = a + PSEUDO_NODES * mean, b + PSEUDO_NODES * (1.0 - mean)
    b = math.floor(b / _ROUND) * _ROUND
    return _quantile(round(a, 3), b) if b > 0 else 1.0


def allowed(risk: int, bound: float) -> int:
    """Nodes of one kind that may be exposed at once: at least `risk`, as the bound is at most 1."""
    return math.floor(risk / bound) if bound > 0 else 1 << 30


def rounds(nodes: int, at_once: int, risk: int) -> float:
    """How many node durations a healthy rollout takes: the ramp, and then `at_once` at a time (LB_safe / D, rollout-science 1.2)."""
    widest = 3.0 * at_once / risk
    ramp = math.log(widest + 1.0) / math.log(1.0 + risk / 3.0)
    return min(float(nodes), ramp + max(0.0, nodes - widest) / at_once)
