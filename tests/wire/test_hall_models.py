"""Every device model of the hall, discovered and classified by the driver over TLS; unknown ones are left alone (F40)."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from fleet.drivers.redfish import RedfishDriver
from fleet.errors import NodeFault, Reason
from fleet.profile import Trust
from fleet.sim.bmc import BoxSpec
from fleet.sim.boxmodel import box_names
from fleet.sim.hall import Hall, HallSpec
from fleet.vendors import classify
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, Tls

SPEED = 600.0
PROFILES = {
    "DGXH100": "dgx-h100",
    "DGXA100": "dgx-a100",
    "SYS-821GE-TNHR": "supermicro-hgx",
    "PowerEdge R750": "dell-idrac9",
    "GB300 NVL": "gb300-nvl",
    "GB200 NVL": "gb300-nvl",
    "ProLiant DL385 Gen10 Plus v2": "hpe-ilo5",
    "Generic OpenBMC": "openbmc",
}
"""All others have no profile of their own."""
MANAGED = {"dgx-h100", "supermicro-hgx", "dell-idrac9"}
NO_HOST = {"Power Shelf 33kW"}
"""Refused in words: a node of ours has a host."""


class Nobody:
    """A ledger for sessions that nobody has to clean up after."""

    async def opening(self, context: str) -> None:
        """See `SessionLedger`."""

    async def opened(self, uri: str, context: str) -> None:
        """See `SessionLedger`."""

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""

    async def absent(self, context: str) -> None:
        """See `SessionLedger`."""

    async def closed(self, uri: str) -> None:
        """See `SessionLedger`."""


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    """One box of every model."""
    first = 40 + os.getpid() % 200
    boxes = tuple(
        BoxSpec(name=f"box{number:02d}", model=model, address=f"127.{first}.252.{number}")
        for number, model in enumerate(box_names(), 1)
    )
    async with Hall(HallSpec(boxes=boxes, directory=tmp_path / "h", speed=SPEED)) as running:
        yield running


def node_of(spec: BoxSpec, directory: Path) -> Node:
    """The box as an inventory declares it."""
    tls = Tls(ca=directory / "ca.pem")
    bmc = Bmc(address=spec.address, port=spec.port, credential=CredentialId("bmc"), tls=tls)
    return Node(id=NodeId(spec.name), model=spec.model, rack=RackId("r1"), slot=1, feeds=(FeedId("a"),), bmc=bmc)


async def test_every_model_is_classified_and_read_without_an_effect(hall: Hall) -> None:
    directory = hall.spec.directory
    credential = Credential(
        id=CredentialId("bmc"), user="admin", password=SecretRef.parse(f"file:{directory / 'password'}")
    )
    driver = RedfishDriver([credential], clock=SystemClock(speed=SPEED))
    for spec in hall.spec.boxes:
        node = node_of(spec, directory)
        if spec.model in NO_HOST:
            with pytest.raises(NodeFault, match="no system matches") as refused:
                await driver.discover(node, Nobody())
            assert refused.value.reason is Reason.UNKNOWN_HARDWARE
            continue
        facts = await driver.discover(node, Nobody())
        profile = classify(facts)
        assert profile.name == PROFILES.get(spec.model, "generic"), spec.model
        assert (profile.trust is Trust.MANAGED) == (profile.name in MANAGED), spec.model
        assert facts.serial.startswith(hall.bmcs[spec.name].spec.serial), spec.model  # Dell's is the board's
        bmc = driver.bmc(node, profile, Nobody())
        await bmc.connect()
        observed = await bmc.observe()
        await bmc.close()
        truth = hall.bmcs[spec.name].truth()
        assert len(observed.items) >= len(truth["items"]), spec.model
        assert (truth["resets"], truth["submits"], truth["sessions"]["open"]) == ([], 0, 0), spec.model
