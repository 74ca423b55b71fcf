"""docs/failures.md from what stands at the tests: `python tests/failures/table.py > docs/failures.md`."""

import importlib
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from modes import ROWS, Answer, Row  # noqa: E402  (the path stands above)

SECTIONS = {
    "A. Tasks, and what they say": (1, 14),
    "B. Handing an image over": (15, 28),
    "C. Resets, reachability, access": (29, 40),
    "D. Power and activation": (41, 50),
    "E. The fleet, and imaging": (51, 60),
}
HEAD = """\
# Sixty ways to fail, and what Fleetwave does

Section 6 of the field guide lists what goes wrong with real BMCs. Each row below is shown by tests named after it: a
simulated hall with this fault in it, the real survey, plan, engine, journal and driver over TLS against it, and the hall's
ground truth to compare with. Nothing here has met real hardware yet.

    pytest tests/failures -k f22                        # one mode
    python tests/failures/table.py > docs/failures.md   # this page: the words stand at the tests

*goes on*: the node reaches its goal, or the mode cannot arise by us. *held*: the node (or the rollout) stops safely, with a
reason that `fleet why` explains. *refused*: the plan says so before anything is touched. *not handled*: as it says.

"""


def load() -> dict[str, Row]:
    """Every row, by code."""
    for module in sorted(HERE.glob("test_failures_[a-e]_*.py")):
        importlib.import_module(module.stem)
    return dict(sorted(ROWS.items()))


def page() -> str:
    """The page."""
    rows = load()
    counts = Counter(row.answer for row in rows.values())
    tested = sum(bool(row.tests) for row in rows.values())
    said = ", ".join(f"{answer} {counts[answer]}" for answer in Answer)
    lines = [
        f"{HEAD}{len(rows)} modes: {said}. {tested} have tests, {sum(len(row.tests) for row in rows.values())} in all.",
        "",
    ]
    for title, (first, last) in SECTIONS.items():
        lines += [f"## {title}", "", "| | symptom | | what the tool does | tests |", "|---|---|---|---|---|"]
        lines += [_line(rows[code]) for number in range(first, last + 1) if (code := f"F{number:02}") in rows]
        lines.append("")
    return "\n".join(lines)


def _line(row: Row) -> str:
    tests = "<br>".join(f"[{_words(row.code, name)}](../{name.partition('::')[0]})" for name in row.tests)
    return f"| {row.code} | {_cell(row.symptom)} | {row.answer} | {_cell(row.does)} | {tests or 'none'} |"


def _words(code: str, test: str) -> str:
    """The test's name, without what the row says already."""
    return test.partition("::")[2].removeprefix("test_").removeprefix(f"{code.lower()}_")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
