"""`verify`: what was done to the node still holds, read again. It changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from fleet.errors import NodeFault, Reason
from fleet.events import Json
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.hosts import post_left_s
from playbooks.steps.waiting import again

_TRIES, _AGAIN_S = 5, 60.0
"""For what does not answer."""
_SETTLE_S = 300.0
"""After POST an OS starts sshd, slurmd and its links within minutes [inf]."""
_POLL_S = 60.0
_SHOWN = 3
"""Differences that a sentence holds."""
_NAMED = 6
"""Steps that the evidence names."""


@step("verify", takes_s=60.0)
@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Everything that was done to the node still holds, read again."""

    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Every earlier step's own check, now. Raises UNREACHABLE if one cannot be read, and what those checks raise."""
        found = await _read_again(ctx)
        drifted = [f"{key}: {says.detail}" for key, says in found if isinstance(says, Unmet)]
        if drifted:
            return Unmet(_listed(drifted))
        if not found:
            return Met("nothing was done before it")
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return Met(f"still so, read again: {', '.join(key for key, _ in found[:_NAMED])}{more}")

    async def apply(self, ctx: NodeContext) -> None:
        """Nothing here can be mended: wait for what may still be starting up, then DRIFTED."""
        give_up = ctx.clock.now() + post_left_s(ctx) + _SETTLE_S
        while isinstance(found := await self.check(ctx), Unmet):
            if ctx.clock.now() >= give_up:
                raise NodeFault(Reason.DRIFTED, f"no longer so, although it was verified: {found.detail}")
            ctx.progress(None, f"{found.detail}; read again in {_POLL_S:.0f} s")
            await ctx.safe_point()
            await ctx.clock.sleep(_POLL_S)


async def _read_again(ctx: NodeContext) -> tuple[tuple[str, Met | Unmet], ...]:
    """What the earlier steps' checks say, all of them read in one go: half of an earlier reading proves nothing of now."""
    found: tuple[tuple[str, Met | Unmet], ...] = ()

    async def read() -> Json:
        nonlocal found
        found = await ctx.recheck()
        return {}

    await again(
        ctx,
        _TRIES,
        _AGAIN_S,
        read,
        lambda why: NodeFault(Reason.UNREACHABLE, f"what was done to it cannot be read again: {why}"),
    )
    return found


def _listed(sentences: Iterable[str]) -> str:
    """The first few, and how many more."""
    every = tuple(sentences)
    more = f"; and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more
