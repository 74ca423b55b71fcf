"""How long a stage takes, learned from journals, and how long what may not be interrupted can take. Pure.

A stage is one step of one recipe: a recipe's name covers its profile and everything that is done, so that stages of one name are
alike in every rollout. While few were seen, the profile's own figure counts, with the spread that the design measured.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist, fmean, median, stdev

from fleet import events as ev
from fleet.events import Recorded, RolloutId

_SPREAD = 0.35
"""Standard deviation of the logarithm of a duration, where too few were seen (rollout-science 1.2)."""
_FEW = 10
"""Below this many the spread is not estimated: its own error would be larger than it."""
_CONFIDENCE = 0.95
"""That a bound from many durations is no lower than the true quantile."""
_KEPT = 1000
"""Durations of one stage, the newest: firmware and halls change."""
_PATIENCE = 1.5
"""A deadline is this many times the 99.5 % quantile (rollout-science 1.6, 9)."""


class Hold(StrEnum):
    """Whether a node may stand still before a stage."""

    FREE = "free"
    """It disturbs nobody, and needs no window: verify, export, giving the node back."""
    WAITS = "waits"
    """It lasts as long as tenants work, which nobody knows; what follows is asked for again when it is over."""
    BLOCK = "block"
    """Part of a block: once begun, a block is done to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a course."""

    key: str
    """As the journal names it: `2 firmware.update hgx`."""
    hold: Hold
    block: int = 0
    """Stages of one number are done without a stop: an image that waits comes into force at any reset."""
    expected_s: float = 0.0
    """Field seconds, if nothing goes wrong, from the profile or the step: what counts while few were seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is done to a node of one recipe, in order."""

    recipe: str
    stages: tuple[Stage, ...]


class Learned:
    """What journals say of durations. `note` every event of each rollout, in order; it owns itself, as fleet.state.fold's state."""

    def __init__(self, takes_s: Mapping[str, float] | None = None) -> None:
        """`takes_s`: step -> field seconds, if nothing goes wrong, of those that no profile knows."""
        self.takes_s: Mapping[str, float] = takes_s or {}
        self._recipes: dict[tuple[RolloutId, str], str] = {}
        self._begun: dict[tuple[RolloutId, str], tuple[str, float]] = {}
        self._took: dict[tuple[str, str], list[float]] = {}
        """In the order of their coming, and not more than _KEPT."""

    def note(self, recorded: Recorded) -> None:
        """Learn from one event. A stage that was held, or outlived its process, says nothing of how long it takes."""
        rollout, at, event = recorded.rollout, recorded.at, recorded.event
        match event:
            case ev.RolloutPlanned():
                self._recipes |= {(rollout, name): str(node["recipe"]) for name, node in event.plan["nodes"].items()}
            case ev.StepStarted():
                self._begun[rollout, event.node] = (event.step, at)
            case ev.StepEnded():
                key, since = self._begun.pop((rollout, event.node), ("", at))
                if key == event.step and event.outcome != "met":
                    took = self._took.setdefault((self._recipes.get((rollout, event.node), ""), key), [])
                    took.append(max(at - since, 1.0))
                    del took[:-_KEPT]
            case ev.NodeParked() | ev.NodeRollingBack() | ev.NodeQuarantined():
                self._begun.pop((rollout, event.node), None)
            case ev.RolloutPaused() | ev.RolloutClaimed() | ev.RolloutHalted() | ev.RolloutEnded():
                self._begun = {key: value for key, value in self._begun.items() if key[0] != rollout}
            case _:
                pass

    def took_s(self, recipe: str, key: str) -> Sequence[float]:
        """Durations of this stage so far, field seconds."""
        return self._took.get((recipe, key), ())

    def quantile_s(self, recipe: str, stage: Stage, share: float) -> float:
        """An estimate for people: this share (0.5, 0.8) of such stages takes no longer."""
        took = sorted(self.took_s(recipe, stage.key))
        return _empirical(took, share) if len(took) >= _FEW else _guessed(took, share, stage.expected_s)

    def bound_s(self, recipe: str, stage: Stage, share: float = 0.99) -> float:
        """As `quantile_s`, and never too short on purpose: an upper bound where few were seen, never below the longest of few."""
        took = sorted(self.took_s(recipe, stage.key))
        if len(took) < _FEW:
            return max([_guessed(took, share, stage.expected_s), *took[-1:]])
        logs = [math.log(seconds) for seconds in took]
        normal = math.exp(fmean(logs) + tolerance_factor(len(logs), share, _CONFIDENCE) * stdev(logs))
        return max(normal, _empirical(took, share))

    def deadline_s(self, recipe: str, stage: Stage) -> float:
        """After this long the stage is not slow but stuck."""
        return _PATIENCE * self.bound_s(recipe, stage, 0.995)


def remaining_q99_s(course: Course, key: str, learned: Learned) -> float:
    """Field seconds from the beginning of a stage to where the node may next stand still, exceeded once in a hundred times.

    0 for a stage that disturbs nobody. For one that waits: what the block behind it needs, or there is no use in waiting. Stages of a
    block are added as if all were slow together, as those of one slow BMC are.
    """
    at = next(index for index, stage in enumerate(course.stages) if stage.key == key)
    rest = course.stages[at:]
    if rest[0].hold is Hold.FREE:
        return 0.0
    first = next((stage for stage in rest if stage.hold is Hold.BLOCK), None)
    if first is None:
        return 0.0
    same = (stage for stage in rest if stage.hold is Hold.BLOCK and stage.block == first.block)
    return sum(learned.bound_s(course.recipe, stage) for stage in same)


def whole_q99_s(course: Course, learned: Learned) -> float:
    """What admission asks for: field seconds of everything that needs the window, but for the wait for tenants."""
    return sum(learned.bound_s(course.recipe, stage) for stage in course.stages if stage.hold is Hold.BLOCK)


def tolerance_factor(count: int, share: float, confidence: float) -> float:
    """k: mean + k standard deviations of `count` draws covers `share` of a normal distribution, with this confidence.

    One-sided, Natrella's approximation (NIST/SEMATECH e-Handbook 7.2.6.3). `count` of 4 or more.
    """
    wanted, sure = NormalDist().inv_cdf(share), NormalDist().inv_cdf(confidence)
    a = 1 - sure**2 / (2 * (count - 1))
    b = wanted**2 - sure**2 / count
    return (wanted + math.sqrt(wanted**2 - a * b)) / a


def _guessed(took: Sequence[float], share: float, expected_s: float) -> float:
    """Lognormal around the larger of what was expected and what was seen."""
    centre = max([expected_s, *([median(took)] if took else [])])
    return centre * math.exp(NormalDist().inv_cdf(share) * _SPREAD)


def _empirical(took: Sequence[float], share: float) -> float:
    """Of sorted durations."""
    return took[min(len(took) - 1, math.ceil(share * len(took)) - 1)]
