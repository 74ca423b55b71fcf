"""docs/failures.md says of every mode what its tests say."""

from pathlib import Path

import pytest
import table
from modes import also, mode

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == table.page(), "python tests/failures/table.py > docs/failures.md"


def test_every_mode_of_the_catalogue_has_a_row_and_says_something() -> None:
    rows = table.load()
    assert list(rows) == [f"F{number:02}" for number in range(1, 61)]
    assert all(row.symptom and row.does for row in rows.values())


def test_every_test_of_a_mode_stands_in_its_row() -> None:
    here = Path(__file__).parent
    written = [line for file in here.glob("test_failures_*.py") for line in file.read_text().splitlines()]
    names = {
        line.partition("def ")[2].partition("(")[0]
        for line in written
        if line.startswith(("async def test_f", "def test_f"))
    }
    rows = table.load().values()
    told = [test.partition("::") for row in rows for test in row.tests]
    assert names == {name for file, _, name in told if Path(file).name.startswith("test_failures_")}


def test_a_test_cannot_speak_for_another_mode() -> None:
    def test_f02_something() -> None:
        """Nothing."""

    with pytest.raises(ValueError, match="marked as a test of F01"):
        mode("F01")(test_f02_something)


def test_the_page_points_at_no_test_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"F02: tests/wire/test_side_effects\.py::test_gone is not there"):
        also("F02", "wire/test_side_effects.py::test_gone")
