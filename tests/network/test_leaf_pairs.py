"""Leaf pairs: which leaves are one, and that never both of one are configured at the same time."""

import asyncio
import os

import pytest

from fleet.clock import SystemClock
from fleet.drivers.switch.connection import SwitchAccess
from fleet.drivers.switch.turns import Pair
from fleet.errors import Transient
from inventory.fabric import attachments, leaf_links, leaf_pairs
from inventory.load import EXAMPLES, load
from inventory.model import SecretRef

SPEED = 100_000


def access(name: str) -> SwitchAccess:
    return SwitchAccess(
        name=name,
        platform="arista_eos",
        address=f"{name}-{os.getpid()}",
        user="x",
        password=SecretRef.parse("env:X"),
        host_key="",
        pair="one",
    )


def test_leaves_that_end_the_same_nodes_are_a_pair() -> None:
    inventory = load(EXAMPLES / "bring-up-256.yaml")
    pairs = leaf_pairs(inventory)
    assert pairs["leaf1-a"] == pairs["leaf1-b"] == "leaf1-a+leaf1-b"
    assert len(set(pairs.values())) == 8
    node = inventory.nodes[0]
    assert attachments(node, leaf_links(inventory, [node])[str(node.id)]) == {"eth0": "leaf1-a", "eth1": "leaf1-b"}


def test_rails_are_no_pairs() -> None:
    assert leaf_pairs(load(EXAMPLES / "three-racks.yaml")) == {}


async def test_never_both_of_a_pair_at_the_same_time() -> None:
    a, b = access("a"), access("b")
    clock = SystemClock(speed=SPEED, origin=0.0)
    here, elsewhere = Pair([a, b]), Pair([b, a])
    inside: list[str] = []

    async def configure(which: SwitchAccess) -> None:
        async with here.turn(which, clock):
            inside.append(which.name)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert inside.pop() == which.name, "another one began meanwhile"

    await asyncio.gather(*(configure(which) for which in (a, b, a, b)))
    async with here.turn(a, clock):
        with pytest.raises(Transient, match="another process of ours is configuring pair-a"):
            async with elsewhere.turn(b, clock):
                raise AssertionError("two processes configured both leaves at once")
