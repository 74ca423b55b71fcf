"""The outlets of a twin: a node whose firmware needs an AC cycle gets it from its PDU, and only where it has one."""

import asyncio
from dataclasses import replace

import pytest
from twin_rig import Alone

from fleet.edges import OutletState
from fleet.sim.faults import read_faults
from fleet.twin.power import TwinPower
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, Pdu, PduId, RackId

NODE = Node(
    id=NodeId("n1"),
    model="DGXH100",
    rack=RackId("r1"),
    slot=1,
    feeds=(FeedId("A"), FeedId("B")),
    bmc=Bmc(address="192.0.2.1", credential=CredentialId("c")),
)


def pdu(feed: str, mib: str) -> Pdu:
    return Pdu(
        id=PduId(f"pdu-{feed}"),
        model="any",
        rack=RackId("r1"),
        feed=FeedId(feed),
        address="192.0.2.9",
        mib=mib,
        outlets={1: NODE.id, 2: NodeId("somebody else")},
    )


A, B = pdu("A", "raritan-px"), pdu("B", "apc-rpdu2")


def power(alone: Alone, *pdus: Pdu) -> TwinPower:
    none = read_faults({"faults": "none", "rules": []}, "test")
    return TwinPower(pdus, {"n1": alone.bmc}, none, alone.clock, origin=alone.began)


def test_when_both_feeds_are_off_long_enough_it_was_an_ac_cycle() -> None:
    alone = Alone()
    outlets = power(alone, A, B).outlets(NODE)
    assert [outlet.name for outlet in outlets] == ["pdu-A/1", "pdu-B/1"]

    async def cycle() -> list[OutletState]:
        await outlets[0].switch(OutletState.OFF)
        await alone.clock.sleep(60)
        assert alone.bmc.ledger.ac_cuts == 0
        await outlets[1].switch(OutletState.OFF)
        seen = [await outlet.state() for outlet in outlets]
        await alone.clock.sleep(60)
        await asyncio.gather(*(outlet.switch(OutletState.ON) for outlet in outlets))
        return seen

    assert alone.run(cycle) == [OutletState.OFF, OutletState.OFF]
    assert (alone.bmc.ledger.ac_cuts, alone.bmc.ledger.ac_drained) == (1, 1)


@pytest.mark.parametrize("pdus", [(A,), (A, replace(B, mib=None)), ()], ids=["one", "one that is not switched", "none"])
def test_a_node_of_which_one_feed_cannot_be_switched_has_no_outlets(pdus: tuple[Pdu, ...]) -> None:
    assert power(Alone(), *pdus).outlets(NODE) == ()
