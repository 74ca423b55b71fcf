"""A node's turn to be sent an image: all nodes share the bytes that this machine can send in a second (field guide B.14, F53)."""

from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self

from fleet.ports import TakesTurns
from fleet.step import NodeContext


class Turn:
    """At most one, taken when it is needed and kept until the context ends.

    It comes before readiness and identity are looked at and before the intent is written: a node may wait for hours, and what is
    checked must be true of the moment in which the image leaves. Where an earlier process sent the image, none is taken.
    """

    def __init__(self, ctx: NodeContext) -> None:
        self._ctx = ctx
        self._held: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        """Without a turn."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one."""
        if self._held is not None:
            await self._held.aclose()

    async def come(self) -> None:
        """Wait for it; the second time it is there already."""
        bmc = self._ctx.bmc
        if self._held is None and isinstance(bmc, TakesTurns):
            self._held = AsyncExitStack()
            await self._held.enter_async_context(bmc.turn(partial(self._ctx.progress, None)))
