"""The names that a playbook's steps are given, and what they stand for.

Most are known when the playbook is read: components and systems by its baseline, burn-in profiles and exporters by what is
installed. The names of VLANs are known to the inventory alone, so the composition root has them replaced (`with_vlans`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from fleet.errors import UsageError
from fleet.step import StepSpec
from inventory.baseline import Baseline
from inventory.document import Value
from inventory.exporters.exporter import registered
from inventory.reader import MappingReader
from inventory.surroundings import VLAN_LIMIT
from inventory.text import InputError, nearest
from playbooks.burnin.profile import profile_named

NEED_BASELINE = frozenset({"firmware.update", "os.image"})
"""Steps whose names are those of a baseline."""
_NETWORK = "network.config"
_GIVE_BACK = "node.undrain"
_VLAN_NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
"""As the inventory names them (inventory.surroundings)."""

Args = Mapping[str, object]


def resolved(step: str, arguments: tuple[str, ...], given: MappingReader, baseline: Baseline) -> StepSpec:
    """The step with what its names stand for, but for VLANs.

    Args:
        step: its name.
        arguments: the keys that it must be given.
        given: what the playbook says.
        baseline: the playbook's.

    Raises:
        InputError: a key is missing or unknown, or a name is; with file, line and the nearest that is known.
    """
    read = _READ.get(step)
    args = read(given, baseline) if read else {argument: given.text(argument) for argument in arguments}
    given.finish()
    return StepSpec(step, args)


def with_vlans(steps: tuple[StepSpec, ...], vlans: Mapping[str, int], where: Path) -> tuple[StepSpec, ...]:
    """The steps with the numbers of VLANs in place of their names.

    Args:
        steps: as the playbook has them.
        vlans: name -> VLAN id, as the inventory declares them.
        where: the playbook, for the message.

    Raises:
        UsageError: the inventory declares no VLAN of that name.
    """
    return tuple(_with_vlan(step, vlans, where) if step.name == _NETWORK else step for step in steps)


def with_gates(steps: tuple[StepSpec, ...], require: tuple[str, ...], soak_s: int) -> tuple[StepSpec, ...]:
    """The steps with the playbook's gates around them: measured first, judged before the node is given back."""
    if not require:
        return steps
    given_back = next((index for index, step in enumerate(steps) if step.name == _GIVE_BACK), len(steps))
    after = StepSpec("gate.after", {"require": list(require), "soak_s": soak_s})
    return (StepSpec("gate.before"), *steps[:given_back], after, *steps[given_back:])


def _with_vlan(step: StepSpec, vlans: Mapping[str, int], where: Path) -> StepSpec:
    vlan = str(step.args["vlan"])
    if not _VLAN_NAME.fullmatch(vlan):
        return step
    if vlan not in vlans:
        hint = nearest(vlan, vlans) or f"declare it there: vlans: {{{vlan}: 100}}"
        raise UsageError(f"{where}: {_NETWORK}: the inventory declares no VLAN {vlan!r}; {hint}")
    return replace(step, args={**step.args, "vlan": str(vlans[vlan])})


def _component(given: MappingReader, baseline: Baseline) -> Args:
    component = given.text("component")
    if component not in baseline.components:
        raise given.error(
            f"baseline {baseline.name} has no component {component!r}",
            key="component",
            hint=nearest(component, baseline.components),
        )
    return {"component": component}


def _system(given: MappingReader, baseline: Baseline) -> Args:
    """All that the installation needs: the journal is complete without the baseline's file."""
    name = given.text("os")
    system = baseline.systems.get(name)
    if system is None:
        hint = nearest(name, baseline.systems) or "add it to the baseline's os:"
        raise given.error(f"baseline {baseline.name} has no os {name!r}", key="os", hint=hint)
    return {"image": str(system.image), "sha256": system.sha256, "release": system.release}


def _vlan(given: MappingReader, _baseline: Baseline) -> Args:
    """A number, checked; or a name, whose number the inventory will tell."""
    value = given.required("vlan")
    text = value.text()
    if _VLAN_NAME.fullmatch(text):
        return {"vlan": text}
    if not text.removeprefix("-").isdigit():
        raise value.error(
            f"{text!r} is no VLAN",
            hint=f"a number from 1 to {VLAN_LIMIT}, or a name in the inventory's vlans: [a-z0-9-]",
        )
    return {"vlan": str(value.integer(minimum=1, maximum=VLAN_LIMIT))}


def _profile(given: MappingReader, _baseline: Baseline) -> Args:
    """A shipped profile by its name, another by its path. It is read now: a rollout is no place to find it unusable."""
    value = given.required("profile")
    named = value.text()
    if "/" in named or named.endswith(".yaml"):
        path = _beside(value, named)
        if not path.is_file():
            raise value.error(f"no burn-in profile at {path}", hint="the path is relative to the playbook")
        profile_named(str(path))
        return {"profile": str(path)}
    try:
        profile_named(named)
    except InputError as unknown:
        raise value.error(unknown.message, hint=unknown.hint) from None
    return {"profile": named}


def _beside(value: Value, path: str) -> Path:
    return (Path(value.file).parent / path).resolve()


def _exporter(given: MappingReader, _baseline: Baseline) -> Args:
    value = given.required("to")
    name = value.text()
    if name not in registered():
        raise value.error(f"there is no exporter {name!r}", hint=nearest(name, registered()))
    return {"to": name}


_READ: Mapping[str, Callable[[MappingReader, Baseline], Args]] = {
    "firmware.update": _component,
    "os.image": _system,
    _NETWORK: _vlan,
    "burnin.run": _profile,
    "burnin.baseline": _profile,
    "inventory.export": _exporter,
}
