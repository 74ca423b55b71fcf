"""Both slots of a firmware: no image while a root of trust copies (F45), no node confirmed whose AC loss starts another version (F46).

The copy is what takes the way back away (field guide 1.11), so it comes last: after verify and burn-in. Where the root copies by
itself, that is only waited for.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.ports import TwoSlots
from fleet.profile import ComponentProfile, CopyPolicy
from fleet.recipe import COMMIT
from fleet.slots import COPY_S, Copying, SlotReading, agreed, lacking
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.waiting import again, at_the_gate, calm

_POLL_S = 30.0
"""As nvfwupd does (field guide 1.8)."""
_TRIES = 10
_AGAIN_S = 60.0
_SETTLE_S = 600.0
"""Roots of a baseboard may be stubs for this long after a reset (F39)."""


async def at_rest(ctx: NodeContext) -> Json:
    """Wait until nothing copies, at most as long as a copy takes; both slots as they are then, for the journal.

    Raises UPDATE_SERVICE_BUSY: a copy does not end. What cannot be read refuses nothing: the BMC itself refuses an image then.
    """
    give_up = ctx.clock.now() + COPY_S
    while True:
        looked_at = ctx.clock.now()
        try:
            reading = await _read(ctx)
        except NodeFault as fault:
            if fault.reason is not Reason.PROTOCOL:
                raise
            return {}
        if not reading.busy:
            return reading.to_json() if reading.shown else {}
        if looked_at >= give_up:  # what was read of a slow BMC before may be out of date
            raise NodeFault(
                Reason.UPDATE_SERVICE_BUSY,
                f"a background copy has not ended for {COPY_S:.0f} s ({lacking(reading)}); nothing was sent (F45). If it stays so,"
                " restart the BMC once when nothing is being flashed",
            )
        ctx.progress(None, f"waits for the background copy: {lacking(reading)}")
        await ctx.clock.sleep(_POLL_S)


async def _read(ctx: NodeContext) -> SlotReading:
    bmc = ctx.bmc
    return await bmc.slots() if isinstance(bmc, TwoSlots) else SlotReading()


_HOLD, _RELEASE = "hold-copy", "release-copy"


async def hold_copies(ctx: NodeContext, part: ComponentProfile) -> None:
    """Before a flash, where the profile defers the copy: no root of the component copies by itself until it is told to (B.17)."""
    if part.background_copy is not CopyPolicy.DEFER:
        return
    reading = (await _read_patiently(ctx)).of(part.items, part.roots)
    for root in reading.roots:
        # One that a process before us announced is settled, even if the hardware shows it done.
        if root.automatic or ctx.announced(f"{_HOLD} {root.id}"):
            await _switch(ctx, root.id, enabled=False)


async def _read_patiently(ctx: NodeContext) -> SlotReading:
    found = SlotReading()

    async def read() -> Json:
        nonlocal found
        found = await _read(ctx)
        return {}

    await again(
        ctx, _TRIES, _AGAIN_S, read, lambda why: NodeFault(Reason.UNREACHABLE, f"its slots cannot be read: {why}")
    )
    return found


async def _switch(ctx: NodeContext, root: str, *, enabled: bool) -> None:
    """AutomaticBackgroundCopyEnabled of one root, announced, sent once and read back."""
    bmc = ctx.bmc
    assert isinstance(bmc, TwoSlots)  # noqa: S101  whoever showed roots has the port

    async def stands() -> bool:
        return any(each.id == root and each.automatic is enabled for each in (await _read(ctx)).roots)

    async def prepare() -> Json:
        await ctx.require_identity()
        return {"enabled": enabled}

    async def act(_intent: Json) -> Json:
        await bmc.copy_by_itself(root, enabled=enabled)
        if not await stands():
            raise NodeFault(
                Reason.UPDATE_REJECTED,
                f"{root}: AutomaticBackgroundCopyEnabled={enabled} was accepted and is not so; nothing was flashed for it",
            )
        return {"enabled": enabled}

    async def reconcile(_intent: Json) -> Json | None:
        return {"enabled": enabled} if await stands() else None

    async def once() -> Json:
        return await ctx.once(f"{_RELEASE if enabled else _HOLD} {root}", act, prepare=prepare, reconcile=reconcile)

    await again(
        ctx,
        _TRIES,
        _AGAIN_S,
        once,
        lambda why: NodeFault(Reason.UPDATE_REJECTED, f"the copy of {root} cannot be set: {why}"),
    )


@step(COMMIT, arguments=None, takes_s=300.0)
@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareCommit:
    """Make both slots of what was flashed equal, now that the node has passed its gate, and believe only what they show."""

    components: str
    """Keys in the profile, with a blank between."""
    roots: int
    """Roots of trust that the plan saw of them: fewer are not all."""
    disrupts: ClassVar[Disrupts] = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether every root is at rest and both slots of every firmware hold what runs."""
        try:
            reading = await self._mine(ctx)
        except Transient as silent:
            return Unmet(f"not readable: {silent}")
        held = ", ".join(_held(ctx, reading))
        lack = self._lack(reading) or (f"{held} may copy by itself again" if held else "")
        return Unmet(lack) if lack else Met(agreed(reading))

    async def apply(self, ctx: NodeContext) -> None:
        """Wait for roots that copy by themselves, tell the others once, and wait for both slots; HALF_UPDATED if they differ then."""
        give_up, told = ctx.clock.now() + _SETTLE_S + COPY_S, False
        while True:
            looked_at = ctx.clock.now()
            try:
                # One that a process before us announced is settled first, whatever is shown now: its copy may have ended meanwhile.
                if not told and ctx.announced("copy"):
                    await self._copy(ctx)
                    give_up, told = ctx.clock.now() + COPY_S, True
                reading = await self._mine(ctx)
                lack = self._lack(reading)
                if not lack:
                    held = _held(ctx, reading)
                    for root in reading.roots:
                        if root.id in held or ctx.announced(f"{_RELEASE} {root.id}"):
                            await _switch(ctx, root.id, enabled=True)
                    return
                if not told and reading.waits_to_be_told and not reading.busy:
                    await self._copy(ctx)
                    give_up, told = ctx.clock.now() + COPY_S, True
            except Transient as silent:
                lack = f"not readable: {silent}"
            if looked_at >= give_up:
                raise NodeFault(
                    Reason.HALF_UPDATED,
                    f"its slots are not equal ({lack}): an AC loss may start another version (F46). Nothing more is done to it; compare"
                    " the slots, and have the running one copied (CommitImage) or flash again",
                )
            ctx.progress(None, f"waits for both slots: {lack}")
            if not told:
                await ctx.safe_point()
            await ctx.clock.sleep(_POLL_S)

    async def _mine(self, ctx: NodeContext) -> SlotReading:
        reading, parts = await _read(ctx), ctx.bmc.profile.components
        mine = [parts[key] for key in self.components.split()]
        return reading.of(
            [glob for part in mine for glob in part.items], [glob for part in mine for glob in part.roots]
        )

    def _lack(self, reading: SlotReading) -> str:
        if len(reading.roots) < self.roots:
            return f"{len(reading.roots)} of {self.roots} roots of trust are shown"
        return lacking(reading)

    async def _copy(self, ctx: NodeContext) -> None:
        """CommitImage, announced first and sent once."""
        bmc = ctx.bmc
        assert isinstance(bmc, TwoSlots)  # noqa: S101  whoever showed slots has the port

        async def prepare() -> Json:
            await at_the_gate(ctx, lambda: calm(ctx, limit_s=_SETTLE_S))
            reading = await self._mine(ctx)
            return {"items": await self._items(ctx, reading), "before": reading.to_json(), "at": ctx.clock.now()}

        async def act(intent: Json) -> Json:
            if intent["items"]:
                await bmc.copy_slots(intent["items"])
            return {"items": intent["items"], "at": ctx.clock.now()}

        async def reconcile(intent: Json) -> Json | None:
            return await self._found(ctx, intent)

        async def once() -> Json:
            return await ctx.once("copy", act, prepare=prepare, reconcile=reconcile)

        await again(
            ctx, _TRIES, _AGAIN_S, once, lambda why: NodeFault(Reason.HALF_UPDATED, f"it takes no CommitImage: {why}")
        )

    async def _found(self, ctx: NodeContext, intent: Json) -> Json | None:
        """Did the announced copy begin? It is seen to run, or to have been made; or no copy can be under way, and none was made."""
        timings = ctx.bmc.profile.timings
        while True:
            reading = await self._mine(ctx)
            if reading.busy or not reading.waits_to_be_told:
                return {"items": intent["items"], "at": ctx.clock.now(), "note": "found by reading the slots"}
            silent = any(root.copying is Copying.NOT_SHOWN for root in reading.roots)
            longest_s = COPY_S if silent else timings.settle_reads * timings.settle_interval_s
            if ctx.clock.now() >= float(intent["at"]) + longest_s:
                return None
            await ctx.clock.sleep(timings.settle_interval_s)

    async def _items(self, ctx: NodeContext, reading: SlotReading) -> list[str]:
        """Inventory items to be copied: those whose slots differ, where they show them; else all of the roots that wait to be told."""
        known = ctx.bmc.profile.components
        parts = [known[key] for key in self.components.split()]
        globs = [glob for part in parts if reading.of(part.items, part.roots).waits_to_be_told for glob in part.items]
        shown = [item.id for item in (await ctx.observe()).items]
        mine = [item for item in shown if any(fnmatchcase(item, glob) for glob in globs)]
        half = {banks.holder for banks in reading.half}
        return [item for item in mine if item in half] or mine


def _held(ctx: NodeContext, reading: SlotReading) -> list[str]:
    """Roots that this rollout keeps from copying by themselves."""
    held = [root for root in reading.roots if ctx.latest(f"{_HOLD} {root.id}") is not None]
    return [root.id for root in held if root.automatic is False]
