"""The power tree of an inventory: budgets, who hangs on what, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.load import load
from inventory.power import DomainKind, PowerDomain, PowerTree
from inventory.power_load import shipped
from inventory.text import InputError

HEAD = """\
inventory: small
credentials: {bmc: {user: fleet, password: "env:BMC"}}
feeds: [{id: A}, {id: B}]
sites: [{id: den1}]
pods: [{id: su1, site: den1}]
racks: [{id: "r[1-2]", pod: su1, feeds: [A, B]}]
nodes:
  - {id: "gpu[1-4]", model: DGXH100, rack: "r[1-2]", bmc: {address: "10.1.{rack}.{slot}", credential: bmc}}
  - {id: odd, model: X1, rack: r1, slots: "9", bmc: {address: "10.1.9.9", credential: bmc}}
pdus: [{id: "pdu[1-2]", model: PX4, rack: "r[1-2]", feeds: [A], address: 10.4.0.0/24}]
power:
"""


def tree(folder: Path, text: str) -> PowerTree:
    (folder / "hall.yaml").write_text(HEAD + text)
    found = load(folder / "hall.yaml").power
    assert found is not None
    return found


def domain(**said: object) -> PowerDomain:
    return PowerDomain(**{"id": "d", "kind": DomainKind.ROW, "ratings_w": (1000,), **said})  # type: ignore[arg-type]


def test_a_budget_is_what_is_left_when_the_largest_supply_has_failed() -> None:
    assert domain().budget_w == 800
    assert domain(derate=1.0).budget_w == 1000
    assert domain(ratings_w=(1000, 1000)).budget_w == 800
    assert domain(ratings_w=(1500, 1000)).budget_w == 800
    assert domain(ratings_w=(1000, 1000, 1000)).budget_w == 1600


def test_nodes_hang_on_every_domain_up_to_the_top(tmp_path: Path) -> None:
    found = tree(
        tmp_path,
        """\
  domains:
    - {id: row, kind: row, rating_w: 60000, ramp_w_per_s: 5000}
    - {id: "w[1-2]", kind: rack, parent: row, rating_w: 30000, nodes: "gpu[1-4]", meters: "pdu[1-2]"}
    - {id: a2, kind: branch, parent: w2, rating_w: 20000, nodes: gpu4}
""",
    )
    assert [each.id for each in found.above("gpu1")] == ["row", "w1"]
    assert [each.id for each in found.above("gpu4")] == ["row", "w2", "a2"]
    assert found.above("odd") == ()
    assert found.domains["w2"].meters == ("pdu2",)


def test_shipped_figures_have_sources_and_are_possible() -> None:
    assert shipped()["DGXH100"].nameplate_w == 10_200
    for figures in shipped().values():
        assert figures.source
        assert all(figures.peak(stage) <= figures.nameplate_w for stage in (*figures.peak_w, "start"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  domains: [{id: a, kind: rak, rating_w: 9}]\n", "did you mean 'rack'"),
        ("  domains: [{id: a, kind: rack}]\n", "lacks the key 'rating_w'"),
        ("  domains: [{id: a, kind: rack, rating_w: 0}]\n", "at least 1"),
        ("  domains: [{id: a, kind: rack, rating_w: 9, derate: 1.2}]\n", "at most 1.0"),
        ("  domains: [{id: a, kind: rack, rating_w: 9, parent: b}]\n", "unknown power domain 'b'"),
        ("  domains: [{id: a, kind: rack, rating_w: 9, nodes: gpu9}]\n", "unknown node 'gpu9'"),
        ("  domains: [{id: 'a[1-2]', kind: rack, rating_w: 9, nodes: 'gpu[1-3]'}]\n", "cannot be dealt out evenly"),
        ("  domains: [{id: a, kind: rack, rating_w: 9, nodes: odd}]\n", "nobody says what a X1 draws"),
        ("  models: {X1: {nameplate_w: 10, idle_w: 20}}\n", "at most 10"),
        ("  models: {X1: {nameplate_w: 10, idle_w: 5, peak_w: {gem: 9}}}\n", "did you mean 'gemm'"),
        ("  models: {X1: {nameplate_w: 10, idle_w: 5}}\n", "at least one domain"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        tree(tmp_path, text)
    assert refused.value.place.line >= HEAD.count("\n")
