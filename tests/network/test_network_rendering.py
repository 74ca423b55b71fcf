"""Templates, and the lines that put a port back. Pure."""

import json

import pytest
import yaml

from fleet.errors import NodeFault, Reason
from playbooks.portconfig import former, rendered, vlan_id

EOS = """! Command: show running-config
interface Ethernet1
   description to gpu1
   switchport access vlan 7
!
interface Ethernet17
   shutdown
!
interface Management1
   ip address 10.0.0.1/8
"""
NVUE = json.dumps(
    [
        {"header": {"model": "SN4600C"}},
        {
            "set": {
                "interface": {
                    "swp1": {"bridge": {"domain": {"br_default": {"access": 7}}}, "description": "x"},
                    "swp2": {},
                }
            }
        },
    ],
    indent=2,
)


def test_a_port_of_arista() -> None:
    assert rendered("arista_eos", ["Ethernet17"], "100") == (
        "vlan 100",
        "interface Ethernet17",
        "   switchport mode access",
        "   switchport access vlan 100",
    )


def test_two_ports_of_cumulus_are_one_document() -> None:
    document = yaml.safe_load("\n".join(rendered("cumulus_linux", ["swp1", "swp2"], "100")))
    assert [next(iter(part["set"]["interface"])) for part in document] == ["swp1", "swp2"]
    assert document[0]["set"]["interface"]["swp1"] == {"bridge": {"domain": {"br_default": {"access": 100}}}}
    assert document[0]["set"]["bridge"]["domain"]["br_default"]["vlan"] == {"100": {}}


@pytest.mark.parametrize("port", ["swp1\n- set: {}", "Ethernet1\nno vlan 1", "", "Et1; rm -rf /", "x" * 64, "1"])
@pytest.mark.parametrize("platform", ["arista_eos", "cumulus_linux"])
def test_a_port_that_is_more_than_a_name_is_never_rendered(platform: str, port: str) -> None:
    with pytest.raises(NodeFault, match="no port that a switch has") as caught:
        rendered(platform, [port], "100")
    assert caught.value.reason is Reason.SWITCH_REFUSED


@pytest.mark.parametrize("text", ["", "0", "4095", "1e2", "100\n", "-1", "٣", "provisioning", "99999999999"])
def test_what_is_no_vlan(text: str) -> None:
    with pytest.raises(ValueError, match="is no VLAN"):
        vlan_id(text)


def test_an_unknown_platform_is_named() -> None:
    with pytest.raises(NodeFault, match="'junos'"):
        rendered("junos", ["xe-0/0/1"], "100")


@pytest.mark.parametrize(("port", "lines"), [
    ("Ethernet1", ("interface Ethernet1", "   no switchport access vlan", "   switchport access vlan 7")),
    ("Et17", ("interface Et17", "   no switchport access vlan")),
])  # fmt: skip
def test_the_former_lines_of_arista(port: str, lines: tuple[str, ...]) -> None:
    assert former("arista_eos", EOS, [port]) == lines


def test_the_former_lines_of_cumulus() -> None:
    back = yaml.safe_load("\n".join(former("cumulus_linux", NVUE, ["swp1", "swp2"])))
    unset = [{"unset": {"interface": {port: {"bridge": {}}}}} for port in ("swp1", "swp2")]
    was = {"set": {"interface": {"swp1": {"bridge": {"domain": {"br_default": {"access": 7}}}}}}}
    assert back == [unset[0], was, unset[1]]


@pytest.mark.parametrize(("platform", "config"), [
    ("arista_eos", "interface Ethernet2\n"),
    ("cumulus_linux", "Error: nope"),
    ("cumulus_linux", "[" * 100_000),
    ("cumulus_linux", '[{"set": {"interface": 3}}]'),
    ("cumulus_linux", '[{"header": {}}]'),
    ("cumulus_linux", json.dumps([{"set": {"interface": {"Ethernet1": {"bridge": "x" * 5000}}}}])),
    ("arista_eos", "interface Ethernet1\n" + "   switchport access vlan 1\n" * 1000),
])  # fmt: skip
def test_a_backup_that_cannot_be_one_stops_it(platform: str, config: str) -> None:
    with pytest.raises(NodeFault, match="nothing was sent") as caught:
        former(platform, config, ["Ethernet1"])
    assert caught.value.reason is Reason.PROTOCOL
