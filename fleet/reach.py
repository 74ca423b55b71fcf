"""Reaching a BMC: patience, and the sessions that earlier processes left."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Recorder
from fleet.errors import NodeFault, Reason, Transient
from fleet.ports import Bmc

Result = TypeVar("Result")


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
    """Delete sessions that an earlier process of ours left: Context -> URI, empty for one that was only announced.

    What a BMC would not delete stays in the journal, and what it shows without a Context: it may be somebody else's.
    """
    if not leftovers:
        return
    gone = await bmc.clear_sessions(leftovers)
    await recorder.record(*(ev.SessionClosed(node=node, context=context) for context in leftovers if context in gone))
