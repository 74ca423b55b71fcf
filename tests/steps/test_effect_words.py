"""Every effect that a step announces is said in plain words, and every reason has something to do about it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.advice import NEXT
from fleet.errors import Reason
from fleet.words import effect_words

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*(ROOT / "playbooks").rglob("*.py"), *(ROOT / "fleet").glob("*.py")]


def announced() -> Iterator[str]:
    """The effect of each `once(...)` whose effect stands in the source; `X` for what it is done on."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        constants = {
            target.id: ast.literal_eval(statement.value)
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(tree):
            arguments = call.args if isinstance(call, ast.Call) else []
            named = any(isinstance(part, ast.Attribute) and part.attr == "once" for part in ast.walk(call))
            for argument in arguments if named else []:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
                elif isinstance(argument, ast.Name) and argument.id in constants:
                    yield constants[argument.id]
                elif isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
                    yield f"{argument.values[0].value}X"


def test_the_effects_of_steps_are_found() -> None:
    found = set(announced())
    assert {"drain", "resume", "offer", "install", "outlet-draw", "outlets-restored", "push X", "restore X"} <= found


@pytest.mark.parametrize("effect", sorted(set(announced())))
def test_no_effect_is_shown_as_its_key(effect: str) -> None:
    said = effect_words(f"1 firmware.update bmc/{effect}")
    assert "(1 firmware.update bmc)" not in said
    assert ("X" in said) == effect.endswith("X")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("3 network.config 100/push leaf1", "configure the node's ports on leaf1"),
        ("back 2 network.restore/restore leaf1", "put the node's ports on leaf1 back"),
        ("2 firmware.activate 1/outlet-off pdu-r01-A/3", "switch outlet pdu-r01-A/3 off"),
        ("2 firmware.activate 1/outlet-on pdu-r01-A/3", "switch outlet pdu-r01-A/3 on"),
        ("5 burnin.run /etc/fleet/h100.yaml/burn-in nvbandwidth", "run nvbandwidth for the burn-in"),
        ("0 burnin.baseline h100/before dcgmi", "run dcgmi before the rollout touches the node"),
        ("0 burnin.baseline h100/before", "note how its tests went before the rollout"),
        ("7 inventory.export netbox/publish netbox", "hand the node on to netbox"),
        ("1 firmware.update bmc/submit", "hand over the image of bmc"),
        ("1 their.step/brew coffee", "brew coffee (1 their.step)"),
    ],
)
def test_what_an_effect_is_done_on_is_named(key: str, words: str) -> None:
    assert effect_words(key) == words


def test_every_reason_has_advice() -> None:
    assert set(NEXT) == set(Reason)
