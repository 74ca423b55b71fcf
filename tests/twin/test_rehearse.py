"""`fleet rehearse`, as people run it."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from journey_rig import Journey
from support.command import FLEET, Ran, run
from twin_rig import scene_of

from fleet.cli import compose, demo
from fleet.clock import SystemClock
from fleet.errors import Reason
from fleet.exits import Exit
from fleet.journal import SqliteJournal
from fleet.step import StepSpec
from fleet.twin.life import Life, live

NODES = 6


class Site:
    """The demo's files, and a fault file."""

    def __init__(self, directory: Path, rules: str = "") -> None:
        self.directory = directory
        self.playbook = demo.write_demo(directory, NODES, budget="100%", pace=demo.IN_WAVES)
        self.inventory = directory / "inventory.yaml"
        self.faults = directory / "faults.yaml"
        self.faults.write_text(f"faults: test\nrules: [{rules}]\n")

    def rehearse(self, *options: str) -> Ran:
        """Once, with the site's faults; options come last and win."""
        given = ["-i", str(self.inventory), "--faults", str(self.faults), "--seeds", "1"]
        return run([str(FLEET), "rehearse", str(self.playbook), *given, *options])

    def told(self, *options: str) -> dict[str, Any]:
        """The document on stdout."""
        found: dict[str, Any] = json.loads(self.rehearse("--json", *options).out)
        return found

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert text.count(old) == 1, text
        path.write_text(text.replace(old, new))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_good_hall_loses_nothing(site: Site) -> None:
    ran = site.rehearse("--seeds", "2")
    assert ran.code == Exit.OK, ran.err
    assert "nodes lost" in ran.out
    assert "halted: 0 of 2 seeds" in ran.out
    assert "seed 1:" in ran.err
    assert "baseline's `previous`" in ran.err


def test_the_document_has_every_life(site: Site) -> None:
    told = site.told("--seeds", "2", "--first-seed", "5")
    assert told["seeds"] == [5, 6]
    assert (told["nodes"], told["lost"], told["halts"]) == (NODES, {"p50": 0, "p95": 0}, {})
    for life in told["lives"]:
        assert life["nodes"] == {"confirmed": NODES}
        # A flash, a restart and a POST of at least five minutes on each of them, one after the other.
        assert 3600 < life["makespan_s"] < 24 * 3600
        assert 0 < life["capacity_lost_h"] < NODES * life["makespan_s"] / 3600
    makespans = sorted(life["makespan_s"] for life in told["lives"])
    assert makespans[0] <= told["makespan_s"]["p50"] <= told["makespan_s"]["p95"] <= makespans[1]


def test_the_same_seed_says_the_same(site: Site) -> None:
    assert site.rehearse("--json").out == site.rehearse("--json").out


def test_failures_are_counted_by_reason(tmp_path: Path) -> None:
    site = Site(tmp_path, "{name: no, select: {node: gpu0002}, effect: update-fails, times: always}")
    ran = site.rehearse("--json")
    assert ran.code == Exit.NODES_FAILED
    told = json.loads(ran.out)
    assert told["lost"]["p50"] == 1
    assert told["lives"][0]["reasons"] == {"rolled-back: update-failed": 1}


def test_a_bad_image_halts_and_says_why(tmp_path: Path) -> None:
    site = Site(tmp_path, '{name: bad, select: {package_version: "24.09.17"}, effect: bad-image, times: always}')
    ran = site.rehearse("--json")
    assert ran.code == Exit.HALTED
    told = json.loads(ran.out)
    ((why, count),) = told["halts"].items()
    assert why.startswith("canary: ")
    assert count == 1
    assert told["unstarted"]["p50"] == NODES - 1
    assert why in ran.err


def test_a_window_that_is_too_short_is_a_halt_unless_it_is_waited_for(site: Site) -> None:
    window = "rollout:\n  window: {days: [sat], start: '22:00', length: 3h, tz: Europe/Berlin, until: 2026-01-31}\n"
    site.edit(site.playbook, "rollout:\n", window)
    ran = site.rehearse("--json")
    assert ran.code == Exit.WINDOW_CLOSED
    told = json.loads(ran.out)
    assert next(iter(told["halts"])).startswith("window: ")
    assert 0 < told["unstarted"]["p50"] < NODES
    waited = site.told("--wait-for-window")
    assert waited["lives"][0]["nodes"] == {"confirmed": NODES}
    assert waited["makespan_s"]["p50"] > 6 * 86_400


def test_a_window_into_which_nothing_fits_is_refused(site: Site) -> None:
    site.edit(site.playbook, "rollout:\n", "rollout:\n  window: {start: '22:00', length: 30m, tz: UTC}\n")
    ran = site.rehearse()
    assert ran.code == Exit.REFUSED
    assert "without a stop, and no window is that long" in ran.err


def test_a_drain_without_a_scheduler_takes_no_time_and_an_export_leaves_nothing(site: Site) -> None:
    site.edit(site.playbook, "steps:\n", "steps:\n  - node.drain\n  - inventory.export: {to: json}\n")
    before = sorted(site.directory.rglob("*"))
    ran = site.rehearse()
    assert ran.code == Exit.OK, ran.err
    assert "not rehearsed" not in ran.err
    assert "a drain takes no time" in ran.err
    assert sorted(site.directory.rglob("*")) == before


def test_a_model_without_a_box_is_refused(site: Site) -> None:
    site.inventory.write_text(site.inventory.read_text().replace("DGXH100", "DGXZ9"))
    site.edit(site.playbook, "model: DGXH100", "model: DGXZ9")
    (site.directory / "baseline.yaml").write_text(
        (site.directory / "baseline.yaml").read_text().replace("DGXH100", "DGXZ9")
    )
    ran = site.rehearse()
    assert ran.code == Exit.USAGE
    assert f"no simulated box for DGXZ9 ({NODES} nodes)" in ran.words
    assert not ran.out


def test_a_fault_file_that_is_none_is_refused(site: Site) -> None:
    ran = site.rehearse("--faults", "nonsense")
    assert ran.code == Exit.USAGE
    assert "no such fault file" in ran.words


def test_a_node_that_the_journal_saw_at_its_goal_has_nothing_to_do(site: Site) -> None:
    """Versions come from the newest sighting: a rehearsed hall begins where the real one was left."""
    journal = site.directory / "journal.db"
    scene = scene_of(compose.read_sources(site.inventory, site.playbook, None))
    half = replace(scene, nodes=scene.nodes[: NODES // 2])
    asyncio.run(_written(journal, live(half, 0)))
    told = site.told("--journal", str(journal))
    fresh = site.told()
    assert f"of {NODES // 2} of {NODES} nodes as the journal last saw them" in told["notes"][0]
    assert told["lives"][0]["nodes"] == {"confirmed": NODES}
    assert told["capacity_lost_h"]["p50"] < fresh["capacity_lost_h"]["p50"] * 0.7


async def _written(journal: Path, life: Life) -> None:
    """What the life left, in a file."""
    kept = SqliteJournal(journal, SystemClock())
    for item in life.recorded:
        await kept.append(item.rollout, item.event)
    await kept.close()


PDUS = """pdus:
  - {id: "pdu-r[01-64]-[A,B]", model: PX4, rack: "r[01-64]", feeds: [A, B], address: "10.22.{rack}.{slot}", %s}
"""


def test_an_ac_cycle_is_rehearsed_where_the_inventory_has_outlets(site: Site) -> None:
    site.edit(site.directory / "baseline.yaml", "activation: [bmc-reset]", "activation: [ac-cycle]")
    refused = site.rehearse()
    assert refused.code == Exit.REFUSED
    assert "needs ac-cycle" in refused.words

    text = site.inventory.read_text()
    pdus = text[text.index("pdus:\n") : text.index("\nlinks:")]
    site.edit(site.inventory, pdus, PDUS % "mib: raritan-px, credential: pdu, outlets: by-slot")
    secret = 'credentials:\n  pdu: {user: u, password: "env:A", privacy: "env:B"}\n'
    site.edit(site.inventory, "credentials:\n", secret)
    ran = site.rehearse("--json")
    assert ran.code == Exit.OK, ran.err
    assert json.loads(ran.out)["lives"][0]["nodes"] == {"confirmed": NODES}


def test_a_journal_that_was_named_must_be_there(site: Site) -> None:
    ran = site.rehearse("--journal", str(site.directory / "none.db"))
    assert ran.code == Exit.USAGE
    assert "no journal there" in ran.words


def test_a_vendors_image_is_stood_in_for(site: Site) -> None:
    """A package without the seal of a simulated hall would be refused by every BMC of it."""
    baseline = site.directory / "baseline.yaml"
    for image in (site.directory / "images").iterdir():
        before = image.read_bytes()
        after = before[:-1] + bytes([before[-1] ^ 1])
        image.write_bytes(after)
        site.edit(baseline, hashlib.sha256(before).hexdigest(), hashlib.sha256(after).hexdigest())
    ran = site.rehearse()
    assert ran.code == Exit.OK, ran.err
    assert "6 images (" in ran.err
    assert "stand-in" in ran.err


def test_bring_up_is_rehearsed_whole(tmp_path: Path) -> None:
    journey = Journey(tmp_path)
    options = ["-i", str(journey.files.inventory), "--baseline", str(journey.files.baseline), "--faults", "none"]
    few = ["--select", "id=gpu0001|gpu0129", "--seeds", "1", "--json"]
    ran = run([str(FLEET), "rehearse", "bring-up", *options, *few])
    assert ran.code == Exit.OK, ran.err
    told = json.loads(ran.out)
    assert told["skipped"] == []
    assert told["lives"][0]["nodes"] == {"confirmed": 2}
    assert any("`fleet plan` would refuse 2 nodes now" in note and "ssh: {key" in note for note in told["notes"])
    assert {"os.image 24.04", "network.config 200", "burnin.run hgx-8gpu-quick"} <= told["step_h"].keys()


def test_a_leaf_that_nobody_can_speak_to_refuses_its_nodes(tmp_path: Path) -> None:
    journey = Journey(tmp_path)
    inventory = journey.files.inventory
    inventory.write_text(inventory.read_text().replace("    platform: arista_eos\n", ""))
    life = live(journey.staged("gpu0001", "gpu0129").scene, 0)
    assert life.state.nodes["gpu0129"].reason == Reason.NO_EDGE
    assert "network.config cannot reach leaf5-a, leaf5-b" in life.state.nodes["gpu0129"].message
    assert life.state.nodes["gpu0001"].status == "confirmed"


def test_a_step_that_somebody_else_brought_is_named_and_left_out(tmp_path: Path) -> None:
    """It may do anything: nothing real is reached by a rehearsal."""
    stage = Journey(tmp_path).staged("gpu0001", more=(StepSpec("acme.reset"),))
    assert stage.skipped == ("acme.reset",)


def test_how_long_jobs_run_is_a_duration(site: Site) -> None:
    ran = site.rehearse("--longest-job=3")
    assert ran.code == Exit.USAGE
    assert "--longest-job" in ran.words
    assert "is not a duration" in ran.words
