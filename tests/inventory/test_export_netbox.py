"""NetBox, against a server that refuses what NetBox refuses: over TLS, by pynetbox."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from export_builder import HALL, SEEN, sighting, write_hall
from netbox_contract import Netbox, running

from fleet.cli.main import outcome
from fleet.exits import Exit
from fleet.sim.certificates import Authority
from inventory.exporters.exporter import Consent, Destination, ExportError, Outcome, find
from inventory.exporters.snapshot import Reading, Snapshot
from inventory.load import load
from inventory.model import NodeId, SecretRef

TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def netbox(authority: Authority) -> Iterator[Netbox]:
    with running(Netbox(token=TOKEN), authority.issue("netbox", "127.0.0.1").context) as served:
        yield served


@pytest.fixture
def there(netbox: Netbox, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Destination:
    monkeypatch.setenv("TEST_NETBOX_TOKEN", TOKEN)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem())
    return Destination(url=netbox.url, token=SecretRef.parse("env:TEST_NETBOX_TOKEN"), ca=ca, consent=Consent.APPLY)


def export(tmp_path: Path, there: Destination, *, hall: str = HALL, seen: object = None, only: str = "") -> Outcome:
    inventory = load(write_hall(tmp_path, hall))
    nodes = [node for node in inventory.nodes if not only or node.id == only]
    known = SEEN if seen is None else seen
    return find("netbox").export(Snapshot.of(inventory, nodes, known), there)  # type: ignore[arg-type]  # a test's shorthand


def dry(there: Destination) -> Destination:
    return replace(there, consent=Consent.DRY_RUN)


def test_a_dry_run_says_everything_and_does_nothing(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    told = export(tmp_path, dry(there))
    assert not netbox.writes
    assert "+ dcim/devices osl2/gpu1\n" in told.text
    assert "+ dcim/cables osl2/gpu1/eth0/osl2/leaf1/swp1\n" in told.text
    assert "add --yes" in told.text.splitlines()[-1]
    done = export(tmp_path, there)
    assert [line for line in told.text.splitlines() if line[0] == "+"] == [
        line for line in done.text.splitlines() if line[0] == "+"
    ]


def test_the_hall_arrives_whole(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    export(tmp_path, there)
    device = netbox.one("dcim/devices", name="gpu1")
    assert (device["serial"], device["status"], device["position"], device["face"]) == ("S-gpu1", "active", 1, "front")
    assert netbox.store["ipam/ip-addresses"][device["oob_ip"]]["address"] == "10.1.0.1/32"
    assert netbox.store["dcim/racks"][device["rack"]]["name"] == "r-1"
    assert netbox.store["dcim/locations"][device["location"]]["slug"] == "p1"
    assert device["description"] == "Fleetwave: confirmed in gb300-20260921-141320"
    assert netbox.one("dcim/devices", name="gpu2")["status"] == "failed"
    assert netbox.one("dcim/devices", name="gpu4")["status"] == "planned"
    assert "simulated hall" in netbox.one("dcim/devices", name="gpu3")["description"]
    large = netbox.one("dcim/devices", name="dgx1")
    assert (large["serial"], large["position"], large["oob_ip"]) == ("DECLARED1", None, None)
    assert netbox.one("dcim/device-types", model="DGXH100")["u_height"] == 8
    items = [row for row in netbox.rows("dcim/inventory-items") if row["device"] == device["id"]]
    assert {item["name"]: item["description"] for item in items} == {
        "HGX_FW_GPU_0": "Fleetwave: version 97.00.1; gb300-20260921-141320",
        "HostBMC_0": "Fleetwave: version 25.1; gb300-20260921-141320",
    }
    (tag,) = netbox.rows("extras/tags")
    assert all(row["tags"] == [tag["id"]] for kind in ("dcim/devices", "dcim/cables") for row in netbox.rows(kind))
    assert len(netbox.rows("dcim/cables")) == 4
    assert netbox.one("dcim/interfaces", device=device["id"], name="bmc")["mgmt_only"] is True


def test_a_second_run_changes_nothing(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    netbox.page = 3
    export(tmp_path, there)
    done = list(netbox.writes)
    again = export(tmp_path, there)
    assert netbox.writes == done
    assert again.text == "0 created, 0 changed, 0 left as they are\n"


def test_what_is_new_is_brought_and_nothing_else(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    export(tmp_path, there)
    netbox.writes.clear()
    newer = sighting("gpu2", rollout="later", versions={"HostBMC_0": "25.2", "HGX_FW_GPU_0": "97.00.1"})
    told = export(tmp_path, there, seen={**SEEN, NodeId("gpu2"): newer})
    assert {(method, endpoint) for method, endpoint, _ in netbox.writes} == {
        ("PATCH", "dcim/devices"),
        ("PATCH", "dcim/inventory-items"),
    }
    assert "~ dcim/devices osl2/gpu2: status 'failed' -> 'active'" in told.text
    assert netbox.one("dcim/devices", name="gpu2")["status"] == "active"


def test_the_command_asks_for_yes_and_says_what_is_left(
    tmp_path: Path,
    netbox: Netbox,
    there: Destination,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    hall = str(write_hall(tmp_path))
    line = [
        "inventory",
        hall,
        "--to",
        "netbox",
        "--url",
        netbox.url,
        "--token",
        str(there.token),
        "--ca",
        str(there.ca),
    ]
    assert outcome(line) == Exit.OK
    assert "add --yes" in capsys.readouterr().out
    assert not netbox.writes
    assert outcome([*line, "--yes"]) == Exit.OK
    assert netbox.writes
    one, two = netbox.rows("dcim/cables")[:2]
    one["b_terminations"], two["b_terminations"] = two["b_terminations"], one["b_terminations"]
    capsys.readouterr()
    assert outcome([*line, "--yes"]) == Exit.NODES_FAILED
    assert capsys.readouterr().out.count("! dcim/cables ") == 2
    write_hall(tmp_path, HALL.replace("gpu[1-4]:eth0", f"gpu[1-4]:{'x' * 65}"))
    netbox.store["dcim/devices"].clear()
    netbox.store["dcim/cables"].clear()
    netbox.store["ipam/ip-addresses"].clear()
    assert outcome([*line, "--yes"]) == Exit.HALTED
    shown = capsys.readouterr()
    assert "objects were written before and stay" in shown.err
    assert TOKEN not in shown.err + shown.out


def test_an_interrupted_export_goes_on(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    too_long = "x" * 65
    with pytest.raises(ExportError, match="no more than 64") as failed:
        export(tmp_path, there, hall=HALL.replace("eth0", too_long))
    assert failed.value.written > 0
    assert netbox.rows("dcim/devices")
    export(tmp_path, there)
    assert len(netbox.rows("dcim/cables")) == 4
    assert len(netbox.rows("dcim/devices")) == 6


def test_people_s_own_objects_and_words_are_kept(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    site = netbox.put("dcim/sites", name="Oslo, hall 2", slug="osl2")
    maker = netbox.put("dcim/manufacturers", name="Nvidia Corp.", slug="nvidia-corp")
    kind = netbox.put("dcim/device-types", manufacturer=maker, model="gb300 nvl", slug="gb300", u_height=1)
    role = netbox.put("dcim/device-roles", name="Compute", slug="compute")
    rack = netbox.put("dcim/racks", name="R-1", site=site)
    mine = netbox.put(
        "dcim/devices", name="GPU1", site=site, rack=rack, device_type=kind, role=role, description="on loan, ask Ann"
    )
    export(tmp_path, there)
    device = netbox.store["dcim/devices"][mine]
    assert (device["name"], device["role"], device["description"]) == ("GPU1", role, "on loan, ask Ann")
    assert device["serial"] == "S-gpu1"
    assert netbox.one("dcim/devices", name="gpu2")["device_type"] == kind
    assert len([row for row in netbox.rows("dcim/racks") if row["name"].casefold() == "r-1"]) == 1
    assert netbox.store["dcim/sites"][site]["name"] == "Oslo, hall 2"


def test_a_foreign_address_and_a_foreign_cable_are_left(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    export(tmp_path, there)
    for endpoint in ("dcim/cables", "ipam/ip-addresses"):
        netbox.store[endpoint].clear()
    for device in netbox.rows("dcim/devices"):
        device["oob_ip"] = None
    one, two = (netbox.one("dcim/devices", name=name)["id"] for name in ("gpu1", "gpu2"))
    eth = [netbox.one("dcim/interfaces", device=device, name="eth0")["id"] for device in (one, two)]
    ends = [[{"object_type": "dcim.interface", "object_id": end}] for end in eth]
    netbox.put("dcim/cables", a_terminations=ends[0], b_terminations=ends[1])
    bmc = netbox.one("dcim/interfaces", device=two, name="bmc")["id"]
    netbox.put(
        "ipam/ip-addresses", address="10.1.0.1/24", assigned_object_type="dcim.interface", assigned_object_id=bmc
    )
    told = export(tmp_path, there)
    assert told.conflicts == 4  # the address, the device that wants it, two cables
    assert "! ipam/ip-addresses 10.1.0.1: belongs to 'gpu2 bmc'; left as it is\n" in told.text
    assert "osl2/gpu1/eth0 has another cable in NetBox, to osl2/gpu2/eth0" in told.text
    assert netbox.one("ipam/ip-addresses", address="10.1.0.1/24")["assigned_object_id"] == bmc
    assert netbox.store["dcim/devices"][one]["oob_ip"] is None
    assert netbox.store["dcim/devices"][two]["oob_ip"] is not None
    assert len(netbox.rows("dcim/cables")) == 3


def test_an_address_without_owner_gets_one_and_keeps_its_mask(
    tmp_path: Path, netbox: Netbox, there: Destination
) -> None:
    kept = netbox.put("ipam/ip-addresses", address="10.1.0.1/24")
    export(tmp_path, there)
    device = netbox.one("dcim/devices", name="gpu1")
    assert device["oob_ip"] == kept
    assert netbox.store["ipam/ip-addresses"][kept]["address"] == "10.1.0.1/24"


def test_two_of_the_same_are_for_a_person(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    for maker in ("one", "two"):
        number = netbox.put("dcim/manufacturers", name=maker, slug=maker)
        netbox.put("dcim/device-types", manufacturer=number, model="GB300 NVL", slug="gb300")
    told = export(tmp_path, there)
    assert "! dcim/device-types gb300 nvl: is there more than once; left as it is\n" in told.text
    assert {row["name"] for row in netbox.rows("dcim/devices")} == {"dgx1", "leaf1"}


def test_names_that_would_melt_together_are_refused(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    with pytest.raises(ExportError, match="'p1' and 'P1' would be one object"):
        export(tmp_path, there, hall=HALL.replace("p2", "P1"))
    assert not netbox.reads


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1", "https://user:pw@127.0.0.1", "file:///etc/passwd"])
def test_only_https_is_spoken(tmp_path: Path, there: Destination, url: str) -> None:
    with pytest.raises(ExportError, match="https"):
        export(tmp_path, replace(there, url=url))


def test_an_unknown_certificate_is_refused(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    with pytest.raises(ExportError, match=r"not trusted.*--ca") as refused:
        export(tmp_path, replace(there, ca=None))
    assert not netbox.reads
    assert refused.value.written == 0


def test_the_given_authority_decides_alone(
    tmp_path: Path, netbox: Netbox, there: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone, requests prefers the environment's bundle to the session's."""
    another = tmp_path / "another.pem"
    another.write_bytes(Authority().pem())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(there.ca))
    with pytest.raises(ExportError, match="not trusted"):
        export(tmp_path, replace(there, ca=another))
    assert not netbox.reads
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(another))
    assert "created" in export(tmp_path, there).text


def test_netrc_does_not_replace_the_token(
    tmp_path: Path, netbox: Netbox, there: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert "created" in export(tmp_path, there).text


def test_the_token_is_never_said(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    netbox.echo = f"you sent {TOKEN}\x1b[31m"
    with pytest.raises(ExportError) as refused:
        export(tmp_path, there, hall=HALL.replace("eth0", "x" * 65))
    said = str(refused.value)
    assert "you sent (token)" in said
    assert said.isprintable()
    netbox.token = "another"
    with pytest.raises(ExportError, match="403: the token is not accepted") as forbidden:
        export(tmp_path, there)
    assert TOKEN not in str(forbidden.value) + repr(forbidden.value) + repr(there)


def test_what_is_no_netbox_4_is_refused(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    netbox.version = "3.7"
    with pytest.raises(ExportError, match=re.escape("4.x; 3.7 is what answers")):
        export(tmp_path, there)
    assert not netbox.writes


def test_a_selection_touches_only_its_own(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    export(tmp_path, there, only="gpu2")
    assert {row["name"] for row in netbox.rows("dcim/devices")} == {"gpu2", "leaf1"}
    assert len(netbox.rows("dcim/cables")) == 1
    export(tmp_path, there)
    assert len(netbox.rows("dcim/devices")) == 6


def test_a_shared_address_belongs_to_nobody(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    shared = HALL.replace("address: 10.1.9.1", "address: 10.1.0.1")
    export(tmp_path, there, hall=shared, seen={})
    assert {row["address"] for row in netbox.rows("ipam/ip-addresses")} == {"10.1.0.2/32", "10.1.0.3/32", "10.1.0.4/32"}
    without = {row["name"] for row in netbox.rows("dcim/devices") if row["oob_ip"] is None}
    assert without == {"gpu1", "leaf1", "dgx1"}


def test_an_address_is_shared_also_with_a_node_that_is_not_exported(
    tmp_path: Path, netbox: Netbox, there: Destination
) -> None:
    shared = HALL.replace("address: 10.1.0.3/24", "address: 10.1.0.1, port: 8443").replace("gpu[3-4]", "gpu3")
    shared = shared.replace('"gpu[1-4]:eth0", b: "leaf1:swp[1-4]"', '"gpu[1-3]:eth0", b: "leaf1:swp[1-3]"')
    export(tmp_path, there, hall=shared, seen={}, only="gpu1")
    assert netbox.one("dcim/devices", name="gpu1")["oob_ip"] is None


def test_a_label_says_the_rack_unit(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    export(tmp_path, there, hall=HALL.replace("serial: DECLARED1", 'labels: {rack_unit: "31"}'))
    assert netbox.one("dcim/devices", name="dgx1")["position"] == 31


def test_a_hostile_version_stays_one_short_line(tmp_path: Path, netbox: Netbox, there: Destination) -> None:
    evil = sighting(
        "gpu1",
        versions={"BMC\x00\n" + "y" * 90: "\x1b]0;owned\x07" + "z" * 500},
        serial="s" * 80,
        reading=Reading.PLANNED,
    )
    export(tmp_path, there, seen={NodeId("gpu1"): evil})
    (item,) = netbox.rows("dcim/inventory-items")
    assert item["name"].isprintable()
    assert item["description"].isprintable()
    assert len(item["description"]) == 200
    assert netbox.one("dcim/devices", name="gpu1")["serial"] == ""
    netbox.writes.clear()
    export(tmp_path, there, seen={NodeId("gpu1"): evil})
    assert not netbox.writes
