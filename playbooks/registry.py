"""Steps by name. A step is a frozen dataclass that fulfils fleet.step.Step, announced with `@step`.

Others may bring their own through the entry point group `fleet.steps`: modules that use `@step` when they are imported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar, cast

from fleet.step import Step, StepSpec

Made = TypeVar("Made", bound=type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A step that playbooks may name."""

    name: str
    make: Callable[..., Step]
    arguments: tuple[str, ...] | None
    """Keys that a playbook writes, all required. None: the planner inserts the step, a playbook may not name it.

    What `make` takes may differ: `playbooks.names.resolved` puts what a name stands for in its place.
    """
    summary: str
    """First line of the docstring."""
    takes_s: float = 0.0
    """Field seconds, if nothing goes wrong: an estimate for people. What firmware takes its profile knows."""
    undo: str = ""
    """What can be undone of it, as the plan says before the start; empty where there is nothing to undo."""


_STEPS: dict[str, Announced] = {}
_OURS = ("firmware", "drain", "network", "image", "burnin", "export", "verify", "settings", "gate", "slots", "chassis")
"""Modules of playbooks.steps that announce steps."""


def step(
    name: str, *, arguments: tuple[str, ...] | None = (), takes_s: float = 0.0, undo: str = ""
) -> Callable[[Made], Made]:
    """Announce a step under its name. The rest as in Announced."""

    def announce(made: Made) -> Made:
        if name in _STEPS:
            raise ValueError(f"two steps are called {name!r}: {_STEPS[name].make} and {made}")
        summary = (made.__doc__ or "").strip().partition("\n")[0]
        _STEPS[name] = Announced(
            name=name,
            make=cast("Callable[..., Step]", made),
            arguments=arguments,
            summary=summary,
            takes_s=takes_s,
            undo=undo,
        )
        return made

    return announce


@cache
def steps() -> Mapping[str, Announced]:
    """All of them, ours and those of installed packages. Looked up once: reading entry points costs milliseconds."""
    for module in _OURS:
        import_module(f"playbooks.steps.{module}")
    for entry in entry_points(group="fleet.steps"):
        entry.load()
    return _STEPS


def make(spec: StepSpec) -> Step:
    """The step that a plan names (fleet.step.StepFactory)."""
    return steps()[spec.name].make(**spec.args)
