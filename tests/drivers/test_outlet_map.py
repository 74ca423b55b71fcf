"""Which outlets feed which node."""

from support.clock import VirtualClock
from support.rollout import node

from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets
from fleet.drivers.snmp import Endpoint, SnmpUser
from inventory.model import FeedId, NodeId, PduId
from inventory.secrets import Secret

USER = SnmpUser(name="u", auth_key=Secret("k" * 8), priv_key=Secret("k" * 8))


def pdu(name: str, **outlets: int) -> PduOutlets:
    """On the feed that its last letter names."""
    return PduOutlets(
        id=PduId(name),
        feed=FeedId(name[-1]),
        mib=MIBS["raritan-px"],
        at=Endpoint(device=name, address="192.0.2.1", user=USER),
        outlets={number: NodeId(fed) for fed, number in outlets.items()},
    )


def test_what_feeds_one_node_of_a_chassis_feeds_all_of_it() -> None:
    mates = {NodeId("n1"): (NodeId("n2"),), NodeId("n2"): (NodeId("n1"),)}
    outlets = OutletMap([pdu("pdu-A", n1=1, n3=3), pdu("pdu-B", n2=2, n3=3)], clock=VirtualClock(), mates=mates)

    def of(name: str) -> list[str]:
        return [outlet.name for outlet in outlets.outlets(node(name, feeds=("A", "B")))]

    assert of("n1") == of("n2") == ["pdu-A/1", "pdu-B/2"]
    assert of("n3") == ["pdu-A/3", "pdu-B/3"]
    alone = OutletMap([pdu("pdu-A", n1=1), pdu("pdu-B", n2=2)], clock=VirtualClock())
    assert alone.outlets(node("n1", feeds=("A", "B"))) == ()
