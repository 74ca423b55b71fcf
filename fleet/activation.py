"""Which power actions put flashed images in force: the least that suffices, each once, after all flashing. Pure.

A component names alternatives ("Medium-specific reset or DC power cycle or AC power cycle": DSP0267 ActivationMethod bits, and
word for word what a DGX logs; field guide 1.8, 1.12). A machine offers some actions and not others (field guide 2.1, 2.2).
"""

from collections.abc import Iterable, Mapping

from inventory.baseline import Activation

_BY_ITSELF = frozenset({Activation.AUTOMATIC, Activation.SELF_CONTAINED})
_COVERS: Mapping[Activation, frozenset[Activation]] = {
    Activation.BMC_RESET: frozenset({Activation.BMC_RESET}),
    Activation.WARM_RESET: frozenset({Activation.WARM_RESET}),
    Activation.DC_CYCLE: frozenset({Activation.DC_CYCLE, Activation.WARM_RESET, Activation.MEDIUM_RESET}),
    Activation.AC_CYCLE: frozenset(Activation) - _BY_ITSELF,
}
"""What each action brings about. A warm reset does not drop DC power; an AC cycle restarts everything."""

_PLANS: tuple[tuple[Activation, ...], ...] = (
    (),
    (Activation.BMC_RESET,),
    (Activation.WARM_RESET,),
    (Activation.BMC_RESET, Activation.WARM_RESET),
    (Activation.DC_CYCLE,),
    (Activation.BMC_RESET, Activation.DC_CYCLE),
    (Activation.AC_CYCLE,),
)
"""From the least to the most disturbing. The BMC restarts before the host: the DGX runbook's order (field guide 1.8)."""


class NotOffered(Exception):
    """The machine offers no set of actions that would activate these components."""


def plan_activation(needs: Mapping[str, Iterable[Activation]], offers: frozenset[Activation]) -> tuple[Activation, ...]:
    """The actions to perform, in order; empty if every component activates by itself.

    Args:
        needs: component -> alternatives, any one of which activates it.
        offers: what the machine can do.

    Raises:
        NotOffered: with a sentence that names the components, what they need and what the machine offers.
    """
    wanted = {name: frozenset(any_of) for name, any_of in needs.items()}
    for actions in _PLANS:
        if not offers.issuperset(actions):
            continue
        reached = _BY_ITSELF.union(*(_COVERS[action] for action in actions)) if actions else _BY_ITSELF
        if all(any_of & reached for any_of in wanted.values()):
            return actions
    lacking = "; ".join(f"{name} needs {' or '.join(sorted(any_of))}" for name, any_of in sorted(wanted.items()))
    offered = ", ".join(sorted(offers)) or "nothing"
    raise NotOffered(f"{lacking}; this machine offers {offered}")
