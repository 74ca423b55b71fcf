"""What a reading of the whole fleet says against flashing a node: found before anything is touched (field guide 1.7). Pure.

What could not be read proves nothing and refuses nobody: the step looks again before it sends an image.
"""

from collections.abc import Sequence

from fleet.errors import Reason
from fleet.notes import supplies
from fleet.plan import CannotPlan, Survey
from fleet.ports import Condition, UpdateReadiness
from fleet.target import Target
from fleet.words import plural
from inventory.observed import Observation

_CRITICAL = "Critical"
_PSU = ("PSU", "PowerSupply")
"""Beginnings of the inventory ids of power supplies, on DGX H100 and Supermicro."""


def check(survey: Survey, flashes: Sequence[Target]) -> None:
    """Raise CannotPlan if the machine should not be given these images now; those that it needs not are no matter."""
    seen = survey.observation
    needed = [] if seen is None else [target for target in flashes if not target.diff(seen.items).met]
    if seen is None or not needed:
        return
    _healthy(seen, needed)
    _not_protected(seen, needed)
    if survey.condition is not None:
        _not_locked(survey.condition, needed)
        _redundant(survey.condition, seen, needed)
    if survey.readiness is not None:
        _idle(survey.readiness)
        _fits(survey.readiness, needed)
        _not_forced(survey.readiness, needed)


def _healthy(seen: Observation, needed: Sequence[Target]) -> None:
    """A part in recovery still prints a version, and lost redundancy makes a BMC refuse a PSU's image (F48, F49)."""
    if seen.health == _CRITICAL:
        raise CannotPlan(
            Reason.NOT_HEALTHY, "the machine says that its health is Critical: mend that first, then flash (F48)"
        )
    for target in needed:
        found = target.diff(seen.items)
        if found.absent:
            names = ", ".join(f"{item.id} ({item.state})" for item in found.absent)
            raise CannotPlan(Reason.NOT_HEALTHY, f"{target.component}: no device behind {names} (F39, F49)")
        sick = [
            item.id
            for item in (*found.at_baseline, *(each.item for each in found.differing))
            if item.health == _CRITICAL
        ]
        if sick:
            raise CannotPlan(Reason.NOT_HEALTHY, f"{target.component}: {', '.join(sick)} says Critical (F49)")


def _not_protected(seen: Observation, needed: Sequence[Target]) -> None:
    for target in needed:
        locked = [each.item.id for each in target.diff(seen.items).differing if each.item.write_protected]
        if locked:
            raise CannotPlan(
                Reason.WRITE_PROTECTED, f"{target.component}: {', '.join(locked)} says WriteProtected (F26)"
            )


def _not_locked(told: Condition, needed: Sequence[Target]) -> None:
    components = {target.component for target in needed}
    stands = [each.says for each in told.obstacles if not each.components or each.components & components]
    if stands:
        raise CannotPlan(
            Reason.WRITE_PROTECTED,
            f"{' and '.join(stands)} is on: it takes no image, and nothing unlocks it by itself (F26)",
        )


def _redundant(told: Condition, seen: Observation, needed: Sequence[Target]) -> None:
    """Others take their images with a supply short; the plan only says so (fleet.notes)."""
    psus = [
        each.item.id for target in needed for each in target.diff(seen.items).differing if each.item.id.startswith(_PSU)
    ]
    if psus and told.supplies:
        raise CannotPlan(
            Reason.NOT_HEALTHY, f"{supplies(told)}: without redundancy a BMC refuses the image of {psus[0]} (F48)"
        )


def _idle(readiness: UpdateReadiness) -> None:
    if not readiness.enabled:
        raise CannotPlan(
            Reason.UPDATE_SERVICE_BUSY,
            "its update service takes nothing now (disabled, offline or none): if the BMC has just started, plan again in ten"
            " minutes (F24)",
        )
    if readiness.alive:
        busy = ", ".join(f"{task.name or task.uri} ({task.state})" for task in readiness.alive)
        raise CannotPlan(
            Reason.UPDATE_SERVICE_BUSY, f"{plural(len(readiness.alive), 'update task')} under way: {busy} (F15)"
        )


def _fits(readiness: UpdateReadiness, needed: Sequence[Target]) -> None:
    limit = readiness.max_image_bytes
    for target in needed:
        if limit is not None and target.size_bytes > limit:
            raise CannotPlan(
                Reason.UPDATE_REJECTED,
                f"{target.image.name} has {target.size_bytes} bytes, the BMC takes {limit} (F17)",
            )


def _not_forced(readiness: UpdateReadiness, needed: Sequence[Target]) -> None:
    """A flag that somebody left on would let any downgrade or strange image through (F22)."""
    if readiness.forced and not any(target.downgrade for target in needed):
        raise CannotPlan(
            Reason.FORCE_LEFT_ON,
            "ForceUpdate is on although nobody here asked for it: set HttpPushUriOptions.ForceUpdate back to false first (F22)",
        )
