"""The contract server itself: it must refuse what NetBox refuses, or the exporter's tests prove nothing."""

from typing import Any

import pytest
from netbox_contract import Netbox
from netbox_rules import Refused


@pytest.fixture
def netbox() -> Netbox:
    """A site with a rack, and a device of two units in it that has an interface with an address."""
    held = Netbox(token="unused")
    held.put("extras/tags", name="T", slug="t")
    held.put("dcim/sites", name="S", slug="s")
    held.put("dcim/sites", name="S2", slug="s2")
    held.put("dcim/racks", name="R", site=1)
    held.put("dcim/manufacturers", name="M", slug="m")
    held.put("dcim/device-types", manufacturer=1, model="D", slug="d", u_height=2)
    held.put("dcim/device-roles", name="O", slug="o")
    held.put("dcim/devices", name="one", **BASE, rack=1, position=5, face="front", tags=[{"slug": "t"}])
    held.put("dcim/interfaces", device=1, name="bmc", type="other")
    held.put("dcim/interfaces", device=1, name="eth0", type="other")
    held.put("dcim/interfaces", device=1, name="lo", type="virtual")
    held.put("ipam/ip-addresses", address="10.0.0.1/24", assigned_object_type="dcim.interface", assigned_object_id=1)
    return held


BASE = {"site": 1, "device_type": 1, "role": 1}


def end(number: int) -> list[dict[str, Any]]:
    return [{"object_type": "dcim.interface", "object_id": number}]


@pytest.mark.parametrize(
    ("endpoint", "given", "field"),
    [
        ("dcim/devices", {"name": "x", "site": 1, "role": 1}, "device_type"),
        ("dcim/devices", {**BASE, "name": "ONE"}, "__all__"),
        ("dcim/devices", {**BASE, "name": "x" * 65}, "name"),
        ("dcim/devices", {**BASE, "name": "x", "role": 99}, "role"),
        ("dcim/devices", {**BASE, "name": "x", "status": "confirmed"}, "status"),
        ("dcim/devices", {**BASE, "name": "x", "tags": [{"slug": "none"}]}, "tags"),
        ("dcim/devices", {**BASE, "name": "x", "rack": 1, "position": 4, "face": "front"}, "position"),
        ("dcim/devices", {**BASE, "name": "x", "rack": 1, "position": 6, "face": "rear"}, "position"),
        ("dcim/devices", {**BASE, "name": "x", "rack": 1, "position": 42, "face": "front"}, "position"),
        ("dcim/devices", {**BASE, "name": "x", "rack": 1, "position": 9}, "face"),
        ("dcim/devices", {**BASE, "name": "x", "site": 2, "rack": 1}, "rack"),
        ("dcim/devices", {**BASE, "name": "x", "oob_ip": 1}, "oob_ip"),
        ("dcim/devices", {**BASE, "name": "x", "interface_count": 1}, "interface_count"),
        ("dcim/sites", {"name": "S3", "slug": "not a slug"}, "slug"),
        ("dcim/sites", {"name": "S3", "slug": "s"}, "slug"),
        ("dcim/sites", {"name": None, "slug": "s3"}, "name"),
        ("dcim/interfaces", {"device": 1, "name": "bmc", "type": "other"}, "__all__"),
        ("dcim/interfaces", {"device": 1, "name": "x", "type": "ethernet"}, "type"),
        ("dcim/interfaces", {"device": 1, "name": "x", "type": "other", "cable": 1}, "cable"),
        ("ipam/ip-addresses", {"address": "10.0.0.1/32"}, "address"),
        ("ipam/ip-addresses", {"address": "10.0.0.2/0"}, "address"),
        ("ipam/ip-addresses", {"address": "ten"}, "address"),
        ("ipam/ip-addresses", {"address": "10.0.0.2/32", "assigned_object_id": 1}, "assigned_object_type"),
        ("dcim/cables", {"a_terminations": end(1)}, "__all__"),
        ("dcim/cables", {"a_terminations": end(1), "b_terminations": end(1)}, "__all__"),
        ("dcim/cables", {"a_terminations": end(1), "b_terminations": end(3)}, "__all__"),
        ("dcim/cables", {"a_terminations": end(1), "b_terminations": end(99)}, "b_terminations"),
        ("dcim/inventory-items", {"device": 1, "name": "x", "part_id": "y" * 51}, "part_id"),
        ("dcim/inventory-items", {"device": 1, "name": "x", "version": "1"}, "version"),
    ],
)
def test_refused(netbox: Netbox, endpoint: str, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        netbox.put(endpoint, **given)
    assert set(refused.value.errors) == {field}


def test_an_occupied_termination_is_refused(netbox: Netbox) -> None:
    netbox.put("dcim/interfaces", device=1, name="eth1", type="other")
    netbox.put("dcim/cables", a_terminations=end(1), b_terminations=end(2))
    with pytest.raises(Refused, match="Duplicate termination"):
        netbox.put("dcim/cables", a_terminations=end(4), b_terminations=end(2))


def test_the_rack_hands_its_location_on(netbox: Netbox) -> None:
    location = netbox.put("dcim/locations", name="L", slug="l", site=1)
    rack = netbox.put("dcim/racks", name="R2", site=1, location=location)
    netbox.put("dcim/devices", name="two", **BASE, rack=rack)
    assert netbox.one("dcim/devices", name="two")["location"] == location


def test_an_out_of_band_address_stays_with_its_device(netbox: Netbox) -> None:
    netbox.write("PATCH", "dcim/devices", {"id": 1, "oob_ip": 1})
    with pytest.raises(Exception, match="Cannot reassign"):
        netbox.write("PATCH", "ipam/ip-addresses", [{"id": 1, "assigned_object_id": 2}])


def test_a_batch_is_written_whole_or_not_at_all(netbox: Netbox) -> None:
    with pytest.raises(Exception, match="already exists"):
        netbox.write("POST", "dcim/sites", [{"name": "S9", "slug": "s9"}, {"name": "S8", "slug": "s"}])
    assert {row["slug"] for row in netbox.rows("dcim/sites")} == {"s", "s2"}
