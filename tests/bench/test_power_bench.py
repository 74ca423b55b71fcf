"""The power bench itself: does its row overload where nobody keeps a ledger, and does what it plants reach the ledger?"""

from power_bench import HEAD, burnin, many
from power_site import SOURCES, STEP_S, Site

LEDGER = "ledger (fleet.policy.power)"


def test_the_row_can_be_overloaded_and_the_ledger_does_not_let_it() -> None:
    measured = burnin("on measured power only", 1, 0, 0)
    assert measured.over_s > 3_600
    assert measured.worst_row > 1.2
    ledger = burnin(LEDGER, 1, 0.25, 0.5)
    assert ledger.over_s == 0
    assert ledger.worst_row <= 1
    assert ledger.crashed > 0
    assert burnin(LEDGER, 1, 0, 0).bound <= 1.25


def test_meters_are_silent_freeze_and_lie_as_often_as_they_are_told_to() -> None:
    site = Site(seed=3, faulty=0.5)
    kinds: dict[str, int] = {}
    for step in range(400):
        now = step * STEP_S
        site.advance(now)
        told = {what + source: watts for what, source, watts in site.meters(now)}
        for node, watts in enumerate(site.watts):
            said = told.get(f"n{node}{SOURCES[0]}")
            kind = (
                "silent" if said is None else "low" if said < 0.6 * watts else "high" if said > 1.2 * watts else "true"
            )
            kinds[kind] = kinds.get(kind, 0) + 1
    assert all(kinds[kind] > 100 for kind in ("silent", "low", "high"))
    assert kinds["true"] > kinds["silent"] + kinds["low"] + kinds["high"]


def test_a_row_of_the_table_adds_up_its_burn_ins() -> None:
    row = many("static nameplate", 6.0, faulty=0, crashes=0, workers=1)
    assert len(row.outcomes) == 2
    cells = dict(zip(HEAD, row.cells(), strict=True))
    assert cells["admission"] == "static nameplate"
    assert float(cells["hours"]) == round(sum(run.hours for run in row.outcomes))
    assert cells["overload s"] == "0"
    assert float(cells["/ LB_P"]) > 1.5
