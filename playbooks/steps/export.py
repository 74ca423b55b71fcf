"""`inventory.export`: hand the node on, as it is now, to whoever keeps books of it."""

from dataclasses import dataclass
from typing import ClassVar

from fleet.errors import NodeFault, Reason
from fleet.events import Json
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.waiting import again

_TRIES, _AGAIN_S = 10, 60.0
"""A system that restarts is away for minutes; the node is at its goal and can wait."""


@step("inventory.export", arguments=("to",))
@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryExport:
    """Hand the node on to an exporter, with the versions that were read of it now."""

    to: str
    """Name of the exporter: `json`, `csv`, `ansible`, `netbox`, or one that was installed."""
    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    @property
    def _effect(self) -> str:
        # With the exporter's name: a playbook may export twice, and NodeContext.latest looks over all steps.
        return f"publish {self.to}"

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether this step has handed it on, by the journal."""
        done = ctx.latest(self._effect) if ctx.announced(self._effect) else None
        return Unmet(f"not yet handed on to {self.to}") if done is None else Met(str(done["where"]))

    async def apply(self, ctx: NodeContext) -> None:
        """Hand it on. The same again changes nothing, so whatever a crash left is done again."""

        async def act(_intent: Json) -> Json:
            return {"where": await ctx.edges.publish(self.to, await ctx.sighting())}

        async def once() -> Json:
            return await ctx.once(self._effect, act, prepare=_nothing, reconcile=_again)

        await again(
            ctx,
            _TRIES,
            _AGAIN_S,
            once,
            lambda why: NodeFault(Reason.EXPORT_REFUSED, f"{why}; tried {_TRIES} times, and not handed on"),
        )


async def _nothing() -> Json:
    """Nothing has to be known beforehand."""
    return {}


async def _again(_intent: Json) -> None:
    """See `apply`."""
