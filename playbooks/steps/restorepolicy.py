"""PowerRestorePolicy around an AC cycle: AlwaysOff while the power is away, so that nobody but us turns the host on (F42, F43).

With LastState or AlwaysOn a machine decides by itself what its host does when AC returns, and whatever wants the host off then races
with it (field guide 2.1). The policy is changed only where the profile allows it and the BMC shows it; what it was is on disk before
the first change, so that whoever continues puts it back.
"""

from functools import partial

from fleet.errors import NodeFault, NotDone, Reason, Transient
from fleet.events import Json
from fleet.limits import retrying
from fleet.ports import RestoresPower
from fleet.profile import Setting
from fleet.step import NodeContext
from playbooks.steps.waiting import again

ALWAYS_OFF = "AlwaysOff"
"""ComputerSystem.PowerRestorePolicy (PowerRestorePolicyTypes)."""
_TRIES = 3
_AGAIN_S = 60.0
_WAS = "restore-policy"
_SET = "restore-policy-off"
_BACK = "restore-policy-back"


async def keep_off(ctx: NodeContext) -> None:
    """Behind the last safe point, before AC goes: let the host stay off when it returns. Where a BMC refuses, its policy stands."""
    bmc = ctx.bmc
    if not isinstance(bmc, RestoresPower) or Setting.POWER_RESTORE_POLICY not in bmc.profile.restores:
        return
    was = str((await ctx.once(_WAS, partial(_read, bmc), prepare=_nothing, reconcile=partial(_read, bmc)))["was"])
    if was in {"", ALWAYS_OFF}:
        return
    if refused := await _changed(ctx, bmc, _SET, ALWAYS_OFF):
        ctx.progress(None, f"PowerRestorePolicy is left alone: {refused}")


async def put_back(ctx: NodeContext) -> NodeFault | None:
    """After the cycle, however it went: the policy as it was. If it cannot be: the fault that says what a person has to set."""
    bmc, was = ctx.bmc, _before(ctx)
    if not isinstance(bmc, RestoresPower) or not was:
        return None
    try:
        # Read even where it was refused or ignored: a BMC may do late what it was told.
        if not ctx.announced(_BACK) and await retrying(bmc.restore_policy, clock=ctx.clock) == was:
            return None
        why = await _changed(ctx, bmc, _BACK, was)
    except (Transient, NodeFault) as lost:
        why = str(lost)
    return NodeFault(Reason.DRIFTED, f"{_left(was)} ({why})") if why else None


def left_off(ctx: NodeContext) -> str:
    """What has to be said of a machine to which nothing more may be done; empty where its policy was not touched."""
    was = _before(ctx)
    return _left(was) if was and ctx.announced(_SET) and not ctx.announced(_BACK) else ""


def _before(ctx: NodeContext) -> str:
    """What this step has to put back; empty where it changes nothing."""
    was = str((ctx.latest(_WAS) or {}).get("was", "")) if ctx.announced(_WAS) else ""
    return "" if was == ALWAYS_OFF else was


def _left(was: str) -> str:
    return f"its PowerRestorePolicy may be {ALWAYS_OFF} and was {was}: set it back by hand"


async def _changed(ctx: NodeContext, bmc: RestoresPower, effect: str, wanted: str) -> str:
    """Change it and read it back; empty, or why it is not so: refused, or accepted three times and ignored."""

    async def act(_intent: Json) -> Json:
        try:
            await bmc.set_restore_policy(wanted)
        except NotDone as refused:
            if refused.reason is not Reason.PROTOCOL:
                raise
            return {"refused": str(refused)}
        if (now := await bmc.restore_policy()) != wanted:
            raise Transient(f"PowerRestorePolicy was to be {wanted}, that was accepted, and it is {now}")
        return {}

    async def reconcile(_intent: Json) -> Json | None:
        return {} if await bmc.restore_policy() == wanted else None

    async def once() -> Json:
        return await ctx.once(effect, act, prepare=_nothing, reconcile=reconcile)

    try:
        done = await again(ctx, _TRIES, _AGAIN_S, once, lambda why: NodeFault(Reason.POWER_IGNORED, why))
    except NodeFault as ignored:
        if ignored.reason is not Reason.POWER_IGNORED:
            raise
        return str(ignored)
    return str(done.get("refused", ""))


async def _read(bmc: RestoresPower, _: Json | None = None) -> Json:
    return {"was": await bmc.restore_policy()}


async def _nothing() -> Json:
    return {}
