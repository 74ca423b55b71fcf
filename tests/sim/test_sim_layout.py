"""What stands in a hall: defaults, and one clear sentence for what cannot be."""

from typing import Any

import pytest

from fleet.sim.layout import HallError, Layout, read_layout

BOX = {"name": "gpu1", "model": "DGXH100", "rack": "r7", "slot": 3, "feeds": ["A"]}
LEAF = {"name": "leaf1", "platform": "arista_eos", "rack": "r7"}


def made(**sections: Any) -> Layout:
    return read_layout({"boxes": [BOX]} | sections, "boxes.json").completed()


def test_a_plain_list_of_boxes_is_a_hall() -> None:
    layout = read_layout([BOX], "boxes.json").completed()
    [box] = layout.boxes
    assert (box.address, box.host_address, box.host_port, box.os) == ("127.1.7.3", "127.101.7.3", 2222, "22.04")
    assert (layout.switches, layout.pdus, layout.links) == ((), (), ())


def test_with_one_loopback_address_ports_tell_hosts_from_bmcs() -> None:
    [box] = read_layout([BOX | {"address": "127.0.0.1", "port": 9001}], "boxes.json").completed().boxes
    assert (box.host_address, box.host_port) == ("127.0.0.1", 21001)


def test_outlets_feed_the_boxes_of_their_rack_and_feed_by_slot() -> None:
    boxes = [BOX, BOX | {"name": "gpu2", "slot": 4, "feeds": ["B"]}, BOX | {"name": "gpu3", "slot": 5, "feeds": []}]
    [pdu] = made(boxes=boxes, pdus=[{"name": "p", "rack": "r7", "slot": 2}]).pdus
    assert (dict(pdu.outlets), pdu.address, pdu.port) == ({3: "gpu1", 5: "gpu3"}, "127.202.7.2", 1161)


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        ({"switches": [LEAF | {"platform": "junos"}]}, "switch 1: no platform is called 'junos'"),
        ({"switches": [LEAF | {"name": "gpu1"}]}, "two devices are called 'gpu1'"),
        ({"pdus": [{"name": "p", "model": "eaton"}]}, "pdu 1: no PDU model is called 'eaton'"),
        ({"pdus": [{"name": "p", "outlets": {"1": "gpu9"}}]}, "p: an outlet feeds 'gpu9', which is no box"),
        ({"links": [{"a": "gpu1:e0", "b": "leaf1:Et1"}]}, "does not join a switch and a box"),
        ({"switches": [LEAF], "links": [{"a": "gpu1", "b": "leaf1:Et1"}]}, "link 1: an end is written device:port"),
        ({"switches": [LEAF], "links": [{"a": "gpu1:e0"}]}, "link 1: 'b'"),
        ({"routers": []}, "a list of boxes is needed, or a mapping of boxes, switches, pdus, links"),
    ],
)
def test_what_cannot_be_is_one_sentence(sections: dict[str, Any], error: str) -> None:
    with pytest.raises(HallError) as caught:
        made(**sections)
    assert error in str(caught.value)
