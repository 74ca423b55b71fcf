"""The statistics are tested as statistics: coverage of U exactly, size of the e-process in 10,000 rollouts under constant peeking."""

import pytest
from support.pacing_statistics import coverage, halts

from fleet.policy.forecast import AMBIENT, BAD_BUNDLE

TOLERATED, CONFIDENCE = 0.01, 0.99
ALPHA = 0.01
RUNS = 10_000
LUCK = 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5
"""Three standard deviations of the share of 10,000 runs that halt with probability alpha."""


@pytest.mark.parametrize("nodes", [1, 5, 10, 30, 59, 300])
def test_the_bound_covers_as_a_credible_bound_and_nearly_so_at_the_rates_that_matter(nodes: int) -> None:
    found = coverage(nodes, up_to=0.10)
    assert found.mean >= 0.95 - 1e-3, found
    # A credible bound promises 95 % on average over rates, not at each of them: at its worst below 10 % it keeps 94.6 %.
    assert found.worst >= 0.945, found


def test_rollouts_at_the_tolerated_rate_are_halted_less_often_than_alpha_however_often_one_looks() -> None:
    found = halts(TOLERATED, AMBIENT, tolerated=TOLERATED, confidence=CONFIDENCE, runs=RUNS)
    assert found.evidence <= ALPHA + LUCK
    assert found.either <= ALPHA + LUCK


def test_failures_that_are_alike_are_held_to_half_the_rate() -> None:
    half = halts(TOLERATED / 2, BAD_BUNDLE, tolerated=TOLERATED, confidence=CONFIDENCE, runs=RUNS)
    assert half.alike <= ALPHA + LUCK
    whole = halts(TOLERATED, BAD_BUNDLE, tolerated=TOLERATED, confidence=CONFIDENCE, runs=2000)
    assert whole.alike > 5 * whole.evidence


def test_a_bad_bundle_is_found() -> None:
    assert halts(0.05, BAD_BUNDLE, tolerated=TOLERATED, confidence=CONFIDENCE, runs=1000).either > 0.999
