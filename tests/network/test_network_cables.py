"""LLDP against the inventory. Pure."""

import pytest
from support.around import link

from fleet.edges import Neighbour
from playbooks.cables import Cable, cables_of, same_port, silent, wrong

LINKS = (link("gpu0017:rail1", "leaf01:p17"), link("gpu0017:rail2", "leaf02:p17"))
CABLES = cables_of("gpu0017", LINKS)


def heard(**tables: str) -> dict[str, list[Neighbour]]:
    """leaf01="p17 gpu0017 rail1, p18 ...", leaf02=..."""
    found: dict[str, list[Neighbour]] = {"leaf01": [], "leaf02": []}
    for switch, text in tables.items():
        for entry in filter(None, text.split(", ")):
            port, system, remote = entry.split()
            found[switch].append(Neighbour(port=port, system=system, remote_port=remote))
    return found


def test_a_link_is_seen_from_the_node_whichever_way_it_is_written() -> None:
    turned = type(LINKS[0])(a=LINKS[0].b, b=LINKS[0].a)
    assert cables_of("gpu0017", (turned,)) == (Cable(node="gpu0017", interface="rail1", switch="leaf01", port="p17"),)


@pytest.mark.parametrize(("tables", "sentences"), [
    ({"leaf01": "p17 gpu0017 rail1", "leaf02": "p17 gpu0017 rail2"}, ()),
    ({"leaf01": "p17 GPU0017.hall.example rail1", "leaf02": "p17 gpu0017 RAIL2"}, ()),
    ({"leaf01": "p17 gpu0017 1c:34:da:00:00:01", "leaf02": "p17 gpu0017 1c34.da00.0002"}, ()),
    ({}, ()),
    ({"leaf02": "p5 gpu0017 rail1, p17 gpu0017 rail2"},
     ("gpu0017 rail1 is cabled to leaf02:p5, the inventory says leaf01:p17",)),
    ({"leaf01": "p17 gpu0018 rail1"}, ("leaf01:p17 is cabled to gpu0018 rail1, the inventory says gpu0017 rail1",)),
    ({"leaf01": "p17 gpu0018 1c:34:da:00:00:01"},
     ("leaf01:p17 is cabled to gpu0018 1c:34:da:00:00:01, the inventory says gpu0017 rail1",)),
    ({"leaf01": "p17 gpu0017 rail2", "leaf02": "p17 gpu0017 rail1"},
     ("gpu0017 rail1 is cabled to leaf02:p17, the inventory says leaf01:p17",
      "gpu0017 rail2 is cabled to leaf01:p17, the inventory says leaf02:p17")),
    ({"leaf01": "p17 gpu00170 rail1"}, ("leaf01:p17 is cabled to gpu00170 rail1, the inventory says gpu0017 rail1",)),
])  # fmt: skip
def test_a_wrong_cable_is_a_sentence(tables: dict[str, str], sentences: tuple[str, ...]) -> None:
    assert wrong(CABLES, heard(**tables)) == sentences


def test_a_silent_port_is_named() -> None:
    assert silent(CABLES, heard(leaf01="p17 gpu0017 rail1")) == ("leaf02:p17",)


@pytest.mark.parametrize(("one", "other", "same"), [
    ("Et17", "Ethernet17", True), ("Ethernet1", "Ethernet17", False), ("swp1", "SWP1", True), ("eth0", "eth0", True),
    ("swp1", "swp11", False),
])  # fmt: skip
def test_names_of_a_port(one: str, other: str, *, same: bool) -> None:
    assert same_port(one, other) is same
