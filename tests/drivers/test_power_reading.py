"""What a machine draws, as its BMC shows it: captured machines, and what a meter may write."""

import math
from pathlib import Path

import pytest
from bmc_stand_in import Certificate, MemoryLedger, serving
from test_captured_trees import Tree

from fleet.drivers.redfish import RedfishDriver
from fleet.vendors import classify
from fleet.watts import reading

DRAWN_W = [
    ("nvidia-dgx-h100", 1950.0),  # PWR_SYSTEM; EnvironmentMetrics of the GPU tray says 825.38, PowerControl nothing
    ("supermicro-821ge-8xh100", 2161.0),
    ("dell-r750-idrac9", 614.0),
    ("hpe-dl385-ilo5", 531.0),
]


@pytest.mark.parametrize(("tree", "watts"), DRAWN_W, ids=[tree for tree, _ in DRAWN_W])
async def test_a_captured_machine_says_what_it_draws(
    tree: str, watts: float, *, trees: Path, certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, Tree(trees / tree, expands=True)) as served:
        bmc = driver.bmc(served.node(), classify(await driver.discover(served.node(), ledger)), ledger)
        first = await bmc.power_reading()
        asked = len(served.seen)
        second = await bmc.power_reading()
        asked = len(served.seen) - asked
        await bmc.close()
    assert first is not None
    assert second is not None
    assert (first.watts, second.watts) == (watts, watts)
    assert second.at >= first.at
    assert asked == 1


@pytest.mark.parametrize("nonsense", [None, True, "531", -1, 2e6, math.nan, math.inf, [], {}])
def test_what_is_no_number_of_watts_is_no_reading(nonsense: object) -> None:
    assert reading(nonsense, 1.0) is None
