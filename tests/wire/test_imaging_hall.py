"""OS imaging against the simulated hall as another process: Redfish, HTTP and SSH from end to end, with faults and dead processes."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.imaging import Memory, NoLedger, Place, process
from support.machine import Crash

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.ssh import SshAddress
from fleet.errors import NodeFault, Reason
from fleet.gate import Gate, Mode, Parked
from fleet.sim.osimage import build_os_image
from fleet.step import Met, Unmet
from fleet.vendors import profile_named
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, Tls
from playbooks.steps.image import INSTALL_S, OsImage

SPEED = 2400.0
PROFILES = {"DGXH100": "dgx-h100", "SYS-821GE-TNHR": "supermicro-hgx", "PowerEdge R750": "dell-idrac9"}
EVENTS = 8
"""Facts that an undisturbed installation records: intent and result of offer, host-off, install and host-on."""


def free_port() -> int:
    """A port that nobody listens on: several halls may run on one machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """A hall that runs."""

    directory: Path
    document: dict[str, Any]
    clock: SystemClock
    step: OsImage

    async def truth(self, node: str) -> dict[str, Any]:
        """What is true of a node, whatever its BMC says."""
        connector = aiohttp.UnixConnector(str(self.directory / "truth.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://hall/truth") as response,
        ):
            told: dict[str, Any] = (await response.json())["nodes"][node]
            return told

    async def place(self, name: str, memory: Memory | None = None) -> Place:
        """A node, as it was when the plan was made."""
        told, host = self.document["bmcs"][name], self.document["hosts"][name]
        bmc = Bmc(
            address=told["address"],
            port=told["port"],
            credential=CredentialId("bmc"),
            tls=Tls(ca=self.directory / "ca.pem"),
        )
        node = Node(id=NodeId(name), model=told["model"], rack=RackId("r1"), slot=1, feeds=(FeedId("a"),), bmc=bmc)
        password = SecretRef.parse(f"file:{self.directory / 'password'}")
        credential = Credential(id=CredentialId("bmc"), user=self.document["user"], password=password)
        profile = profile_named(PROFILES[told["model"]])
        driver = RedfishDriver([credential], clock=self.clock)
        reader = driver.bmc(node, profile, NoLedger())
        identity = await reader.identify()
        await reader.close()
        await driver.close()
        return Place(
            hall=self.document,
            clock=self.clock,
            node=node,
            ssh=SshAddress(host=host["address"], port=host["port"], user=host["user"]),
            profile=profile,
            credential=credential,
            identity=identity,
            directory=self.directory / "homes",
            port=free_port(),
            memory=memory or Memory(),
        )


@asynccontextmanager
async def running(directory: Path, models: Sequence[str], faults: Mapping[str, str]) -> AsyncIterator[Hall]:
    """A hall of gpu1, gpu2 ...; `faults`: node -> effect."""
    bmc_port, host_port = free_port(), free_port()
    boxes = [
        {"name": f"gpu{n}", "model": model, "slot": 60 + n, "port": bmc_port, "host_port": host_port}
        for n, model in enumerate(models, 1)
    ]
    rules = [{"name": node, "select": {"node": node}, "effect": effect} for node, effect in faults.items()]
    (directory / "boxes.json").write_text(json.dumps(boxes))
    (directory / "faults.yaml").write_text(json.dumps({"faults": "test", "rules": rules}))
    image = directory / "ubuntu.iso"
    sha256 = build_os_image(image, version_id="24.04", size_bytes=1 << 20)
    arguments = ("--boxes", "boxes.json", "--directory", directory, "--speed", SPEED, "--faults", "faults.yaml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleet.sim", *map(str, arguments), stderr=asyncio.subprocess.PIPE, cwd=directory
    )
    assert process.stderr is not None
    try:
        line = await process.stderr.readline()
        assert b"hall ready" in line, line + await process.stderr.read()
        document = json.loads((directory / "hall.json").read_text())
        step = OsImage(image=str(image), sha256=sha256, release="24.04")
        yield Hall(directory=directory, document=document, clock=SystemClock(speed=SPEED, origin=0.0), step=step)
    finally:
        process.terminate()
        await process.communicate()


async def imaged(hall: Hall, place: Place) -> Met | Unmet:
    """A process that lives to the end."""
    async with process(place) as life:
        await hall.step.apply(life.ctx)
        return await hall.step.check(life.ctx)


def untouched(truth: Mapping[str, Any]) -> bool:
    """No media, no override."""
    return truth["media"] is None and truth["boot_override"][0] == "Disabled"


async def test_each_platform_is_imaged_once_and_confirmed_by_a_login(tmp_path: Path) -> None:
    async with running(tmp_path, list(PROFILES), {}) as hall:
        places = [await hall.place(f"gpu{n}") for n in range(1, 4)]
        async with process(places[0]) as life:
            assert isinstance(await hall.step.check(life.ctx), Unmet)
        results = await asyncio.gather(*(imaged(hall, place) for place in places))
        truths = [await hall.truth(str(place.node.id)) for place in places]
    assert results == [Met("runs 24.04")] * 3
    for place, truth in zip(places, truths, strict=True):
        assert truth["image_write_counts"] == {hall.step.sha256: 1}
        assert (truth["os"]["version_id"], truth["phone_homes"], truth["host_power"]) == ("24.04", 1, "On")
        assert untouched(truth)
        assert truth["sessions"]["open"] == 0
        assert len(place.memory.events) == EVENTS


@pytest.mark.parametrize(
    ("effect", "reason", "says", "version"),
    [
        ("image-unreadable", Reason.IMAGE_FAILED, "could not be read", "22.04"),
        ("no-phone-home", Reason.IMAGE_FAILED, "1048576 bytes of it were read", "24.04"),
        ("media-dropped", Reason.IMAGE_FAILED, "no phone-home", None),
        ("wrong-identity", Reason.IDENTITY_MISMATCH, "F57", "24.04"),
    ],
)
async def test_a_failure_has_a_name_and_leaves_the_boot_configuration_as_it_was(
    tmp_path: Path, *, effect: str, reason: Reason, says: str, version: str | None
) -> None:
    async with running(tmp_path, ["DGXH100", "DGXH100"], {"gpu1": effect}) as hall:
        place = await hall.place("gpu1")
        with pytest.raises(NodeFault) as caught:
            await imaged(hall, place)
        truth = await hall.truth("gpu1")
    assert (caught.value.reason, truth["os"]["version_id"]) == (reason, version)
    assert says in str(caught.value)
    assert "media ejected, boot override cleared" in str(caught.value)
    assert untouched(truth)


async def test_a_process_that_dies_at_any_moment_writes_no_image_twice(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"] * EVENTS * 2, {}) as hall:

        async def killed(number: int) -> tuple[Met | Unmet, dict[str, Any]]:
            moment, when = number // 2, ("before", "after")[number % 2]
            memory = Memory(dies=lambda _event, count: when if count == moment else "")
            place = await hall.place(f"gpu{number + 1}", memory)
            async with process(place) as life:
                with pytest.raises(Crash):
                    await hall.step.apply(life.ctx)
            memory.live()
            return await imaged(hall, place), await hall.truth(str(place.node.id))

        ends = await asyncio.gather(*(killed(number) for number in range(EVENTS * 2)))
    for result, truth in ends:
        assert result == Met("runs 24.04")
        assert truth["image_write_counts"] == {hall.step.sha256: 1}
        assert untouched(truth)


async def test_an_abort_before_the_boot_writes_nothing_and_turns_the_host_on(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"] * 5, {}) as hall:

        async def aborted(number: int) -> tuple[str, dict[str, Any]]:
            # From "the host is off" to "the host is about to be turned on": nothing of it has erased anything.
            memory = Memory(
                dies=lambda _event, count: ("before", "after")[number % 2] if count == 3 + number // 2 else ""
            )
            place = await hall.place(f"gpu{number + 1}", memory)
            async with process(place) as life:
                with pytest.raises(Crash):
                    await hall.step.apply(life.ctx)
            memory.live()
            gate = Gate()
            gate.move(Mode.ABORT)
            async with process(place, gate) as life:
                with pytest.raises(NodeFault) as caught:
                    await hall.step.apply(life.ctx)
            assert caught.value.reason is Reason.ABORTED, str(caught.value)
            return str(caught.value), await hall.truth(str(place.node.id))

        ends = await asyncio.gather(*(aborted(number) for number in range(5)))
    for said, truth in ends:
        assert truth["image_write_counts"] == {}, said
        assert truth["os"]["version_id"] == "22.04"
        assert truth["host_power"] == "On", said
        assert untouched(truth)


async def test_a_process_that_is_asked_to_stop_begins_no_installation(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"], {}) as hall:
        gate = Gate()

        def stops(event: ev.Event, _: int) -> str:
            if isinstance(event, ev.IntentRecorded) and event.effect.endswith("/host-off"):
                gate.move(Mode.PARK, "asked to stop")
            return ""

        place = await hall.place("gpu1", Memory(dies=stops))
        async with process(place, gate) as life:
            with pytest.raises(Parked, match="its host is off"):
                await hall.step.apply(life.ctx)
        assert (await hall.truth("gpu1"))["image_write_counts"] == {}
        assert await imaged(hall, place) == Met("runs 24.04")
        assert (await hall.truth("gpu1"))["image_write_counts"] == {hall.step.sha256: 1}


async def test_another_image_of_the_same_release_is_not_there_yet(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"], {}) as hall:
        place = await hall.place("gpu1")
        assert await imaged(hall, place) == Met("runs 24.04")
        async with process(place) as life:
            found = await replace(hall.step, sha256="b" * 64).check(life.ctx)
    assert isinstance(found, Unmet)
    assert "another image" in found.detail


async def switched_on_and_dead(hall: Hall, memory: Memory) -> Place:
    """A process dies when it has switched the host on, and the installer has its image."""
    memory.dies = lambda event, _: "after" if _is_host_on(event) else ""
    place = await hall.place("gpu1", memory)
    async with process(place) as life:
        with pytest.raises(Crash):
            await hall.step.apply(life.ctx)
        while not life.server.fetched_bytes:
            await hall.clock.sleep(30)
    memory.live()
    return place


async def test_a_process_that_comes_an_hour_late_hears_the_next_phone_home(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"], {}) as hall:
        place = await switched_on_and_dead(hall, Memory())
        give_up = hall.clock.now() + INSTALL_S + place.profile.timings.post_s
        while hall.clock.now() < give_up:  # nothing is left of the time that an installation may take
            await hall.clock.sleep(60)
        tries = (await hall.truth("gpu1"))["phone_home_tries"]
        while (await hall.truth("gpu1"))["phone_home_tries"] == tries:  # and it has just called, in vain
            await hall.clock.sleep(30)
        assert await imaged(hall, place) == Met("runs 24.04")
        truth = await hall.truth("gpu1")
    assert (truth["image_write_counts"], truth["phone_homes"]) == ({hall.step.sha256: 1}, 1)
    assert untouched(truth)


async def test_a_phone_home_that_nobody_heard_is_not_guessed(tmp_path: Path) -> None:
    memory = Memory()
    async with running(tmp_path, ["DGXH100"], {}) as hall:
        place = await switched_on_and_dead(hall, memory)
        while (await hall.truth("gpu1"))["boots"][-1]["from"] != "disk":  # the installer has given up
            await hall.clock.sleep(60)
        with pytest.raises(NodeFault) as caught:
            await imaged(hall, place)
        truth = await hall.truth("gpu1")
    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert truth["image_write_counts"] == {hall.step.sha256: 1}
    assert untouched(truth)


async def test_a_golden_image_with_the_keys_of_before_is_not_taken_for_the_os_of_before(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"], {"gpu1": "golden-image"}) as hall:
        before = await hall.truth("gpu1")
        place = await switched_on_and_dead(hall, Memory())
        while (await hall.truth("gpu1"))["boots"][-1]["from"] != "disk":  # the installer has given up
            await hall.clock.sleep(60)
        with pytest.raises(NodeFault) as caught:
            await imaged(hall, place)
        truth = await hall.truth("gpu1")
    assert [truth["os"][key] == before["os"][key] for key in ("host_key", "machine_id")] == [True, True]
    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert truth["image_write_counts"] == {hall.step.sha256: 1}


async def test_a_clone_at_the_hosts_address_proves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100", "DGXH100"], {}) as hall:
        place, clone = await hall.place("gpu1"), await hall.place("gpu2")
        there = place.hall | {"hosts": place.hall["hosts"] | {"gpu1": place.hall["hosts"]["gpu2"]}}
        place = replace(place, ssh=clone.ssh, hall=there)
        await died_without_serving(hall, place)
        with pytest.raises(NodeFault) as caught:
            await imaged(hall, place)
        truth, other = await hall.truth("gpu1"), await hall.truth("gpu2")
    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert (truth["image_write_counts"], other["image_write_counts"]) == ({}, {})
    assert "mkdir" not in other["commands"]


def _is_host_on(event: ev.Event) -> bool:
    return isinstance(event, ev.EffectRecorded) and event.effect.endswith("/host-on")


async def died_without_serving(hall: Hall, place: Place) -> None:
    """A process dies when it has switched the host on; the host finds no image and boots its disk."""
    place.memory.dies = lambda event, _: (
        "after" if isinstance(event, ev.EffectRecorded) and "/host-on" in event.effect else ""
    )
    async with process(place) as life:
        with pytest.raises(Crash):
            await hall.step.apply(life.ctx)
    place.memory.live()
    starts = len((await hall.truth("gpu1"))["boots"])
    while len((await hall.truth("gpu1"))["boots"]) == starts:
        await hall.clock.sleep(60)


async def test_a_host_that_found_no_image_because_we_were_dead_is_installed_after_all(tmp_path: Path) -> None:
    async with running(tmp_path, ["DGXH100"], {}) as hall:
        place = await hall.place("gpu1")
        for number in range(2):
            await died_without_serving(hall, place)
            truth = await hall.truth("gpu1")
            assert (truth["os"]["version_id"], truth["image_write_counts"], number) == ("22.04", {}, number)
        assert await imaged(hall, place) == Met("runs 24.04")
        truth = await hall.truth("gpu1")
    assert truth["image_write_counts"] == {hall.step.sha256: 1}
    assert truth["interrupted_posts"] == 0
    assert untouched(truth)
