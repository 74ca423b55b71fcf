"""One seed, one history: letter for letter, moment for moment, whatever process it is and however it orders its sets."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from twin_rig import demo_scene

from fleet.twin.history import history
from fleet.twin.life import live

FAULTS = (
    "{name: busy, select: {fraction: 30%}, effect: http-503, first: 3, times: always},"
    "{name: slow, select: {fraction: 30%}, effect: bmc-slow, factor: 3, times: 1},"
    "{name: broken, select: {fraction: 20%}, effect: upload-broken, times: 1},"
    "{name: refuses, select: {fraction: 10%}, effect: update-fails, times: always}"
)
NODES = 12
HERE = Path(__file__).parent

TELL = f"""
import hashlib, pathlib, sys
from twin_rig import demo_scene
from test_twin_determinism import FAULTS
from fleet.twin.history import history
from fleet.twin.life import live
life = live(demo_scene(pathlib.Path(sys.argv[1]), {NODES}, FAULTS), 3)
print(hashlib.sha256("\\n".join(history(life.recorded)).encode()).hexdigest())
"""


def test_a_seed_gives_one_history_and_another_seed_another(tmp_path: Path) -> None:
    scene = demo_scene(tmp_path, NODES, FAULTS)
    lives = [live(scene, seed) for seed in (3, 3, 4)]
    told = [history(life.recorded) for life in lives]
    assert len(told[0]) > 20 * NODES
    assert told[0] == told[1]
    assert told[0] != told[2]
    assert lives[0].truth == lives[1].truth
    assert lives[0].starts == lives[1].starts


@pytest.mark.parametrize("order", ["1", "2"])
def test_another_process_tells_the_same(order: str, tmp_path: Path) -> None:
    here = history(live(demo_scene(tmp_path, NODES, FAULTS), 3).recorded)
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONHASHSEED": order, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [_digest(here)]


def _digest(lines: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
