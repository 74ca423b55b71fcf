"""What is drawn on top of a history: cases that chance alone meets too seldom. By a chance of its own: other seeds keep their meaning."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fleet.policy.spec import OnFailure
from fleet.sim.faults import read_faults
from simulation.drawing import Death, Drawing, When
from simulation.goods import NEW, OLD, PARTS

_CLAIMS_DONE = {"TaskState": "Completed", "TaskStatus": "OK"}


def harder(drawing: Drawing) -> Drawing:
    """The drawing, or one of three harder ones made of it."""
    chance = random.Random(f"on top of {drawing.seed}")  # noqa: S311 (a seed is the point)
    for share, harden in _CASES:
        if chance.random() < share:
            return harden(drawing, chance)
    return drawing


def _unanswered(drawing: Drawing, chance: random.Random) -> Drawing:
    """A BMC takes an image and forgets its task; we die before the answer. Its log may be gone too, or not to be read."""
    always = drawing.steady or chance.random() < 0.5
    forgets = {"effect": "task-vanishes", "at_percent": chance.choice((1, 30))}
    rules = [_rule("forgets", forgets, "always" if always else 1)]
    log: dict[str, Any] | None = chance.choice(
        (
            None,
            {"effect": "log-cleared", "after_s": chance.choice((0, 60, 600))},
            {"effect": "http", "path": "*/LogServices/*", "method": "GET", "status": 500, **chance.choice(_LOG_FAILS)},
            {"effect": "http", "path": "*/LogServices/*", "method": "GET", "status": 404, **chance.choice(_LOG_FAILS)},
        )
    )
    if log is not None:
        rules.append(_rule("log", log, "always"))
    if chance.random() < 0.2:
        rules.append(_rule("fails", {"effect": "update-fails"}, "always"))
    when = chance.choice((When.IMAGE_SERVED, When.IMAGE_SERVED, When.IMAGE_SERVED, When.IMAGE_UNSENT))
    first = Death(when, chance.choice((1, 1, 2)))
    away = chance.choice((60.0, 250.0, 700.0, 700.0, 5000.0))
    kept = [rule for rule in drawing.faults_plain if rule.get("merge") != _CLAIMS_DONE]
    return replace(
        _faulty(drawing, [*kept[:1], *rules]),
        deaths=(first, *drawing.deaths[1:]),
        away_s=(drawing.away_s[0], away, *drawing.away_s[2:]),
    )


_LOG_FAILS: tuple[dict[str, str], ...] = ({}, {}, {"when": "flashing"}, {"when": "staged"}, {"when": "staged"})


def _late_failure(drawing: Drawing, chance: random.Random) -> Drawing:
    """The goal fails when a stepping stone is in force already: the way back must bring the old version into force again."""
    version = {part.versions[NEW] for parts in PARTS.values() for key, part in parts.items() if key == "bmc"}
    effect = chance.choice(("update-fails", "version-unchanged"))
    rules = [
        {**_rule(f"late-{number}", {"effect": effect}, "always"), "select": {"package_version": each}}
        for number, each in enumerate(sorted(version))
    ]
    wanted = replace(drawing.wanted, keys=("bmc",), stones=("bmc",), previous=True)
    return replace(
        _faulty(drawing, [*drawing.faults_plain[:1], *rules]),
        wanted=wanted,
        versions=_factory(drawing, wanted.keys),
        spec=replace(drawing.spec, on_failure=OnFailure.ROLL_BACK_NODE),
    )


def _two_cycles(drawing: Drawing, chance: random.Random) -> Drawing:
    """A BIOS that goes over a stepping stone: the second power cycle may come before the first POST is over."""
    keys = chance.choice((("bios",), ("bios", "bmc")))
    wanted = replace(drawing.wanted, keys=keys, stones=("bios",), ac=False)
    return replace(drawing, wanted=wanted, versions=_factory(drawing, keys))


_CASES: tuple[tuple[float, Callable[[Drawing, random.Random], Drawing]], ...] = (
    (0.2, _unanswered),
    (0.06, _late_failure),
    (0.06, _two_cycles),
)


def _rule(name: str, effect: dict[str, Any], times: object) -> dict[str, Any]:
    return {"name": f"harder-{name}", "select": {"fraction": 1.0}, "times": times, **effect}


def _factory(drawing: Drawing, keys: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Every node runs what its box left the factory with."""
    parts = {str(node.id): [PARTS[node.model][key] for key in keys] for node in drawing.nodes}
    return {name: {part.item: part.versions[OLD] for part in each} for name, each in parts.items()}


def _faulty(drawing: Drawing, rules: list[dict[str, Any]]) -> Drawing:
    faults = read_faults({"faults": "drawn", "seed": drawing.seed, "rules": rules}, f"seed {drawing.seed}")
    return replace(drawing, faults=faults, faults_plain=tuple(rules))
