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


def unfinished(effects: Iterable[tuple[str, Json, Json | None]]) -> str | None:
    """The key of the step that has announced an AC cycle by outlets and has no result of it; None: there is none.

    Args:
        effects: (key, intent, result) of a node's effects, as the journal has them.
    """
    open_keys = [key for key, intent, result in effects if result is None and "outlets" in intent]
    return open_keys[-1].rpartition("/")[0] if open_keys else None


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
    found = {outlet.name: await retrying(outlet.power_w, clock=clock) for outlet in outlets}
    return {name: watts for name, watts in found.items() if watts is not None}


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


async def cycle_outlets(ctx: NodeContext) -> None:
    """Off, dark for DARK_S, on: each outlet once. Continues where a killed process stopped.

    Raises:
        NodeFault: POWER_IGNORED (or what the PDU said) once every outlet that can be is on again.
    """
    outlets = outlets_of(ctx)
    stuck: NodeFault | None = None
    if not ctx.announced(GIVE_UP):
        try:
            times = [float((await _to(ctx, outlet, OutletState.OFF))["at"]) for outlet in outlets]
        except NodeFault as fault:
            stuck = fault
            await _give_up(ctx, str(fault))
        else:
            rest_s = max(times) + DARK_S - ctx.clock.now()
            if rest_s > 0:
                ctx.progress(None, f"all feeds off for {DARK_S:.0f} s")
                await ctx.clock.sleep(rest_s)
    else:
        stuck = NodeFault(Reason.POWER_IGNORED, "the AC cycle was given up before: an outlet did not switch off")
    for outlet in outlets:
        try:
            await _to(ctx, outlet, OutletState.ON)
        except NodeFault as fault:
            stuck = fault
    if stuck is not None:
        raise stuck


async def _give_up(ctx: NodeContext, why: str) -> None:
    """Write down that from here on outlets are only switched on, whoever continues."""
    ctx.progress(None, f"{why}; switching its outlets on again")

    async def note(_: Json | None = None) -> Json:
        return {"why": why}

    await ctx.once(GIVE_UP, note, prepare=note, reconcile=note)


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

    effect = f"outlet-{wanted} {outlet.name}"
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
