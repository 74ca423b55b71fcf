"""A scheduler with other people's work on it: nodes run jobs that end by themselves, some time after their node was drained."""

import random
from dataclasses import dataclass, field

from fleet.edges import SchedulerNode, SchedulerState
from fleet.twin.clock import VirtualClock

_ANSWER_S = 0.05
"""slurmctld answers in milliseconds (fleet.drivers.slurm)."""


@dataclass(slots=True)
class _Drained:
    reason: str
    empty_at: float
    """Field time at which the last job on it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinScheduler:
    """Fulfils fleet.edges.Scheduler. Every node runs a job when it is drained; how long that still runs is drawn, by node and seed."""

    clock: VirtualClock
    seed: int
    longest_job_s: float
    """What still runs takes from 0 to this, each as likely."""
    outside: frozenset[str] = frozenset()
    """Nodes that the inventory says are in no scheduler."""
    _drained: dict[str, _Drained] = field(default_factory=dict)

    async def look(self, node: str) -> SchedulerNode:
        """Read now."""
        await self.clock.sleep(_ANSWER_S)
        if node in self.outside:
            return SchedulerNode(state=SchedulerState.NONE, reason="")
        drained = self._drained.get(node)
        if drained is None:
            return SchedulerNode(state=SchedulerState.IN_SERVICE, reason="")
        empty = self.clock.now() >= drained.empty_at
        state = SchedulerState.DRAINED if empty else SchedulerState.DRAINING
        return SchedulerNode(state=state, reason=drained.reason)

    async def drain(self, node: str, reason: str) -> None:
        """Start no new work on it. Running work goes on."""
        await self.clock.sleep(_ANSWER_S)
        chance = random.Random(f"{self.seed}/{node}/job")  # noqa: S311 (a rehearsal is to be the same twice)
        left_s = chance.uniform(0.0, self.longest_job_s)
        self._drained[node] = _Drained(reason=reason, empty_at=self.clock.now() + left_s)

    async def resume(self, node: str) -> None:
        """Back into service."""
        await self.clock.sleep(_ANSWER_S)
        self._drained.pop(node, None)

    async def ask_to_leave(self, node: str, reason: str) -> str:  # noqa: ARG002 (the port's)
        """Jobs here end by themselves, and only so."""
        return ""

    async def barred(self) -> str:
        """Nothing is needed."""
        return ""

    async def close(self) -> None:
        """Nothing is open."""
