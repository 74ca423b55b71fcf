"""An AC cycle by PDU outlets, where the machine has no action for it (field guide 2.2): all feeds off, 30 s or more, on again.

Nothing here asks the BMC, which is dark meanwhile: a process that was killed in the middle takes it up before it connects.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from fleet.clock import Clock
from fleet.edges import Edges, Outlet, OutletState
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.events import Json
from fleet.limits import retrying
from fleet.step import NodeContext
from inventory.baseline import Activation
from inventory.model import Node

DARK_S = 35.0
"""All feeds are off for at least 30 s, so that standby power drains (field guide 2.2 [inf]); 5 s for how late a PDU shows it."""
_SWITCH_S = 30.0
"""Within this an outlet is in the state that it was told to be in; PDUs delay and stagger by seconds [inf]."""
_LOOK_S = 2.0
_OFF_TRIES = 3
_ON_TRIES = 20
"""A dark node waits for its PDU: some twenty minutes of it being unreachable are sat out."""
_AGAIN_S = 60.0
_STANDBY_W = 150.0
"""What one outlet may deliver to a node whose host is off: BMC, standby rails, fans [inf]."""
GIVE_UP = "outlets-restored"


def outlet_offers(outlets: Collection[Outlet]) -> frozenset[Activation]:
    """What a node's outlets add to what its BMC offers. `Edges.outlets` answers none unless every feed of the node has one."""
    return frozenset({Activation.AC_CYCLE}) if outlets else frozenset()


def unfinished(effects: Iterable[tuple[str, Json, Json | None]]) -> tuple[str, tuple[str, ...]] | None:
    """The step that has announced an AC cycle by outlets and has no result of it: its key, and the outlets; None: there is none.

    Args:
        effects: (key, intent, result) of a node's effects, as the journal has them.
    """
    open_cycles = [
        (key, intent["outlets"]) for key, intent, result in effects if result is None and "outlets" in intent
    ]
    return (open_cycles[-1][0].rpartition("/")[0], tuple(open_cycles[-1][1])) if open_cycles else None


def was_cut(effects: Iterable[str]) -> bool:
    """Whether an outlet of the node was told to go off, by the keys of its effects."""
    return any("/outlet-off " in key for key in effects)


class Wired(Protocol):
    """The part of a NodeContext that says where a node's power comes from."""

    @property
    def node(self) -> Node:
        """As declared."""

    @property
    def edges(self) -> Edges:
        """Everything around it."""


def outlets_of(ctx: Wired) -> tuple[Outlet, ...]:
    """The node's outlets. NO_ACTIVATION if not every feed has one."""
    found = ctx.edges.outlets(ctx.node)
    if not found:
        raise NodeFault(
            Reason.NO_ACTIVATION,
            f"{ctx.node.id} has no AC cycle by Redfish, and not every feed of it has an outlet declared: declare its outlets,"
            " or cycle its AC power by hand once its host is off",
        )
    return found


async def draws_w(outlets: Iterable[Outlet], clock: Clock) -> dict[str, float]:
    """Outlet -> watts, of those that measure."""
    found = {outlet.name: await retrying(outlet.reading, clock=clock) for outlet in outlets}
    return {name: reading.watts for name, reading in found.items() if reading is not None}


async def prove_wiring(outlets: Collection[Outlet], before_w: Json, clock: Clock) -> None:
    """Raise NO_ACTIVATION unless all outlets are on and the draw of each fell with the host (field guide 2.5).

    An outlet that goes on delivering what it did feeds another machine: nothing may be cut then. Outlets that do not measure
    prove nothing; for them the BMC that has to vanish is the only proof.
    """
    for outlet in outlets:
        state = await retrying(outlet.state, clock=clock)
        if state is not OutletState.ON:
            raise NodeFault(
                Reason.NO_ACTIVATION,
                f"outlet {outlet.name} is {state} before anything was cut: look why, nothing was done",
            )
    give_up = clock.now() + _AGAIN_S
    while True:
        now_w = await draws_w(outlets, clock)
        high = [
            name for name, watts in now_w.items() if name in before_w and watts > max(_STANDBY_W, before_w[name] / 2)
        ]
        if not high:
            return
        if clock.now() >= give_up:
            shown = ", ".join(f"{name} {before_w[name]:.0f} W, now {now_w[name]:.0f} W" for name in high)
            raise NodeFault(
                Reason.NO_ACTIVATION,
                f"the host is off and its outlets still deliver ({shown}): they may feed another machine; check the outlet map,"
                " nothing was cut",
            )
        await clock.sleep(_LOOK_S)


def cut_begun(ctx: NodeContext, names: Iterable[str]) -> bool:
    """Whether this step has told an outlet to go off. Until then nothing is dark, and everything has to be proven anew."""
    return any(ctx.announced(_effect(OutletState.OFF, name)) for name in names)


async def cut_over(ctx: NodeContext, names: Collection[str]) -> bool:
    """Whether going on with a cycle that another process began only waits and switches on: all feeds are off, or it had begun to.

    Otherwise going on would cut a feed of a machine that runs: it may be hours later, and somebody may use it again.
    """
    if ctx.announced(GIVE_UP) or any(ctx.announced(_effect(OutletState.ON, name)) for name in names):
        return True
    for _ in range(_ON_TRIES):
        try:
            states = [await outlet.state() for outlet in ctx.edges.outlets(ctx.node) if outlet.name in names]
        except Transient as silent:
            ctx.progress(None, f"{silent}; again in {_AGAIN_S:.0f} s")
            await ctx.clock.sleep(_AGAIN_S)
        else:
            return all(state is OutletState.OFF for state in states)
    return False


async def cycle_outlets(ctx: NodeContext, names: Collection[str]) -> None:
    """Off, dark for DARK_S, on: each outlet once. Continues where a killed process stopped.

    Args:
        ctx: of the step that announced the cycle.
        names: the outlets whose wiring was proven before the cycle was announced. No other one is ever switched off.

    Raises:
        NodeFault: POWER_IGNORED (or what the PDU said) once every outlet that can be is on again.
    """
    outlets = [outlet for outlet in ctx.edges.outlets(ctx.node) if outlet.name in names]
    stuck = await _cut(ctx, outlets, names)
    for outlet in outlets:
        try:
            await _to(ctx, outlet, OutletState.ON)
        except NodeFault as fault:
            stuck = fault
    if stuck is not None:
        raise stuck


async def _cut(ctx: NodeContext, outlets: Collection[Outlet], names: Collection[str]) -> NodeFault | None:
    """Every outlet off for DARK_S; or why the cycle is given up, which is written down."""
    if lost := sorted(set(names) - {outlet.name for outlet in outlets}):
        await give_up(
            ctx,
            f"the AC cycle was begun with {', '.join(lost)}, which the inventory does not give it any more: look there, it may be"
            " off",
        )
    if ctx.announced(GIVE_UP):
        why = (ctx.latest(GIVE_UP) or {}).get("why", "an outlet did not switch off")
        return NodeFault(Reason.POWER_IGNORED, f"the AC cycle was given up: {why}")
    try:
        times = [float((await _to(ctx, outlet, OutletState.OFF))["at"]) for outlet in outlets]
    except NodeFault as fault:
        await give_up(ctx, str(fault))
        return fault
    rest_s = max(times) + DARK_S - ctx.clock.now()
    if rest_s > 0:
        ctx.progress(None, f"all feeds off for {DARK_S:.0f} s")
        await ctx.clock.sleep(rest_s)
    return None


async def give_up(ctx: NodeContext, why: str) -> None:
    """Write down that from here on outlets are only switched on, whoever continues."""
    ctx.progress(None, f"{why}; switching its outlets on again")

    async def note(_: Json | None = None) -> Json:
        return {"why": why}

    await ctx.once(GIVE_UP, note, prepare=note, reconcile=note)


def _effect(wanted: OutletState, outlet: str) -> str:
    return f"outlet-{wanted} {outlet}"


async def _to(ctx: NodeContext, outlet: Outlet, wanted: OutletState) -> Json:
    """One outlet, switched once and read back; {"at": no earlier than it happened}."""

    async def prepare() -> Json:
        return {"outlet": outlet.name}

    async def act(_intent: Json) -> Json:
        if wanted is OutletState.ON and await outlet.state() is OutletState.ON:
            return {"at": ctx.clock.now()}
        await outlet.switch(wanted)
        try:
            reached = await _reaches(ctx, outlet, wanted)
        except Transient as silent:
            raise OutcomeUnknown("switch", f"{outlet.name}: {silent}") from silent
        if not reached:
            raise Transient(f"outlet {outlet.name} accepted {wanted} and does not switch")
        return {"at": ctx.clock.now()}

    async def reconcile(_intent: Json) -> Json | None:
        return {"at": ctx.clock.now()} if await _reaches(ctx, outlet, wanted) else None

    effect = _effect(wanted, outlet.name)
    tries = _ON_TRIES if wanted is OutletState.ON else _OFF_TRIES
    for attempt in range(1, tries + 1):
        try:
            return await ctx.once(effect, act, prepare=prepare, reconcile=reconcile)
        except Transient as transient:
            if attempt == tries:
                raise NodeFault(
                    Reason.POWER_IGNORED, f"{transient}; look at the PDU: outlet {outlet.name} was to be {wanted}"
                ) from transient
            ctx.progress(None, f"{transient}; again in {_AGAIN_S:.0f} s")
            await ctx.clock.sleep(_AGAIN_S)
    raise AssertionError(effect)  # the loop ends in a result or a fault


async def _reaches(ctx: NodeContext, outlet: Outlet, wanted: OutletState) -> bool:
    give_up = ctx.clock.now() + _SWITCH_S
    while await outlet.state() is not wanted:
        if ctx.clock.now() >= give_up:
            return False
        await ctx.clock.sleep(_LOOK_S)
    return True
