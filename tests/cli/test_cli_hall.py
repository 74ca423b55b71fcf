"""The hall as `fleet sim` describes it and the command line finds it: boxes with all that is around them, and who answers where."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import sim
from fleet.cli.hall import RunningHall, read_hall
from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets
from fleet.drivers.snmp import Endpoint, SnmpUser
from fleet.drivers.ssh import SshAddress, SshShell, read_client_key
from fleet.drivers.switch import SwitchAccess, SwitchDriver
from fleet.edges import OutletState
from fleet.errors import UsageError
from fleet.sim.layout import Layout, read_layout
from inventory.model import (
    Bmc,
    CredentialId,
    End,
    FeedId,
    Host,
    Inventory,
    Link,
    Node,
    NodeId,
    Pdu,
    PduId,
    RackId,
    Switch,
    SwitchId,
    SwitchRole,
)
from inventory.secrets import resolve

PLATFORMS = ("arista_eos", "cumulus_linux")
PORTS = ("Ethernet", "swp")
MIB_OF = {"A": "raritan-px", "B": "apc-rpdu2"}
FEEDS = (FeedId("A"), FeedId("B"))


def node(rack: int, slot: int) -> Node:
    """Its BMC and host are at addresses that no hall has."""
    bmc = Bmc(address=f"192.0.2.{slot}", credential=CredentialId("bmc"))
    return Node(
        id=NodeId(f"gpu-r{rack}-{slot}"),
        model="DGXH100",
        rack=RackId(f"r{rack}"),
        slot=slot,
        feeds=FEEDS,
        bmc=bmc,
        host=Host(address=f"198.51.100.{slot}"),
    )


def switch(rack: int, **changed: Any) -> Switch:
    platform = PLATFORMS[rack % 2]
    leaf = Switch(
        id=SwitchId(f"leaf{rack}"),
        model="m",
        role=SwitchRole.LEAF,
        rack=RackId(f"r{rack}"),
        slot=40,
        feeds=FEEDS,
        platform=platform,
    )
    return replace(leaf, **changed)


def pdu(rack: int, feed: str, slots: int, **changed: Any) -> Pdu:
    outlets = {slot + 20: NodeId(f"gpu-r{rack}-{slot}") for slot in range(1, slots + 1)}
    unit = Pdu(
        id=PduId(f"pdu-r{rack}-{feed}"),
        model="m",
        rack=RackId(f"r{rack}"),
        feed=FeedId(feed),
        address="192.0.2.250",
        mib=MIB_OF[feed],
        outlets=outlets,
    )
    return replace(unit, **changed)


def cable(a: str, b: str) -> Link:
    (near, near_port), (far, far_port) = a.split(":"), b.split(":")
    return Link(a=End(device=NodeId(near), port=near_port), b=End(device=SwitchId(far), port=far_port))


def hall_of(racks: int, slots: int) -> Inventory:
    """Two cables a node, both to the leaf of its rack; a PDU of each maker in each rack."""
    places = [(rack, slot) for rack in range(1, racks + 1) for slot in range(1, slots + 1)]
    return Inventory(
        name="test",
        nodes=tuple(node(rack, slot) for rack, slot in places),
        switches=tuple(switch(rack) for rack in range(1, racks + 1)),
        pdus=tuple(pdu(rack, feed, slots) for rack in range(1, racks + 1) for feed in FEEDS),
        links=tuple(
            cable(f"gpu-r{rack}-{slot}:eth{rail}", f"leaf{rack}:{PORTS[rack % 2]}{slot + 20 * rail}")
            for rack, slot in places
            for rail in (0, 1)
        ),
        vlans={"provisioning": 77, "tenant": 100},
    )


def written(inventory: Inventory, path: Path, nodes: tuple[Node, ...] | None = None) -> Layout:
    """boxes.json as the hall reads it, defaults filled in."""
    sim.write_boxes(inventory.nodes if nodes is None else nodes, path, inventory=inventory)
    return read_layout(json.loads(path.read_text()), str(path)).completed()


def addresses(layout: Layout) -> list[str]:
    """Of everything that listens."""
    boxes = [address for box in layout.boxes for address in (box.address, box.host_address)]
    return [*boxes, *(each.address for each in layout.switches), *(each.address for each in layout.pdus)]


def test_without_an_inventory_there_are_only_boxes(tmp_path: Path) -> None:
    sim.write_boxes(hall_of(1, 2).nodes, tmp_path / "boxes.json")
    document = json.loads((tmp_path / "boxes.json").read_text())
    assert [box["name"] for box in document] == ["gpu-r1-1", "gpu-r1-2"]


def test_the_hall_is_cabled_and_fed_as_the_inventory_says(tmp_path: Path) -> None:
    layout = written(hall_of(2, 2), tmp_path / "boxes.json")
    assert [(each.name, each.platform, each.rack, each.slot) for each in layout.switches] == [
        ("leaf1", "cumulus_linux", "r1", 40),
        ("leaf2", "arista_eos", "r2", 40),
    ]
    assert {each.provisioning_vlan for each in layout.switches} == {77}
    assert len(layout.links) == 8
    assert (layout.links[1].a, layout.links[1].b) == (("gpu-r1-1", "eth1"), ("leaf1", "swp21"))
    assert [(each.name, each.feed, each.model, dict(each.outlets)) for each in layout.pdus[:2]] == [
        ("pdu-r1-A", "A", "raritan-px", {21: "gpu-r1-1", 22: "gpu-r1-2"}),
        ("pdu-r1-B", "B", "apc-rpdu2", {21: "gpu-r1-1", 22: "gpu-r1-2"}),
    ]


def test_only_what_ends_at_a_chosen_node_and_can_be_spoken_to_is_simulated(tmp_path: Path) -> None:
    whole = hall_of(3, 2)
    mute = switch(3, platform=None)
    spine = Link(a=End(device=SwitchId("leaf1"), port="swp60"), b=End(device=SwitchId("leaf2"), port="Ethernet60"))
    backwards = Link(a=End(device=SwitchId("leaf1"), port="swp50"), b=End(device=NodeId("gpu-r1-1"), port="eth9"))
    inventory = replace(
        whole,
        switches=(*whole.switches[:2], mute),
        pdus=(pdu(1, "A", 2, mib=None), *whole.pdus[1:]),
        links=(*whole.links, spine, backwards),
    )
    chosen = (inventory.nodes[0], inventory.nodes[5])
    layout = written(inventory, tmp_path / "boxes.json", chosen)
    assert [box.name for box in layout.boxes] == ["gpu-r1-1", "gpu-r3-2"]
    assert [each.name for each in layout.switches] == ["leaf1"]
    assert [(each.a[0], each.b) for each in layout.links] == [
        ("gpu-r1-1", ("leaf1", "swp1")),
        ("gpu-r1-1", ("leaf1", "swp21")),
        ("leaf1", ("gpu-r1-1", "eth9")),
    ]
    assert [(each.name, dict(each.outlets)) for each in layout.pdus] == [
        ("pdu-r1-B", {21: "gpu-r1-1"}),
        ("pdu-r3-A", {22: "gpu-r3-2"}),
        ("pdu-r3-B", {22: "gpu-r3-2"}),
    ]


def test_without_a_provisioning_vlan_every_port_reaches_home(tmp_path: Path) -> None:
    layout = written(replace(hall_of(1, 1), vlans={}), tmp_path / "boxes.json")
    assert [each.provisioning_vlan for each in layout.switches] == [0]


def test_a_network_rack_is_counted_after_those_of_the_nodes(tmp_path: Path) -> None:
    whole = hall_of(2, 1)
    inventory = replace(whole, switches=(replace(switch(1), rack=RackId("network")), whole.switches[1]))
    layout = written(inventory, tmp_path / "boxes.json")
    thirds = {each.name: each.address.split(".")[2] for each in (*layout.boxes, *layout.switches, *layout.pdus)}
    assert (thirds["leaf1"], thirds["leaf2"]) == ("3", "2")
    assert (thirds["gpu-r2-1"], thirds["pdu-r2-B"]) == ("2", "2")


def test_no_address_is_given_twice_not_even_in_a_hall_of_499_racks(tmp_path: Path) -> None:
    whole = hall_of(499, 2)
    low = replace(whole, switches=tuple(replace(each, slot=2) for each in whole.switches))  # as low as PDUs are counted
    given = addresses(written(low, tmp_path / "boxes.json"))
    assert len(set(given)) == len(given) == 499 * 7
    assert all(ip_address(address).is_loopback for address in given)


@pytest.mark.parametrize(
    ("racks", "slot", "says"), [(500, 1, "rack r500, slot 1: "), (1, 255, "rack r1, slot 255: "), (1, 0, "slot 0")]
)
def test_a_hall_without_an_address_for_everybody_is_not_written(
    tmp_path: Path, *, racks: int, slot: int, says: str
) -> None:
    nodes = tuple(node(rack, slot) for rack in range(1, racks + 1))
    with pytest.raises(UsageError, match=f"{says}.*addresses for 499 racks and slots 1 to 254"):
        sim.write_boxes(nodes, tmp_path / "boxes.json")
    assert not (tmp_path / "boxes.json").exists()


@asynccontextmanager
async def started(inventory: Inventory, nodes: tuple[Node, ...], directory: Path) -> AsyncIterator[RunningHall]:
    """A hall of these nodes, as another process."""
    sim.write_boxes(nodes, directory / "boxes.json", inventory=inventory)
    process = await asyncio.to_thread(sim.start, directory, speed=600, faults=sim.fault_file("none"), seed=0)
    try:
        yield read_hall(directory)
    finally:
        await asyncio.to_thread(sim.stop, directory, process)


async def release(hall: RunningHall, name: str) -> str:
    """/etc/os-release of a node, read over SSH."""
    at = hall.hosts[name]
    shell = SshShell(
        address=SshAddress(host=at.address, port=at.port, user=at.user),
        host_key=at.host_key,
        client_key=read_client_key(hall.client_key),
        clock=hall.clock(),
    )
    try:
        return (await shell.run(("cat", "/etc/os-release"), timeout_s=60)).stdout.decode()
    finally:
        await shell.close()


def driver(hall: RunningHall) -> SwitchDriver:
    """Over all its switches."""
    accesses = [
        SwitchAccess(
            name=name,
            platform=at.platform,
            address=at.address,
            port=at.port,
            user=at.user,
            password=at.password,
            host_key=at.host_key,
        )
        for name, at in hall.switches.items()
    ]
    return SwitchDriver(accesses, clock=hall.clock())


def outlets(hall: RunningHall) -> OutletMap:
    """Over all its PDUs."""
    units = [
        PduOutlets(
            id=PduId(name),
            feed=FeedId(name[-1]),
            mib=MIBS[at.mib],
            at=Endpoint(
                device=name,
                address=at.address,
                port=at.port,
                user=SnmpUser(name=at.user, auth_key=resolve(at.auth_key), priv_key=resolve(at.priv_key)),
            ),
            outlets={number: NodeId(fed) for number, fed in at.outlets.items()},
        )
        for name, at in hall.pdus.items()
    ]
    return OutletMap(units, clock=hall.clock())


async def test_a_hall_of_256_nodes_answers_everywhere_that_it_says(tmp_path: Path) -> None:
    inventory = hall_of(16, 16)
    async with started(inventory, inventory.nodes, tmp_path) as hall:
        assert (len(hall.bmcs), len(hall.hosts), len(hall.switches), len(hall.pdus)) == (256, 256, 16, 32)
        last = hall.overlay(inventory.nodes)[-1]
        at = hall.hosts["gpu-r16-16"]
        assert last.host == Host(address=at.address, port=at.port)
        assert 'VERSION_ID="22.04"' in await release(hall, "gpu-r16-16")
        leaves = driver(hall)
        for name, port in (("leaf15", "swp36"), ("leaf16", "Ethernet36")):
            neighbours = {each.port: each.system for each in await leaves.switch(name).neighbours()}
            assert neighbours[port] == f"gpu-r{name[4:]}-16"
        await leaves.close()
        known = outlets(hall)
        fed = known.outlets(last)
        assert [outlet.name for outlet in fed] == ["pdu-r16-A/36", "pdu-r16-B/36"]
        assert [await outlet.state() for outlet in fed] == [OutletState.ON] * 2
        await fed[0].switch(OutletState.OFF)
        known.close()
        truth = await asyncio.to_thread(hall.truth)
    assert truth["pdus"]["pdu-r16-A"]["outlets"]["36"]["state"] == "off"
    assert truth["pdus"]["pdu-r16-B"]["outlets"]["36"]["state"] == "on"
    assert {name: each["logins"] for name, each in truth["switches"].items() if each["logins"]} == {
        "leaf15": 1,
        "leaf16": 1,
    }
    assert len(truth["switches"]["leaf16"]["neighbours"]) == 32


async def test_two_halls_of_one_rack_stand_side_by_side(tmp_path: Path) -> None:
    inventory = hall_of(1, 2)
    first, second = inventory.nodes
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        started(inventory, (second,), tmp_path / "a") as one,
        started(inventory, (first,), tmp_path / "b") as other,
    ):
        assert 'VERSION_ID="22.04"' in await release(one, second.id)
        assert 'VERSION_ID="22.04"' in await release(other, first.id)
    assert one.switches["leaf1"].address != other.switches["leaf1"].address
    assert one.pdus["pdu-r1-A"].address != other.pdus["pdu-r1-A"].address


def document(directory: Path) -> dict[str, Any]:
    """A hall.json with one of each."""
    ssh = {"address": "127.101.1.1", "port": 2222, "user": "root"}
    return {
        "version": 1,
        "speed": 600.0,
        "user": "admin",
        "password_file": str(directory / "password"),
        "ca": str(directory / "ca.pem"),
        "bmcs": {"gpu1": {"address": "127.1.1.1", "port": 8443}},
        "host_user": "root",
        "host_client_key": str(directory / "host_key"),
        "hosts": {"gpu1": ssh | {"host_key": "ssh-ed25519 AAAA"}, "bare": ssh},
        "switches": {
            "leaf1": ssh
            | {"platform": "arista_eos", "password_file": str(directory / "switch"), "host_key": "ssh-ed25519 AAAA"}
        },
        "pdus": {
            "pdu1": {
                "address": "127.7.1.1",
                "port": 1161,
                "model": "apc-rpdu2",
                "user": "fleet",
                "auth_key_file": str(directory / "auth"),
                "priv_key_file": str(directory / "priv"),
                "outlets": {"7": "gpu1"},
            }
        },
    }


Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def told(tmp_path: Path) -> Callable[[Change], RunningHall]:
    """Reads a hall.json that was changed."""

    def read(change: Change) -> RunningHall:
        content = document(tmp_path)
        change(content)
        (tmp_path / "hall.json").write_text(json.dumps(content))
        return read_hall(tmp_path)

    return read


Told = Callable[[Change], RunningHall]


def test_every_field_of_hall_json_arrives(told: Told, tmp_path: Path) -> None:
    hall = told(lambda _: None)
    assert hall.client_key == tmp_path / "host_key"
    assert (hall.hosts["gpu1"].user, hall.hosts["gpu1"].host_key) == ("root", "ssh-ed25519 AAAA")
    assert hall.hosts["bare"].host_key == ""
    leaf, unit = hall.switches["leaf1"], hall.pdus["pdu1"]
    assert (leaf.platform, leaf.user, str(leaf.password)) == ("arista_eos", "root", f"file:{tmp_path}/switch")
    assert (unit.address, unit.port, unit.mib, unit.user) == ("127.7.1.1", 1161, "apc-rpdu2", "fleet")
    assert (str(unit.auth_key), str(unit.priv_key)) == (f"file:{tmp_path}/auth", f"file:{tmp_path}/priv")
    assert dict(unit.outlets) == {7: "gpu1"}


def test_a_hall_without_switches_and_pdus_has_none(told: Told) -> None:
    hall = told(lambda said: [said.pop(key) for key in ("switches", "pdus")])
    assert (dict(hall.switches), dict(hall.pdus)) == ({}, {})


def test_a_node_leaves_the_real_address_of_its_host_behind(told: Told) -> None:
    declared = replace(node(1, 1), id=NodeId("gpu1"))
    [over] = told(lambda _: None).overlay([declared])
    assert (over.bmc.address, over.host) == ("127.1.1.1", Host(address="127.101.1.1", port=2222))
    [over] = told(lambda said: said["hosts"].clear()).overlay([declared])
    assert over.host is None


@pytest.mark.parametrize("address", ["10.0.0.7", "localhost", "2001:db8::1"])
@pytest.mark.parametrize(
    ("kind", "name"), [("bmcs", "gpu1"), ("hosts", "gpu1"), ("switches", "leaf1"), ("pdus", "pdu1")]
)
def test_an_address_that_is_not_loopback_is_refused(told: Told, *, kind: str, name: str, address: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is at {address}; a simulated hall is on loopback addresses only"):
        told(lambda said: said[kind][name].update(address=address))


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("hosts"),
        lambda said: said.pop("host_client_key"),
        lambda said: said.update(hosts=[]),
        lambda said: said.update(switches=["leaf1"]),
        lambda said: said.update(pdus=None),
        lambda said: said.update(speed=0),
        lambda said: said.update(speed="fast"),
        lambda said: said["hosts"].update(gpu1="127.0.0.1"),
        lambda said: said["hosts"]["gpu1"].update(port=0),
        lambda said: said["hosts"]["gpu1"].update(port=1e400),
        lambda said: said["hosts"]["gpu1"].update(address=2130706433),
        lambda said: said["hosts"]["gpu1"].update(host_key=None),
        lambda said: said["switches"]["leaf1"].pop("password_file"),
        lambda said: said["switches"]["leaf1"].pop("host_key"),
        lambda said: said["pdus"]["pdu1"].pop("priv_key_file"),
        lambda said: said["pdus"]["pdu1"].update(port=65536),
        lambda said: said["pdus"]["pdu1"].update(outlets={"first": "gpu1"}),
        lambda said: said["pdus"]["pdu1"].update(outlets=["gpu1"]),
    ],
)
def test_what_no_hall_writes_is_one_sentence(told: Told, change: Change) -> None:
    with pytest.raises(UsageError, match=r"hall\.json: not what a running hall writes \(.+\); stop the hall"):
        told(change)


def test_reading_a_hall_loads_no_driver() -> None:
    program = "import fleet.cli.hall, sys; print(*{'asyncssh', 'netmiko', 'paramiko', 'pysnmp', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
