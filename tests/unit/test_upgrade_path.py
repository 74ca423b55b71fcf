"""Upgrade paths over several components: only through mixes that were tested, by as few activations as that allows."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.upgrade_path import Matrix, NoWay, solve

GOAL = {"bmc": "3", "bios": "B", "hgx": "z"}
START = {"bmc": "1", "bios": "A", "hgx": "y"}


def rows(*mixes: dict[str, str]) -> Matrix:
    return Matrix(
        goal=GOAL, rows=tuple({name: frozenset(versions.split()) for name, versions in mix.items()} for mix in mixes)
    )


def test_what_was_tested_together_goes_together() -> None:
    assert solve({"bmc": ["3"], "bios": ["B"], "hgx": ["z"]}, START, rows({"bmc": "0"})) == [
        {"bmc": 0, "bios": 0, "hgx": 0}
    ]


def test_a_stone_comes_first_and_only_with_what_it_was_tested_with() -> None:
    matrix = rows({"bmc": "2", "bios": "A", "hgx": "y"}, {"bmc": "3", "bios": "A B"})
    assert solve({"bmc": ["2", "3"], "bios": ["B"], "hgx": ["z"]}, START, matrix) == [
        {"bmc": 0},
        {"bmc": 1, "bios": 0, "hgx": 0},
    ]


def test_the_order_follows_the_matrix_and_not_the_playbook() -> None:
    chains = {"bios": ["B"], "bmc": ["2", "3"], "hgx": ["z"]}
    matrix = rows({"bmc": "1", "bios": "B", "hgx": "y"}, {"bmc": "2", "bios": "B", "hgx": "y"})
    assert solve(chains, START, matrix) == [{"bios": 0, "bmc": 0}, {"bmc": 1, "hgx": 0}]
    strict = rows({"bmc": "1", "bios": "B", "hgx": "y"}, {"bmc": "2", "bios": "B", "hgx": "z"})
    assert solve(chains, START, strict) == [{"bios": 0, "bmc": 0, "hgx": 0}, {"bmc": 1}]


def test_an_untested_mix_is_refused_by_name() -> None:
    with pytest.raises(NoWay, match=r"nobody tested bios A, bmc 2, hgx y together|nobody tested bios B, bmc 2, hgx z"):
        solve({"bmc": ["2", "3"], "bios": ["B"], "hgx": ["z"]}, START, rows({"bmc": "9"}))
    with pytest.raises(NoWay, match="bios A, bmc 3, hgx y"):
        solve({"bmc": ["3"]}, START, rows({"bmc": "1"}))


versions = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)


@given(
    st.dictionaries(st.sampled_from(["bmc", "bios", "hgx"]), versions, min_size=1),
    st.lists(
        st.dictionaries(
            st.sampled_from(["bmc", "bios", "hgx"]), st.frozensets(st.sampled_from("abcdefx"), min_size=1), min_size=1
        ),
        max_size=6,
    ),
)
def test_every_mix_on_the_way_was_tested_and_every_component_gets_there(
    chains: dict[str, list[str]], table: list[dict[str, frozenset[str]]]
) -> None:
    start = dict.fromkeys(chains, "x")
    matrix = Matrix(goal={name: chain[-1] for name, chain in chains.items()}, rows=tuple(table))
    try:
        way = solve(chains, start, matrix)
    except NoWay:
        assert max(map(len, chains.values())) > 1
        return
    at = list(
        accumulate(
            way, lambda mix, each: {**mix, **{name: chains[name][index] for name, index in each.items()}}, initial=start
        )
    )
    assert at[-1] == matrix.goal
    for mix in at[1:]:
        assert mix == matrix.goal or any(all(mix.get(name) in some for name, some in row.items()) for row in table)
    for name, chain in chains.items():
        assert [index for each in way if (index := each.get(name)) is not None] == list(range(len(chain)))
