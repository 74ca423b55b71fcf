"""PDUs over SNMPv3, and what becomes of a node whose feeds go off."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hall_bench import Bench
from journey import Journey, Open
from pysnmp.hlapi.v3arch.asyncio import (
    USM_AUTH_HMAC96_SHA,
    USM_PRIV_CFB128_AES,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    get_cmd,
    next_cmd,
    set_cmd,
)
from pysnmp.proto.rfc1902 import Integer32

from fleet.sim.bmc import Phase
from fleet.sim.faults import NodeFaults, read_faults
from fleet.sim.host import Power
from fleet.sim.layout import PduSpec
from fleet.sim.pdu import MIBS, Pdu

RARITAN, APC = MIBS["raritan-px"], MIBS["apc-rpdu2"]


class Snmp:
    """A manager of the tests' own."""

    def __init__(self, journey: Journey) -> None:
        self.engine = SnmpEngine()
        self.journey = journey

    async def ask(self, how: Any, name: str, *binds: tuple[Any, ...], auth_key: str = "") -> Any:
        """(error indication, error status, values) of one request to this PDU."""
        pdu, journey = self.journey.doc["pdus"][name], self.journey
        user = UsmUserData(
            pdu["user"],
            auth_key or journey.secret("pdus", name, "auth_key_file"),
            journey.secret("pdus", name, "priv_key_file"),
            authProtocol=USM_AUTH_HMAC96_SHA,
            privProtocol=USM_PRIV_CFB128_AES,
        )
        target = await UdpTransportTarget.create((pdu["address"], pdu["port"]), timeout=5, retries=1)
        types = [ObjectType(ObjectIdentity(oid), *map(Integer32, value)) for oid, *value in binds]
        indication, status, _, found = await how(self.engine, user, target, ContextData(), *types)
        return indication, str(status), [bind[1].prettyPrint() for bind in found]


@pytest.fixture
async def snmp(opened: Open) -> AsyncIterator[Snmp]:
    manager = Snmp(await opened("DGXH100", speed=600))
    yield manager
    manager.engine.close_dispatcher()


async def test_both_feeds_off_and_on_is_an_ac_cycle(snmp: Snmp) -> None:
    state, watts = (*RARITAN.state, 1), (*RARITAN.power, 1, 5)
    assert await snmp.ask(get_cmd, "pdu-A", (state,), (watts,)) == (None, "0", ["7", "1037"])
    assert await snmp.ask(set_cmd, "pdu-A", ((*RARITAN.commands[0], 1), 0)) == (None, "0", ["0"])
    assert await snmp.ask(get_cmd, "pdu-A", (state,), (watts,)) == (None, "0", ["8", "0"])
    node = snmp.journey.truth()["nodes"]["gpu1"]
    assert (node["ac_cuts"], node["phase"], node["host_power"]) == (0, "ready", "On")
    assert (await snmp.ask(get_cmd, "pdu-B", ((*APC.power, 1),)))[2] == ["2074"]
    assert (await snmp.ask(set_cmd, "pdu-B", ((*APC.commands[0], 1), 2)))[0] is None
    node = snmp.journey.truth()["nodes"]["gpu1"]
    assert (node["ac_cuts"], node["host_power"]) == (1, "Off")
    client = snmp.journey.bmc("gpu1")
    await client.until(client.log_in_quietly, lambda status: status == 0)
    began = snmp.journey.hall.clock.now()
    await client.until(client.log_in_quietly, lambda _: snmp.journey.hall.clock.now() > began + 30)
    assert (await snmp.ask(set_cmd, "pdu-B", ((*APC.commands[0], 1), 1)))[0] is None
    await client.until(client.log_in_quietly, lambda status: status == 201)
    truth = snmp.journey.truth()
    assert (truth["nodes"]["gpu1"]["ac_drained"], truth["pdus"]["pdu-B"]["outlets"]["1"]["state"]) == (1, "on")


async def test_walks_refusals_and_wrong_keys(snmp: Snmp) -> None:
    indication, _, values = await snmp.ask(next_cmd, "pdu-A", ((1, 3, 6, 1, 2, 1, 1, 5),))
    assert (indication, values) == (None, ["pdu-A"])
    assert (await snmp.ask(set_cmd, "pdu-A", ((*RARITAN.state, 1), 0)))[1] == "notWritable"
    assert (await snmp.ask(set_cmd, "pdu-A", ((*RARITAN.commands[0], 1), 9)))[1] == "wrongValue"
    assert (await snmp.ask(get_cmd, "pdu-A", ((*RARITAN.state, 2),)))[2] == [
        "No Such Instance currently exists at this OID"
    ]
    wrong, _, _ = await snmp.ask(get_cmd, "pdu-B", ((*APC.state, 1),), auth_key="not the key at all")
    assert "digest" in str(wrong).lower()


def pdu(rules: list[dict[str, Any]] | None = None) -> tuple[Pdu, list[tuple[str, float]]]:
    """A Raritan with two outlets, and what it switched."""
    seen: list[tuple[str, float]] = []
    faults: NodeFaults = read_faults({"faults": "t", "rules": rules or []}, "t").of_node(node="p", model="m", rack="r")
    spec = PduSpec(name="p", outlets={1: "gpu1", 2: "gpu2"})
    return Pdu(
        spec, faults, watts=lambda *_: 100.4, on_switch=lambda _, outlet, at: seen.append((outlet.node, at))
    ), seen


def test_a_cycle_switches_off_and_ten_seconds_later_on() -> None:
    one, seen = pdu()
    assert one.put((*RARITAN.commands[0], 2), 2, 5.0) == ""
    assert one.agenda.next_wake() == 15.0
    assert one.get((*RARITAN.state, 2), 14.9) == 8
    assert one.get((*RARITAN.state, 2), 15.0) == 7
    assert seen == [("gpu2", 5.0), ("gpu2", 15.0)]


def test_a_stuck_outlet_says_yes_and_stays() -> None:
    one, seen = pdu([{"name": "r", "effect": "outlet-stuck", "outlet": 2, "times": 1}])
    assert one.put((*RARITAN.commands[0], 2), 0, 0.0) == ""
    assert (one.get((*RARITAN.state, 2), 1.0), seen) == (7, [])
    one.put((*RARITAN.commands[0], 2), 0, 2.0)
    assert one.get((*RARITAN.state, 2), 3.0) == 8


@pytest.mark.parametrize(("off_s", "version", "drained"), [(31, "96.00.99.00.01", 1), (29, "96.00.89.00.01", 0)])
def test_only_a_drained_node_starts_what_waits_for_ac(off_s: float, version: str, drained: int) -> None:
    bench = Bench("DGXH100")
    retimer = bench.bmc.firmware.parts["HGX_FW_ERoT_GPU_SXM_1"]
    retimer.active, retimer.staged = "96.00.89.00.01", "96.00.99.00.01"
    bench.bmc.feeds_lost(bench.clock.now())
    bench.bmc.feeds_lost(bench.clock.now())
    bench.wait(off_s)
    assert (bench.bmc.phase, bench.bmc.host.power) == (Phase.REFUSED, Power.OFF)
    bench.bmc.feeds_back(bench.clock.now())
    bench.wait(1000)
    truth = bench.bmc.truth()
    assert (retimer.active, truth["ac_cuts"], truth["ac_drained"]) == (version, 1, drained)
    assert (truth["phase"], truth["host_power"]) == ("ready", "On")


def test_feeds_that_go_in_a_flash_cut_it() -> None:
    bench = Bench("DGXH100")
    bench.push("gpu", {0x0020: "96.00.99.00.01"}, ["/redfish/v1/UpdateService/FirmwareInventory/HGX_0"])
    bench.wait(30)
    bench.bmc.feeds_lost(bench.clock.now())
    assert bench.item("HGX_FW_GPU_SXM_1")["flashes"][0]["outcome"] == "cut"
    assert bench.bmc.truth()["power_cuts_in_flash"] == 8
