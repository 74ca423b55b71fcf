"""The short form of the simulation: seeds without a violation, one seed one history, and a few planted bugs that are caught."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.drawn import draw
from simulation.history import play
from simulation.planted import PLANTED, Bug, copied, hunted
from simulation.trial import tried

ROOT = Path(__file__).resolve().parents[2]
_SHORT = (
    "in-flight-off-by-one",
    "wave-forgotten",
    "intent-after-effect",
    "double-activation",
    "confirm-unread",
    "token-in-journal",
)
_SEEDS = 60
"""Within which each of these is caught."""


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_nothing_is_violated(first: int) -> None:
    found = {seed: tried(seed).violations for seed in range(first, first + 10)}
    assert not {seed: violations for seed, violations in found.items() if violations}


@pytest.mark.parametrize("seed", [5, 17])
def test_one_seed_is_one_history_in_every_process(seed: int) -> None:
    """Also where Python hashes texts otherwise: no order may come from a set."""
    command = [sys.executable, "-c", f"from simulation.trial import tried; print(tried({seed}).digest)"]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    for hashing in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hashing, "PYTHONPATH": paths}
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert said.stdout.strip() == play(draw(seed)).digest()


def test_two_seeds_are_two_histories() -> None:
    assert play(draw(5)).digest() != play(draw(6)).digest()


@pytest.mark.parametrize("bug", [bug for bug in PLANTED if bug.name in _SHORT], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    (hunt,) = hunted([bug], 1, ROOT, seeds=_SEEDS)
    assert hunt.seed is not None, hunt.violation


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_every_bug_still_fits_the_product(bug: Bug, tmp_path: Path) -> None:
    copied(bug, ROOT, tmp_path)
