"""The host of one node, off and on: each announced first, done once, and proven by what the machine says afterwards."""

from collections.abc import Iterator
from itertools import count, takewhile

from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from fleet.ports import PowerAction, PowerState
from fleet.step import NodeContext
from inventory.power import Stage
from playbooks.steps.waiting import again, at_the_gate, calm, power_reaches

_FORCE_S = 120.0
_ON_S = 180.0
LOOK_S = 60.0
"""For a look at a state that should be there already: long enough that one answer lost or late decides nothing."""
TRIES = 3
"""A power action that is accepted and ignored is issued again at most twice (F41)."""
LENT_OFF, LENT_ON = "host-off loan {}", "host-on loan {}"
"""Effects by which a node lends its power to others of its chassis, the first time, the second time ..."""


def ignored(why: str) -> NodeFault:
    """The fault of a power action that nothing comes of."""
    return NodeFault(Reason.POWER_IGNORED, f"{why} (F41); an AC cycle may be needed")


async def host_off(ctx: NodeContext, effect: str = "host-off") -> str:
    """As `shut_down`, of a host that is switched on again: room for that is kept before, never sought between the two."""
    if not ctx.announced(effect):
        await ctx.power.reserve(Stage.START)
    return await shut_down(ctx, effect)


async def shut_down(ctx: NodeContext, effect: str) -> str:
    """Shut the host down, by force if it does not listen; its state before. `effect`: where a step does so more than once."""
    timings = ctx.bmc.profile.timings
    if not ctx.announced(effect):
        await post_over(ctx)
    await may_begin(ctx, effect)

    async def prepare() -> Json:
        # Asked before each intent: a process that finds the first one without effect may come hours later.
        await ctx.safe_point()
        return {}

    async def act(_intent: Json) -> Json:
        was = await ctx.bmc.power_state()
        is_off = was is PowerState.OFF or (
            await _asked_to_shut_down(ctx) and await power_reaches(ctx, PowerState.OFF, timings.power_off_s)
        )
        if not is_off:
            await ctx.bmc.power(PowerAction.FORCE_OFF)
            if not await power_reaches(ctx, PowerState.OFF, _FORCE_S):
                raise Transient("the host stays on after ForceOff was accepted")
        return {"was": was.value}

    async def reconcile(_intent: Json) -> Json | None:
        # Off is off, whoever did it; on means that turning it off again is no second effect.
        off = await power_reaches(ctx, PowerState.OFF, LOOK_S)
        return {"was": PowerState.ON.value} if off else None

    async def once() -> Json:
        return await ctx.once(effect, act, prepare=prepare, reconcile=reconcile)

    result = await again(ctx, TRIES, 30.0, once, ignored)
    return str(result["was"])


async def _asked_to_shut_down(ctx: NodeContext) -> bool:
    """Whether the BMC passed it on: some offer no graceful shutdown, some refuse it while no OS listens."""
    try:
        await ctx.bmc.power(PowerAction.SHUT_DOWN)
    except NodeFault as refused:
        if refused.reason not in {Reason.NO_ACTIVATION, Reason.POWER_IGNORED}:
            raise
        ctx.progress(None, f"{refused}; by force then")
        return False
    return True


async def host_on(ctx: NodeContext, effect: str = "host-on") -> None:
    """Turn the host on. `effect`: as for `host_off`."""

    async def act(_intent: Json) -> Json:
        await ctx.bmc.power(PowerAction.ON)
        if not await power_reaches(ctx, PowerState.ON, _ON_S):
            raise Transient("the host stays off after On was accepted")
        return {"at": ctx.clock.now()}

    async def reconcile(_intent: Json) -> Json | None:
        # The time may be later than the truth, never earlier: the wait for POST counts from it.
        on = await power_reaches(ctx, PowerState.ON, _ON_S)
        return {"at": ctx.clock.now()} if on else None

    async def once() -> Json:
        return await ctx.once(effect, act, prepare=prepare, reconcile=reconcile)

    async def prepare() -> Json:
        await its_turn(ctx)
        return {}

    await again(ctx, TRIES, 60.0, once, lambda why: ignored(f"the host was switched off and is still off: {why}"))


async def its_turn(ctx: NodeContext, *, away_s: float = 0.0) -> None:
    """One host after the other on a branch circuit: each start is an inrush, and then fans at full speed (field guide 2.4).

    `away_s`: for how long it may be dark before that.
    """
    await ctx.power.turn(away_s + ctx.bmc.profile.timings.post_s)


async def nothing() -> Json:
    """An intent that needs no evidence: the power state itself tells."""
    return {}


async def may_begin(ctx: NodeContext, effect: str) -> None:
    """A safe point before a sequence of power actions; never within one: a host that was switched off is switched on again."""
    if not ctx.announced(effect):
        await at_the_gate(ctx, lambda: calm(ctx, limit_s=ctx.bmc.profile.timings.overall_s))


def of_try(effect: str, number: int) -> str:
    """Its name in the `number`th try (from 1) of a step that needs a power cycle for each of its tries."""
    return effect if number == 1 else f"{effect} try {number}"


def post_left_s(ctx: NodeContext) -> float:
    """Seconds until the POST that we last caused is over, at the latest."""
    began = [float(on["at"]) for on in _ons(ctx)]
    return max(0.0, max(began) + ctx.bmc.profile.timings.post_s - ctx.clock.now()) if began else 0.0


def _ons(ctx: NodeContext) -> Iterator[Json]:
    """Every time that we turned its host on."""
    for named in (lambda number: of_try("host-on", number), LENT_ON.format):
        known = (ctx.latest(named(number)) for number in count(1))
        yield from (on for on in takewhile(lambda on: on is not None, known) if on is not None)


async def post_over(ctx: NodeContext) -> None:
    """Interrupting the first POST after an update may brick a board (F44): wait until it is over."""
    rest_s = post_left_s(ctx)
    if rest_s > 0:
        ctx.progress(None, "waiting for POST to be over")
        await ctx.clock.sleep(rest_s)
