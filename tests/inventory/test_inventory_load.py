"""Inventories: the examples that show whole halls, and everything that a person can get wrong in one."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from inventory.addresses import Spot, fill
from inventory.load import EXAMPLES, load
from inventory.model import NodeId, RackId, SwitchId, SwitchRole
from inventory.ranges import expand, expand_numbers
from inventory.text import InputError

SMALL = """\
inventory: small
credentials:
  bmc: {user: fleet, password: "env:FLEET_BMC_PASSWORD"}
feeds: [{id: A}, {id: B}]
sites: [{id: den1}]
pods: [{id: su1, site: den1}]
racks:
  - {id: "r[1-2]", pod: su1, feeds: [A, B], power_w: 40000}
nodes:
  - id: gpu[1-8]
    model: DGXH100
    rack: r[1-2]
    bmc: {address: "10.1.{rack}.{slot}", credential: bmc}
switches:
  - {id: leaf1, model: SN5600, role: leaf, rack: r1, slots: "40", address: 10.2.0.1}
pdus:
  - {id: "pdu[1-4]", model: PX4, rack: "r[1-2]", feeds: [A, B], address: 10.3.0.0/24}
links:
  - {a: "gpu[1-8]:eth0", b: "leaf1:swp[1-8]"}
overrides:
  gpu3: {serial: S3, labels: {canary: first}, bmc: {port: 8443}}
  "gpu[3-4]": {tenant: acme}
"""


def written(folder: Path, text: str, name: str = "hall.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_hall_of_1024() -> None:
    hall = load(EXAMPLES / "hall-1024.yaml")
    assert len(hall.nodes) == 1_024
    assert len({node.bmc.address for node in hall.nodes}) == 1_024
    assert [len(hall.nodes_in(rack.id)) for rack in hall.racks] == [16] * 64 + [0] * 32
    last = hall.node(NodeId("gpu1024"))
    assert (last.model, last.rack, last.slot, last.feeds, last.bmc.address) == (
        "DGXH100",
        "r64",
        16,
        ("A", "B"),
        "10.20.64.16",
    )
    assert str(hall.credential(last.bmc.credential).password) == "env:FLEET_BMC_PASSWORD"
    leaves = {link.b.device for link in hall.links_of(last.id)}
    assert leaves == {f"leaf32-{rail}" for rail in range(1, 9)}
    assert len({hall.rack(link_node.rack).pod for link_node in hall.nodes}) == 32
    assert len(hall.links_of(SwitchId("leaf01-1"))) == 32


def test_three_racks_of_nvl72() -> None:
    hall = load(EXAMPLES / "three-racks.yaml")
    for rack in ("nvl1", "nvl2", "nvl3"):
        trays = hall.nodes_in(RackId(rack))
        switches = [switch for switch in hall.switches if switch.rack == rack]
        assert len(trays) == 18
        assert {tray.nvlink_domain for tray in trays} == {rack}
        assert [switch.role for switch in switches] == [SwitchRole.NVLINK] * 9
        assert {switch.nvlink_domain for switch in switches} == {rack}
        assert {tray.slot for tray in trays} | {switch.slot for switch in switches} == set(range(1, 28))
        assert [pdu.feed for pdu in hall.pdus if pdu.rack == rack] == ["A"] * 4 + ["B"] * 4
    assert len({link.b.device for link in hall.links_of(NodeId("nvl3-c18"))}) == 4
    assert hall.node(NodeId("sto1-n1")).nvlink_domain is None


def test_two_clusters() -> None:
    hall = load(EXAMPLES / "two-clusters.yaml")
    models = [node.model for node in hall.nodes]
    assert (models.count("SYS-821GE-TNHR"), models.count("DGXA100")) == (16, 8)
    pinned = hall.node(NodeId("h100-16"))
    assert pinned.bmc.address == "h100-bmc-16.oob.example.net"
    assert pinned.bmc.tls.fingerprint is not None
    assert (pinned.profile, pinned.tenant) == ("supermicro-hgx", "research")
    assert hall.node(NodeId("a100-08")).tenant == "ci"
    assert hall.node(NodeId("a100-06")).tenant is None


def test_an_inventory_crosses_a_process_border() -> None:
    hall = load(EXAMPLES / "two-clusters.yaml")
    assert pickle.loads(pickle.dumps(hall)) == hall  # noqa: S301 (our own bytes)


def test_overrides_and_overlays_win_over_the_entry(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL)
    hall = load(path)
    assert [node.rack for node in hall.nodes] == ["r1"] * 4 + ["r2"] * 4
    third = hall.node(NodeId("gpu3"))
    assert (third.serial, third.tenant, third.labels, third.bmc.port) == ("S3", "acme", {"canary": "first"}, 8443)
    overlay = written(
        tmp_path, "overlay: small\noverrides: {gpu3: {bmc: {address: 127.0.0.1, port: 9443}}}", "overlay.yaml"
    )
    moved = load(path, overlay=overlay).node(NodeId("gpu3"))
    assert (moved.bmc.address, moved.bmc.port, moved.serial) == ("127.0.0.1", 9443, "S3")
    with pytest.raises(InputError, match=r"overlay\.yaml:1: this overlay is for the inventory 'other'"):
        load(path, overlay=written(tmp_path, "overlay: other", "overlay.yaml"))


def test_a_ca_is_found_beside_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL.replace("credential: bmc}", "credential: bmc, ca: oob.pem}"))
    with pytest.raises(InputError, match=r"hall\.yaml:13: ca 'oob\.pem' is not there"):
        load(path)
    (tmp_path / "oob.pem").touch()
    assert load(path).nodes[0].bmc.tls.ca == (tmp_path / "oob.pem").resolve()


def test_a_fingerprint_is_taken_as_openssl_prints_it(tmp_path: Path) -> None:
    printed = ":".join(["AB"] * 32)
    path = written(tmp_path, SMALL.replace("bmc: {port: 8443}", f'bmc: {{fingerprint: "SHA256:{printed}"}}'))
    assert load(path).node(NodeId("gpu3")).bmc.tls.fingerprint == "sha256:" + "ab" * 32


BAD = [
    ("    model: DGXH100", "    modle: DGXH100", 11, "unknown key 'modle' in node; did you mean 'model'?"),
    ("nodes:", "nodez:", 9, "unknown key 'nodez' in inventory; did you mean 'nodes'?"),
    ("    model: DGXH100\n", "", 10, "node gpu1 lacks the key 'model'"),
    ("env:FLEET_BMC_PASSWORD", "hunter2", 3, "a secret never stands in this file"),
    ("rack: r[1-2]\n", "rack: r[1-3]\n", 12, "unknown rack 'r3'; known: r1, r2"),
    ("credential: bmc}", "credential: bcm}", 13, "unknown credential 'bcm'; did you mean 'bmc'?"),
    ("pod: su1, feeds: [A, B]", "pod: su1, feeds: [A, C]", 8, "unknown feed 'C'; known: A, B"),
    ("pod: su1, feeds: [A, B]", "pod: su2, feeds: [A, B]", 8, "unknown pod 'su2'; did you mean 'su1'?"),
    ("pod: su1, feeds: [A, B]", "pod: su1, feeds: [A, A]", 8, "each once"),
    ("pod: su1, feeds: [A, B]", "pod: su1, feeds: []", 8, "at least one feed"),
    ("site: den1", "site: dem1", 6, "unknown site 'dem1'; did you mean 'den1'?"),
    ("gpu[1-8]\n", "gpu[1-2,2-7]\n", 10, "node 'gpu2' is declared twice"),
    ("gpu[1-8]\n", "gpu[8-1]\n", 10, "runs backwards"),
    ("gpu[1-8]\n", "gpu[1-8\n", 10, "has a bracket without its partner"),
    ("gpu[1-8]\n", "gpu[1;8]\n", 10, "malformed range"),
    ("gpu[1-8]\n", "gpu[1-100001]\n", 10, "stands for 100,001 entries"),
    ("gpu[1-8]\n", "gpu[1-999][1-999]\n", 10, "stands for 998,001 entries"),
    ("gpu[1-8]\n", "gp u[1-8]\n", 10, "is not usable; letters, digits"),
    ("gpu[1-8]\n", "gpu[1-7]\n", 12, "7 ids cannot be divided evenly over 2 in 'rack'; add per_rack"),
    ("rack: r[1-2]\n", "rack: r[1-2]\n    per_rack: 8\n", 13, "8 ids do not fill 2 in 'rack' with 8 each"),
    ("rack: r[1-2]\n", "rack: r[1-2]\n    slots: 1-3\n", 13, "3 slots are too few"),
    ("rack: r[1-2]\n", "rack: r[1-2]\n    slots: 1-3,3\n", 13, "slots name a slot twice"),
    ("rack: r[1-2]\n", "rack: r[1-2]\n    slots: a-b\n", 13, "malformed range"),
    ("rack: r[1-2]\n", "rack: r[1-2]\n    serial: X\n", 13, "serial belongs to one node, not to 8; use overrides"),
    ("10.1.{rack}.{slot}", "10.1.1.{slot}", 13, "address 10.1.1.1 port 443 of gpu5 is already that of gpu1"),
    ("10.1.{rack}.{slot}", "10.1.{rack}.{slots}", 13, "unknown placeholder {slots}"),
    ("10.1.{rack}.{slot}", "10.1.{pod}.3.{slot}", 13, "is neither an IP address nor a host name"),
    ("10.1.{rack}.{slot}", "10.1.300.{slot}", 13, "gives gpu1 the address '10.1.300.1', which is neither"),
    ("10.1.{rack}.{slot}", "https://bmc{node}", 13, "is no address with a network prefix"),
    ("10.1.{rack}.{slot}", "10.1.0.0/29", 13, "has room for 6 addresses, which is too few"),
    ("10.1.{rack}.{slot}", "10.2.0.{node}:443", 13, "is neither an IP address nor a host name"),
    ("credential: bmc}", "credential: bmc, port: 70000}", 13, "port must be at most 65535"),
    ("credential: bmc}", "credential: bmc, verify: no}", 13, "unknown key 'verify' in bmc"),
    ("credential: bmc}", "credential: bmc, fingerprint: 12}", 13, "is not a certificate's fingerprint"),
    ("credential: bmc}", "}", 10, "the BMC of gpu1 lacks the key 'credential'"),
    ('slots: "40"', 'slots: "2"', 15, "slot 2 of rack r1 of leaf1 is already that of gpu2"),
    ("role: leaf", "role: laef", 15, "unknown 'laef'; did you mean 'leaf'?"),
    ("id: leaf1", "id: gpu1", 15, "'gpu1' is a node already"),
    ("pdu[1-4]", "pdu[1-3]", 17, "3 ids cannot be divided over 2 racks x 2 feeds"),
    ("leaf1:swp[1-8]", "leaf1:swp[1-7]", 19, "a stands for 8 ends and b for 7"),
    ("leaf1:swp[1-8]", "leaf2:swp[1-8]", 19, "unknown node or switch 'leaf2'; did you mean 'leaf1'?"),
    ("leaf1:swp[1-8]", "gpu[1-8]:eth1", 19, "ends at no switch"),
    ("leaf1:swp[1-8]", "leaf1:swp[1,1,3-8]", 19, "port leaf1:swp1 of the link gpu2:eth0"),
    ("leaf1:swp[1-8]", "leaf[1,1,1,1,1,1,1,1]", 19, "names no port"),
    ("  gpu3:", "  gpu9:", 21, "unknown node 'gpu9'; did you mean 'gpu8'?"),
    ('"gpu[3-4]": {tenant', '"gpu[3-4]": {serial', 22, "serial of gpu3 is overridden twice; see line 21"),
    ('"gpu[3-4]": {tenant', '"gpu[4-5]": {serial', 10, "serial acme of gpu5 is already that of gpu4"),
    ('"gpu[3-4]"', '"gpu[4-3]"', 22, "runs backwards"),
    ("serial: S3", "uuid: S3", 21, "uuid 'S3' is not a UUID"),
    ("inventory: small\n", "", 1, "inventory lacks the key 'inventory'"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BAD)
def test_a_wrong_inventory_is_refused_at_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in SMALL
    path = written(tmp_path, SMALL.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load(path)
    assert words in str(caught.value)
    assert caught.value.place.line == line
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "hunter2" not in str(caught.value)


def test_ranges_run_in_the_order_written() -> None:
    assert expand("gpu[098-101]") == ("gpu098", "gpu099", "gpu100", "gpu101")
    assert expand("r[1-2]n[A,B]") == ("r1nA", "r1nB", "r2nA", "r2nB")
    assert expand("plain") == ("plain",)
    assert expand_numbers("1-3,9,05") == (1, 2, 3, 9, 5)


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("10.{pod}.{rack}.{slot}", "10.2.7.3"),
        ("bmc-{id}.Example.NET.", "bmc-gpu007.example.net"),
        ("fd00::{rack}:{slot}", "fd00::7:3"),
        ("10.20.0.10/16", "10.20.0.15"),
        ("10.20.0.0/24", "10.20.0.6"),
        ("fd00::/64", "fd00::6"),
        ("192.168.0.1", "192.168.0.1"),
    ],
)
def test_an_address_plan_is_filled_in(pattern: str, address: str) -> None:
    assert fill(pattern, Spot(id="gpu007", index=5, slot=3, rack="r07", pod="su-2b")) == address
