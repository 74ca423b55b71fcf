"""What machines draw, what flows through breakers, which of them trip, and what a chassis has in common."""

from collections.abc import Mapping
from typing import Any

import pytest
from hall_bench import DGX_RESET, Bench
from journey import Open

from fleet.sim.bmc import Bmc, BoxSpec
from fleet.sim.boxmodel import load_box
from fleet.sim.breakers import BreakerSpec
from fleet.sim.faults import FaultBook, read_faults
from fleet.sim.grid import PowerGrid
from fleet.sim.host import Power
from fleet.sim.layout import HallError, PduSpec, read_layout

IDLE_W, POST_W, LOAD_W, STANDBY_W = 2074.0, 4500.0, 10200.0, 140.0
"""Of a DGX H100, as its box file has them."""


class Rack:
    """Nodes n1, n2 ... of rack r1 on feeds A and B, and the breakers above them."""

    def __init__(self, count: int, *breakers: BreakerSpec, pdus: tuple[PduSpec, ...] = (), chassis: str = "") -> None:
        box = load_box("DGXH100")
        specs = [BoxSpec(name=f"n{n}", model=box.model, feeds=("A", "B"), chassis=chassis) for n in range(1, count + 1)]
        self.bmcs = {spec.name: Bmc(spec, box, user="a", password="p") for spec in specs}
        self.now = 0.0
        self.grid = PowerGrid(pdus, self.bmcs, FaultBook(), touch=lambda _: None, breakers=breakers)

    def wait(self, sim_s: float) -> None:
        """Let time pass, in steps in which a real hall would look, too."""
        end = self.now + sim_s
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            self.grid.settle(self.now)

    def reset(self, kind: str, *names: str) -> None:
        """Do this to these hosts now."""
        for name in names:
            self.bmcs[name].reset_host(kind, self.now)

    def told(self, breaker: str) -> Mapping[str, Any]:
        """The truth of one breaker."""
        found: Mapping[str, Any] = self.grid.truth(self.now)[breaker]
        return found

    def dark(self) -> list[str]:
        """Nodes without AC."""
        return [name for name, bmc in self.bmcs.items() if bmc.dark(self.now)]


def feed(name: str, rating_w: float, **more: Any) -> BreakerSpec:
    """A breaker over one feed of the rack."""
    return BreakerSpec(name=name, feed=name, rating_w=rating_w, racks=("r1",), **more)


def test_a_machine_draws_by_what_it_does() -> None:
    bench = Bench("DGXH100")
    draw, seen = bench.bmc.fittings.draw, []

    def look() -> None:
        seen.append(draw.watts(bench.clock.now()))

    look()
    draw.work(bench.clock.now(), bench.clock.now() + 100)
    look()
    bench.wait(101)
    look()
    bench.ask("POST", DGX_RESET, {"ResetType": "ForceOff"})
    bench.wait(20)
    look()
    bench.ask("POST", DGX_RESET, {"ResetType": "On"})
    bench.wait(20)
    look()
    bench.wait(1000)
    look()
    bench.bmc.feeds_lost(bench.clock.now())
    look()
    assert seen == [IDLE_W, LOAD_W, IDLE_W, STANDBY_W, POST_W, IDLE_W, 0.0]


@pytest.mark.parametrize(
    ("model", "path", "keys"),
    [
        ("DGXH100", "Chassis/DGX/Sensors/PWR_SYSTEM", ("Reading",)),
        ("PowerEdge R750", "Chassis/System.Embedded.1/Power", ("PowerControl", 0, "PowerConsumedWatts")),
        ("Generic OpenBMC", "Chassis/chassis/EnvironmentMetrics", ("PowerWatts", "Reading")),
    ],
)
def test_a_bmc_shows_it_where_that_box_does_and_a_fault_spoils_it(
    model: str, path: str, keys: tuple[str | int, ...]
) -> None:
    bench = Bench(model)

    def shown() -> Any:
        found = bench.get(f"/redfish/v1/{path}")
        try:
            for key in keys:
                found = found[key]
        except KeyError:
            return None
        return found

    def spoil(effect: str, **more: Any) -> None:
        rule = {"name": effect, "effect": effect, **more}
        bench.bmc.faults.add(read_faults({"faults": "t", "rules": [rule]}, "t").rules)

    power = bench.bmc.box.power
    assert shown() == power.idle_w
    spoil("power-stale")
    assert shown() == power.idle_w
    bench.bmc.fittings.draw.work(bench.clock.now(), bench.clock.now() + 1e6)
    assert shown() == power.idle_w
    bench.bmc.faults.rules.clear()
    assert shown() == power.load_w
    spoil("power-lies", factor=0.25)
    assert shown() == round(power.load_w / 4)
    spoil("power-missing")
    assert shown() is None


def test_dgx_shows_no_consumption_in_its_power_control() -> None:
    (control,) = Bench("DGXH100").get("/redfish/v1/Chassis/DGX/Power")["PowerControl"]
    assert "PowerConsumedWatts" not in control


def test_a_breaker_sums_what_flows_and_trips_by_load_and_the_other_feed_follows() -> None:
    rack = Rack(4, feed("A", 15000.0, trip_s=60), feed("B", 15000.0, trip_s=60))
    assert rack.told("A")["load_w"] == 4 * IDLE_W / 2
    for bmc in rack.bmcs.values():
        bmc.fittings.draw.work(rack.now, rack.now + 1000)
    rack.wait(59)
    assert (rack.told("A")["overload_s"], rack.told("A")["trips"], rack.dark()) == (59.0, [], [])
    rack.wait(2)
    assert [trip["at"] for trip in rack.told("A")["trips"]] == [60.0]
    assert rack.told("B")["trips"][0]["why"] == "40800 W for 60 s, 15000 W rated"
    assert rack.dark() == ["n1", "n2", "n3", "n4"]
    assert rack.told("B")["peak_w"] >= 4 * LOAD_W / 2
    assert all(bmc.ledger.ac_cuts == 1 for bmc in rack.bmcs.values())


def test_a_load_that_goes_in_time_trips_nothing() -> None:
    rack = Rack(4, feed("A", 15000.0, trip_s=60), feed("B", 15000.0, trip_s=60))
    for bmc in rack.bmcs.values():
        bmc.fittings.draw.work(rack.now, rack.now + 50)
    rack.wait(300)
    assert (rack.told("A")["trips"], rack.told("A")["overload_s"], rack.dark()) == ([], 50.0, [])


def test_too_many_starts_at_once_trip_by_inrush_and_everything_below_goes_dark() -> None:
    row = BreakerSpec(name="row", rating_w=1e6)
    branch = BreakerSpec(name="branch", above="row", racks=("r1",), rating_w=1e6, starts=2, within_s=5.0)
    rack = Rack(3, row, branch)
    names = list(rack.bmcs)
    rack.reset("ForceOff", *names)
    rack.wait(30)
    for name in names:  # one after the other: nothing happens
        rack.reset("On", name)
        rack.wait(20)
    assert (rack.told("branch")["trips"], rack.told("branch")["starts"]) == ([], 3)
    rack.wait(1000)
    rack.reset("ForceOff", *names)
    rack.wait(30)
    rack.reset("On", *names)
    rack.wait(20)
    assert rack.told("branch")["trips"][0]["why"] == "more than 2 starts within 5 s"
    assert (rack.told("row")["trips"], rack.dark()) == ([], names)
    rack.grid.close("branch", rack.now)  # whoever closes it with three machines behind it sees it trip again
    assert len(rack.told("branch")["trips"]) == 2
    assert rack.dark() == names


def test_a_tripped_feed_takes_its_pdu_along_and_a_closed_breaker_gives_it_back() -> None:
    pdus = tuple(PduSpec(name=f"pdu-{name}", feed=name, outlets={1: "n1"}) for name in "AB")
    rack = Rack(1, BreakerSpec(name="A", pdus=("pdu-A",), rating_w=1000.0, trip_s=10), pdus=pdus)
    rack.wait(11)
    assert (rack.grid.pdus["pdu-A"].dark, rack.grid.pdus["pdu-B"].dark, rack.dark()) == (True, False, [])
    assert rack.grid.panel.breakers["A"].load_w == 0.0
    rack.grid.close("A", rack.now)
    assert rack.told("A")["load_w"] == IDLE_W / 2
    assert not rack.grid.pdus["pdu-A"].dark


@pytest.mark.parametrize("how", ["redfish", "outlets"])
def test_nodes_of_one_chassis_lose_their_power_together(how: str) -> None:
    pdus = (PduSpec(name="pdu-A", feed="A", outlets={1: "n1"}),) if how == "outlets" else ()
    rack = Rack(2, pdus=pdus, chassis="twin")
    rack.reset("ForceOff", "n1")
    rack.wait(0)
    rack.now = 30.0
    for bmc in rack.bmcs.values():
        bmc.agenda.advance(rack.now)
    if how == "redfish":
        rack.bmcs["n1"].ac_cycle(rack.now)
    else:
        pdu = rack.grid.pdus["pdu-A"]
        pdu.put((1, 3, 6, 1, 4, 1, 13742, 6, 4, 1, 2, 1, 2, 1, 1), 0, rack.now)
    assert rack.dark() == ["n1", "n2"]
    first, second = rack.bmcs["n1"].truth(), rack.bmcs["n2"].truth()
    assert (first["ac_cuts"], second["ac_cuts"]) == (1, 1)
    assert (first["ac_hit_host"], second["ac_hit_host"]) == (0, 1)
    assert rack.bmcs["n2"].host.power is Power.OFF


@pytest.mark.parametrize(("policy", "was_on", "ends"), [
    ("AlwaysOn", False, Power.ON),
    ("AlwaysOff", True, Power.OFF),
    ("LastState", True, Power.ON),
    ("LastState", False, Power.OFF),
])  # fmt: skip
def test_the_restore_policy_decides_what_the_host_does(policy: str, was_on: bool, ends: Power) -> None:  # noqa: FBT001  a column
    bench = Bench("DGXH100")
    answer = bench.ask("PATCH", "/redfish/v1/Systems/DGX", {"PowerRestorePolicy": policy})
    assert (answer.status, bench.get("/redfish/v1/Systems/DGX")["PowerRestorePolicy"]) == (204, policy)
    if not was_on:
        bench.ask("POST", DGX_RESET, {"ResetType": "ForceOff"})
        bench.wait(20)
    bench.bmc.feeds_lost(bench.clock.now())
    bench.wait(40)
    bench.bmc.feeds_back(bench.clock.now())
    bench.wait(1000)
    assert bench.bmc.host.power is ends
    assert bench.bmc.ledger.ac_policies == [policy]


def test_machines_that_keep_the_policy_elsewhere_neither_show_nor_take_it() -> None:
    bench = Bench("SYS-821GE-TNHR")
    assert "PowerRestorePolicy" not in bench.get("/redfish/v1/Systems/1")
    assert bench.ask("PATCH", "/redfish/v1/Systems/1", {"PowerRestorePolicy": "AlwaysOff"}).status == 400


@pytest.mark.parametrize(
    ("breakers", "words"),
    [
        ([{"name": "a", "rating_w": 0}], "rating_w"),
        ([{"name": "a", "rating_w": 1, "above": "b"}], "is no breaker"),
        ([{"name": "a", "rating_w": 1, "above": "b"}, {"name": "b", "rating_w": 1, "above": "a"}], "hangs on itself"),
        ([{"name": "a", "rating_w": 1}, {"name": "a", "rating_w": 1}], "same name"),
    ],
)
def test_breakers_that_hang_wrongly_start_no_hall(breakers: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(HallError, match=words):
        read_layout({"boxes": [{"name": "n1", "model": "DGXH100"}], "breakers": breakers}, "f").completed()


async def test_a_hall_on_the_wire_trips_by_itself_and_is_closed_by_somebody(opened: Open) -> None:
    breakers = [{"name": feed, "feed": feed, "racks": ["r*"], "rating_w": 1000.0, "trip_s": 120.0} for feed in "AB"]
    journey = await opened("DGXH100", speed=3000, breakers=breakers)
    dark = await journey.node_where(lambda node: node["ac_cuts"] == 1)
    told = journey.truth()["breakers"]
    assert (dark["host_power"], dark["phase"] == "ready") == ("Off", False)
    assert [(each["trips"][0]["at"], each["closed"]) for each in told.values()] == [(120.0, False)] * 2
    assert all(pdu.dark for pdu in journey.hall.around.grid.pdus.values())  # type: ignore[union-attr]  # it is open
    journey.hall.close_breaker("A")
    await journey.node_where(lambda node: node["phase"] == "ready")
    assert [pdu.dark for pdu in journey.hall.around.grid.pdus.values()] == [False, True]  # type: ignore[union-attr]  # as above
