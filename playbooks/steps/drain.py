"""Take a node out of its scheduler's service and give it back. Nobody's work is ended, nobody else's decision is touched."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fleet.edges import SchedulerNode, SchedulerState
from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.gate import Aborted
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.registry import step
from playbooks.steps.waiting import again

_OURS = "fleetwave "
"""Begins every reason that we leave; what follows names the rollout."""
_PATIENCE_S = 48 * 3600.0
"""Work of a day or two may still run when a drain begins [inf]; whoever needs longer drains the node before."""
_POLL_S = 30.0
_SETTLE_S = 120.0
"""slurmctld shows a new state at once, or after its next ping of the node."""
_TRIES, _AGAIN_S = 5, 60.0


ANY, OWN = "any", "own"
"""Whose drains node.undrain lifts."""


def is_ours(seen: SchedulerNode) -> bool:
    """Whether a rollout of ours drained it, this one or one before."""
    return seen.reason.startswith(_OURS)


def stranger(node: str) -> str:
    """Why a node that the declared scheduler does not know is not disturbed: the machine may be in it under another name."""
    return (
        f"the scheduler knows no node {node}, and work may run on the machine under another name: give it the scheduler's name in"
        " the inventory, or say there that it is in no scheduler, `labels: {scheduler: none}`"
    )


@step("node.drain", undo="by node.undrain, or by a person; a node that fails stays drained")
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDrain:
    """Start no new work on the node, and wait until what runs on it has ended by itself."""

    disrupts: Disrupts = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether nothing runs and nothing new starts."""
        seen = await _heard(ctx)
        match seen.state:
            case SchedulerState.NONE:
                return Met("no scheduler knows it")
            case SchedulerState.UNKNOWN:
                raise NodeFault(Reason.NOT_DRAINED, stranger(str(ctx.node.id)))
            case SchedulerState.DRAINED:
                return Met(f"drained: {seen.reason}")
            case _:
                return Unmet(f"{seen.state}{f': {seen.reason}' if seen.reason else ''}")

    async def apply(self, ctx: NodeContext) -> None:
        """Drain it unless somebody has, then wait. NOT_DRAINED at the deadline, with our drain taken back."""
        begun = ctx.clock.now()
        seen = await _heard(ctx)
        if seen.state is SchedulerState.DOWN:
            raise NodeFault(
                Reason.NOT_DRAINED,
                f"the scheduler holds it down ({seen.reason or 'no reason given'}) and may lift that by itself when the node"
                " answers: drain it or resume it, then apply again",
            )
        if seen.state is SchedulerState.IN_SERVICE or ctx.announced("drain"):
            begun = float((await _drain(ctx))["at"])
        try:
            seen = await _until_drained(ctx, begun)
        except Aborted:
            await _take_back(ctx)
            raise
        if seen.state in {SchedulerState.IN_SERVICE, SchedulerState.DOWN}:
            what = f"{seen.state}{f' ({seen.reason})' if seen.reason else ''}"
            raise NodeFault(
                Reason.NOT_DRAINED, f"somebody changed it while it drained: the scheduler has it {what} now"
            )


@step("node.undrain")
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUndrain:
    """Give the node back to its scheduler, if it was us who took it."""

    of: str = ANY
    """Whose drains are lifted: ANY of ours, as a playbook that brings a node to its goal may, or only OWN, as a way back must:
    what an earlier rollout holds is not fit for tenants because its firmware is back."""
    disrupts: Disrupts = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether no drain of ours is on it."""
        seen = await _heard(ctx)
        if seen.state in {SchedulerState.NONE, SchedulerState.UNKNOWN}:
            return Met("no scheduler knows it")
        if seen.state is SchedulerState.IN_SERVICE:
            return Met("in service")
        if not self._lifts(ctx, seen):
            return Met(f"{seen.state} by others, which stays: {seen.reason or 'no reason given'}")
        return Unmet(f"{seen.state}: {seen.reason}")

    async def apply(self, ctx: NodeContext) -> None:
        """Resume it."""
        await _resume(ctx, partial(self._lifts, ctx))

    def _lifts(self, ctx: NodeContext, seen: SchedulerNode) -> bool:
        return is_ours(seen) if self.of == ANY else seen.reason == _reason(ctx)


async def _until_drained(ctx: NodeContext, begun: float) -> SchedulerNode:
    """What the scheduler says once it is no longer draining. While it says nothing, as when it is restarted, nothing is known."""
    while (seen := await _look_or_silence(ctx)) is None or seen.state is SchedulerState.DRAINING:
        waited_s = ctx.clock.now() - begun
        if waited_s >= _PATIENCE_S:
            await _take_back(ctx)
            raise NodeFault(
                Reason.NOT_DRAINED,
                f"work still runs on it {waited_s / 3600:.0f} h after it was drained; nothing was done to it",
            )
        await ctx.safe_point()
        if seen is not None:
            left = await _ask_to_leave(ctx, seen)
            ctx.progress(None, f"work still runs on it ({waited_s / 60:.0f} min){left and f': {left}'}")
        await ctx.clock.sleep(_POLL_S)
    return seen


async def _ask_to_leave(ctx: NodeContext, seen: SchedulerNode) -> str:
    """From a node that this step drains, and from no other: whoever else drained it decides about what runs there. What is left."""
    if not ctx.announced("drain") or seen.reason != _reason(ctx):
        return ""
    try:
        return await ctx.edges.scheduler.ask_to_leave(str(ctx.node.id), _reason(ctx))
    except Transient as silent:
        return f"nothing was asked to leave: {silent}"


async def _heard(ctx: NodeContext) -> SchedulerNode:
    """What the scheduler says, once a short silence is over (its controller is restarted or fails over). UNREACHABLE after a longer one."""
    for _ in range(_TRIES - 1):
        if (seen := await _look_or_silence(ctx)) is not None:
            return seen
        await ctx.clock.sleep(_AGAIN_S)
    try:
        return await _look(ctx)
    except Transient as silent:
        raise _unheard(str(silent)) from silent


async def _look_or_silence(ctx: NodeContext) -> SchedulerNode | None:
    """None: it does not answer now."""
    try:
        return await _look(ctx)
    except Transient as silent:
        ctx.progress(None, f"the scheduler does not answer: {silent}")
        return None


async def _look(ctx: NodeContext) -> SchedulerNode:
    return await ctx.edges.scheduler.look(str(ctx.node.id))


async def _drain(ctx: NodeContext) -> Json:
    reason = _reason(ctx)
    node = str(ctx.node.id)

    async def prepare() -> Json:
        seen = await _look(ctx)
        await ctx.safe_point()
        return {"reason": reason, "was": seen.state.value}

    async def act(_intent: Json) -> Json:
        # Whoever drained it in the meantime keeps their reason: a second drain would overwrite it.
        if (await _look(ctx)).state is SchedulerState.IN_SERVICE:
            await ctx.edges.scheduler.drain(node, reason)
        return {"at": ctx.clock.now()}

    async def reconcile(_intent: Json) -> Json | None:
        in_service = (await _look(ctx)).state is SchedulerState.IN_SERVICE
        return None if in_service else {"at": ctx.clock.now()}

    async def once() -> Json:
        return await ctx.once("drain", act, prepare=prepare, reconcile=reconcile)

    return await again(ctx, _TRIES, _AGAIN_S, once, _unheard)


def _reason(ctx: NodeContext) -> str:
    return f"{_OURS}{ctx.rollout}"


async def _resume(ctx: NodeContext, lifts: Callable[[SchedulerNode], bool] = is_ours) -> Json:
    """Lift our drain, and see it lifted. Somebody else's is left alone, also if it came a moment ago."""

    async def act(_intent: Json) -> Json:
        if lifts(await _look(ctx)):
            await ctx.edges.scheduler.resume(str(ctx.node.id))
        return {"at": ctx.clock.now()}

    async def reconcile(_intent: Json) -> Json | None:
        return None if lifts(await _look(ctx)) else {"at": ctx.clock.now()}

    async def nothing() -> Json:
        return {}

    async def once() -> Json:
        return await ctx.once("resume", act, prepare=nothing, reconcile=reconcile)

    result = await again(ctx, _TRIES, _AGAIN_S, once, _unheard)
    give_up = ctx.clock.now() + _SETTLE_S
    while lifts(await _look(ctx)) and ctx.clock.now() < give_up:
        await ctx.clock.sleep(_POLL_S)
    return result


async def _take_back(ctx: NodeContext) -> None:
    """A drain that led to nothing must not keep tenants off the node. One of an earlier rollout stays: this step did not set it."""
    if ctx.announced("drain") and is_ours(await _heard(ctx)):
        await _resume(ctx)


def _unheard(why: str) -> NodeFault:
    return NodeFault(Reason.UNREACHABLE, f"the scheduler does not answer: {why}")
