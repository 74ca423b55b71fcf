"""Nodes that share a chassis lose their power together (field guide F51): an AC cycle of one waits until all the others are held.

A node that is held has shut its host down, flashes nothing, is still the planned machine and nobody's work runs on it; it says so itself,
freshly, each time one of the others asks. Its host going off and coming on again are effects like any other: whoever continues after
a crash turns it on. Behind its last activation a node waits until none of the others needs a cycle any more: back in service, its
power could not go.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from fleet.errors import NodeFault, Reason
from fleet.limits import Seat, Stand
from fleet.reach import connect
from fleet.sharing import HOLD
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.hosts import LENT_OFF, LENT_ON, host_on, post_over, shut_down
from playbooks.steps.waiting import ready


@asynccontextmanager
async def whole_chassis(ctx: NodeContext, *, begun: bool, enough: Callable[[], Awaitable[bool]]) -> AsyncIterator[bool]:
    """Inside, the power of the whole chassis may go. What is yielded: whether a cycle is still needed.

    Args:
        ctx: whose turn it is to be.
        begun: it has switched its host off already, in an earlier process: then it cannot leave at a safe point.
        enough: asked when others have cut the power while this node waited.
    """
    seat = ctx.seat
    if seat is None:
        yield True
        return
    needed = False
    try:
        needed = await _turn(ctx, seat, begun=begun, enough=enough)
        yield needed
    finally:
        # Whatever was raised inside: the power may have gone, and those that lent theirs look.
        seat.domain.give_back(seat.node, cut=needed)


async def _turn(ctx: NodeContext, seat: Seat, *, begun: bool, enough: Callable[[], Awaitable[bool]]) -> bool:
    """Until it is this node's turn and every other is held; False: no cycle is needed any more."""
    await _lit(ctx)
    seat.domain.ask(seat.node)
    while True:
        if seat.borrower:
            cuts = seat.domain.cuts
            await _lend(ctx, seat)
            if not begun and seat.domain.cuts > cuts:
                seat.domain.give_back(seat.node, cut=False)  # nobody lends its power for a look
                if await enough():
                    return False
                seat.domain.ask(seat.node)
            seat.stands(Stand.WAITING)
            continue
        lacking = seat.domain.lacking(seat.node)
        if not lacking:
            return True
        if never := [name for name, stand in lacking.items() if stand is Stand.GONE]:
            raise NodeFault(
                Reason.SHARED_CHASSIS,
                f"{', '.join(never)} in the same chassis would lose power too, and is not held: it is back in service, or nobody"
                " knows what it does; cycle the chassis by hand when all of it is out of service",
            )
        if begun and seat.leaving:
            raise NodeFault(
                Reason.POWER_IGNORED,
                f"the rollout stops, and {_listed(lacking)}: the AC cycle that was begun is given up",
            )
        if seat.closing and not begun:
            # The others get their power back before this one waits or leaves: nobody stays dark for a pause.
            seat.domain.give_back(seat.node, cut=False)
            await ctx.safe_point()
            seat.domain.ask(seat.node)
            continue
        ctx.progress(None, f"waits for the power of its chassis: {_listed(lacking)}")
        await seat.moved()


def _listed(stands: dict[str, Stand]) -> str:
    return ", ".join(f"{name} is {stand}" for name, stand in stands.items())


async def _lend(ctx: NodeContext, seat: Seat) -> None:
    """Host off, held until the borrower's turn is over, host on again."""
    borrower, cuts = seat.borrower, seat.domain.cuts
    number = next(n for n in count(1) if not ctx.announced(LENT_ON.format(n)))
    ctx.progress(None, f"lends its power to {borrower}")
    # No room is kept for its start meanwhile: the borrower may need it, and waits for this node, not the other way round.
    await shut_down(ctx, LENT_OFF.format(number))
    await ready(ctx, limit_s=ctx.bmc.profile.timings.overall_s)
    await ctx.require_identity()
    seat.stands(Stand.LENT)
    while seat.borrower == borrower:
        await seat.domain.moved()
    seat.stands(Stand.AT_WORK)
    if seat.domain.cuts > cuts:
        await connect(ctx.bmc.reconnect, ctx.clock, give_up_s=ctx.bmc.profile.timings.bmc_return_hard_s)
        await ctx.require_identity()
    await host_on(ctx, LENT_ON.format(number))


async def _lit(ctx: NodeContext) -> None:
    """A process before us lent this node's power: its host comes on again."""
    for number in count(1):
        if not ctx.announced(LENT_OFF.format(number)):
            return
        await shut_down(
            ctx, LENT_OFF.format(number)
        )  # what was announced and has no result is looked up, not done again
        await host_on(ctx, LENT_ON.format(number))


@step(HOLD, arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class ChassisHold:
    """Wait, and lend power, until no other node of the chassis needs an AC cycle any more."""

    disrupts: ClassVar[Disrupts] = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether this node has waited, and all the others are past their last activation or out."""
        seat = ctx.seat
        if seat is None:
            return Met("its chassis is its own")
        if seat.domain.stands[seat.node] is Stand.PASSED and seat.domain.all_passed(seat.node):
            return Met("nobody in its chassis needs an AC cycle any more")
        others = seat.domain.others(seat.node, *Stand)
        return Unmet(f"shares its power with {', '.join(others)}")

    async def apply(self, ctx: NodeContext) -> None:
        """Lend whenever somebody asks; leave at a safe point if the rollout stops."""
        seat = ctx.seat
        if seat is None:
            return
        await _lit(ctx)
        seat.stands(Stand.PASSED)
        while not seat.domain.all_passed(seat.node):
            if seat.borrower:
                await _lend(ctx, seat)
                seat.stands(Stand.PASSED)
                continue
            await ctx.safe_point()
            waits = seat.domain.others(seat.node, Stand.ABSENT, Stand.AT_WORK, Stand.WAITING, Stand.LENT, Stand.LEFT)
            ctx.progress(None, f"its power may still be needed off: waits for {', '.join(waits)}")
            await seat.moved()
        await post_over(ctx)
