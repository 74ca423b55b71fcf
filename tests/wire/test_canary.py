"""Stopping, in real processes: a canary that fails, a pause and an abort from another process."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from soak.lives import Life, Place, Watch, begin, live, place
from soak.verdict import outcome

from fleet import events as ev
from fleet.exits import Exit
from fleet.state import TERMINAL, NodeState, NodeStatus, RolloutStatus

SPEED = 1200.0
BAD_BMC = 'faults: bad\nseed: 1\nrules:\n  - {name: bad, select: {package_version: "24.09.17"}, times: always, %s}\n'
BRICKS = BAD_BMC % "effect: bad-image, outcome: bricks"
FAILS_TO_VERIFY = BAD_BMC % "effect: bad-image, outcome: verify-fails"
REFUSED = BAD_BMC % "effect: update-fails"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command of an operator, in another process."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def touched(at: Place) -> set[str]:
    """Nodes that were handed an image, whatever came of it."""
    return {name for name, node in at.running().truth()["nodes"].items() if node["submits"]}


@pytest.mark.parametrize(
    ("faults", "reason", "way_back"),
    [
        (BRICKS, "bmc-gone", Exit.REFUSED),
        (FAILS_TO_VERIFY, "update-failed", Exit.OK),
        (REFUSED, "update-failed", Exit.OK),
    ],
    ids=["bricks", "verify-fails", "refused"],
)
def test_a_bad_image_on_the_canary_halts_with_one_node_touched(
    faults: str, reason: str, way_back: Exit, tmp_path: Path
) -> None:
    book = tmp_path / "faults.yaml"
    book.write_text(faults)
    with place(
        tmp_path, 12, speed=SPEED, faults=str(book), seed=1, on_failure="halt_and_quarantine", budget="5%"
    ) as at:
        assert run(at.apply()).returncode == Exit.HALTED
        watch = Watch(place=at)
        watch.look()
        assert watch.state is not None
        assert (watch.state.status, watch.state.cause) == (RolloutStatus.HALTED, "canary")
        canary = watch.state.plan["order"][0]
        found = {name: node.reason for name, node in watch.state.nodes.items() if node.status is not NodeStatus.PENDING}
        assert found == {canary: reason}
        assert touched(at) == {canary}

        assert run(at.command("abort", "--yes")).returncode == Exit.OK
        watch.look()
        assert watch.state.status is RolloutStatus.ABORTED
        back = run(at.command("rollback"))
        assert back.returncode == way_back, back.stderr
        assert ("~previous: 1 node," if way_back is Exit.OK else "~previous: no node can be planned") in back.stderr
        assert touched(at) == {canary}
        assert outcome(at).truth["nodes"][canary]["sessions"]["open"] == 0


def follow(at: Place, life: Life, watch: Watch, until: Callable[[], bool]) -> None:
    """Watch a rollout that must not end meanwhile."""
    assert live(life, watch, until) is None, life.said()


def in_the_middle(watch: Watch) -> bool:
    """Several nodes are being flashed, and some are done."""
    return watch.state is not None and sum(node.status in TERMINAL for node in watch.state.nodes.values()) >= 6


def test_a_pause_holds_until_resume_and_an_abort_ends_at_safe_points(tmp_path: Path) -> None:
    with place(tmp_path, 24, speed=SPEED, faults="none", seed=5) as at:
        watch, life = Watch(place=at), begin(at.apply(), tmp_path, 1)
        follow(at, life, watch, lambda: in_the_middle(watch))

        assert run(at.command("pause")).returncode == Exit.OK
        clock = at.running().clock()
        calm_at = clock.now() + 3600.0
        """Longer than any flash: every step that ran has reached its safe point."""
        follow(at, life, watch, lambda: clock.now() >= calm_at)
        assert watch.state is not None
        assert watch.state.status is RolloutStatus.PAUSED
        assert new_effects(at, watch) == []

        assert run(at.command("resume")).returncode == Exit.OK
        done = sum(node.status in TERMINAL for node in watch.state.nodes.values())
        follow(at, life, watch, lambda: sum(node.status in TERMINAL for node in nodes(watch)) > done)

        assert run(at.command("abort", "--yes")).returncode == Exit.OK
        assert live(life, watch, lambda: False) == Exit.ABORTED
        ended = outcome(at)
    statuses = {node.status for node in ended.state.nodes.values()}
    assert statuses <= {NodeStatus.CONFIRMED, NodeStatus.QUARANTINED, NodeStatus.PENDING}
    assert {node.reason for node in ended.state.nodes.values() if node.status is NodeStatus.QUARANTINED} <= {"aborted"}
    assert {box["host_power"] for box in ended.truth["nodes"].values()} == {"On"}
    unfinished = [text for text in ended.violations if "is pending" not in text and "the rollout is" not in text]
    assert unfinished == []


def nodes(watch: Watch) -> list[NodeState]:
    """Of the rollout as last seen."""
    return list(watch.state.nodes.values()) if watch.state else []


def new_effects(at: Place, watch: Watch) -> list[str]:
    """What began after the newest pause: nothing may, but the way on for a host that the pause met switched off."""
    assert watch.rollout is not None
    off: set[str] = set()
    paused, begun = False, []
    for item in at.recorded(watch.rollout):
        match item.event:
            case ev.RolloutPaused():
                paused = True
            case ev.NodeAdmitted(node=node) | ev.StepStarted(node=node) if paused:
                begun.append(f"{item.event.kind} {node}")
            case ev.IntentRecorded(node=node, effect=effect) if paused and not (
                node in off and effect.endswith("/host-on")
            ):
                begun.append(f"{node} {effect}")
            case ev.IntentRecorded(node=node, effect=effect) if effect.endswith("/host-off"):
                off.add(node)
            case _:
                pass
    return begun
