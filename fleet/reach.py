"""Reaching a BMC: patience, and the sessions of this process and of those before it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Recorder
from fleet.errors import NodeFault, Reason, Transient
from fleet.ports import Bmc

Result = TypeVar("Result")


@dataclass(slots=True)
class NodeLedger:
    """Writes down a node's BMC sessions (fleet.ports.SessionLedger)."""

    node: str
    recorder: Recorder
    _contexts: dict[str, str] = field(default_factory=dict)

    async def opening(self, context: str) -> None:
        """About to be created."""
        await self.recorder.record(ev.SessionOpening(node=self.node, context=context))

    async def opened(self, uri: str, context: str) -> None:
        """Created. Ids restart with a BMC: what was at this address before is gone."""
        before, self._contexts[uri] = self._contexts.get(uri), context
        await self.recorder.record(ev.SessionOpened(node=self.node, context=context, uri=uri))
        if before is not None:
            await self.absent(before)

    async def absent(self, context: str) -> None:
        """Never came to be, or is gone."""
        await self.recorder.record(ev.SessionClosed(node=self.node, context=context))

    async def closed(self, uri: str) -> None:
        """Gone."""
        context = self._contexts.pop(uri, None)
        if context is not None:
            await self.absent(context)


async def connect(try_once: Callable[[], Awaitable[Result]], clock: Clock, *, give_up_s: float) -> Result:
    """Keep trying while the BMC is merely silent. A refused login or a wrong certificate is final at once."""
    give_up = clock.now() + give_up_s
    wait_s = 5.0
    while True:
        try:
            return await try_once()
        except Transient as transient:
            if clock.now() + wait_s >= give_up:
                raise NodeFault(Reason.UNREACHABLE, f"no answer for {give_up_s:.0f} s: {transient}") from transient
            await clock.sleep(wait_s)
            wait_s = min(wait_s * 2, 60.0)


async def clear_leftovers(bmc: Bmc, node: str, leftovers: Mapping[str, str], recorder: Recorder) -> None:
    """Delete sessions that an earlier process of ours left: those whose URI it wrote down, and those it had only announced.

    What a BMC would not delete stays in the journal. Those that were only announced are the driver's to report (SessionLedger).
    """
    if not leftovers:
        return
    uris = tuple(uri for uri in leftovers.values() if uri)
    contexts = tuple(context for context, uri in leftovers.items() if not uri)
    gone = frozenset(await bmc.clear_sessions(uris, contexts))
    closed = [context for context, uri in leftovers.items() if uri in gone]
    await recorder.record(*(ev.SessionClosed(node=node, context=context) for context in closed))
