"""One seed, one history: letter for letter, moment for moment, whatever process it is and however it orders its sets."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from journey_rig import Journey
from twin_rig import demo_scene

from fleet.twin.history import history
from fleet.twin.life import Scene, live

FAULTS = (
    "{name: busy, select: {fraction: 30%}, effect: http-503, first: 3, times: always},"
    "{name: slow, select: {fraction: 30%}, effect: bmc-slow, factor: 3, times: 1},"
    "{name: broken, select: {fraction: 20%}, effect: upload-broken, times: 1},"
    "{name: refuses, select: {fraction: 10%}, effect: update-fails, times: always}"
)
NODES = 12
HERE = Path(__file__).parent

TELL = """
import hashlib, pathlib, sys
from test_twin_determinism import SCENES
from fleet.twin.history import history
from fleet.twin.life import live
life = live(SCENES[sys.argv[2]](pathlib.Path(sys.argv[1])), 3)
print(hashlib.sha256("\\n".join(history(life.recorded)).encode()).hexdigest())
"""
JOURNEY_FAULTS = """
faults: some
rules:
  - {name: refuses, select: {node: "leaf5-*", fraction: 60%}, effect: commit-refused}
  - {name: lets-go, select: {node: "leaf1-*"}, effect: link-drops-in-commit}
  - {name: silent, select: {node: gpu0130}, effect: no-phone-home}
  - {name: device-refuses, select: {node: gpu0002}, effect: update-fails, times: always}
"""


def firmware(directory: Path) -> Scene:
    """Firmware alone, on the demo's nodes."""
    return demo_scene(directory, NODES, FAULTS)


def journey(directory: Path) -> Scene:
    """bring-up.yaml whole: shells, switches, an installer, and jobs that have to end."""
    files = Journey(directory, JOURNEY_FAULTS)
    files.declare_scheduler()
    return files.staged("gpu0001", "gpu0002", "gpu0129", "gpu0130", longest_job_s=3600.0).scene


SCENES = {"firmware": firmware, "journey": journey}


@pytest.mark.parametrize("kind", SCENES)
def test_a_seed_gives_one_history_and_another_seed_another(kind: str, tmp_path: Path) -> None:
    scene = SCENES[kind](tmp_path)
    lives = [live(scene, seed) for seed in (3, 3, 4)]
    told = [history(life.recorded) for life in lives]
    assert len(told[0]) > 20 * len(scene.nodes)
    assert told[0] == told[1]
    assert told[0] != told[2]
    assert lives[0].truth == lives[1].truth
    assert lives[0].starts == lives[1].starts


@pytest.mark.parametrize(("kind", "order"), [("firmware", "1"), ("journey", "2")])
def test_another_process_tells_the_same(kind: str, order: str, tmp_path: Path) -> None:
    here = history(live(SCENES[kind](tmp_path), 3).recorded)
    path = os.pathsep.join(filter(None, [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONHASHSEED": order, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(tmp_path), kind], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [_digest(here)]


def _digest(lines: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
