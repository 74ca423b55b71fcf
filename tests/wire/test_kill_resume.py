"""`kill -9` in the middle of a rollout, in small: real processes, a real hall, a real journal. `make soak` is the whole."""

from pathlib import Path

from soak.lives import Schedule, endure, place
from soak.verdict import differences, outcome

from fleet import events as ev
from fleet.cli.compose import leftover_sessions
from fleet.clock import SystemClock
from fleet.events import RolloutId
from fleet.exits import Exit
from fleet.journal import Lease, SqliteJournal

NODES, KILLS, SEED = 24, 6, 4
SPEED = 2400.0
FAULTS = """
faults: one-of-each
seed: 3
rules:
  - {name: device-refuses, select: {node: gpu0007}, effect: update-fails, times: always}
  - {name: says-done-and-is-not, select: {node: gpu0011}, effect: update-completes-critical, times: always}
  - {name: task-gone, select: {node: gpu0013}, effect: task-vanishes, times: always}
  - {name: busy-at-submit, select: {node: gpu0014}, effect: submit-busy, times: 2}
  - {name: upload-breaks, select: {node: gpu0015}, effect: upload-broken, times: 1}
"""
ENDED = {"gpu0007": "rolled-back", "gpu0011": "rolled-back"}
"""How the faulty nodes end that cannot be confirmed; task-gone, busy and a broken upload are survived."""


def test_a_rollout_that_is_killed_six_times_ends_as_one_that_is_not(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text(FAULTS)
    with place(tmp_path / "calm", NODES, speed=SPEED, faults=str(faults), seed=SEED) as at:
        calm = endure(at, None)
        undisturbed = outcome(at)
    assert calm.exit == Exit.NODES_FAILED
    assert {name: node.status for name, node in undisturbed.state.nodes.items() if node.reason} == ENDED
    schedule = Schedule.make(KILLS, SEED, planned_s=calm.planned_s, progress=calm.progress)
    with place(tmp_path / "killed", NODES, speed=SPEED, faults=str(faults), seed=SEED) as at:
        killed = endure(at, schedule)
        disturbed = outcome(at)
    assert killed.kills == KILLS
    assert differences(undisturbed, disturbed) == {}
    assert (*undisturbed.violations, *disturbed.violations) == ()
    assert killed.exit == calm.exit


async def test_sessions_left_by_our_own_dead_processes_are_found_while_we_hold_the_lease(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db", SystemClock())
    ours, others = RolloutId("ours"), RolloutId("others")
    try:
        for rollout, node in ((ours, "n1"), (others, "n2")):
            await journal.append(rollout, ev.SessionOpening(node=node, context=f"fleetwave-{node}"))
        with Lease(journal.path, ours), Lease(journal.path, others):
            assert leftover_sessions(journal, ours) == {"n1": {"fleetwave-n1": ""}}
    finally:
        await journal.close()
