"""Condensed names expand to exactly what went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.condense import condense
from inventory.ranges import expand


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["gpu0019", "gpu0003", "gpu0017", "gpu0018"], "gpu[0003,0017-0019]"),
        (["gpu0003"], "gpu0003"),
        (["n9", "n10", "n11"], "n[9-11]"),
        (["r1-n1", "r1-n2", "r2-n1"], "r1-n[1-2],r2-n1"),
        (["login", "a1.hall", "a2.hall"], "a[1-2].hall,login"),
        ([], ""),
    ],
)
def test_examples(names: list[str], text: str) -> None:
    assert condense(names) == text


@given(st.sets(st.from_regex(r"\A[0-9]{1,4}\Z", fullmatch=True), min_size=1))
def test_numbers_of_any_width_come_back(numbers: set[str]) -> None:
    assert sorted(expand(condense(f"gpu{number}" for number in numbers))) == sorted(
        f"gpu{number}" for number in numbers
    )
