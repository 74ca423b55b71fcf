"""What a BMC cannot bear: too much at once, a cold inventory, and a baseboard whose own BMC is down."""

import json
from dataclasses import replace
from random import Random
from statistics import median

import pytest
from hall_bench import Bench

from fleet.sim.bmc import Phase
from fleet.sim.boxmodel import load_box
from fleet.sim.faults import FaultError
from fleet.sim.message import Answer, Request
from fleet.sim.strain import OutOfMemory, Strain, StrainModel, WhileDown

INVENTORY = "/redfish/v1/UpdateService/FirmwareInventory"
GPU = f"{INVENTORY}/HGX_FW_GPU_SXM_1"
LARGEST = 419_627_008


@pytest.fixture
def bench() -> Bench:
    return Bench("DGXH100")


def restarted(bench: Bench) -> None:
    """The host's BMC restarts and lets one in again."""
    bench.bmc.restart(bench.clock.now(), "test")
    bench.wait(2)
    while bench.bmc.phase is not Phase.READY:
        bench.wait(5)
    bench.log_in()


def expanded_inventory(bench: Bench) -> Answer:
    """One GET for all of it."""
    headers = {"X-Auth-Token": bench.token}
    return bench.bmc.answer(
        Request(method="GET", path=INVENTORY, query="$expand=.", headers=headers), bench.clock.now()
    )


def test_an_upload_leaves_room_for_four_reads_and_the_fifth_restarts_the_bmc(bench: Bench) -> None:
    assert bench.bmc.burdened(LARGEST, bench.clock.now()) is None
    for _ in range(4):
        assert bench.bmc.burdened(0, bench.clock.now()) is None
    before = len(bench.bmc.ledger.resets)
    fifth = bench.bmc.burdened(0, bench.clock.now())
    assert fifth is not None
    assert (fifth.wire, len(bench.bmc.ledger.resets)) == ("drop", before + 1)
    assert bench.bmc.ledger.resets[-1]["kind"] == "out of memory"
    for size in (LARGEST, 0, 0, 0, 0):
        bench.bmc.relieved(size)
    assert bench.bmc.strain.held_bytes == 0
    assert bench.bmc.truth()["strain"]["out_of_memory"] == 1


def test_a_box_may_refuse_instead(bench: Bench) -> None:
    bench.bmc.strain.model = replace(bench.bmc.strain.model, out_of_memory=OutOfMemory.UNAVAILABLE)
    assert bench.bmc.burdened(LARGEST + 100_000_000, bench.clock.now()) is None  # alone it is served
    refused = bench.bmc.burdened(0, bench.clock.now())
    assert refused is not None
    assert (refused.status, bench.bmc.ledger.resets) == (503, [])


def test_the_inventory_is_slow_once_after_a_start(bench: Bench) -> None:
    assert bench.ask("GET", INVENTORY).delay_s == pytest.approx(0.3)
    restarted(bench)
    took = [expanded_inventory(bench).delay_s, bench.ask("GET", INVENTORY).delay_s]
    assert took == pytest.approx([150.3, 0.3])


def test_latencies_spread_around_the_usual_one_and_repeat_with_the_seed() -> None:
    model = StrainModel(latency_spread=0.6)
    first, again = (Strain(model=model, chance=Random("seed")) for _ in range(2))  # noqa: S311
    drawn = [first.latency_s(0.3) for _ in range(2000)]
    assert drawn == [again.latency_s(0.3) for _ in range(2000)]
    assert median(drawn) == pytest.approx(0.3, rel=0.1)
    assert max(drawn) > 1.0
    assert min(drawn) > 0.0


@pytest.mark.parametrize(
    ("answers", "status", "listed", "expanded"),
    [
        (WhileDown.VANISH, 404, False, False),
        (WhileDown.MISSING, 404, True, False),
        (WhileDown.ERROR, 500, True, False),
        (WhileDown.UNAVAILABLE, 503, True, False),
        (WhileDown.STALE, 200, True, True),
    ],
)
def test_the_baseboard_s_own_bmc_restarts(
    answers: WhileDown, status: int, *, listed: bool, expanded: bool, bench: Bench
) -> None:
    firmware = bench.bmc.firmware.parts["HGX_FW_BMC_0"]
    old, firmware.staged = firmware.active, "HGX-24.09-1"
    bench.bmc.hmc.restart(bench.clock.now(), "self", answers=answers, down_s=100)
    members = json.loads(expanded_inventory(bench).body)["Members"]
    found = [each for each in members if each["@odata.id"] == GPU]
    assert (bool(found), any("Version" in each for each in found)) == (listed, expanded)
    assert bench.ask("GET", GPU).status == status
    assert bench.ask("GET", "/redfish/v1/Systems/HGX_Baseboard_0/Processors").status == status
    assert bench.ask("GET", f"{INVENTORY}/HostBMC_0").status == 200
    said = bench.ask("GET", f"{INVENTORY}/HGX_FW_BMC_0")
    assert status != 200 or json.loads(said.body)["Version"] == old
    bench.wait(101)
    assert json.loads(bench.ask("GET", f"{INVENTORY}/HGX_FW_BMC_0").body)["Version"] == "HGX-24.09-1"


def test_a_fault_restarts_it_after_the_bmc() -> None:
    bench = Bench("DGXH100", [{"name": "f", "effect": "hmc-restarts", "after_s": 50, "down_s": 90, "answers": "503"}])
    restarted(bench)
    seen = []
    for _ in range(60):
        bench.wait(5)
        seen.append(bench.ask("GET", GPU).status)
    assert [status for at, status in enumerate(seen) if not at or status != seen[at - 1]] == [404, 200, 503, 200]
    assert [reset["kind"] for reset in bench.bmc.ledger.resets if reset["what"] == "hmc"] == ["self"]


def test_a_fault_that_answers_as_nobody_does_is_refused() -> None:
    with pytest.raises(FaultError, match="'answers' is one of vanish, 404, 500, 503, stale, not 'later'"):
        Bench("DGXH100", [{"name": "f", "effect": "hmc-restarts", "answers": "later"}])


def test_every_box_says_what_it_bears() -> None:
    assert load_box("DGXH100").strain.cold_inventory_s == 150
    assert load_box("PowerEdge R750").strain == StrainModel()
