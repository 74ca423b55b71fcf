"""Gates around a playbook's steps: measured before, measured after, soaked, judged (fleet.gates). Nothing on the node is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fleet.errors import NodeFault, Reason
from fleet.events import Json
from fleet.gates import AFTER, BEFORE, Outcome, facts, judge
from fleet.ports import SideEffects
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.waiting import again

_TRIES, _AGAIN_S = 5, 60.0
_SETTLE_S = 600.0
"""Parts may be stubs for this long after a reset (F39)."""
_POLL_S = 60.0
_WELL = frozenset({"", "OK"})
_THERE = frozenset({"", "Enabled", "StandbySpare", "StandbyOffline", "Quiesced", "Qualified", "InTest"})
"""Status.State of what is there (Redfish Resource.State)."""


@step("gate.before", arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class GateBefore:
    """Note health, sensors and parts as they are before the first step."""

    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether it was noted."""
        known = ctx.latest(BEFORE)
        return Unmet("not measured yet") if known is None else Met(_told(known))

    async def apply(self, ctx: NodeContext) -> None:
        """Measure, and keep it in the journal."""
        await _measure(ctx, BEFORE)


@step("gate.after", arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class GateAfter:
    """Soak, measure again, and let every gate judge; a gate that does not pass holds the node."""

    require: tuple[str, ...]
    soak_s: int = 0
    """Seconds for which the node is left alone before it is measured for good."""
    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """What the gates say of what is in the journal."""
        if ctx.latest(AFTER) is None:
            return Unmet(f"not measured yet: {', '.join(self.require)}")
        verdicts = judge(self.require, facts(ctx.latest))
        bad = [
            f"{name} {said.outcome}: {said.text}"
            for name, said in verdicts.items()
            if said.outcome is not Outcome.PASSED
        ]
        return (
            Unmet("; ".join(bad)) if bad else Met("; ".join(f"{name}: {said.text}" for name, said in verdicts.items()))
        )

    async def apply(self, ctx: NodeContext) -> None:
        """Wait for what may still be starting up, within limits; then GATE_FAILED with every gate that did not pass."""

        async def begins(_intent: Json) -> Json:
            return {"at": ctx.clock.now()}  # a resume goes on from there

        if self.soak_s:
            soaked = await ctx.once("soak", begins, prepare=_nothing, reconcile=_never)
            await _until(ctx, float(soaked["at"]) + self.soak_s, "soaks")
        give_up = ctx.clock.now() + _SETTLE_S
        while isinstance(said := await self._judged(ctx), Unmet):
            if ctx.clock.now() >= give_up:
                raise NodeFault(Reason.GATE_FAILED, said.detail)
            await _until(ctx, ctx.clock.now() + _POLL_S, said.detail)

    async def _judged(self, ctx: NodeContext) -> Met | Unmet:
        await _measure(ctx, AFTER)
        return await self.check(ctx)


async def _until(ctx: NodeContext, at: float, why: str) -> None:
    while (left_s := at - ctx.clock.now()) > 0:
        ctx.progress(None, f"{why}: {left_s:.0f} s to go")
        await ctx.safe_point()
        await ctx.clock.sleep(min(_POLL_S, left_s))


async def _measure(ctx: NodeContext, name: str) -> Json:
    """Measured anew each time, as an effect of its own: the journal is the evidence."""

    async def act(_intent: Json) -> Json:
        return await _read(ctx, rechecked=name == AFTER)

    number = 1
    while ctx.announced(f"{number}/{name}") and ctx.latest(f"{number}/{name}") is not None:
        number += 1
    return await again(
        ctx,
        _TRIES,
        _AGAIN_S,
        lambda: ctx.once(f"{number}/{name}", act, prepare=_nothing, reconcile=_never),
        lambda why: NodeFault(Reason.UNREACHABLE, f"it could not be measured: {why}"),
    )


async def _read(ctx: NodeContext, *, rechecked: bool) -> Json:
    seen = await ctx.observe()
    bmc = ctx.bmc
    picture: Mapping[str, str] = await bmc.settings() if isinstance(bmc, SideEffects) else {}
    unmet = {key: said.detail for key, said in await ctx.recheck() if isinstance(said, Unmet)} if rechecked else {}
    ill = {
        item.id: item.health if item.health not in _WELL else item.state
        for item in seen.items
        if item.health not in _WELL or item.state not in _THERE
    }
    return {"health": seen.health, "items": ill, "picture": dict(picture), "unmet": unmet}


def _told(measured: Json) -> str:
    return f"health {measured['health'] or 'not shown'}, {len(measured['picture'])} settings, sensors and parts"


async def _nothing() -> Json:
    return {}


async def _never(_intent: Json) -> None:
    """A measurement that was announced and has no result is made again: it changes nothing."""
