"""A simulated hall whose nodes a real Slurm knows by the same names, and a rollout over it as an operator would start it.

Nothing of the product runs in this process: `fleet` is a process, Slurm is asked by its own commands, the hall for its truth.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slurm_cluster import Cluster
from soak.lives import GIVE_UP_S, Life, Place, begin, place

from fleet import events as ev
from fleet.state import NodeStatus

SPEED = 300.0
_LOOK_S = 0.05
_PLAYBOOK = """playbook: drained-firmware
select: {{model: DGXH100, id: "gpu[0001-{nodes:04}]"}}
baseline: baseline.yaml
steps:
  - node.drain
  - firmware.update: {{component: bmc}}
  - firmware.update: {{component: hgx}}
  - verify
  - node.undrain
rollout:
  waves: {waves}
  max_in_flight: 100%
  spread: {{rack: 8}}
  failure_budget: {{total: 100%}}
  on_failure: roll_back_node
"""


@dataclass(slots=True, kw_only=True)
class Drained:
    """Both sides of it."""

    at: Place
    slurm: Cluster
    lives: list[Life] = field(default_factory=list)

    def begin(self, *command: str) -> Life:
        """Start `fleet apply`, or another command."""
        line = self.at.command(*command) if command else [*self.at.apply(), "--real-scheduler"]
        self.lives.append(begin(line, self.at.directory, len(self.lives) + 1))
        return self.lives[-1]

    async def until(self, good: Callable[[], bool], life: Life) -> None:
        """While this process runs; the test's own timeout ends a vain wait."""
        while not good():
            code = life.process.poll()
            assert code is None or good(), f"fleet ended with {code}, {self.statuses()}: {life.said()[-1000:]}"
            await asyncio.sleep(_LOOK_S)

    async def end(self, life: Life) -> int:
        """Its exit code."""
        return await asyncio.to_thread(life.process.wait, GIVE_UP_S)

    @property
    def rollout(self) -> str:
        """The id of the only rollout; empty before there is one."""
        return self.at.rollout() or ""

    def events(self, node: str) -> list[tuple[float, ev.NodeEvent]]:
        """What the journal says of a node, in epoch seconds of this machine."""
        rollout = self.at.rollout()
        every = self.at.recorded(rollout) if rollout else []
        return [
            (self.at.wall(item.at), item.event)
            for item in every
            if isinstance(item.event, ev.NodeEvent) and item.event.node == node
        ]

    def statuses(self) -> dict[str, NodeStatus]:
        """Node -> where it is."""
        rollout = self.at.rollout()
        nodes = self.at.state(rollout).nodes if rollout else {}
        return {name: node.status for name, node in nodes.items()}

    def handed_over(self, node: str) -> list[float]:
        """Epoch seconds at which the engine announced that it would hand over an image."""
        return [
            at
            for at, event in self.events(node)
            if isinstance(event, ev.IntentRecorded) and event.effect.endswith("/submit")
        ]

    def truth(self, node: str) -> dict[str, Any]:
        """What the hall knows of a node."""
        known: dict[str, Any] = self.at.running().truth()["nodes"][node]
        return known

    def touched(self, node: str) -> list[float]:
        """Epoch seconds, not later than they were, at which the hall's BMC began to write an image or reset anything."""
        before = time.time()
        truth = self.at.running().truth()
        box = truth["nodes"][node]
        written = [flash["at"] for item in box["items"].values() for flash in item["flashes"]]
        return sorted(
            before - (truth["now"] - at) / SPEED for at in (*written, *(reset["at"] for reset in box["resets"]))
        )

    def begun(self, node: str) -> float:
        """Epoch seconds of the first thing that was done to a node which was updated: announced by us, or seen by its hardware."""
        announced, touched = self.handed_over(node), self.touched(node)
        assert announced, f"{node}: the journal announces no image"
        assert touched, f"{node}: the hall saw nothing"
        return min(*announced, *touched)

    def end_by_force(self) -> None:
        """Whatever still runs."""
        for life in self.lives:
            if life.process.poll() is None:
                life.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Somebody's job, which goes on until it is let go and then says that it came to its own end."""

    number: str
    node: str
    go: Path
    done: Path

    def let_go(self) -> None:
        """It ends by itself soon."""
        self.go.touch()

    def ended_at(self) -> float:
        """Epoch seconds of its last own act. FileNotFoundError: it has not come so far."""
        assert self.done.read_text() == "whole\n"
        return self.done.stat().st_mtime


async def work_on(slurm: Cluster, node: str) -> Work:
    """Work that has begun on the node."""
    go, done = slurm.directory / f"go-{node}", slurm.directory / f"done-{node}"
    number = await slurm.submit(node, f"while [ ! -e {go} ]; do sleep 0.2; done; echo whole > {done}")
    await slurm.until("JobState=RUNNING", "scontrol", "show", "job", number)
    return Work(number=number, node=node, go=go, done=done)


@contextmanager
def drained_hall(
    directory: Path, slurm: Cluster, nodes: int, *, faults: str = "", waves: str = "[1, 100%]", scontrol: str = ""
) -> Iterator[Drained]:
    """A hall of `nodes` and its files; the inventory declares the real Slurm as the nodes' scheduler."""
    directory.mkdir()
    rules = directory / "faults.yaml"
    rules.write_text(f"faults: test\nseed: 1\nrules: [{faults}]\n")
    with place(directory, nodes, speed=SPEED, faults=str(rules), seed=1) as at:
        inventory = directory / "inventory.yaml"
        program = f", scontrol: {scontrol}" if scontrol else ""
        inventory.write_text(f"{inventory.read_text()}\nscheduler: {{slurm: {{conf: {slurm.conf}{program}}}}}\n")
        (directory / "playbook.yaml").write_text(_PLAYBOOK.format(nodes=nodes, waves=waves))
        drained = Drained(at=at, slurm=slurm)
        try:
            yield drained
        finally:
            drained.end_by_force()
