"""Waiting for hardware: a BMC that is ready, one that returns, a power state that is reached. Each wait has an end."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.events import Json
from fleet.ports import BootMarker, PowerState, Restarted, UpdateReadiness
from fleet.step import NodeContext

_READY_S = 600.0
"""A BMC that has just booted refuses updates for a while (F24: at most 10 min)."""
_CALM_READS = 2
"""Equal reads before a power state is believed (field guide 2.1: the BMC's belief lags up to 60 s)."""
_POWER_POLL_S = 10.0
_FRESH_S = 60.0
"""For how long what was read of a machine holds while nobody looks at it."""

Seen = TypeVar("Seen")


async def ready(ctx: NodeContext, *, limit_s: float = _READY_S) -> UpdateReadiness:
    """The update service, enabled and idle. UPDATE_SERVICE_BUSY if it does not become so."""
    give_up = ctx.clock.now() + limit_s
    while True:
        why = "does not answer"
        try:
            readiness = await ctx.bmc.readiness()
        except Transient as transient:
            why = str(transient)
        else:
            if readiness.enabled and not readiness.alive:
                return readiness
            busy = ", ".join(f"{task.name or task.uri} ({task.state})" for task in readiness.alive)
            why = f"runs {busy}" if busy else "is not enabled"
        if ctx.clock.now() >= give_up:
            raise NodeFault(
                Reason.UPDATE_SERVICE_BUSY, f"the update service {why} for {limit_s:.0f} s; nothing was sent"
            )
        ctx.progress(None, f"update service {why}")
        await ctx.clock.sleep(30.0)


async def at_the_gate(ctx: NodeContext, look: Callable[[], Awaitable[Seen]]) -> Seen:
    """Look, then ask the gate; after a pause look again: meanwhile people may have flashed the machine, or swapped it (B.7, B.8).

    The gate is asked last: nothing may be awaited between it and the effect, or a pause in between would be too late.
    """
    while True:
        seen = await look()
        asked = ctx.clock.now()
        await ctx.safe_point()
        if ctx.clock.now() - asked < _FRESH_S:
            return seen


async def calm(ctx: NodeContext, *, limit_s: float) -> None:
    """Nothing flashes, nobody works on it, and it is the machine that was planned: power may be touched (field guide B.7, B.8)."""
    give_up = ctx.clock.now() + limit_s
    while True:
        await ready(ctx, limit_s=limit_s)
        try:
            await ctx.require_identity()
            break
        except Transient as transient:  # a BMC that was flashed restarts by itself, perhaps now (field guide 1.10)
            if ctx.clock.now() >= give_up:
                raise
            ctx.progress(None, f"does not say who it is: {transient}")
            await ctx.clock.sleep(30.0)
    await ctx.require_drained()


async def marker_json(ctx: NodeContext) -> Json:
    """The BMC's boot marker, as an intent keeps it."""
    return asdict(await ctx.bmc.boot_marker())


async def returned(ctx: NodeContext, marker: BootMarker) -> Json | None:
    """After a reset of the BMC: wait until it is back and answer with evidence; None if it never restarted.

    Raises BMC_GONE after the profile's hard limit (F29).
    """
    timings = ctx.bmc.profile.timings
    begun = ctx.clock.now()
    connected = True
    while True:
        await ctx.clock.sleep(timings.settle_interval_s)
        waited = ctx.clock.now() - begun
        try:
            if not connected:
                await ctx.bmc.reconnect()
            connected = True
            restarted = await ctx.restarted_since(marker)
            if restarted is Restarted.YES:
                await ctx.bmc.observe()
                return {"returned_s": round(waited)}
        except (Transient, OutcomeUnknown) as silent:
            connected = False
            if waited >= timings.bmc_return_hard_s:
                raise NodeFault(
                    Reason.BMC_GONE,
                    f"the BMC has not returned {waited:.0f} s after its reset ({silent}); look at it, then AC-cycle the node",
                ) from silent
            ctx.progress(None, f"BMC away for {waited:.0f} s")
            continue
        if waited >= timings.bmc_return_s:
            return None if restarted is Restarted.NO else {"returned_s": round(waited), "evidence": "none offered"}


async def power_reaches(ctx: NodeContext, wanted: PowerState, limit_s: float) -> bool:
    """Whether the host reaches the state, seen twice; the first time before the limit, or by a look that began before it.

    A BMC that answers late must not make a host that is off look like one that is on.
    """
    give_up = ctx.clock.now() + limit_s
    seen = 0
    while seen < _CALM_READS:
        try:
            seen = seen + 1 if await ctx.bmc.power_state() is wanted else 0
        except Transient:
            seen = 0
        if seen < _CALM_READS:
            if not seen and ctx.clock.now() >= give_up:
                return False
            await ctx.clock.sleep(_POWER_POLL_S)
    return True


async def again(
    ctx: NodeContext,
    attempts: int,
    wait_s: float,
    call: Callable[[], Awaitable[Json]],
    fault: Callable[[str], NodeFault],
) -> Json:
    """Call, and call again after `wait_s` while it raises Transient; then the fault."""
    for attempt in range(1, attempts + 1):
        try:
            return await call()
        except Transient as transient:
            if attempt == attempts:
                raise fault(str(transient)) from transient
            ctx.progress(None, f"{transient}; again in {wait_s:.0f} s")
            await ctx.clock.sleep(wait_s)
    raise fault("no attempt was allowed")
