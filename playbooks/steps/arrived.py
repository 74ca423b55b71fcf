"""Did an image arrive whose submission was announced and has no answer? Tasks, versions, other copies and the BMC's log decide.

Rollout-science 4.2, step 6: read back until decided; hand over again only if it is proven absent; else a person looks.
"""

from dataclasses import asdict
from fnmatch import fnmatchcase

from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.ports import BootMarker, KeepsLog, LogMark, LogSays, LogVerdict, Restarted, TwoSlots, UpdateReadiness
from fleet.step import NodeContext
from fleet.target import Target

_SETTLE_S = 600.0
"""Resources may be stubs for this long after a reset (F39)."""
_LOOK_S = 60.0
"""Between two looks while a flash that had come would be under way."""


async def standing(ctx: NodeContext, target: Target) -> Json:
    """What is to be compared with later: where the BMC's log stands, and what the component's other copies are."""
    mark = await ctx.bmc.log_mark(target.component) if isinstance(ctx.bmc, KeepsLog) else None
    return {"log": None if mark is None else asdict(mark), "copies": await _copies(ctx, target)}


async def find_submission(ctx: NodeContext, target: Target, intent: Json, *, staged_over: bool) -> Json | None:
    """How the announced image arrived, or None if it is proven that it did not. OUTCOME_UNKNOWN: nobody can tell.

    It is absent only if tasks, versions, copies and log all say so, the log in the end of the time that a flash takes: an image that
    came would have been written by then. `staged_over`: the wanted version ran before already, under another image that waits; then
    versions prove nothing.
    """
    found = await _seen(ctx, target, intent, staged_over=staged_over)
    looked, log = ctx.clock.now(), await _log(ctx, target, intent)
    over = float(intent["at"]) + ctx.bmc.profile.components[target.component].flash_s
    while found is None and log.says is LogSays.SILENT and ctx.clock.now() < over:
        ctx.progress(None, "waiting until an image that came would have been written")
        await ctx.clock.sleep(_LOOK_S)
        found = await _new_task(ctx, intent)
    timings = ctx.bmc.profile.timings
    for _ in range(timings.settle_reads - 1):
        if found is not None:
            return found
        await ctx.clock.sleep(timings.settle_interval_s)
        found = await _seen(ctx, target, intent, staged_over=staged_over)
    return found or await _decided(ctx, target, intent, looked)


async def _decided(ctx: NodeContext, target: Target, intent: Json, looked: float) -> Json | None:
    """Without a new task or version: what boot, tasks kept, copies and log prove. `looked`: when the tasks were first read."""
    kept_s = ctx.bmc.profile.quirks.tasks_kept_s
    if await ctx.restarted_since(BootMarker(**intent["marker"])) is not Restarted.NO:
        raise _unknown(target, "the BMC may have restarted since")
    log = await _log(ctx, target, intent)
    if log.says is LogSays.TOLD:
        return {"task": None, "note": log.why, "at": float(intent["at"])}
    if looked - float(intent["at"]) >= kept_s:
        raise _unknown(target, f"a task that ended may be listed no longer (kept {kept_s:.0f} s)")
    if log.says is not LogSays.SILENT:
        raise _unknown(target, log.why)
    if await _copies(ctx, target) != intent.get("copies"):
        raise _unknown(target, "another copy of it changed since")
    if await _banks_changed(ctx, intent):
        raise _unknown(target, "a slot behind a root of trust changed since")
    return None


async def _banks_changed(ctx: NodeContext, intent: Json) -> bool:
    """Whether a slot is not as it was when the image was announced, where both slots were shown (field guide 1.8)."""
    before = intent.get("slots", {}).get("banks")
    return bool(before) and isinstance(ctx.bmc, TwoSlots) and (await ctx.bmc.slots()).to_json()["banks"] != before


def _unknown(target: Target, why: str) -> NodeFault:
    return NodeFault(
        Reason.OUTCOME_UNKNOWN,
        f"{target.component}: the image may or may not have arrived: {why}; read slots and logs before flashing again",
    )


async def _seen(ctx: NodeContext, target: Target, intent: Json, *, staged_over: bool) -> Json | None:
    """A task that was not there before, or the wanted version."""
    found = await _new_task(ctx, intent)
    if found is None and not staged_over and target.diff((await ctx.observe()).items).met:
        return {"task": None, "note": "the wanted version is there already", "at": float(intent["at"])}
    return found


async def _new_task(ctx: NodeContext, intent: Json) -> Json | None:
    readiness = await _patiently(ctx)
    new = [task for task in readiness.known_tasks if task not in intent["known_tasks"]]
    return {"task": new[-1], "note": "found by reading the tasks", "at": float(intent["at"])} if new else None


async def _log(ctx: NodeContext, target: Target, intent: Json) -> LogVerdict:
    mark = intent.get("log")
    if mark is None or not isinstance(ctx.bmc, KeepsLog):
        why = "no log of the BMC is known to tell of it, or none could be read before"
        return LogVerdict(says=LogSays.CANNOT_TELL, why=why)
    versions = {target.version}.union(*({want.version, *want.accepts} for want in target.wants))
    return await ctx.bmc.log_since(target.component, LogMark(**mark), frozenset(versions))


async def _copies(ctx: NodeContext, target: Target) -> dict[str, str]:
    """Other copies of the component, where its profile names such."""
    globs = ctx.bmc.profile.components[target.component].copies
    if not globs:
        return {}
    items = (await ctx.observe()).items
    return {item.id: item.version for item in items if any(fnmatchcase(item.id, glob) for glob in globs)}


async def _patiently(ctx: NodeContext) -> UpdateReadiness:
    """What the update service does, waiting for an answer as long as resources may be stubs."""
    give_up = ctx.clock.now() + _SETTLE_S
    while True:
        try:
            return await ctx.bmc.readiness()
        except Transient as transient:
            if ctx.clock.now() >= give_up:
                raise NodeFault(
                    Reason.OUTCOME_UNKNOWN, f"the BMC does not say what it is doing: {transient}"
                ) from transient
            await ctx.clock.sleep(30.0)
