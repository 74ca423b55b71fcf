"""What switches print, and what hostile ones might."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.drivers.switch import replies
from fleet.edges import Neighbour
from fleet.errors import NodeFault, Reason

PARSERS = (replies.eos_neighbours, replies.eos_access_vlans, replies.nvue_neighbours, replies.nvue_access_vlans)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["lldpNeighbors", "vlans", "interfaces", "port", "swp1", "lldp", "neighbor", "vlan", "7", "name"]
            ),
            inner,
        )
    ),
)


def test_neighbours_of_arista() -> None:
    said = {
        "tablesInserts": 1,
        "lldpNeighbors": [{"port": "Ethernet1", "neighborDevice": "gpu1", "neighborPort": "eth0", "ttl": 120}],
    }
    assert replies.eos_neighbours(json.dumps(said)) == (Neighbour(port="Ethernet1", system="gpu1", remote_port="eth0"),)


def test_a_trunk_is_no_access_port_of_arista() -> None:
    vlans = {
        "1": {"interfaces": {"Ethernet1": {}, "Ethernet9": {}}},
        "100": {"interfaces": {"Ethernet2": {}, "Ethernet9": {}}},
    }
    assert replies.eos_access_vlans(json.dumps({"vlans": vlans})) == {"Ethernet1": "1", "Ethernet2": "100"}


def test_neighbours_of_cumulus() -> None:
    said = {"swp1": {"lldp": {"neighbor": {"gpu1": {"port": {"name": "eth1", "type": "ifname"}}}}}, "eth0": {}}
    assert replies.nvue_neighbours(json.dumps(said)) == (Neighbour(port="swp1", system="gpu1", remote_port="eth1"),)


def test_ports_of_cumulus() -> None:
    said = {"swp1": {"vlan": {"100": {}}}, "swp2": {"vlan": {"1": {}, "2": {}}}, "swp3": {"vlan": {"0": {}}}}
    assert replies.nvue_access_vlans(json.dumps(said)) == {"swp1": "100"}


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("text", [
    "", "% Invalid input", "[]", "null", "[" * 100_000, '{"a":' * 50_000,
    '{"lldpNeighbors": {}, "vlans": [], "swp1": []}',
    '{"lldpNeighbors": [{"port": 3}], "vlans": {"abc": {"interfaces": {"E": {}}}}, "s": {"vlan": {"abc": {}}, "lldp": 3}}',
    json.dumps({"lldpNeighbors": [{}] * 9000} | {"vlans": {str(n): {} for n in range(9000)}} | {f"swp{n}": {} for n in range(9000)}),
    json.dumps({"lldpNeighbors": [{"port": "x" * 300}], "vlans": {"x" * 300: {}}, "y" * 300: {}}),
])  # fmt: skip
def test_a_hostile_reply_is_a_named_fault(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(NodeFault, match="a switch's reply cannot be read") as caught:
        parse(text)
    assert caught.value.reason is Reason.PROTOCOL
    assert len(str(caught.value)) < 300


@given(JSON)
def test_any_json_is_read_or_refused(document: object) -> None:
    for parse in PARSERS:
        try:
            parse(json.dumps(document))
        except NodeFault as fault:
            assert fault.reason is Reason.PROTOCOL  # noqa: PT017  both ends are right


def test_a_reply_is_shown_on_one_line_without_control_characters() -> None:
    assert replies.excerpt("% bad\r\n\x1b[31mred\x00 " + "x" * 300, 20) == "% bad [31mred xxxxxx..."
