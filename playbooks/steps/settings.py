"""After a flash: settings, users and parts are as before it, or are put back, or the node is held (field guide B.26, F38)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.keeping import Difference, differences, listed, news
from fleet.ports import SideEffects
from fleet.profile import Setting
from fleet.recipe import KEEP
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.hosts import post_left_s
from playbooks.steps.waiting import again

_SETTLE_S = 600.0
"""Parts may be stubs for this long after a reset (F39)."""
_POLL_S = 60.0
_TRIES = 3
_NEWS = 4


@step(KEEP, arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsKeep:
    """Compare what a flash must leave alone with what it was before, and put back what the profile allows."""

    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Everything that was recorded before the first image is there, and as it was."""
        before, bmc = ctx.settings_before(), ctx.bmc
        if not before or not isinstance(bmc, SideEffects):
            return Met("nothing was flashed")
        now = await bmc.settings()
        if found := differences(before, now):
            return Unmet(listed(found))
        new = news(before, now)
        more = f"; new: {', '.join(new[:_NEWS])}{' ...' if len(new) > _NEWS else ''}" if new else ""
        return Met(f"{len(before)} settings and parts are as before{more}")

    async def apply(self, ctx: NodeContext) -> None:
        """Put back what may be put back, once each; wait for what may still be starting; then DRIFTED with the difference."""
        await _settle(ctx)
        give_up = ctx.clock.now() + post_left_s(ctx) + _SETTLE_S
        while found := await _differences(ctx):
            for each in found:
                if each.what in {setting.value for setting in ctx.bmc.profile.restores}:
                    await _put_back(ctx, each)
            rest = await _differences(ctx)
            if not rest:
                return
            if ctx.clock.now() >= give_up:
                raise NodeFault(
                    Reason.DRIFTED,
                    f"not as before the flash: {listed(rest)}; put it right by hand, or accept it and take the node up again",
                )
            ctx.progress(None, f"{listed(rest)}; read again in {_POLL_S:.0f} s")
            await ctx.safe_point()
            await ctx.clock.sleep(_POLL_S)


async def _differences(ctx: NodeContext) -> tuple[Difference, ...]:
    bmc = ctx.bmc
    found: tuple[Difference, ...] = ()
    if isinstance(bmc, SideEffects):
        try:
            found = differences(ctx.settings_before(), await bmc.settings())
        except Transient as silent:
            found = (Difference(what="all of it", before="readable", now=f"not ({silent})"),)
    return found


async def _settle(ctx: NodeContext) -> None:
    """What a process before us announced and did not see the end of: it may be as before already, and no difference any more."""
    for setting in Setting:
        before = ctx.settings_before().get(setting, "")
        if ctx.announced(f"put-back {setting}") and before:
            await _put_back(ctx, Difference(what=setting, before=before, now=""))


async def _put_back(ctx: NodeContext, changed: Difference) -> None:
    """Announced, sent once, and read back by whoever compares next."""
    bmc, setting = ctx.bmc, Setting(changed.what)
    assert isinstance(bmc, SideEffects)  # noqa: S101  whoever found the difference has asked

    async def prepare() -> Json:
        await ctx.require_identity()
        return {"to": changed.before, "was": changed.now}

    async def act(intent: Json) -> Json:
        await bmc.put_back(setting, str(intent["to"]))
        return {"to": intent["to"]}

    async def reconcile(intent: Json) -> Json | None:
        now = await bmc.settings()
        return {"to": intent["to"]} if now.get(changed.what) == intent["to"] else None

    await again(
        ctx,
        _TRIES,
        _POLL_S,
        partial(ctx.once, f"put-back {changed.what}", act, prepare=prepare, reconcile=reconcile),
        lambda why: NodeFault(Reason.DRIFTED, f"{changed}; it cannot be put back: {why}"),
    )
