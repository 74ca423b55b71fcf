"""The driver against the simulated hall, over TLS, as another process: updates of three platforms to their end."""

import asyncio
import hashlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fleet.clock import SystemClock
from fleet.drivers.images import ImageServer
from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.errors import OutcomeUnknown, Transient
from fleet.ports import PowerAction, PowerState, Restarted, Submission, TaskPhase, TaskReading, UpdateOrder
from fleet.profile import Push
from fleet.sim.package import build_box_package
from fleet.vendors import classify, profile_named
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, Tls

SPEED = 2400.0
MODELS = {"dgx": "DGXH100", "smc": "SYS-821GE-TNHR", "dell": "PowerEdge R750"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A component to be updated, and the truth that must follow."""

    node: str
    component: str
    bundle: str
    family: str
    version: str
    activate: str


PARTS = [
    Part(node="dgx", component="bmc", bundle="motherboard", family="HostBMC", version="24.09.17", activate="bmc"),
    Part(node="dgx", component="bios", bundle="motherboard", family="HostBIOS", version="01.05.03", activate="host"),
    Part(node="dgx", component="hgx", bundle="gpu", family="HGX_FW_GPU_SXM", version="96.00.A5.00.01", activate="host"),
    Part(node="smc", component="bmc", bundle="bmc", family="BMC", version="12.01.01", activate="itself"),
    Part(node="smc", component="bios", bundle="bios", family="BIOS", version="2.4", activate="host"),
    Part(node="smc", component="hgx", bundle="gpu", family="HGX_FW_GPU_SXM", version="96.00.A5.00.01", activate="host"),
    Part(node="dell", component="bmc", bundle="idrac", family="iDRAC", version="7.10.30.00", activate="itself"),
    Part(node="dell", component="bios", bundle="bios", family="BIOS", version="1.13.2", activate="host"),
]


@dataclass(slots=True)
class Ledger:
    """Sessions that are open, as far as was written down."""

    uris: set[str] = field(default_factory=set)
    contexts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    async def opening(self, context: str) -> None:
        """See `SessionLedger`."""
        self.contexts.append(context)

    async def opened(self, uri: str, context: str) -> None:
        """See `SessionLedger`."""
        assert context in self.contexts
        self.uris.add(uri)

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""

    async def absent(self, context: str) -> None:
        """See `SessionLedger`. It may be one that a dead process announced."""
        self.missing.append(context)

    async def closed(self, uri: str) -> None:
        """See `SessionLedger`."""
        self.uris.discard(uri)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """A hall that runs."""

    directory: Path
    document: dict[str, Any]
    clock: SystemClock

    def node(self, name: str) -> Node:
        """A node as an inventory declares it, pinned on odd days and by authority on even ones: Dell by its pin."""
        told = self.document["bmcs"][name]
        tls = Tls(fingerprint=told["fingerprint"]) if name == "dell" else Tls(ca=self.directory / "ca.pem")
        bmc = Bmc(address=told["address"], port=told["port"], credential=CredentialId("bmc"), tls=tls)
        return Node(id=NodeId(name), model=told["model"], rack=RackId("r1"), slot=1, feeds=(FeedId("a"),), bmc=bmc)

    def driver(self, images: ImageServer | None = None) -> RedfishDriver:
        """A driver with the hall's credential."""
        password = SecretRef.parse(f"file:{self.directory / 'password'}")
        credential = Credential(id=CredentialId("bmc"), user=self.document["user"], password=password)
        return RedfishDriver([credential], clock=self.clock, images=images)

    async def truth(self, node: str) -> dict[str, Any]:
        """What is true of a node, whatever its BMC says."""
        connector = aiohttp.UnixConnector(str(self.directory / "truth.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://hall/truth") as response,
        ):
            told: dict[str, Any] = (await response.json())["nodes"][node]
            return told


def free_port() -> int:
    """A port that nobody listens on: several halls may run on one machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_hall(directory: Path) -> AsyncIterator[Hall]:
    """Start `python -m fleet.sim`, wait until it serves, stop it."""
    port = free_port()
    boxes = [
        {"name": name, "model": model, "slot": slot, "port": port}
        for slot, (name, model) in enumerate(MODELS.items(), 41)
    ]
    (directory / "boxes.json").write_text(json.dumps(boxes))
    arguments = ["--boxes", directory / "boxes.json", "--directory", directory, "--speed", str(SPEED)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleet.sim", *map(str, arguments), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = await process.stderr.readline()
        assert b"hall ready" in line, line + await process.stderr.read()
        document = json.loads((directory / "hall.json").read_text())
        yield Hall(directory=directory, document=document, clock=SystemClock(speed=SPEED))
    finally:
        process.terminate()
        await process.communicate()


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with running_hall(tmp_path) as started:
        yield started


def order(part: Part, bmc: RedfishBmc, directory: Path) -> UpdateOrder:
    """An image for a component of a node."""
    image = directory / f"{part.node}-{part.component}.fwpkg"
    sha256 = build_box_package(
        image, model=MODELS[part.node], bundle=part.bundle, versions={part.family: part.version}, version=part.version
    )
    assert sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    return UpdateOrder(
        component=part.component,
        profile=bmc.profile.components[part.component],
        image=image,
        size_bytes=image.stat().st_size,
        sha256=sha256,
        force=False,
    )


async def followed(bmc: RedfishBmc, submission: Submission, clock: SystemClock) -> TaskReading | None:
    """The last reading of a task; None where the BMC restarted meanwhile and knows it no more."""
    assert submission.task is not None
    while True:
        try:
            reading = await bmc.read_task(submission.task)
        except Transient:
            return None
        if reading is None or reading.phase is not TaskPhase.ALIVE:
            return reading
        await clock.sleep(30)


async def returned(bmc: RedfishBmc, clock: SystemClock) -> None:
    """Wait until a BMC that went away is back."""
    while True:
        try:
            await bmc.reconnect()
        except Transient:
            await clock.sleep(30)
        else:
            return


async def power_cycled(bmc: RedfishBmc, clock: SystemClock) -> None:
    """Off, wait, on, and the host's first boot."""
    for action, state in ((PowerAction.FORCE_OFF, PowerState.OFF), (PowerAction.ON, PowerState.ON)):
        await bmc.power(action)
        while await bmc.power_state() is not state:
            await clock.sleep(5)
        await bmc.power(action)  # already so: success
    await clock.sleep(1800)


async def activated(part: Part, bmc: RedfishBmc, reading: TaskReading | None, clock: SystemClock) -> None:
    """What puts the image in force."""
    if part.activate == "host":
        assert reading is not None
        assert reading.phase in {TaskPhase.DONE, TaskPhase.STAGED}
        await power_cycled(bmc, clock)
        return
    if part.activate == "bmc":
        assert reading is not None
        assert "BMC reset" in reading.activation
        marker = await bmc.boot_marker()
        assert await bmc.restarted_since(marker) is Restarted.NO
        with suppress(OutcomeUnknown):  # the usual end of it
            await bmc.reset_bmc()
        await returned(bmc, clock)
        assert await bmc.restarted_since(marker) is Restarted.YES
        return
    await clock.sleep(600)
    await returned(bmc, clock)


@pytest.mark.parametrize("name", MODELS)
async def test_each_component_of_a_machine_is_updated(name: str, hall: Hall, tmp_path: Path) -> None:
    ledger, driver = Ledger(), hall.driver()
    node = hall.node(name)
    bmc = driver.bmc(node, classify(await driver.discover(node, ledger)), ledger)
    for part in (part for part in PARTS if part.node == name):
        assert (await bmc.readiness()).enabled
        assert (await bmc.readiness()).alive == ()
        submission = await bmc.submit_update(order(part, bmc, tmp_path))
        reading = await followed(bmc, submission, hall.clock)
        await activated(part, bmc, reading, hall.clock)
        observed = {item.version for item in (await bmc.observe()).items}
        assert any(part.version in version for version in observed)
    truth = await hall.truth(name)
    await bmc.close()
    await driver.close()

    active = [item["active"] for item in truth["items"].values()]
    for part in (part for part in PARTS if part.node == name):
        assert any(part.version in version for version in active)
    assert all(len(item["flashes"]) <= 1 for item in truth["items"].values())
    after = await hall.truth(name)
    assert after["sessions"]["open"] == 0
    assert after["max_in_flight"] == 1
    assert not ledger.uris


async def test_a_bmc_pulls_its_image_from_us(hall: Hall, tmp_path: Path) -> None:
    images = ImageServer(host="127.0.0.1")
    await images.start()
    ledger, driver = Ledger(), hall.driver(images)
    bmc = driver.bmc(hall.node("dell"), profile_named("dell-idrac9"), ledger)
    part = next(part for part in PARTS if (part.node, part.component) == ("dell", "bios"))
    pushed = order(part, bmc, tmp_path)
    pulled = replace(pushed, profile=replace(pushed.profile, push=(Push.SIMPLE_UPDATE,)))
    await activated(part, bmc, await followed(bmc, await bmc.submit_update(pulled), hall.clock), hall.clock)
    observed = {item.version for item in (await bmc.observe()).items}
    await bmc.close()
    await images.close()
    assert part.version in observed
    assert sum(images.served_bytes.values()) == pushed.size_bytes


async def test_a_session_left_by_a_dead_process_is_deleted_by_its_uri_or_its_context(hall: Hall) -> None:
    dead, alive, driver = Ledger(), Ledger(), hall.driver()
    left = [driver.bmc(hall.node("smc"), profile_named("supermicro-hgx"), dead) for _ in range(2)]
    for bmc in left:
        await bmc.connect()
    uris, contexts = sorted(dead.uris), tuple(dead.contexts)
    ours = driver.bmc(hall.node("smc"), profile_named("supermicro-hgx"), alive)
    never = "/redfish/v1/SessionService/Sessions/never-was"
    gone = await ours.clear_sessions({contexts[0]: uris[0], contexts[1]: "", "fleetwave-never": never})
    sessions = (await hall.truth("smc"))["sessions"]["open"]
    await ours.close()
    assert gone == {*contexts, "fleetwave-never"}
    assert sessions == 1
    assert (await hall.truth("smc"))["sessions"]["open"] == 0
    for bmc in left:
        await bmc.close()
