"""In which order nodes are admitted, by how long each is expected to take. Pure.

Longest first fills the slots best (rollout-science 1.2), but not while a risk budget holds most of them shut: there every success opens
slots for the next, so that short nodes first open them soonest. Simulated for 1,024 nodes (tests/bench/pacing_bench.py), longest first
from the beginning takes 1.8 times as long.
"""

from collections.abc import Mapping, Sequence


def by_duration(order: Sequence[str], expected_s: Mapping[str, float], *, ramp: int) -> tuple[str, ...]:
    """The shortest `ramp` nodes first, from short to long; then the others from long to short. Equals keep their order.

    Args:
        order: nodes, so that neighbours fail independently (fleet.planning.spread).
        expected_s: node -> seconds that it will take, as far as that is known.
        ramp: nodes that must succeed before all slots are open (`ramp_nodes`).
    """
    short = sorted(order, key=lambda node: expected_s[node])
    first, rest = short[:ramp], set(short[ramp:])
    later = sorted((node for node in order if node in rest), key=lambda node: -expected_s[node])
    return (*first, *later)


def ramp_nodes(slots: int, risk: int) -> int:
    """Clean nodes after which a risk budget no longer holds any slot shut: U is about 3/n, so that b/U = C at n = 3C/b."""
    return -(-3 * slots // risk) if risk else 0
