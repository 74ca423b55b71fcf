"""How long after a crash until every node is in hand again: a whole hall, killed in the middle of its last wave."""

import time
from collections.abc import Callable
from pathlib import Path

from fleet import events as ev
from fleet.state import ACTIVE, TERMINAL
from soak.lives import Place, SoakError, Watch, begin, live, place

GOAL_S = 10.0
"""Issue 2: resuming 1,024 nodes takes under 10 s."""


def measure(folder: Path, nodes: int, *, speed: float, seed: int, say: Callable[[str], None]) -> int:
    """Kill in the middle of the last wave, resume, and time it; 0 if the goal is met."""
    with place(folder / "resume", nodes, speed=speed, faults="none", seed=seed) as at:
        watch = Watch(place=at)
        first = begin(at.apply(), at.directory, 1)
        if live(first, watch, lambda: _middle(watch)) is not None:
            raise SoakError(f"the rollout ended before its last wave was half done: {first.said()}")
        first.kill()
        watch.look()
        if watch.state is None:
            raise AssertionError
        active = {name for name, node in watch.state.nodes.items() if node.status in ACTIVE}
        ended = sum(node.status in TERMINAL for node in watch.state.nodes.values())
        say(f"killed at {first.age_s:.1f} s: {ended} nodes ended, {len(active)} in flight, {watch.state.seq} events")
        return _time(at, watch, active, say)


def _middle(watch: Watch) -> bool:
    """Whether half of the last wave has ended."""
    state = watch.state
    if state is None or not state.plan:
        return False
    last = max(node.wave for node in state.nodes.values())
    members = [node for node in state.nodes.values() if node.wave == last]
    return state.wave == last and sum(node.status in TERMINAL for node in members) * 2 >= len(members)


def _time(at: Place, watch: Watch, active: set[str], say: Callable[[str], None]) -> int:
    died_at = watch.state.seq if watch.state else 0
    life = begin(at.command("resume"), at.directory, 2)
    heard: dict[str, float] = {}
    claimed = 0.0

    def all_heard() -> bool:
        return active <= heard.keys()

    after = died_at
    while not all_heard() and life.process.poll() is None:
        for item in watch.look():
            after = item.seq
            if isinstance(item.event, ev.RolloutClaimed):
                claimed = at.wall(item.at) - life.began
            elif isinstance(item.event, ev.NodeEvent):
                heard.setdefault(item.event.node, at.wall(item.at) - life.began)
        time.sleep(0.05)
    taken = sorted(heard[node] for node in active & heard.keys())
    life.kill()
    say(
        f"first event of the new owner {claimed:.2f} s after the start of `fleet resume` ({after - died_at} events since)"
    )
    if not taken or not all_heard():
        say(f"only {len(taken)} of {len(active)} nodes were taken up: {life.said()}")
        return 1
    say(
        f"each of {len(active)} nodes in flight was taken up (its first event is in the journal): half of them after"
        f" {taken[len(taken) // 2]:.2f} s, all after {taken[-1]:.2f} s (goal {GOAL_S:.0f} s)"
    )
    return 0 if taken[-1] < GOAL_S else 1
