"""What a seed draws: a hall, a goal, a pace, and everything that goes wrong. Pure; one seed, one drawing."""

import random
from dataclasses import replace
from typing import Any

from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.policy.window import DAYS, Window
from fleet.sim.faults import read_faults
from fleet.twin.clock import START
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, RackId
from inventory.scalar import Percent
from simulation.drawing import Ask, Death, Drawing, Swap, When
from simulation.goods import DELL, DGX, MIDDLE, NEW, OLD, PARTS, SMC, Wanted
from simulation.harder import harder

_HOUR_S = 3600.0


_STEADY: tuple[dict[str, Any], ...] = (
    {"effect": "update-fails", "times": "always"},
    {"effect": "version-unchanged", "times": "always"},
    {"effect": "submit-rejected", "times": "always"},
    {"effect": "task-vanishes", "times": "always"},
    {"effect": "http-503", "first": 2, "times": "always"},
    {"effect": "bmc-slow", "factor": 2, "times": "always"},
)
_PASSING: tuple[dict[str, Any], ...] = (
    *_STEADY,
    {"effect": "update-fails", "times": 1},
    {"effect": "update-completes-critical", "times": 1},
    {"effect": "update-completes-critical", "times": "always"},
    {"effect": "update-stalls", "times": 1},
    {"effect": "task-vanishes", "times": 1},
    {"effect": "task-vanishes", "times": 1, "at_percent": 80},
    {"effect": "version-unchanged", "times": 1},
    {"effect": "submit-busy", "times": 3},
    {"effect": "upload-broken", "times": 1},
    {"effect": "bmc-slow", "factor": 3, "times": 1},
    {"effect": "bmc-dead", "times": 1},
    {"effect": "bad-image", "times": "always", "package_version": "*"},
    {"effect": "html-body", "times": 2},
    {"effect": "truncated-json", "times": 2},
    {"effect": "sessions-exhausted", "times": 2},
    {"effect": "power-ignored", "times": 1},
    {"effect": "power-ignored", "times": 2},
    {"effect": "power-ignored", "times": "always"},
    {"effect": "auth-lockout", "times": 1},
    {"effect": "login-changes", "times": 1},
    {"effect": "http", "path": "*/Tasks/*", "method": "GET", "merge": {"TaskState": "Cancelled"}, "when": "flashing", "times": 1},
    {"effect": "http", "path": "*/Tasks/*", "method": "GET", "merge": {"TaskState": "Completed", "TaskStatus": "OK"},
     "when": "flashing", "times": 1},
    {"effect": "http", "path": "*/FirmwareInventory*", "method": "GET", "status": 500, "times": 4},
    {"effect": "http", "path": "*", "method": "POST", "drop": "after", "times": 1, "skip": 1},
    {"effect": "http", "path": "*", "method": "POST", "drop": "after", "times": 1, "skip": 3},
    {"effect": "http", "path": "*", "method": "POST", "status": 502, "times": 1, "skip": 2},
    {"effect": "http", "path": "*/Actions/*Reset", "method": "POST", "drop": "after", "times": 1},
    {"effect": "http", "path": "*", "method": "GET", "delay_s": 90, "times": 2, "skip": 20},
    {"effect": "http", "path": "*/UpdateService", "method": "PATCH", "status": 503, "times": 1, "skip": 1},
    {"effect": "http", "path": "*/Sessions/*", "method": "DELETE", "status": 500, "times": 1},
)  # fmt: skip


_DONE = {"TaskState": "Completed", "TaskStatus": "OK"}
_GONE = {"task-vanishes", "update-stalls"}
"""Not beside a task that says it is done: of a flash that nothing admits to, nobody can know that it runs."""


def draw(seed: int) -> Drawing:
    """What this seed means."""
    chance = random.Random(f"history {seed}")  # noqa: S311 (a seed is the point)
    steady = chance.random() < 0.25
    count = chance.choices((2, 3, 4, 5, 6, 8, 12), (6, 6, 5, 3, 2, 1, 1))[0]
    models = _models(chance)
    racks, feeds = chance.randint(1, 3), chance.choice((1, 2))
    nodes = tuple(
        Node(
            id=NodeId(f"n{number:02}"),
            model=chance.choice(models),
            rack=RackId(f"r{number % racks}"),
            slot=number + 1,
            feeds=(FeedId("AB"[number % feeds]),),
            bmc=Bmc(address=f"10.9.0.{number + 1}", port=443, credential=CredentialId("operators")),
        )
        for number in range(count)
    )
    wanted = Wanted(
        keys=chance.choice((("bmc",), ("bios",), ("bmc", "bios"), ("bios", "bmc"))),
        stones=("bmc",) if chance.random() < 0.2 else (),
        previous=chance.random() < 0.8,
        ac=chance.random() < 0.3,
    )
    plain = _rules(chance, _STEADY if steady else _PASSING)
    if not steady and chance.random() < 0.15:
        plain = _lie(chance, wanted)
    waves = _waves(chance, count)
    drawing = Drawing(
        seed=seed,
        nodes=nodes,
        versions={str(node.id): _start(chance, node.model, wanted) for node in nodes},
        wanted=wanted,
        spec=_spec(chance, count, waves, steady=steady),
        patient=chance.random() < 0.5,
        faults=read_faults({"faults": "drawn", "seed": seed, "rules": plain}, f"seed {seed}"),
        faults_plain=tuple(plain),
        deaths=tuple(_death(chance) for _ in range(chance.choices((0, 1, 2, 3, 6), (2, 4, 3, 2, 1))[0])),
        full={} if steady or chance.random() < 0.85 else {chance.randint(1, 3): chance.randint(2, 50)},
        away_s=tuple(chance.choice((0.0, 1.0, 5.0, 60.0, 700.0, 5000.0)) for _ in range(8)),
        lost=0.0 if steady else chance.choice((0.0, 0.0, 0.005, 0.03)),
        rough_s=chance.uniform(1, 4) * _HOUR_S,
        asks=() if steady else _asks(chance),
        swap=None if steady or chance.random() < 0.9 else Swap(chance.uniform(0, 3000), str(chance.choice(nodes).id)),
        steady=steady,
    )
    return _by_evidence(harder(drawing))


def _by_evidence(drawing: Drawing) -> Drawing:
    """Half of the disturbed ones are paced by their risk in place of waves; by dice of their own, so that the rest stays as drawn."""
    chance = random.Random(f"evidence {drawing.seed}")  # noqa: S311 (as above)
    if drawing.steady or chance.random() < 0.5:
        return drawing
    spec = replace(
        drawing.spec,
        waves=(),
        risk=chance.choice((1, 2, 3, 6)),
        tolerate=Percent(chance.choice((1.0, 1.0, 10.0, 40.0))),
        alike=chance.choice((None, None, 2)),
        failure_budget=chance.choice((None, drawing.spec.failure_budget)),
        approve=chance.choice(((), (1,))),
    )
    return replace(drawing, spec=spec)


def _models(chance: random.Random) -> list[str]:
    every = [DGX, SMC, DELL]
    return chance.sample(every, 2) if chance.random() < 0.2 else [chance.choice(every)]


def _start(chance: random.Random, model: str, wanted: Wanted) -> dict[str, str]:
    """Most nodes run OLD; some the goal already, some what lies between."""
    return {
        PARTS[model][key].item: PARTS[model][key].versions[chance.choices((OLD, MIDDLE, NEW), (8, 1, 1))[0]]
        for key in wanted.keys
    }


def _waves(chance: random.Random, count: int) -> tuple[int, ...]:
    return chance.choice(((count,), (1, count), (1, max(2, count // 2), count), (2, count)))


def _spec(chance: random.Random, count: int, waves: tuple[int, ...], *, steady: bool) -> RolloutSpec:
    window = None
    if not steady and chance.random() < 0.1:
        hour = (int(START // _HOUR_S) % 24 + chance.choice((-1, 0, 0))) % 24
        window = Window(days=DAYS, start=f"{hour:02}:00", length_s=(1 + chance.randint(1, 5)) * 3600, tz="UTC")
    return RolloutSpec(
        waves=waves,
        max_in_flight=chance.randint(1, count),
        rack=None if steady else chance.choice((None, 1, 2, 3)),
        feed=None if steady else chance.choice((None, None, 1, 2, 4)),
        failure_budget=count if steady else chance.choice((0, 1, 2, count)),
        bake_s=chance.choice((0, 0, 900)),
        approve=chance.choice(((), (), (1,), (2,))),
        on_failure=chance.choice(tuple(OnFailure)),
        window=window,
    )


def _rules(chance: random.Random, known: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for number in range(chance.choices((0, 1, 2, 3, 4), (2, 4, 4, 2, 1))[0]):
        rule = dict(chance.choice(known))
        select = {"fraction": chance.choice((0.2, 0.5, 1.0))}
        if version := rule.pop("package_version", None):
            select["package_version"] = version
        rules.append({"name": f"rule-{number}-{rule['effect']}", "select": select, **rule})
    if any(rule["effect"] in _GONE for rule in rules):
        rules = [rule for rule in rules if rule.get("merge") != _DONE]
    return rules


def _lie(chance: random.Random, wanted: Wanted) -> list[dict[str, Any]]:
    """An image that does not come up, and an inventory that shows it for a few reads all the same (field guide B.1)."""
    key = chance.choice(wanted.keys)
    rules: list[dict[str, Any]] = [{"name": "stays", "effect": "version-unchanged", "times": "always"}]
    for model, parts in PARTS.items():
        part = parts[key]
        shows = {"path": f"*/FirmwareInventory/{part.shown}", "merge": {"Version": part.versions[NEW]}}
        when = chance.choice(("staged", "restarted", "posting"))
        rules.append(
            {
                "name": f"lies-{model}",
                "effect": "http",
                "select": {"model": model},
                "method": "GET",
                "when": when,
                "times": chance.randint(1, 2),
                **shows,
            }
        )
    return rules


_ANYWHERE = (When.APPEND_LOST, When.APPEND_KEPT, When.REQUEST_UNSENT, When.REQUEST_SERVED)


def _death(chance: random.Random) -> Death:
    when = chance.choice(_ANYWHERE)
    most = 60 if when in {When.APPEND_LOST, When.APPEND_KEPT} else 400
    return Death(when, int(chance.triangular(1, most, 1)))


def _asks(chance: random.Random) -> tuple[Ask, ...]:
    asks = []
    for _ in range(chance.choices((0, 1, 2), (4, 3, 2))[0]):
        at = chance.uniform(0, 5000)
        asks += [Ask(at, "pause"), Ask(at + chance.choice((30.0, 400.0, 4000.0)), "resume")]
    if chance.random() < 0.12:
        asks.append(Ask(chance.uniform(0, 6000), "abort"))
    if chance.random() < 0.12:
        asks.append(Ask(chance.uniform(0, 4000), "stop"))
    if chance.random() < 0.08:
        asks.append(Ask(chance.uniform(60, 3000), "again"))
    return tuple(sorted(asks, key=lambda ask: ask.at))
