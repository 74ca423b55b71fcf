"""How the screens look, kept as pictures: words, places and colours are compared, ids and fonts are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.rollout_builder import ROLLOUT, Story, begins, confirms, make_plan, opening
from cockpit_rig import LARGE, SMALL, cockpit, matches

from fleet import events as ev
from fleet.journal import Lease

SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x50"])


def busy() -> Story:
    """64 nodes in 16 racks, in the third of four waves, with one of everything."""
    told = Story(opening(make_plan(64, waves=(1, 8, 32, 64), budget=4, cap=12)))
    told.tell(ev.WaveOpened(wave=0, nodes=1), *confirms("gpu0001"))
    told.after(900).tell(ev.WaveOpened(wave=1, nodes=7))
    for number in range(2, 9):
        told.after(30).tell(*confirms(f"gpu{number:04}", 1))
    told.tell(ev.WaveOpened(wave=2, nodes=24))
    for number in range(9, 20):
        told.after(20).tell(*confirms(f"gpu{number:04}", 2))
    for number in range(20, 27):
        told.after(5).tell(*begins(f"gpu{number:04}", 2))
    told.tell(
        *begins("gpu0027", 2)[:3], ev.NodeUncertain(node="gpu0027", effect="1 firmware.update bmc/submit", why="x")
    )
    told.tell(*begins("gpu0028", 2), ev.NodeQuarantined(node="gpu0028", reason="bmc-gone", message="silent for 30 min"))
    told.tell(*begins("gpu0029", 2), ev.NodeRollingBack(node="gpu0029", reason="update-failed", message="wrong slot"))
    told.tell(*begins("gpu0030", 2), ev.NodeParked(node="gpu0030", why="the window closes"))
    return told


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "journal.db"
    busy().write(path)
    with Lease(path, ROLLOUT):
        yield path


def name(screen: str, size: tuple[int, int]) -> str:
    return f"{screen}-{size[0]}x{size[1]}"


@SIZES
async def test_the_hall(run: Path, size: tuple[int, int]) -> None:
    async with cockpit(run, size, at=busy().at) as rig:
        await matches(rig, name("hall", size))


@SIZES
async def test_a_replay(run: Path, size: tuple[int, int]) -> None:
    async with cockpit(run, size, replay_speed=60.0) as rig:
        await rig.press("space")
        for _ in range(35):
            await rig.press("full_stop")
        await rig.beat()
        await matches(rig, name("replay", size))


@SIZES
async def test_a_node(run: Path, size: tuple[int, int]) -> None:
    async with cockpit(run, size, at=busy().at) as rig:
        await rig.press("n", "n", "enter")
        await rig.sees("QUARANTINED")
        await matches(rig, name("node", size))


@SIZES
async def test_a_dialog(run: Path, size: tuple[int, int]) -> None:
    async with cockpit(run, size, at=busy().at) as rig:
        await rig.press("A")
        await rig.sees("This is final")
        await rig.beat()  # the dialog may come before the panels behind it
        await matches(rig, name("abort", size))
