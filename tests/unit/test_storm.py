"""Back and forth: two changes of direction a day are let through, a third is a person's decision."""

import pytest

from fleet.errors import Refused
from fleet.storm import DAY_S, Past, changes, require_calm

NOW = 1e9


def past(*ways: str, touched: str = "a", every_s: float = 3600.0) -> list[Past]:
    """Rollouts one after the other, the last an hour ago: `>` forward, `<` back."""
    return [
        Past(
            rollout=f"r{index}",
            at=NOW - every_s * (len(ways) - index),
            reverses="x" if way == "<" else "",
            touched=frozenset(touched),
        )
        for index, way in enumerate(ways)
    ]


@pytest.mark.parametrize(
    ("before", "reverses", "count"),
    [("", "", 0), (">", "", 0), (">", "r0", 1), ("><", "", 2), ("><>", "r2", 3), (">>><", "", 2), ("><><", "", 4)],
)
def test_changes_of_direction_are_counted_by_node(before: str, reverses: str, count: int) -> None:
    assert changes(past(*before), {"a"}, reverses=reverses, now=NOW) == count
    assert changes(past(*before, touched="b"), {"a"}, reverses=reverses, now=NOW) == 0
    assert changes(past(*before, every_s=DAY_S), {"a"}, reverses=reverses, now=NOW) == 0


def test_the_third_is_refused_with_what_happened() -> None:
    require_calm(past(">", "<"), {"a"}, reverses="", now=NOW)
    with pytest.raises(Refused, match=r"r0 \(forward, 3 h 00 min ago\), r1 \(back.*3 changes.*--despite-changes"):
        require_calm(past(">", "<", ">"), {"a"}, reverses="r2", now=NOW)
