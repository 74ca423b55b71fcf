"""Which resets a resource offers: inline, by ActionInfo, both or neither (field guide 2.1). Pure."""

from dataclasses import dataclass

from fleet.drivers.redfish import document
from fleet.drivers.redfish.document import Document
from fleet.ports import PowerAction, PowerState
from fleet.profile import Profile
from inventory.baseline import Activation

WISHES = {
    PowerAction.ON: ("On", "ForceOn"),
    PowerAction.SHUT_DOWN: ("GracefulShutdown",),
    PowerAction.FORCE_OFF: ("ForceOff",),
    PowerAction.WARM_RESET: ("ForceRestart", "GracefulRestart"),
}
"""Action -> ResetType values (DSP2046) in order of preference. GracefulRestart needs an OS that listens."""
BMC_WISHES = ("GracefulRestart", "ForceRestart")
WANTED_STATE = {
    PowerAction.ON: frozenset({PowerState.ON, PowerState.POWERING_ON}),
    PowerAction.SHUT_DOWN: frozenset({PowerState.OFF, PowerState.POWERING_OFF}),
    PowerAction.FORCE_OFF: frozenset({PowerState.OFF, PowerState.POWERING_OFF}),
}
"""Where a refused action turns out to be needless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAction:
    """A Reset action as advertised."""

    target: str
    values: tuple[str, ...]
    """Listed ResetType values; empty where the service lists none, and then the standard ones may be tried."""

    def pick(self, wishes: tuple[str, ...]) -> str | None:
        """The first wish that is offered."""
        if not self.values:
            return wishes[0]
        return next((wish for wish in wishes if wish in self.values), None)


def action(resource: Document, name: str) -> Document:
    """The action `name`, such as `#ComputerSystem.Reset`, or an empty object."""
    return document.child(resource, "Actions", name)


def action_info(advertised: Document) -> str:
    """Path of the ActionInfo, which some write as a reference and some as text; empty where there is none."""
    return document.path_of(advertised.get("@Redfish.ActionInfo")) or document.link(advertised, "@Redfish.ActionInfo")


def parameters(info: Document) -> dict[str, tuple[str, ...]]:
    """Parameter name -> allowable values of an ActionInfo."""
    return {
        document.text(parameter, "Name"): document.texts(parameter, "AllowableValues")
        for parameter in document.objects(info, "Parameters")
    }


def reset_action(advertised: Document, info: Document) -> ResetAction | None:
    """The Reset action, from its advertisement and its ActionInfo; None where there is none."""
    target = document.path_of(advertised.get("target"))
    if not target:
        return None
    inline = document.texts(advertised, "ResetType@Redfish.AllowableValues")
    return ResetAction(target=target, values=inline or parameters(info).get("ResetType", ()))


def offers(system: ResetAction | None, bmc: ResetAction | None, profile: Profile) -> frozenset[Activation]:
    """Activations that a machine can perform. The first two need nobody to act."""
    offered = {Activation.AUTOMATIC, Activation.SELF_CONTAINED}
    if bmc is not None and bmc.pick(BMC_WISHES):
        offered.add(Activation.BMC_RESET)
    if system is not None and system.pick(WISHES[PowerAction.WARM_RESET]):
        offered.add(Activation.WARM_RESET)
    if system is not None and system.pick(WISHES[PowerAction.FORCE_OFF]) and system.pick(WISHES[PowerAction.ON]):
        offered.add(Activation.DC_CYCLE)
    if profile.ac_cycle is not None:
        offered.add(Activation.AC_CYCLE)
    return frozenset(offered)


def power_state(system: Document) -> PowerState:
    """PowerState; UNKNOWN for null, "Reset" and other words of its own (field guide 2.1)."""
    try:
        return PowerState(document.text(system, "PowerState"))
    except ValueError:
        return PowerState.UNKNOWN
