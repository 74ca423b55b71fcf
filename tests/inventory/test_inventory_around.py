"""What an inventory says beyond BMCs: hosts, command lines, outlets, VLANs, SSH, the scheduler, this machine, exports."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest

from fleet.drivers.pdu import MIBS
from fleet.drivers.switch.driver import DIALECTS
from inventory.load import EXAMPLES, load
from inventory.model import (
    Host,
    Inventory,
    KubernetesAccess,
    NodeId,
    PduMib,
    Provisioning,
    SchedulerAccess,
    SecretRef,
    Ssh,
    SwitchId,
    SwitchPlatform,
)
from inventory.text import InputError

AROUND = """\
inventory: small
credentials:
  bmc: {user: fleet, password: "env:BMC"}
  power: {user: fleet, password: "env:PDU_AUTH", privacy: "env:PDU_PRIVACY"}
feeds: [{id: A}, {id: B}]
sites: [{id: den1}]
pods: [{id: su1, site: den1}]
racks:
  - {id: "r[1-2]", pod: su1, feeds: [A, B]}
nodes:
  - id: gpu[1-8]
    model: DGXH100
    rack: r[1-2]
    bmc: {address: "10.1.{rack}.{slot}", credential: bmc}
    host: {address: "10.3.{rack}.{slot}"}
switches:
  - {id: leaf1, model: SN5600, role: leaf, rack: r1, slots: "40", address: 10.2.0.1, port: 2022, platform: cumulus_linux}
pdus:
  - id: pdu[1-4]
    model: PX4
    rack: r[1-2]
    feeds: [A, B]
    address: 10.4.0.0/24
    credential: power
    mib: raritan-px
    outlets: by-slot
  - {id: spare, model: AP8941, rack: r1, feeds: [B], address: 10.4.1.1, port: 1161, credential: power,
     mib: apc-rpdu2, outlets: {2: gpu1, 7: gpu2, 8: gpu2}}
overrides:
  gpu3: {feeds: [B], host: {port: 2222}}
vlans: {provisioning: 100, tenant-2: 4094}
ssh: {user: fleet, key: keys/fleet, known_hosts: known_hosts}
scheduler: {slurm: {scontrol: /opt/slurm/bin/scontrol, conf: slurm.conf}}
provisioning: {address: 10.1.0.5, port: 8090}
exports:
  netbox: {url: "https://netbox.example.net/root", token: "env:NETBOX_TOKEN", ca: netbox.pem}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With every file that the inventory names."""
    (tmp_path / "keys").mkdir()
    for name in ("keys/fleet", "known_hosts", "slurm.conf", "netbox.pem"):
        (tmp_path / name).touch()
    return tmp_path


def loaded(folder: Path, text: str = AROUND) -> Inventory:
    (folder / "hall.yaml").write_text(text)
    return load(folder / "hall.yaml")


def cut(text: str, first: str) -> str:
    """The text up to the line that begins with `first`."""
    assert f"\n{first}" in text
    return text[: text.index(f"\n{first}") + 1]


def test_hosts_have_an_address_plan_of_their_own(folder: Path) -> None:
    hall = loaded(folder)
    assert [node.host for node in hall.nodes][:3] == [
        Host(address="10.3.1.1"),
        Host(address="10.3.1.2"),
        Host(address="10.3.1.3", port=2222),
    ]
    bare = loaded(folder, AROUND.replace('    host: {address: "10.3.{rack}.{slot}"}\n', "").replace(
        "host: {port: 2222}", "host: {address: gpu3.example.net}"))  # fmt: skip
    assert [node.id for node in bare.nodes if node.host] == ["gpu3"]


def test_an_overlay_moves_a_host(folder: Path) -> None:
    loaded(folder)
    overlay = folder / "overlay.yaml"
    overlay.write_text("overlay: small\noverrides: {gpu3: {host: {address: 127.0.0.1, port: 22001}}}")
    moved = load(folder / "hall.yaml", overlay=overlay)
    assert moved.node(NodeId("gpu3")).host == Host(address="127.0.0.1", port=22001)
    assert moved.node(NodeId("gpu4")).host == Host(address="10.3.1.4")


def test_outlets_follow_slots_on_the_feed_of_each_pdu(folder: Path) -> None:
    outlets = {pdu.id: dict(pdu.outlets) for pdu in loaded(folder).pdus}
    assert outlets == {
        "pdu1": {1: "gpu1", 2: "gpu2", 4: "gpu4"},  # gpu3 is on feed B alone
        "pdu2": {1: "gpu1", 2: "gpu2", 3: "gpu3", 4: "gpu4"},
        "pdu3": {1: "gpu5", 2: "gpu6", 3: "gpu7", 4: "gpu8"},
        "pdu4": {1: "gpu5", 2: "gpu6", 3: "gpu7", 4: "gpu8"},
        "spare": {2: "gpu1", 7: "gpu2", 8: "gpu2"},
    }


def test_outlets_leave_out_what_is_no_node_and_keep_the_numbers_of_slots(folder: Path) -> None:
    text = AROUND.replace("rack: r[1-2]\n    bmc", 'rack: r[1-2]\n    slots: "11-14"\n    bmc').replace('"40"', '"1"')
    assert dict(loaded(folder, text).pdus[1].outlets) == {11: "gpu1", 12: "gpu2", 13: "gpu3", 14: "gpu4"}


def test_what_is_around_the_hall(folder: Path) -> None:
    hall = loaded(folder)
    assert hall.vlans == {"provisioning": 100, "tenant-2": 4094}
    assert hall.ssh == Ssh(user="fleet", key=folder / "keys/fleet", known_hosts=folder / "known_hosts")
    assert hall.scheduler == SchedulerAccess(scontrol="/opt/slurm/bin/scontrol", conf=folder / "slurm.conf")
    assert hall.provisioning == Provisioning(address="10.1.0.5", port=8090)
    target = hall.exports["netbox"]
    assert (target.url, target.token, target.ca) == (
        "https://netbox.example.net/root",
        SecretRef.parse("env:NETBOX_TOKEN"),
        folder / "netbox.pem",
    )
    assert [str(credential.privacy) for credential in hall.credentials] == ["None", "env:PDU_PRIVACY"]
    leaf, spare = hall.switches[0], hall.pdus[-1]
    assert (leaf.port, leaf.platform, spare.port, spare.mib) == (2022, "cumulus_linux", 1161, "apc-rpdu2")
    assert hash(pickle.loads(pickle.dumps(hall))) == hash(hall)  # noqa: S301 (our own bytes)


def test_what_is_not_said_has_its_usual_port_or_is_not_there(folder: Path) -> None:
    text = cut(AROUND, "vlans").replace("port: 2022, platform: cumulus_linux", "").replace("port: 1161, ", "")
    hall = loaded(folder, text.replace("\n    mib: raritan-px\n    outlets: by-slot", ""))
    assert (hall.vlans, hall.ssh, hall.scheduler, hall.provisioning, hall.exports) == ({}, Ssh(), None, None, {})
    assert hall.transfers.megabytes_per_s == 1000
    assert loaded(folder, text + "transfers: {megabytes_per_s: 2500}\n").transfers.megabytes_per_s == 2500
    assert (hall.switches[0].port, hall.switches[0].platform, hall.pdus[-1].port) == (22, None, 161)
    assert (hall.pdus[0].mib, hall.pdus[0].outlets) == (None, {})
    assert loaded(folder, text + "scheduler: {slurm: {}}\nprovisioning: {address: 'fd00:0::5'}\n").scheduler == (
        SchedulerAccess()
    )
    assert load(folder / "hall.yaml").provisioning == Provisioning(address="fd00::5", port=0)


def test_a_kubernetes_cluster_is_declared_with_its_ca_and_a_reference(folder: Path) -> None:
    declared = loaded(folder, AROUND.replace(SLURM, kubernetes("[ReplicaSet, Job]"))).scheduler
    assert declared == KubernetesAccess(
        server="https://k:6443",
        ca=folder / "netbox.pem",
        token=SecretRef.parse("env:T"),
        evict=("ReplicaSet", "Job"),
    )
    nobody = loaded(folder, AROUND.replace(SLURM, kubernetes("[]"))).scheduler
    assert isinstance(nobody, KubernetesAccess)
    assert nobody.evict == ()


def test_the_drivers_know_what_the_file_may_name() -> None:
    assert set(SwitchPlatform) == set(DIALECTS)
    assert set(PduMib) == set(MIBS)


def test_256_nodes_from_bare_metal() -> None:
    hall = load(EXAMPLES / "bring-up-256.yaml")
    assert [node.id for node in hall.nodes] == [f"gpu{number:04}" for number in range(1, 257)]
    assert Counter(hall.rack(node.rack).pod for node in hall.nodes) == {f"su{pod}": 32 for pod in range(1, 9)}
    places = [(int(node.rack[1:]), node.slot) for node in hall.nodes]
    assert [node.bmc.address for node in hall.nodes] == [f"10.20.{rack}.{slot}" for rack, slot in places]
    assert [node.host and node.host.address for node in hall.nodes] == [f"10.30.{rack}.{slot}" for rack, slot in places]
    fed = Counter(node for pdu in hall.pdus for node in pdu.outlets.values())
    assert fed == {node.id: 2 for node in hall.nodes}
    assert [(pdu.id, pdu.feed) for pdu in hall.pdus[-2:]] == [("pdu-r16-A", "A"), ("pdu-r16-B", "B")]
    assert hall.vlans == {"provisioning": 100, "tenant": 200}
    assert hall.provisioning == Provisioning(address="10.20.0.5", port=8090)


def test_the_256_are_cabled_to_the_two_leaves_of_their_pod() -> None:
    hall = load(EXAMPLES / "bring-up-256.yaml")
    switches = {switch.id: switch for switch in hall.switches}
    port_names = {"cumulus_linux": "swp", "arista_eos": "Ethernet"}
    assert Counter(switch.platform for switch in hall.switches) == dict.fromkeys(port_names, 8)
    for node in hall.nodes:
        pod = hall.rack(node.rack).pod
        nth = (int(node.id[3:]) - 1) % 32 + 1
        name = port_names[switches[SwitchId(f"leaf{pod[2:]}-a")].platform or ""]
        assert [(link.a.port, link.b.device, link.b.port) for link in hall.links_of(node.id)] == [
            ("eth0", f"leaf{pod[2:]}-a", f"{name}{nth}"),
            ("eth1", f"leaf{pod[2:]}-b", f"{name}{nth}"),
        ]
        assert {hall.rack(switches[SwitchId(f"leaf{pod[2:]}-{half}")].rack).pod for half in "ab"} == {pod}


MIB, OUTLETS, SPARE = "    mib: raritan-px\n", "by-slot", "{2: gpu1, 7: gpu2, 8: gpu2}"
LEAF = "port: 2022, platform: cumulus_linux}"
TARGET = 'url: "https://netbox.example.net/root"'
SLURM = "{slurm: {scontrol: /opt/slurm/bin/scontrol, conf: slurm.conf}}"


def kubernetes(evict: str) -> str:
    return f"{{kubernetes: {{server: 'https://k:6443', ca: netbox.pem, token: 'env:T', evict: {evict}}}}}"


BAD = [
    # credentials
    ('"env:PDU_PRIVACY"', "hunter2", 4, "the privacy of credential 'power' is not a reference; a secret never stands"),
    ("privacy:", "privcy:", 4, "unknown key 'privcy' in credential 'power'; did you mean 'privacy'?"),
    ('"env:PDU_PRIVACY"', "{a: hunter2}", 4, "privacy must be text, not a mapping"),
    # hosts
    ('host: {address: "10.3.{rack}.{slot}"}', "host: {}", 11, "the host of gpu3 lacks the key 'address'; add host:"),
    ("10.3.{rack}.{slot}", "10.3.1.{slot}", 15, "10.3.1.1 port 22 of the host of gpu5 is already that of the host of"),
    ('"10.3.{rack}.{slot}"}', '"10.1.{rack}.{slot}", port: 443}', 15, "of the host of gpu1 is already that of gpu1"),
    ('"10.3.{rack}.{slot}"}', '"10.3.{rack}.{slot}", prt: 1}', 15, "unknown key 'prt' in host; did you mean 'port'?"),
    ('"10.3.{rack}.{slot}"}', '"10.3.{rack}.{slot}", port: 0}', 15, "port must be at least 1, not 0"),
    ("10.3.{rack}.{slot}", "ssh://{id}", 15, "is no address with a network prefix"),
    ("  gpu3: {f", '  "gpu[3-4]": {host: {port: 1}}\n  gpu3: {f', 31, "port of gpu3 is overridden twice; see line 30"),
    # switches
    (LEAF, "platform: cumulus}", 17, "platform: unknown 'cumulus'; did you mean 'cumulus_linux'?"),
    (LEAF, "platform: nxos}", 17, "platform: unknown 'nxos'; known: arista_eos, cumulus_linux"),
    (LEAF, "port: 65536}", 17, "port must be at most 65535"),
    (f"address: 10.2.0.1, {LEAF}", "port: 22}", 17, "a switch with a port needs the key 'address'"),
    (f"address: 10.2.0.1, {LEAF}", "port: 22, adress: a}", 17, "unknown key 'adress' in switch; did you mean 'address'"),
    (f"10.2.0.1, {LEAF}", "10.3.1.1}", 17, "address 10.3.1.1 port 22 of leaf1 is already that of the host of gpu1"),
    # PDUs
    (MIB, "    mib: raritan\n", 25, "mib: unknown 'raritan'; did you mean 'raritan-px'?"),
    (MIB, "", 25, "outlets need the key 'mib'; add mib: raritan-px or apc-rpdu2"),
    (MIB, "    mbi: raritan-px\n", 25, "unknown key 'mbi' in pdu; did you mean 'mib'?"),
    ("    credential: power\n", "", 25, "outlets need the key 'credential'; name one that has"),
    ("credential: power\n", "credential: bmc\n", 26, "credential 'bmc' has none; add privacy: env:NAME to credential 'bmc'"),
    ("10.4.1.1, port: 1161", "10.4.0.2", 27, "address 10.4.0.2 port 161/udp of spare is already that of pdu2"),
    (OUTLETS, "by-slots", 26, "outlets: unknown 'by-slots'; did you mean 'by-slot'?, or write {1: NODE, 2: NODE}"),
    (OUTLETS, "[gpu1]", 26, "outlets must be text, not a sequence"),
    (OUTLETS, "", 26, "outlets has no value"),
    (OUTLETS, "{1: gpu1}", 26, "outlets of named nodes belong to one PDU, not to 4; write by-slot, or an entry for each"),
    (SPARE, "{gpu1: 2}", 28, "outlet 'gpu1' is not a whole number"),
    (SPARE, "{0: gpu1}", 28, "outlet must be at least 1, not 0"),
    (SPARE, "{2: gpu1, 02: gpu2}", 28, "outlet 2 is named twice"),
    (SPARE, "{2: gpu1, 2: gpu2}", 28, "key '2' appears twice"),
    (SPARE, "{2: gpu}", 28, "unknown node 'gpu'; did you mean 'gpu"),
    (SPARE, "{2: leaf1}", 28, "unknown node 'leaf1'"),
    (SPARE, "{2: gpu5}", 28, "outlet 2: gpu5 stands in rack r2, and the PDU in r1"),
    ("gpu3: {feeds: [B]", "gpu1: {feeds: [A]", 28, "outlet 2: gpu1 is not on feed B of the PDU; it is on A"),
    ("rack: r[1-2]\n    feeds: [A, B]\n    address", "rack: r[1-2]\n    feeds: [A, C]\n    address", 22, "unknown feed 'C'"),
    (SPARE, "{}", 28, "outlets feed no node"),
    # around
    ("provisioning: 100", "provisioning: 4095", 31, "VLAN 'provisioning' must be at most 4094, not 4095"),
    ("provisioning: 100", "provisioning: 0", 31, "VLAN 'provisioning' must be at least 1"),
    ("tenant-2", "Tenant", 31, "the VLAN name 'Tenant' is not usable"),
    ("vlans:", "vlan:", 31, "unknown key 'vlan' in inventory; did you mean 'vlans'?"),
    ("keys/fleet,", "keys/fleeet,", 32, "key 'keys/fleeet' is not there; looked for "),
    ("keys/fleet,", '"a\\0b",', 32, "cannot be looked for"),
    ("known_hosts: known_hosts", "known_hosts: keys", 32, "known_hosts 'keys' is not there"),
    ("known_hosts: known_hosts", "host_keys: known_hosts", 32, "unknown key 'host_keys' in ssh; known: known_hosts"),
    ("{slurm: {", "{slurn: {", 33, "unknown key 'slurn' in scheduler; did you mean 'slurm'?"),
    (SLURM, "{}", 33, "names no kind; write scheduler: {slurm"),
    (SLURM, "slurm", 33, "scheduler must be a mapping"),
    (SLURM, "{slurm: {}, kubernetes: {}}", 33, "scheduler names two kinds"),
    (SLURM, "{kubernetes: {server: 'http://k:6443', ca: netbox.pem, token: 'env:T'}}", 33, "write https://HOST:PORT"),
    (SLURM, "{kubernetes: {server: 'https://k:6443/api', ca: netbox.pem, token: 'env:T'}}", 33, "without a path"),
    (SLURM, "{kubernetes: {server: 'https://k:6443', ca: none.pem, token: 'env:T'}}", 33, "ca 'none.pem' is not there"),
    (SLURM, "{kubernetes: {server: 'https://k:6443', token: 'env:T'}}", 33, "kubernetes lacks the key 'ca'"),
    (SLURM, "{kubernetes: {server: 'https://k:6443', ca: netbox.pem, token: hunter2}}", 33, "a secret never stands in this file"),
    (SLURM, kubernetes("[DaemonSet]"), 33, "pods of a DaemonSet belong to their node and are left alone"),
    (SLURM, kubernetes("[replicaset]"), 33, "'replicaset' is no kind of a controller"),
    ("/opt/slurm/bin/scontrol", "bin/scontrol", 33, "is neither the name of a program nor an absolute path"),
    ("conf: slurm.conf", "conf: slrum.conf", 33, "conf 'slrum.conf' is not there"),
    ("conf: slurm.conf", "config: slurm.conf", 33, "unknown key 'config' in slurm; did you mean 'conf'?"),
    ("10.1.0.5", "fleet.example.net", 34, "address 'fleet.example.net' is not an IP address"),
    ("10.1.0.5", '"::"', 34, "is no address of one machine"),
    ("address: 10.1.0.5, ", "", 34, "provisioning lacks the key 'address'"),
    ("port: 8090", "prot: 8090", 34, "unknown key 'prot' in provisioning; did you mean 'port'?"),
    ("netbox: {", "netbx: {", 36, "unknown exporter 'netbx'; did you mean 'netbox'?"),
    (TARGET, "url: netbox.example.net", 36, "url is no address on the web; write https://HOST"),
    (TARGET, "url: ftp://netbox.example.net", 36, "url is no address on the web"),
    (TARGET, "url: https://netbox:seven", 36, "url is no address on the web"),
    (TARGET, 'url: "https://netbox/?token=hunter2"', 36, "url is no address on the web"),
    (TARGET, "url: https://fleet:hunter2@netbox", 36, "url names a user; a secret never stands in this file"),
    ('"env:NETBOX_TOKEN"', "hunter2", 36, "the token of export 'netbox' is not a reference; a secret never"),
    (', token: "env:NETBOX_TOKEN"', "", 36, "export 'netbox' lacks the key 'token'"),
    ("netbox.pem", "none.pem", 36, "ca 'none.pem' is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "words"), BAD)
def test_what_is_wrong_is_refused_at_its_line(folder: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in AROUND
    with pytest.raises(InputError) as caught:
        loaded(folder, AROUND.replace(old, new, 1))
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{folder / 'hall.yaml'}:{line}: ")
    assert "hunter2" not in str(caught.value)
