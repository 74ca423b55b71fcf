"""Where node runs execute: in this process by default. A distributed engine fulfils the same port."""

from collections.abc import Mapping
from typing import Protocol

from fleet.errors import Reason
from fleet.limits import PowerDomain, Seat, Stand
from fleet.lookback import LookBack
from fleet.plan import Plan
from fleet.recipe import UPDATE
from fleet.runner import HANDS_OFF, NodeRun, Surroundings
from fleet.sharing import HOLD
from fleet.state import TERMINAL, NodeState, NodeStatus
from inventory.model import Node


class Executor(Protocol):
    """Runs one node at a time per call; the engine calls it for many at once."""

    async def execute(self, node: str) -> None:
        """Run the node until it has ended or is parked. Raises JournalUnwritable; anything else is a bug."""

    async def look(self, node: str) -> None:
        """Look at a confirmed node again, reading only; NodeRelapsed is recorded if it is ill. Raises JournalUnwritable."""


class LocalExecutor:
    """In this process, on this event loop."""

    def __init__(
        self, around: Surroundings, nodes: Mapping[str, Node], leftovers: Mapping[str, Mapping[str, str]]
    ) -> None:
        """`leftovers`: node -> Context -> URI of sessions that an earlier process left."""
        self._around = around
        self._nodes = nodes
        self._leftovers = leftovers
        self._seats = _seats(around)

    async def execute(self, node: str) -> None:
        """See Executor."""
        seat = self._seats.get(node)
        if seat is None:
            await self._run(node, None)
            return
        seat.stands(Stand.AT_WORK)
        try:
            await self._run(node, seat)
        finally:
            seat.domain.give_back(node, cut=False)
            seat.stands(_stand(self._around.recorder.node_state(node), otherwise=Stand.LEFT))

    async def look(self, node: str) -> None:
        """See Executor."""
        await LookBack(self._nodes[node], self._around, {}).look()

    async def _run(self, node: str, seat: Seat | None) -> None:
        await NodeRun(self._nodes[node], self._around, self._leftovers.get(node, {}), seat).run()


def _seats(around: Surroundings) -> dict[str, Seat]:
    """The seat of every node that shares a chassis. Who is not in the plan is not held by this rollout."""
    plan = around.plan
    domains: dict[str, PowerDomain] = {}
    for name in plan.order:
        node = plan.nodes[name]
        if node.chassis not in domains and node.mates:
            stands = {each: _planned(plan, each, around) for each in (name, *node.mates)}
            domains[node.chassis] = PowerDomain(stands)
    return {
        name: Seat(domains[plan.nodes[name].chassis], name, around.gate)
        for name in plan.order
        if plan.nodes[name].mates
    }


def _planned(plan: Plan, node: str, around: Surroundings) -> Stand:
    if node not in plan.order:
        return Stand.GONE
    return _stand(around.recorder.node_state(node), otherwise=Stand.ABSENT)


def _stand(state: NodeState, *, otherwise: Stand) -> Stand:
    """How a node stands of which no run is under way."""
    if state.status is NodeStatus.QUARANTINED:
        return Stand.OUT if _quiet(state) else Stand.GONE
    if state.status in TERMINAL or any(key.endswith(f" {HOLD}") for key in state.steps):
        return Stand.GONE
    return otherwise


def _quiet(state: NodeState) -> bool:
    """Whether nothing of a quarantined node can be flashing, and it is known which machine it is and that nobody uses it."""
    if state.reason in {reason.value for reason in HANDS_OFF - {Reason.SHARED_CHASSIS}}:
        return False
    submitted = (key.partition("/")[0] for key in state.effects if key.endswith("/submit"))
    return all(step in state.steps for step in submitted if UPDATE in step)
