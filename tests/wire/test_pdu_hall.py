"""PDU outlets over SNMPv3 against the hall's PDUs, and a whole AC cycle of a DGX, which has none by Redfish."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.rollout import node as declared
from support.steps import Around, Rig

from fleet.clock import SystemClock
from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets
from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.snmp import Endpoint, SnmpUser
from fleet.edges import Outlet, OutletState, PduMeter
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.journal import SqliteJournal
from fleet.outlets import outlet_offers
from fleet.vendors import profile_named
from inventory.baseline import Activation
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, PduId, SecretRef, Tls
from inventory.secrets import resolve
from playbooks.steps.power import cycle_ac

SPEED = 600.0
NODE = "gpu1"


@dataclass(slots=True)
class Ledger:
    """Sessions, for a driver that wants them written down."""

    uris: set[str] = field(default_factory=set)

    async def opening(self, context: str) -> None:
        """See `SessionLedger`."""

    async def opened(self, uri: str, context: str) -> None:
        """See `SessionLedger`."""
        assert uri, context
        self.uris.add(uri)

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""

    async def absent(self, context: str) -> None:
        """See `SessionLedger`."""

    async def closed(self, uri: str) -> None:
        """See `SessionLedger`."""
        self.uris.discard(uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """A hall with one DGX on two PDUs of two makers."""

    directory: Path
    document: dict[str, Any]
    clock: SystemClock

    @property
    def node(self) -> Node:
        """As an inventory declares it."""
        told = self.document["bmcs"][NODE]
        tls = Tls(ca=self.directory / "ca.pem")
        bmc = Bmc(address=told["address"], port=told["port"], credential=CredentialId("bmc"), tls=tls)
        return replace(declared(NODE, feeds=("A", "B")), bmc=bmc)

    def pdu(self, name: str, *, auth_key: str = "") -> PduOutlets:
        """As the composition root makes it of an inventory."""
        told = self.document["pdus"][name]
        file = self.directory / "other_key"
        file.write_text(auth_key)
        file.chmod(0o600)
        user = SnmpUser(
            name=told["user"],
            auth_key=resolve(SecretRef.parse(f"file:{file if auth_key else told['auth_key_file']}")),
            priv_key=resolve(SecretRef.parse(f"file:{told['priv_key_file']}")),
        )
        return PduOutlets(
            id=PduId(name),
            feed=FeedId(name[-1]),
            mib=MIBS[told["model"]],
            at=Endpoint(device=name, address=told["address"], port=told["port"], user=user),
            outlets={int(number): NodeId(node) for number, node in told["outlets"].items()},
        )

    def driver(self) -> RedfishDriver:
        """With the hall's credential."""
        password = SecretRef.parse(f"file:{self.directory / 'password'}")
        credential = Credential(id=CredentialId("bmc"), user=self.document["user"], password=password)
        return RedfishDriver([credential], clock=self.clock)

    async def truth(self) -> dict[str, Any]:
        """The ground truth."""
        connector = aiohttp.UnixConnector(str(self.directory / "truth.sock"))
        async with aiohttp.ClientSession(connector=connector) as http, http.get("http://hall/truth") as response:
            told: dict[str, Any] = await response.json()
            return told


def free(kind: socket.SocketKind) -> int:
    """A port of loopback that nobody uses."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(directory: Path, rules: list[dict[str, Any]]) -> AsyncIterator[Hall]:
    """Start it as another process, stop it."""
    address, udp = "127.0.0.1", socket.SOCK_DGRAM
    document = {
        "boxes": [{"name": NODE, "model": "DGXH100", "slot": 1, "port": free(socket.SOCK_STREAM), "feeds": ["A", "B"]}],
        "pdus": [
            {"name": "pdu-A", "feed": "A", "model": "raritan-px", "address": address, "port": free(udp)},
            {"name": "pdu-B", "feed": "B", "model": "apc-rpdu2", "address": address, "port": free(udp)},
        ],
    }
    (directory / "boxes.json").write_text(json.dumps(document))
    (directory / "faults.yaml").write_text(json.dumps({"faults": "test", "rules": rules}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleet.sim", "--boxes", str(directory / "boxes.json"), "--directory", str(directory)),
        *("--speed", str(SPEED), "--faults", str(directory / "faults.yaml")),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = await process.stderr.readline()
        assert b"hall ready" in line, line + await process.stderr.read()
        told = json.loads((directory / "hall.json").read_text())
        yield Hall(directory=directory, document=told, clock=SystemClock(speed=SPEED, origin=0.0))
    finally:
        process.terminate()
        await process.communicate()


async def drawn_w(meter: Outlet | PduMeter) -> float:
    """What it shows now."""
    found = await meter.reading()
    assert found is not None
    return found.watts


Start = Callable[..., AbstractAsyncContextManager[Hall]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def begin(*rules: dict[str, Any]) -> AbstractAsyncContextManager[Hall]:
        return running(tmp_path, list(rules))

    return begin


async def test_outlets_of_both_makers(start: Start) -> None:
    async with start() as hall:
        outlets = OutletMap([hall.pdu("pdu-A"), hall.pdu("pdu-B")], clock=hall.clock)
        fed = outlets.outlets(hall.node)
        assert [outlet.name for outlet in fed] == ["pdu-A/1", "pdu-B/1"]
        assert [await outlet.state() for outlet in fed] == [OutletState.ON] * 2
        assert min([await drawn_w(outlet) for outlet in fed]) > 500
        for outlet, pdu in zip(fed, ("pdu-A", "pdu-B"), strict=True):
            await outlet.switch(OutletState.OFF)
            assert (await outlet.state(), await drawn_w(outlet)) == (OutletState.OFF, 0.0)
            assert (await hall.truth())["pdus"][pdu]["outlets"]["1"]["state"] == "off"
            await outlet.switch(OutletState.ON)
            assert await outlet.state() is OutletState.ON
        # Sixty at once are more than may be in flight; none is lost.
        assert set(await asyncio.gather(*(fed[n % 2].state() for n in range(60)))) == {OutletState.ON}
        outlets.close()
        told = (await hall.truth())["nodes"][NODE]
        assert (told["ac_cuts"], told["ac_drained"]) == (0, 0)


async def test_a_node_with_one_switched_feed_offers_nothing(start: Start) -> None:
    async with start() as hall:
        half = OutletMap([hall.pdu("pdu-A")], clock=hall.clock)
        assert outlet_offers(half.outlets(hall.node)) == frozenset()
        both = OutletMap([hall.pdu("pdu-A"), hall.pdu("pdu-B")], clock=hall.clock)
        assert outlet_offers(both.outlets(hall.node)) == {Activation.AC_CYCLE}


async def test_refusals(start: Start) -> None:
    async with start() as hall:
        wrong = hall.pdu("pdu-A", auth_key="not the key at all")
        alien = replace(hall.pdu("pdu-A"), outlets={7: NodeId(NODE)})
        clock = hall.clock
        for pdu, call, reason in (
            (wrong, "state", Reason.LOGIN_REFUSED),
            (wrong, "switch", Reason.LOGIN_REFUSED),
            (alien, "state", Reason.NO_EDGE),
            (alien, "switch", Reason.NO_ACTIVATION),
        ):
            outlets = OutletMap([pdu, hall.pdu("pdu-B")], clock=clock)
            outlet = outlets.outlets(hall.node)[0]
            with pytest.raises(NodeFault) as fault:
                await (outlet.state() if call == "state" else outlet.switch(OutletState.OFF))
            outlets.close()
            assert fault.value.reason is reason, str(fault.value)
            assert "not the key" not in str(fault.value)
        assert "not the key" not in repr(wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hasty(SystemClock):
    """Gives a reply half a second."""

    def io_timeout_s(self, seconds: float) -> float:
        """Few."""
        return min(seconds, 0.5)


async def test_a_silent_pdu(start: Start) -> None:
    async with start() as hall:
        pdu = hall.pdu("pdu-A")
    outlets = OutletMap([replace(pdu, feed=FeedId("A"))], clock=Hasty(speed=SPEED))
    outlet = outlets.outlets(declared(NODE, feeds=("A",)))[0]
    with pytest.raises(Transient):
        await outlet.state()
    with pytest.raises(OutcomeUnknown):
        await outlet.switch(OutletState.OFF)
    outlets.close()


async def cycled(hall: Hall, path: Path) -> None:
    """The activation step's AC cycle, with the real drivers, context and journal."""
    rig = Rig(path, hall.clock, hall.node, ("", ""))
    await rig.prepare()
    outlets = OutletMap([hall.pdu("pdu-A"), hall.pdu("pdu-B")], clock=hall.clock)
    journal = SqliteJournal(path, hall.clock)
    bmc = hall.driver().bmc(hall.node, profile_named("dgx-h100"), Ledger())
    try:
        await bmc.connect()
        ctx, _ = rig.context(journal, edges=Around(fed_by=outlets.outlets(hall.node)), bmc=bmc)
        ctx.enter((), "1 firmware.activate")
        await cycle_ac(ctx)
    finally:
        await bmc.close()
        outlets.close()
        await journal.close()


async def test_an_ac_cycle_by_outlets(start: Start, tmp_path: Path) -> None:
    async with start() as hall:
        await cycled(hall, tmp_path / "journal.db")
        truth = await hall.truth()
        told = truth["nodes"][NODE]
        assert (told["ac_cuts"], told["ac_drained"], told["power_cuts_in_flash"]) == (1, 1, 0)
        assert told["host_power"] == "On"
        for pdu in ("pdu-A", "pdu-B"):
            assert [change["to"] for change in truth["pdus"][pdu]["outlets"]["1"]["switched"]] == ["off", "on"]


async def test_a_stuck_outlet_leaves_the_node_on_both_feeds(start: Start, tmp_path: Path) -> None:
    rule = {"name": "stuck", "effect": "outlet-stuck", "select": {"node": "pdu-B"}, "times": 100}
    async with start(rule) as hall:
        with pytest.raises(NodeFault, match="pdu-B/1") as fault:
            await cycled(hall, tmp_path / "journal.db")
        assert fault.value.reason is Reason.POWER_IGNORED
        truth = await hall.truth()
        assert truth["nodes"][NODE]["ac_cuts"] == 0
        assert [truth["pdus"][pdu]["outlets"]["1"]["state"] for pdu in ("pdu-A", "pdu-B")] == ["on", "on"]
