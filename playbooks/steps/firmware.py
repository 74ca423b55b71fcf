"""Firmware: hand an image over once, follow it, bring it into force, and believe only what the inventory says.

Follows the life cycle of the field guide, section 1.7. A task's end is a hint (0.1); versions, read three times, are the verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fleet.activation import NotOffered, plan_activation
from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.ports import BootMarker, PowerState, Restarted, TaskPhase, TaskReading, UpdateOrder
from fleet.recipe import GIVEN_UP
from fleet.step import Deferred, Disrupts, Met, NodeContext, Unmet
from fleet.target import Target
from inventory.baseline import Activation, ComponentDiff
from inventory.observed import FirmwareItem
from playbooks.registry import step
from playbooks.steps.arrived import find_submission, standing
from playbooks.steps.hosts import post_left_s, post_over
from playbooks.steps.power import ACTIONS, cycle_ac
from playbooks.steps.slots import at_rest, hold_copies
from playbooks.steps.turn import Turn
from playbooks.steps.waiting import again, at_the_gate, calm, marker_json, ready

_PATIENCE = 3.0
"""A task that vanished may still be flashing: nothing is reset before this many times the expected duration (F01, F08)."""
_POLL_S = (15.0, 90.0)
"""Between two looks at a task: seldom in the middle of a flash, often near its expected end (field guide B.22)."""
_GIVEN_UP = "Cancelled"
"""bmcweb's watchdog says so after 5 minutes without progress, while the flash may go on (field guide 1.3, F09)."""
ACTED = "activated"
"""Effect that the journal knows an activation by whose versions cannot tell."""
_SETTLE_S = 600.0
"""Resources may be stubs for this long after a reset (F39), and versions old."""


@step("firmware.update", arguments=("component",))
@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareUpdate:
    """Hand one component's image to the BMC and follow it until it is staged (Redfish UpdateService, DSP0266)."""

    target: str
    """Name in the plan's targets."""
    always: str = ""
    """Non-empty: flash even where the running version is right, because another image is staged over it."""
    disrupts: Disrupts = Disrupts.NOTHING

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether every instance of the component shows the wanted version."""
        target = ctx.target(self.target)
        found = target.diff((await ctx.observe()).items)
        if found.met and not self.always:
            return Met(f"{target.component} is at {target.version}")
        return Unmet(difference(target, found))

    async def apply(self, ctx: NodeContext) -> Deferred:
        """Submit once, then follow."""
        target = ctx.target(self.target)
        await hold_copies(ctx, ctx.bmc.profile.components[target.component])
        submitted = await again(
            ctx, 10, 60.0, lambda: self._submit(ctx, target), lambda why: NodeFault(Reason.UPDATE_REJECTED, why)
        )
        text = await _follow(ctx, target, submitted, staged_over=bool(self.always))
        if target.downgrade:
            await again(ctx, 10, 60.0, lambda: _restored(ctx), _still_forced)
        return Deferred(text)

    async def _submit(self, ctx: NodeContext, target: Target) -> Json:
        part = ctx.bmc.profile.components[target.component]

        async def look() -> Json:
            readiness = await ready(ctx)
            if readiness.max_image_bytes is not None and target.size_bytes > readiness.max_image_bytes:
                raise NodeFault(
                    Reason.UPDATE_REJECTED,
                    f"{target.image.name} has {target.size_bytes} bytes, the BMC takes {readiness.max_image_bytes} (F17)",
                )
            slots = await at_rest(ctx)
            await ctx.require_identity()
            await ctx.require_drained()
            seen = {"known_tasks": list(readiness.known_tasks), "marker": await marker_json(ctx)}
            return seen | await standing(ctx, target) | ({"slots": slots} if slots else {})

        async def prepare() -> Json:
            await turn.come()
            seen = await at_the_gate(ctx, look)
            return {"sha256": target.sha256, "version": target.version, **seen, "at": ctx.clock.now()}

        async def act(intent: Json) -> Json:
            order = UpdateOrder(
                component=target.component,
                profile=part,
                image=target.image,
                size_bytes=target.size_bytes,
                sha256=target.sha256,
                force=bool(target.downgrade),
            )
            try:
                submission = await ctx.bmc.submit_update(order)
            finally:
                if order.force:
                    await _restore_soon(ctx)
            born = {"started": submission.started, "marker": intent["marker"]}
            return {"task": submission.task, "note": submission.note, "at": ctx.clock.now(), **born}

        async def reconcile(intent: Json) -> Json | None:
            return await find_submission(ctx, target, intent, staged_over=bool(self.always))

        async with Turn(ctx) as turn:
            return await ctx.once("submit", act, prepare=prepare, reconcile=reconcile)


async def _restored(ctx: NodeContext) -> Json:
    await ctx.bmc.restore_force_flag()
    return {}


def _still_forced(why: str) -> NodeFault:
    return NodeFault(Reason.UPDATE_REJECTED, f"ForceUpdate may still be set, set it back by hand (F22): {why}")


async def _restore_soon(ctx: NodeContext) -> None:
    """One try, beside an upload: whether the image arrived is the upload's to say, never this one's. `apply` makes sure of it later."""
    try:
        await ctx.bmc.restore_force_flag()
    except (Transient, NodeFault) as later:
        ctx.progress(None, f"ForceUpdate is not set back yet: {later}")


async def _follow(ctx: NodeContext, target: Target, submitted: Json, *, staged_over: bool) -> str:
    """Until the image is staged, or in force. UPDATE_FAILED and STEP_TIMEOUT are the ways to fail."""
    part = ctx.bmc.profile.components[target.component]
    begun, uri, started = float(submitted["at"]), submitted["task"], str(submitted.get("started", ""))
    while True:
        waited = ctx.clock.now() - begun
        reading = await _read(ctx, uri)
        if reading is not None and await _another(ctx, reading, started, submitted.get("marker")):
            ctx.progress(None, f"{uri} is another task now: the BMC restarted and counts anew (F02)")
            reading = None
        elif reading is not None:
            started = started or reading.started
        if reading is not None:
            ctx.progress(reading.percent, reading.messages[-1] if reading.messages else reading.state)
            if reading.phase in {TaskPhase.STAGED, TaskPhase.DONE}:
                return f"{target.version} handed over in {waited:.0f} s; {reading.activation or 'waits for activation'}"
            if reading.phase is TaskPhase.FAILED:
                if reading.state == _GIVEN_UP:
                    await _flash_over(ctx, target, waited)
                    await ctx.once(GIVEN_UP, _noted, prepare=_noted, reconcile=_noted)
                return await _judge_failure(ctx, target, reading, staged_over=staged_over)
        elif uri is None or waited >= part.flash_s * _PATIENCE:
            return await _without_task(ctx, target, waited)
        if waited >= part.deadline_s:
            raise NodeFault(
                Reason.STEP_TIMEOUT,
                f"{target.component}: still {reading.state if reading else 'without a task'} after {waited:.0f} s; it may still"
                " be flashing: do not cut its power",
            )
        await ctx.clock.sleep(min(max((part.flash_s - waited) / 3, _POLL_S[0]), _POLL_S[1]))


async def _noted(_: Json | None = None) -> Json:
    """It is enough that the journal says so."""
    return {}


async def _read(ctx: NodeContext, uri: str | None) -> TaskReading | None:
    """One look; None if the BMC does not know the task, or does not answer now."""
    if uri is None:
        return None
    try:
        return await ctx.bmc.read_task(uri)
    except Transient as transient:
        ctx.progress(None, f"no answer: {transient}")
        return None


async def _another(ctx: NodeContext, reading: TaskReading, started: str, marker: Json | None) -> bool:
    """Whether the task at our task's address is somebody else's: ids restart with a BMC, StartTime does not (F02).

    A BMC that tells no StartTime is asked whether it restarted, once its task says that it has ended.
    """
    if started and reading.started:
        return reading.started != started
    if marker is None or reading.phase not in {TaskPhase.DONE, TaskPhase.FAILED}:
        return False
    try:
        return await ctx.restarted_since(BootMarker(**marker)) is Restarted.YES
    except Transient:
        return True  # not known: versions decide


async def _judge_failure(ctx: NodeContext, target: Target, reading: TaskReading, *, staged_over: bool) -> str:
    """A task that says it failed: versions decide (F04, F11)."""
    if not staged_over and target.diff((await ctx.observe()).items).met:
        return f"the task ended {reading.state}, the inventory shows {target.version}"
    said = reading.messages[-1] if reading.messages else f"{reading.state}/{reading.status}"
    raise NodeFault(Reason.UPDATE_FAILED, f"{target.component}: {said}")


async def _without_task(ctx: NodeContext, target: Target, waited: float) -> str:
    """The task is gone (F01): never resubmit; wait until no flash can be under way, then let activation and versions tell."""
    await _flash_over(ctx, target, waited)
    return f"{target.version} handed over; its task is gone, the version after activation decides"


async def _flash_over(ctx: NodeContext, target: Target, waited: float) -> None:
    """Wait until no flash can be under way, whatever its task says or does not say (F01, F09)."""
    part = ctx.bmc.profile.components[target.component]
    rest_s = part.flash_s * _PATIENCE - waited
    if rest_s > 0:
        ctx.progress(None, "no task tells how it goes; waiting until no flash can be under way")
        await ctx.clock.sleep(rest_s)
    await ready(ctx, limit_s=part.deadline_s)


@step("firmware.activate", arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareActivate:
    """Bring everything flashed into force with the least power actions, each once, and verify every instance."""

    block: str
    """Which block of updates this closes."""
    always: str = ""
    """Non-empty: act even where the running versions are right, because other images wait under those that were handed over."""
    disrupts: Disrupts = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Three equal reads, apart, all showing the wanted versions (field guide B.1)."""
        flashed = ctx.flashed()
        if not flashed:
            return Met("nothing was flashed")
        if self.always and not ctx.announced(ACTED):
            return Unmet(f"{', '.join(flashed)}: what waits for the next reset is not in force yet")
        timings = ctx.bmc.profile.timings
        for read in range(timings.settle_reads):
            if read:
                await ctx.clock.sleep(timings.settle_interval_s)
            try:
                lacking = _lacking(flashed, (await ctx.observe()).items)
            except Transient as transient:
                return Unmet(f"not readable: {transient}")
            if lacking:
                return Unmet(lacking)
        return Met(", ".join(f"{target.component} {target.version}" for target in flashed.values()))

    async def apply(self, ctx: NodeContext) -> None:
        """The planned actions in order, then wait for the versions to appear."""
        flashed = ctx.flashed()
        try:
            actions = plan_activation({name: target.needs for name, target in flashed.items()}, ctx.offers())
        except NotOffered as lack:
            raise NodeFault(Reason.NO_ACTIVATION, str(lack)) from lack
        for action in actions:
            # Never cut power or reset a BMC while anything may be flashing (field guide B.7).
            await calm(ctx, limit_s=ctx.bmc.profile.timings.overall_s)
            if action is Activation.AC_CYCLE and not self.always:
                await cycle_ac(ctx, partial(_by_another, ctx, flashed))
            else:
                await ACTIONS[action](ctx)
        if self.always:
            # The versions were right before: nothing in them tells when all that waited is written (Dell: in the next POST).
            await ctx.clock.sleep(post_left_s(ctx))
            await ready(ctx, limit_s=ctx.bmc.profile.timings.overall_s)
            await again(ctx, 10, 60.0, lambda: _nothing_waits(ctx), lambda why: NodeFault(Reason.VERSION_MISMATCH, why))
            await ctx.once(ACTED, _noted, prepare=_noted, reconcile=_noted)
        # A BIOS shows its version when its first POST is over, not before (F44; field guide 1.10, 1.14).
        give_up = ctx.clock.now() + post_left_s(ctx) + _SETTLE_S
        while ctx.clock.now() < give_up:
            try:
                if not _lacking(flashed, (await ctx.observe()).items):
                    return
            except Transient as transient:
                ctx.progress(None, f"not readable yet: {transient}")
            await ctx.clock.sleep(30.0)


async def _by_another(ctx: NodeContext, flashed: Mapping[str, Target]) -> bool:
    """Whether the AC cycle of another node of its chassis has brought everything into force."""
    await post_over(ctx)
    try:
        return not _lacking(flashed, (await ctx.observe()).items)
    except Transient:
        return False


async def _nothing_waits(ctx: NodeContext) -> Json:
    """Raise Transient while a task of what was handed over waits for a reset, or the host does not start."""
    for uri in ctx.flash_tasks():
        reading = await ctx.bmc.read_task(uri)
        if reading is not None and reading.phase is TaskPhase.STAGED:
            raise Transient(f"{uri} still waits for a reset ({reading.state})")
    power = await ctx.bmc.power_state()
    if power is not PowerState.ON:
        raise Transient(f"the host is {power.value} although its POST should be over")
    return {}


def _lacking(flashed: Mapping[str, Target], items: Sequence[FirmwareItem]) -> str:
    """What is not as wanted, in words; empty if all is."""
    found = [(target, target.diff(items)) for target in flashed.values()]
    return "; ".join(difference(target, diff) for target, diff in found if not diff.met)


def difference(target: Target, found: ComponentDiff) -> str:
    """One sentence: `hgx: 7 of 8 at 97.00, HGX_FW_GPU_SXM_3 shows 96.00`."""
    total = len(found.at_baseline) + len(found.differing) + len(found.absent)
    parts = [
        f"{item.item.id} shows {item.item.version or 'nothing'}, wanted {item.want.version}"
        for item in found.differing[:3]
    ]
    if len(found.differing) > len(parts):
        parts.append(f"{len(found.differing) - len(parts)} more differ")
    if found.absent:
        parts.append(f"no device behind {', '.join(item.id for item in found.absent)}")
    if found.missing:
        parts.append(f"missing: {', '.join(found.missing)}")
    if not parts:
        parts.append(f"shows {target.version}, but another image is staged")
    return f"{target.component}: {len(found.at_baseline)} of {total} at baseline; " + ", ".join(parts)
