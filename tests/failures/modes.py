"""The rows of docs/failures.md: what is said of a failure mode stands at the test that shows it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

TESTS = Path(__file__).parents[1]
Test = TypeVar("Test", bound=Callable[..., object])


class Answer(StrEnum):
    """What becomes of a node in this mode."""

    MASTERED = "goes on"
    """The node reaches its goal, or the mode cannot arise."""
    HELD = "held"
    """The node (or the rollout) stops safely, with a reason."""
    REFUSED = "refused"
    """The plan refuses it before anything is touched."""
    NOT_HANDLED = "not handled"
    """The tool does nothing about it."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One mode."""

    code: str
    symptom: str
    answer: Answer
    does: str
    tests: list[str] = field(default_factory=list)


ROWS: dict[str, Row] = {}


def mode(code: str, symptom: str = "", answer: Answer | None = None, does: str = "") -> Callable[[Test], Test]:
    """This test shows what the tool does in a mode. Its first test says it in words; further ones only name the mode."""

    def marked(test: Test) -> Test:
        name = getattr(test, "__name__", "")
        if not name.startswith(f"test_{code.lower()}_"):
            raise ValueError(f"{name} is marked as a test of {code}")
        if answer is not None:
            _row(code, symptom, answer, does)
        file = Path(inspect.getfile(test)).relative_to(TESTS.parent)
        ROWS[code].tests.append(f"{file}::{name}")
        return test

    return marked


def shown_elsewhere(code: str, symptom: str, answer: Answer, does: str, tests: tuple[str, ...]) -> None:
    """A mode whose tests stand beside what does it. See `also`."""
    _row(code, symptom, answer, does)
    also(code, *tests)


def also(code: str, *tests: str) -> None:
    """Tests of a mode that stand elsewhere: files below tests/ with the test's name, FILE::NAME.

    Raises ValueError where a file has no such test: the page must not point at nothing.
    """
    for name in tests:
        file, _, function = name.partition("::")
        if f"def {function}(" not in (TESTS / file).read_text():
            raise ValueError(f"{code}: tests/{name} is not there")
    ROWS[code].tests.extend(f"tests/{name}" for name in tests)


def not_handled(code: str, symptom: str, does: str) -> None:
    """A mode for which there is nothing to test."""
    _row(code, symptom, Answer.NOT_HANDLED, does)


def _row(code: str, symptom: str, answer: Answer, does: str) -> None:
    if code in ROWS:
        raise ValueError(f"{code} is described twice")
    ROWS[code] = Row(code=code, symptom=symptom, answer=answer, does=does)
