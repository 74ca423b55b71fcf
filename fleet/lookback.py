"""One look at a node that was confirmed a while ago: reading only, on a connection of its own (fleet.aftercare says when)."""

import asyncio

from fleet import events as ev
from fleet.errors import JournalUnwritable, NodeFault, OutcomeUnknown, Reason, Transient, as_fault
from fleet.plan import recipe_targets
from fleet.runner import NodeRun
from fleet.target import Target
from inventory.observed import Observation

_CRITICAL = "Critical"
"""Redfish Status.Health."""


class LookBack(NodeRun):
    """Reaches the node as any run does, and does nothing to it."""

    async def look(self) -> None:
        """Record NodeRelapsed if the node is gone, ill, or no longer shows its goals. Raises JournalUnwritable."""
        try:
            await self._reach()
            seen = await self._ctx.observe()
        except (NodeFault, Transient, OutcomeUnknown) as error:
            fault = as_fault(error)
            await self._close()
            await self._relapsed(fault.reason, str(fault))
            return
        except (JournalUnwritable, asyncio.CancelledError):
            await self._leave_quietly()
            raise
        await self._close()
        if seen.health == _CRITICAL:
            await self._relapsed(Reason.NOT_HEALTHY, "the machine says of itself that its health is Critical")
        elif off := self._off(seen):
            await self._relapsed(Reason.DRIFTED, "; ".join(off))

    def _off(self, seen: Observation) -> list[str]:
        """Components that do not show their goals."""
        goals: dict[str, Target] = {}
        for name in recipe_targets(self._recipe):  # the last target of a component is its goal, those before are stones
            target = self._around.plan.targets[name]
            goals[target.component] = target
        found = []
        for component, goal in goals.items():
            diff = goal.diff(seen.items)
            if not diff.met:
                shown = [f"{each.item.id} shows {each.item.version}" for each in diff.differing]
                shown += [f"{item.id} is not there" for item in diff.absent] + [
                    f"{glob} is not listed" for glob in diff.missing
                ]
                found.append(f"{component}: {', '.join(shown)}")
        return found

    async def _relapsed(self, reason: Reason, message: str) -> None:
        await self._record(ev.NodeRelapsed(node=self._name, reason=reason.value, message=message))
