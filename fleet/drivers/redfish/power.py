"""Power effects and BMC resets, once each (ComputerSystem.Reset, Manager.Reset; field guide 2.1, 2.2, F41, F42)."""

from fleet.drivers.redfish import resets
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK, Reply
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, Reason, Transient
from fleet.ports import PowerAction, PowerState
from fleet.profile import AcCycle, Profile

PASSING = frozenset({409, 423, 425, 429, 503})
"""409: iDRAC10 refuses On for up to 60 s after an off (field guide 2.1)."""


async def power(access: Access, layout: Layout, profile: Profile, action: PowerAction) -> None:
    """One power effect. See `fleet.ports.Bmc.power`."""
    if action is PowerAction.AC_CYCLE:
        await _ac_cycle(access, layout, profile.ac_cycle)
        return
    what = f"{access.channel.base}: power {action}"
    offered = layout.system_reset
    value = offered.pick(resets.WISHES[action]) if offered is not None else None
    if offered is None or value is None:
        raise NodeFault(Reason.NO_ACTIVATION, f"{what}: the machine offers {_listed(offered)}")
    reply = await access.send("POST", offered.target, {"ResetType": value}, effect=f"power {action}")
    if reply.status in OK:
        return
    if await host_state(access, layout) in resets.WANTED_STATE.get(action, frozenset()):
        return
    raise _refused(what, reply)


async def reset_bmc(access: Access, layout: Layout) -> None:
    """Restart the BMC. See `fleet.ports.Bmc.reset_bmc`."""
    what = f"{access.channel.base}: BMC reset"
    offered = layout.manager_reset
    value = offered.pick(resets.BMC_WISHES) if offered is not None else None
    if offered is None or value is None:
        raise NodeFault(Reason.NO_ACTIVATION, f"{what}: the BMC offers {_listed(offered)}")
    reply = await access.send("POST", offered.target, {"ResetType": value}, effect="BMC reset")
    if reply.status not in OK:
        raise _refused(what, reply)


async def host_state(access: Access, layout: Layout) -> PowerState:
    """The BMC's belief about host power."""
    return resets.power_state(await access.get(layout.system))


async def _ac_cycle(access: Access, layout: Layout, cycle: AcCycle | None) -> None:
    what = f"{access.channel.base}: AC cycle"
    if cycle is None:
        raise NodeFault(Reason.NO_ACTIVATION, f"{what}: this platform offers none by Redfish; use its PDU")
    if cycle.host_off_first and (state := await host_state(access, layout)) is not PowerState.OFF:
        raise NodeFault(
            Reason.POWER_IGNORED, f"{what}: the host must be off, and it is {state}; something turned it on"
        )
    reply = await access.send("POST", cycle.target, dict(cycle.body), effect="AC cycle")
    if reply.status not in OK:
        raise _refused(what, reply)


def _refused(what: str, reply: Reply) -> NodeFault | Transient:
    if reply.status in PASSING:
        return Transient(f"{what} was refused for now: {reply.sentence}", retry_after_s=reply.retry_after_s)
    return NodeFault(Reason.POWER_IGNORED, f"{what} was refused: {reply.sentence}")


def _listed(offered: resets.ResetAction | None) -> str:
    if offered is None:
        return "no reset at all"
    return "only " + (", ".join(offered.values) or "what it does not list")
