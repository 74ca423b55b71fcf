"""Whether what a node does next is over before the maintenance window closes, and whether any window is long enough at all."""

from collections.abc import Mapping, Sequence

from fleet.clock import Clock
from fleet.course import course
from fleet.gate import OutsideWindow
from fleet.plan import Plan, PlannedNode, Recipe
from fleet.policy.durations import Course, Hold, Learned, remaining_q99_s
from fleet.profile import Profile
from fleet.step import StepFactory, StepSpec, numbered


class Timebox:
    """One run of one node. What it let begin, it lets end: a block is asked for once, as a whole."""

    def __init__(
        self,
        plan: Plan,
        node: PlannedNode,
        profile: Profile,
        steps: StepFactory,
        *,
        learned: Learned,
        clock: Clock,
    ) -> None:
        self._window = plan.caps.window
        self._plan = plan
        self._recipe = plan.recipes[node.recipe]
        self._profile = profile
        self._make = steps
        self._learned = learned
        self._clock = clock
        self._granted: frozenset[str] = frozenset()
        """Steps of the block that was let begin."""

    def require(self, steps: Sequence[tuple[str, StepSpec]], key: str) -> None:
        """Raise OutsideWindow unless the block that this step begins, or goes on with, is over before the window closes.

        A process that takes a node over in the middle of a block asks for the rest of it: an image that is handed over can wait.
        """
        if self._window is None or key in self._granted:
            return
        road = road_of(self._plan, self._recipe, steps, profile=self._profile, make=self._make, learned=self._learned)
        stage = next(stage for stage in road.stages if stage.key == key)
        if stage.hold is Hold.FREE:
            return
        now, need_s = self._clock.now(), remaining_q99_s(road, key, self._learned)
        if not self._window.fits(now, need_s):
            raise self._too_late(now, need_s)
        if stage.hold is Hold.BLOCK:
            self._granted = frozenset(each.key for each in road.stages if each.block == stage.block)

    def _too_late(self, now: float, need_s: float) -> OutsideWindow:
        assert self._window is not None  # noqa: S101  `require` has looked
        closes = self._window.closes_at(now)
        need = f"what remains needs {-(-need_s // 60):.0f} min (q99)"
        shut = "the window is closed" if closes is None else f"the window closes at {self._window.clock(closes)}"
        fit = self._window.next_fit(now, need_s)
        if fit is not None:
            return OutsideWindow(f"{shut}; {need}; it goes on at {self._window.clock(fit)}", fit)
        return OutsideWindow(f"{shut}; {need}, and no window ({self._window}) that is still to come is that long", None)


def too_short(plan: Plan, profiles: Mapping[str, Profile], steps: StepFactory, learned: Learned, now: float) -> str:
    """Why no window is long enough for something that must not be interrupted, as a sentence; empty if each fits into one."""
    window = plan.caps.window
    if window is None:
        return ""
    first_of = {plan.nodes[name].recipe: name for name in reversed(plan.order)}
    for recipe, name in first_of.items():
        profile = profiles[plan.nodes[name].profile]
        keyed = numbered(plan.recipes[recipe].steps)
        road = road_of(plan, plan.recipes[recipe], keyed, profile=profile, make=steps, learned=learned)
        for stage in road.stages:
            need_s = remaining_q99_s(road, stage.key, learned)
            if stage.hold is Hold.BLOCK and window.next_fit(now, need_s) is None:
                return f"{name} needs {-(-need_s // 60):.0f} min (q99) from {stage.key} on without a stop, and no window is that long"
    return ""


def road_of(
    plan: Plan,
    recipe: Recipe,
    steps: Sequence[tuple[str, StepSpec]],
    *,
    profile: Profile,
    make: StepFactory,
    learned: Learned,
) -> Course:
    """The course of these steps."""
    return course(
        recipe,
        steps,
        profile=profile,
        targets=plan.targets,
        disrupts=lambda spec: make(spec).disrupts,
        takes_s=learned.takes_s,
    )
