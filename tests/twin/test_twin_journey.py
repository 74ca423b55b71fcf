"""bring-up.yaml in a twin: every node ends as on a hall over the wire, and as the ground truth says."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from journey_rig import Journey
from soak.accepted import Goal, Judge
from soak.surrounds import Surrounds, rules_of
from support.journey import ENDS, FAULTS, ROLLED_BACK

from fleet.cli import demo, sim
from fleet.exits import Exit
from fleet.twin.clock import VirtualClock
from fleet.twin.figures import figures
from fleet.twin.life import Life, hall_of, live
from fleet.twin.steptimes import HELD
from inventory.load import load


@dataclass(frozen=True)
class Lived:
    """One life with one fault of each kind, and what judges it."""

    life: Life
    judge: Judge


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The nodes and faults of tests/wire/test_journey.py."""
    directory = tmp_path_factory.mktemp("journey")
    journey = Journey(directory, FAULTS)
    scene = journey.staged(*ENDS).scene
    sim.write_boxes(scene.nodes, directory / "boxes.json", inventory=load(journey.files.inventory))
    before = hall_of(scene, 0, VirtualClock(scene.start)).truth()
    place = directory / "place"
    place.mkdir()
    life = live(scene, 0, place=place)
    judge = Judge(
        goal=Goal.read(journey.files.baseline),
        book=rules_of(journey.faults),
        before=Surrounds(directory, before),
        after=Surrounds(directory, life.truth),
        exported=place / "nodes",
    )
    return Lived(life, judge)


def test_each_node_ends_as_its_fault_demands(lived: Lived) -> None:
    nodes = lived.life.state.nodes
    assert {name: node.reason for name, node in nodes.items()} == ENDS
    assert {name for name, node in nodes.items() if node.status == "rolled-back"} == ROLLED_BACK
    assert lived.life.exit == Exit.NODES_FAILED


def test_the_ends_are_those_of_the_ground_truth(lived: Lived) -> None:
    said = [f"{name}: {text}" for name, node in lived.life.state.nodes.items() for text in lived.judge.node(name, node)]
    assert said == []
    assert set(demo.judge(lived.life.truth).values()) == {0}
    assert {box["interrupted_posts"] for box in lived.life.truth["nodes"].values()} == {0}


def test_the_hours_of_the_steps_are_the_capacity_that_was_lost(lived: Lived) -> None:
    told = figures(lived.life)
    assert sum(told.step_h.values()) == pytest.approx(told.capacity_lost_h)
    # Two write an image for seven minutes and more on each of the accepted; a wrong cable is found in minutes and holds the node.
    accepted = sum(not reason for reason in ENDS.values())
    assert told.step_h["os.image 24.04"] > accepted * 420 / 3600
    assert told.step_h[HELD] > 2 * 0.5 * told.makespan_s / 3600


def test_nobody_but_those_who_are_cabled_wrongly_is_held_by_a_wrong_cable(lived: Lived) -> None:
    told = {name: node.message for name, node in lived.life.state.nodes.items() if node.reason == "wrong-cable"}
    assert set(told) == {"gpu0161", "gpu0162"}
    assert "leaf6-a:Ethernet2, the inventory says leaf6-a:Ethernet1" in told["gpu0161"]
    for name in told:
        assert lived.life.truth["nodes"][name]["submits"] == 0


def test_a_drain_waits_for_jobs_that_end_by_themselves(tmp_path: Path) -> None:
    journey = Journey(tmp_path)
    journey.declare_scheduler()
    longest_s = 7200.0
    life = live(journey.staged("gpu0001", "gpu0129", longest_job_s=longest_s).scene, 0)
    assert life.exit == Exit.OK
    drained_h = figures(life).step_h["node.drain"]
    assert 0 < drained_h < 2 * (longest_s + 60) / 3600
    done = {effect.partition(" ")[2] for effect in life.state.nodes["gpu0001"].effects}
    assert {"node.drain/drain", "node.undrain/resume"} <= done


def test_an_image_that_no_simulated_host_can_install_takes_as_long_as_it_would(tmp_path: Path) -> None:
    journey = Journey(tmp_path)
    small = live(journey.staged("gpu0001").scene, 0)
    journey.take_image_of(3_000_000_000)
    stage = journey.staged("gpu0001")
    large = live(stage.scene, 0)
    assert any(note.startswith("ubuntu-24.04.iso: not for a simulated host") for note in stage.notes)
    assert (small.exit, large.exit) == (Exit.OK, Exit.OK)
    took_h = [figures(life).step_h["os.image 24.04"] for life in (small, large)]
    streamed_h = 3_000_000_000 / 5_000_000 / 3600  # 5 MB/s (docs/hall.md)
    assert took_h[1] - took_h[0] == pytest.approx(streamed_h, abs=60 / 3600)


def test_what_a_rollout_would_stop_at_is_said_and_stops_no_rehearsal(tmp_path: Path) -> None:
    journey = Journey(tmp_path)
    inventory = journey.files.inventory
    inventory.write_text(inventory.read_text().replace("  # known_hosts: known_hosts ", "  known_hosts: known_hosts "))
    (tmp_path / "known_hosts").write_bytes(b"\xff\n")
    stage = journey.staged("gpu0001")
    assert any("`fleet plan` would end at once now" in note and "known_hosts" in note for note in stage.notes)
