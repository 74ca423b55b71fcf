"""Bugs that are planted on purpose, to show that the checks can fail.

Each replaces a few lines of the product in a copy of its packages; the copy then lives through seeds in a process of its own until
one fails. A replacement that no longer fits the product is an error: the bug would be planted nowhere.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from simulation.bug import Bug
from simulation.bugs import PLANTED

__all__ = ["MOST", "PLANTED", "Bug", "Hunt", "copied", "hunted"]

MOST = 300
"""Seeds within which a bug must be caught."""
_PACKAGES = ("fleet", "inventory", "playbooks", "tui")


class Misfit(Exception):
    """A replacement does not fit the product any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """What became of one bug."""

    bug: Bug
    seed: int | None
    """That caught it."""
    violation: str


def hunted(bugs: Sequence[Bug], jobs: int, root: Path, seeds: int = MOST) -> Iterator[Hunt]:
    """Each bug, in order; `jobs` at once."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(partial(_hunt, root=root, seeds=seeds), bugs)


def _hunt(bug: Bug, *, root: Path, seeds: int) -> Hunt:
    with TemporaryDirectory(prefix="fleetwave-planted-") as place:
        copied(bug, root, Path(place))
        command = [sys.executable, str(root / "tests/simulation/run.py"), "--brief", "--seeds", str(seeds)]
        command += ["--first", str(bug.first)]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": place}, capture_output=True, text=True, check=False, cwd=place
        )
    if done.returncode == 1 and done.stdout:
        seed, _, text = done.stdout.strip().partition(" ")
        return Hunt(bug=bug, seed=int(seed), violation=text)
    return Hunt(
        bug=bug, seed=None, violation=(done.stderr.strip().splitlines() or [f"{seeds} seeds found nothing"])[-1]
    )


def copied(bug: Bug, root: Path, place: Path) -> None:
    """The packages of the product in `place`, with the bug. Raises Misfit."""
    for package in _PACKAGES:
        shutil.copytree(root / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in bug.edits:
        path = place / edit.path
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise Misfit(f"bug {bug.name}: {edit.path} holds {text.count(edit.old)} times: {edit.old.strip()[:80]}")
        path.write_text(text.replace(edit.old, edit.new))
