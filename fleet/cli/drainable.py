"""Which nodes can be drained, found before anything is touched."""

import asyncio
from collections.abc import Mapping

from fleet.cli.compose import Sources
from fleet.clock import Clock
from fleet.context import DRAIN
from fleet.edges import Scheduler, SchedulerState
from fleet.errors import NodeFault, Transient, UsageError
from fleet.limits import retrying
from playbooks.steps.drain import stranger


async def strangers(scheduler: Scheduler, sources: Sources, clock: Clock) -> Mapping[str, str]:
    """Node -> why it is refused, of the nodes that the scheduler does not know. UsageError where it cannot be asked."""
    names = [str(node.id) for node in sources.nodes]

    async def known(name: str) -> bool:
        return (await retrying(lambda: scheduler.look(name), clock=clock)).state is not SchedulerState.UNKNOWN

    try:
        await scheduler.look(names[0])  # one that does not answer at all is found at once
        barred = await scheduler.barred()
        if barred:
            raise UsageError(f"{sources.inventory_path}: scheduler: {barred}; {DRAIN} needs it")
        found = await asyncio.gather(*(known(name) for name in names))
    except (NodeFault, Transient) as error:
        raise UsageError(f"{sources.inventory_path}: scheduler: {error}; {DRAIN} needs it") from error
    return {name: stranger(name) for name, is_known in zip(names, found, strict=True) if not is_known}
