"""Power actions that activate firmware. Each is announced first, done once, and proven by what the machine says afterwards."""

from collections.abc import Awaitable, Callable, Mapping

from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.events import Json
from fleet.outlets import cut_begun, cut_over, cycle_outlets, draws_w, give_up, outlets_of, prove_wiring
from fleet.ports import BootMarker, PowerAction, PowerState
from fleet.step import NodeContext
from inventory.baseline import Activation
from inventory.power import Stage
from playbooks.steps.chassis import whole_chassis
from playbooks.steps.hosts import LOOK_S, TRIES, host_off, host_on, ignored, its_turn, may_begin, post_over
from playbooks.steps.restorepolicy import keep_off, left_off, put_back
from playbooks.steps.waiting import again, marker_json, power_reaches, ready, returned

_RESTART_POLL_S = 15.0
Enough = Callable[[], Awaitable[bool]]
"""Whether what an AC cycle is for has come about without it."""


async def reset_bmc(ctx: NodeContext) -> None:
    """Restart the BMC and wait until it is whole again."""
    await may_begin(ctx, "bmc-reset")
    await _restart(ctx, "bmc-reset", ctx.bmc.reset_bmc, gate=ctx.safe_point)


async def cycle_dc(ctx: NodeContext) -> None:
    """Host off, wait, on: a warm reset would not drop DC power (field guide 2.1)."""
    was = await host_off(ctx)
    await ctx.clock.sleep(ctx.bmc.profile.timings.off_dwell_s)
    await host_on(ctx)
    if was == PowerState.OFF.value:
        ctx.progress(None, "the host was off before; it stays on so that its versions can be read")


async def _never() -> bool:
    return False


async def cycle_ac(ctx: NodeContext, enough: Enough = _never) -> None:
    """Host off, then an AC cycle by the machine's own action or else by its outlets, then the host on again (field guide 2.2).

    A node of a shared chassis waits for its turn, and until all the others are held. `enough`: see `whole_chassis`.
    """
    async with whole_chassis(ctx, begun=ctx.announced("host-off"), enough=enough) as needed:
        if needed:
            await _cycle_ac(ctx)


async def _cycle_ac(ctx: NodeContext) -> None:
    try:
        if Activation.AC_CYCLE in ctx.bmc.offers():
            await host_off(ctx)
            await keep_off(ctx)
            if not ctx.announced("ac-cycle"):
                # Some hosts start by themselves when AC is back.
                await its_turn(ctx, away_s=ctx.bmc.profile.timings.bmc_return_hard_s)
            await _restart(ctx, "ac-cycle", lambda: ctx.bmc.power(PowerAction.AC_CYCLE), gate=_go_on)
        else:
            await _cycle_feeds(ctx)
    except NodeFault as fault:
        await _as_it_was(ctx, fault, touch=fault.reason in _NOT_CYCLED)
        raise
    except Transient as silent:
        unheard = NodeFault(Reason.UNREACHABLE, str(silent))
        await _as_it_was(ctx, unheard, touch=True)
        raise unheard from silent
    changed = await put_back(ctx)
    await host_on(ctx)
    if changed is not None:
        raise changed


_NOT_CYCLED = frozenset(
    {Reason.POWER_IGNORED, Reason.NO_ACTIVATION, Reason.NO_EDGE, Reason.LOGIN_REFUSED, Reason.PROTOCOL}
)
"""Faults of an AC cycle after which the host may be turned on: after the others something flashes, or it is another machine."""


async def _as_it_was(ctx: NodeContext, fault: NodeFault, *, touch: bool) -> None:
    """The cycle was refused or ignored, but the host is off because of us, and its policy changed. All is told that stays so.

    Without `touch` nothing is done: it flashes, or it is another machine.
    """
    if not ctx.announced("host-off"):
        return
    changed = await put_back(ctx) if touch else None
    also = [str(changed) if changed is not None else left_off(ctx)]
    if touch:
        try:
            await host_on(ctx)
        except NodeFault as dark:
            also.append(str(dark))
    if told := "; ".join(filter(None, also)):
        raise NodeFault(fault.reason, f"{fault}; {told}") from fault


async def _cycle_feeds(ctx: NodeContext) -> None:
    """AC off and on by the outlets of all feeds: the host off first and seen to be, the wiring proven, the BMC back afterwards."""
    outlets = outlets_of(ctx)

    async def draws(_: Json | None = None) -> Json:
        return {"watts": await draws_w(outlets, ctx.clock)}

    async def idle() -> Json:
        await ready(ctx, limit_s=ctx.bmc.profile.timings.overall_s)
        return {}

    before = await ctx.once("outlet-draw", draws, prepare=idle, reconcile=draws)
    await host_off(ctx)
    await keep_off(ctx)

    async def prepare() -> Json:
        # Some hosts start by themselves when AC is back.
        await its_turn(ctx, away_s=ctx.bmc.profile.timings.bmc_return_hard_s)
        # Between here and the first outlet nothing may start: what is written when the power goes is cut (field guide B.7).
        await _off_and_idle(ctx)
        await prove_wiring(outlets, before["watts"], ctx.clock)
        return {"marker": await marker_json(ctx), "outlets": [outlet.name for outlet in outlets]}

    async def cycle(intent: Json) -> Json:
        await cycle_outlets(ctx, intent["outlets"])
        back = await returned(ctx, BootMarker(**intent["marker"]))
        if back is None:
            raise NodeFault(
                Reason.POWER_IGNORED,
                f"all outlets ({', '.join(intent['outlets'])}) were off and the BMC did not restart: they do not feed this node,"
                " or not it alone; check the outlet map",
            )
        return back

    async def resumed(intent: Json) -> Json | None:
        # Every outlet has an intent of its own. But what was proven before the first of them may be long ago.
        if not cut_begun(ctx, intent["outlets"]):
            return None
        await _nobody_uses_it(ctx, intent["outlets"])
        return await cycle(intent)

    await ctx.once("ac-cycle", cycle, prepare=prepare, reconcile=resumed)


async def _off_and_idle(ctx: NodeContext) -> None:
    """Nothing flashes, it is the planned machine, and its host is off; or a fault that says what is not so."""
    await ready(ctx, limit_s=ctx.bmc.profile.timings.overall_s)
    await ctx.require_identity()
    if not await power_reaches(ctx, PowerState.OFF, LOOK_S):
        raise NodeFault(Reason.POWER_IGNORED, "the host is on again although it was turned off: its feeds were not cut")


async def _nobody_uses_it(ctx: NodeContext, outlets: tuple[str, ...]) -> None:
    """Before a cycle that another process began cuts another feed; where somebody does, the cycle is given up."""
    if await cut_over(ctx, outlets):
        return
    try:
        await _off_and_idle(ctx)
    except (NodeFault, Transient) as changed:
        await give_up(ctx, str(changed))


async def _restart(
    ctx: NodeContext, effect: str, reset: Callable[[], Awaitable[None]], *, gate: Callable[[], Awaitable[None]]
) -> None:
    """A reset that takes the BMC along: proven by a BMC that went away and came back.

    `gate` is asked before each intent: a process that finds the first one without effect may come hours later.
    """

    async def prepare() -> Json:
        marker = await marker_json(ctx)
        await gate()
        return {"marker": marker}

    async def act(intent: Json) -> Json:
        try:
            await reset()
        except OutcomeUnknown:
            ctx.progress(None, f"no answer to the {effect}, which is usual")
        back = await returned(ctx, BootMarker(**intent["marker"]))
        if back is None:
            raise Transient(f"the {effect} was accepted and the BMC did not restart")
        return back

    async def reconcile(intent: Json) -> Json | None:
        return await returned(ctx, BootMarker(**intent["marker"]))

    async def once() -> Json:
        return await ctx.once(effect, act, prepare=prepare, reconcile=reconcile)

    await again(ctx, TRIES, 60.0, once, ignored)


async def warm_reset(ctx: NodeContext) -> None:
    """Restart the host without dropping DC power; firmware that the next POST applies is applied by it."""
    await post_over(ctx)
    if not ctx.announced("host-on"):
        await ctx.power.reserve(Stage.START)
    await may_begin(ctx, "host-on")

    async def prepare() -> Json:
        await its_turn(ctx)
        marker = await marker_json(ctx)
        await ctx.safe_point()
        return {"marker": marker}

    async def act(intent: Json) -> Json:
        await ctx.bmc.power(PowerAction.WARM_RESET)
        if not await _restarts(ctx, str(intent["marker"]["system_last_reset"])):
            raise Transient("the reset was accepted and the host did not restart")
        return {"at": ctx.clock.now()}

    async def reconcile(intent: Json) -> Json | None:
        now = await ctx.bmc.boot_marker()
        if now.system_last_reset != intent["marker"]["system_last_reset"]:
            return {"at": ctx.clock.now()}
        # Whether it restarts right now cannot be seen; a second reset may only come when a first POST would be over (F44).
        await ctx.clock.sleep(ctx.bmc.profile.timings.post_s)
        return None

    async def once() -> Json:
        return await ctx.once("host-on", act, prepare=prepare, reconcile=reconcile)

    await again(ctx, TRIES, 60.0, once, ignored)


async def _go_on() -> None:
    """Within a sequence there is no safe point: the host is off."""


async def _restarts(ctx: NodeContext, before: str) -> bool:
    """Whether the host's LastResetTime moves on within a POST's time: a reset may be accepted and ignored (F41).

    Where none is told, the versions have to tell. Raises OutcomeUnknown where it cannot be read to the end.
    """
    give_up = ctx.clock.now() + ctx.bmc.profile.timings.post_s
    while before:
        try:
            now = (await ctx.bmc.boot_marker()).system_last_reset
        except Transient as unread:
            if ctx.clock.now() >= give_up:
                raise OutcomeUnknown("host-on", f"it cannot be read whether the host restarted: {unread}") from unread
            now = before
        if now and now != before:
            return True
        if ctx.clock.now() >= give_up:
            return False
        await ctx.clock.sleep(_RESTART_POLL_S)
    return True


ACTIONS: Mapping[Activation, Callable[[NodeContext], Awaitable[object]]] = {
    Activation.BMC_RESET: reset_bmc,
    Activation.WARM_RESET: warm_reset,
    Activation.DC_CYCLE: cycle_dc,
    Activation.AC_CYCLE: cycle_ac,
}
