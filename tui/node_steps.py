"""The steps of one node: those of its recipe, and those that came to be on the way back. Pure."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from fleet import events as ev
from fleet.events import Recorded
from fleet.plan import Recipe
from fleet.state import ACTIVE, NodeState, NodeStatus
from tui.snapshot import StepView


class StepMark(StrEnum):
    """Where a step is."""

    WAITS = "waits"
    RUNS = "runs"
    DEFERRED = "deferred"
    """Its effect is there; a later step proves it."""
    DONE = "done"
    MET = "met"
    """There was nothing to do."""
    STOPPED = "stopped"
    """The node left it without reaching its end."""
    NEVER = "never"
    """The node ended before it."""


def step_views(recipe: Recipe | None, node: NodeState, trail: Sequence[Recorded], now: float) -> tuple[StepView, ...]:
    """In the order of the recipe, then in the order in which they began.

    Args:
        recipe: the node's; None where it was refused.
        node: its state.
        trail: its events.
        now: field time, for a step that still runs.
    """
    # The journal knows a step by its number and key: fleet.runner.numbered.
    planned = [f"{index} {spec.key}".rstrip() for index, spec in enumerate(recipe.steps, 1)] if recipe else []
    began, ended = _times(trail)
    keys = dict.fromkeys([*planned, *began, *ended])
    return tuple(_view(key, node, began.get(key), ended.get(key), now) for key in keys)


def _times(trail: Iterable[Recorded]) -> tuple[dict[str, tuple[float, str]], dict[str, tuple[float, str]]]:
    """(field time, detail) of each step's first beginning and last end."""
    began: dict[str, tuple[float, str]] = {}
    ended: dict[str, tuple[float, str]] = {}
    for item in trail:
        if isinstance(item.event, ev.StepStarted):
            began.setdefault(item.event.step, (item.at, item.event.detail))
        elif isinstance(item.event, ev.StepEnded):
            ended[item.event.step] = (item.at, item.event.detail)
    return began, ended


def _view(
    key: str, node: NodeState, began: tuple[float, str] | None, ended: tuple[float, str] | None, now: float
) -> StepView:
    mark = _mark(key, node, "began" if began else "")
    stop = ended[0] if ended else now if mark is StepMark.RUNS else node.ended_at
    return StepView(
        key=key,
        mark=mark.value,
        took_s=stop - began[0] if began and stop is not None else None,
        detail=(ended or began or (0.0, ""))[1],
    )


def _mark(key: str, node: NodeState, began: str) -> StepMark:
    outcome = node.steps.get(key)
    if outcome is not None:
        return StepMark(outcome) if outcome in {"met", "done", "deferred"} else StepMark.DONE
    if not began:
        over = node.status not in ACTIVE | {NodeStatus.PENDING} or node.phase is NodeStatus.ROLLING_BACK
        return StepMark.NEVER if over else StepMark.WAITS
    return StepMark.RUNS if node.status in ACTIVE and key == node.step else StepMark.STOPPED
