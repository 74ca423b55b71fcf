"""A node's steps as durations see them: which belong together, and how long the profile expects each to take. Pure."""

from collections.abc import Callable, Mapping, Sequence

from fleet.context import DRAIN
from fleet.plan import Recipe
from fleet.policy.durations import Course, Hold, Stage
from fleet.profile import Profile
from fleet.recipe import ACTIVATE, KEEP, UPDATE, activation_s
from fleet.step import Disrupts, StepSpec
from fleet.target import Target


def course(
    recipe: Recipe,
    steps: Sequence[tuple[str, StepSpec]],
    *,
    profile: Profile,
    targets: Mapping[str, Target],
    disrupts: Callable[[StepSpec], Disrupts],
    takes_s: Mapping[str, float],
) -> Course:
    """The stages of these steps.

    From the first image of a block to the last look at what it must leave alone is one block: an image that waits comes into force at
    any reset, whoever does it. Every other step that disturbs more than nothing is a block of its own.

    Args:
        recipe: whose steps these are, or whose way back.
        steps: (key, step), as the journal names them.
        profile: the platform's timings.
        targets: the plan's.
        disrupts: how far a step's disturbance reaches.
        takes_s: step -> field seconds, of those that no profile knows.
    """
    stages: list[Stage] = []
    block = 0
    before = ""
    for key, spec in steps:
        firmware = spec.name in {UPDATE, ACTIVATE, KEEP}
        continues = (before == UPDATE and firmware) or (before == ACTIVATE and spec.name == KEEP)
        if firmware or disrupts(spec) is not Disrupts.NOTHING:
            block += not continues
            stage = Stage(
                key=key, hold=Hold.BLOCK, block=block, expected_s=_expected_s(recipe, spec, profile, targets, takes_s)
            )
        else:
            stage = Stage(key=key, hold=Hold.WAITS if spec.name == DRAIN else Hold.FREE)
        stages.append(stage)
        before = spec.name
    return Course(recipe=recipe.name, stages=tuple(stages))


def _expected_s(
    recipe: Recipe, spec: StepSpec, profile: Profile, targets: Mapping[str, Target], takes_s: Mapping[str, float]
) -> float:
    match spec.name:
        case name if name == UPDATE:
            return profile.components[targets[str(spec.args["target"])].component].flash_s
        case name if name == ACTIVATE:
            return activation_s(recipe.activation, profile)
        case name:
            return takes_s.get(name, 0.0)
