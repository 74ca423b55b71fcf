"""Field guide 6, E: the fleet, and imaging. F51 to F60, against the hall over TLS."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from failure_rig import CONFIRMED, DELL, DGX, GB300, UPLOAD, Site, ended, error, free_port, harmless, http, rule, site
from modes import Answer, also, mode
from support.imaging import Life, NoLedger, Place, process

from fleet import events as ev
from fleet.drivers.images import ImageServer
from fleet.drivers.redfish.bmc import RedfishBmc
from fleet.drivers.ssh import SshAddress
from fleet.errors import NodeFault, Reason
from fleet.exits import Exit
from fleet.limits import Transfers
from fleet.ports import UpdateOrder
from fleet.profile import Push
from fleet.recipe import ACTIVATE, COMMIT, UPDATE
from fleet.sim.osimage import build_os_image
from fleet.state import NodeStatus
from fleet.step import Met, StepSpec
from fleet.vendors import profile_named
from inventory.baseline import ComponentBaseline
from inventory.model import Credential, CredentialId, Node, SecretRef
from playbooks.steps.image import OsImage


@mode(
    "F52",
    symptom="An NVLink domain with mixed versions of switch and compute trays.",
    answer=Answer.REFUSED,
    does="Trays of NVL racks are recognised and read-only until a person names a managed profile for them. Nodes of one NVLink domain"
    " are one unit: they are admitted together, in the order that the playbook's `unit_order` gives, and a domain of which a part is not"
    " selected or is refused is refused whole. A failure in a unit that is half done halts the rollout.",
)
async def test_f52_a_tray_of_a_rack_wide_domain_is_not_touched(tmp_path: Path) -> None:
    async with site(tmp_path, GB300, DGX) as place:
        plan = await place.planned(place.component(DGX, "bmc"))
        assert (plan.nodes["gpu1"].profile, plan.nodes["gpu1"].reason) == ("gb300-nvl", Reason.UNKNOWN_HARDWARE)
        await place.ran()
        assert [place.truth(n)["submits"] for n in (0, 1)] == [0, 1]


also(
    "F52",
    "property/test_units.py::test_a_rack_is_begun_and_ended_whole_and_its_switch_trays_go_first",
    "property/test_units.py::test_a_domain_of_which_a_part_cannot_be_worked_on_is_refused_whole",
    "property/test_units.py::test_a_unit_of_which_one_failed_stays_as_it_is_until_a_person_decides",
)


@mode(
    "F53",
    symptom="A thousand BMCs pull from one image server.",
    answer=Answer.MASTERED,
    does="Pushed and pulled images share one budget of bytes a second (`transfers: {megabytes_per_s: 1000}` of the inventory), evenly."
    " A push waits for its turn before its BMC is told anything; how many have one follows the measured throughput, and leaves each at"
    " least 1 MB/s. A pull is never kept waiting or turned away, and counts. There are no caches per rack.",
)
async def test_f53_pushes_and_pulls_share_the_bytes_and_nobody_starves(tmp_path: Path) -> None:
    async with site(tmp_path, *[DGX] * 4, DELL, DELL, speed=5) as place:
        shared = Transfers(bytes_per_s=3e6, clock=place.clock)
        place.transfers = shared
        images = ImageServer(host="127.0.0.1", transfers=shared)
        await images.start()
        driver, ended_at, queue = place.driver(images), dict[str, float](), list[str]()
        wishes = {model: place.component(model, "bios", payload_bytes=3_000_000) for model in (DGX, DELL)}
        most = 0

        async def one(node: Node, bmc: RedfishBmc) -> None:
            nonlocal most
            part, wish = bmc.profile.components["bios"], wishes[node.model]
            pulls = node.model == DELL
            size = wish.image.stat().st_size
            order = UpdateOrder(
                component="bios",
                profile=replace(part, push=(Push.SIMPLE_UPDATE,)) if pulls else part,
                image=wish.image,
                size_bytes=size,
                sha256=wish.sha256,
                force=False,
            )
            async with nullcontext() if pulls else bmc.turn(queue.append):
                most = max(most, shared.under_way)
                await bmc.submit_update(order)
            while pulls and place.truth(place.nodes.index(node))["received_bytes"] < size:
                await place.clock.sleep(0.2)
            ended_at[node.id] = place.clock.now()
            await bmc.close()

        names = {DGX: "dgx-h100", DELL: "dell-idrac9"}
        bmcs = [(node, driver.bmc(node, profile_named(names[node.model]), NoLedger())) for node in place.nodes]
        await asyncio.gather(*(bmc.connect() for _, bmc in bmcs))
        begun = place.clock.now()
        async with asyncio.TaskGroup() as group:
            for node, bmc in bmcs:
                group.create_task(one(node, bmc))
        sizes = [wishes[node.model].image.stat().st_size for node in place.nodes]
        took = max(ended_at.values()) - begun
        assert sum(place.truth(n)["received_bytes"] for n in range(6)) >= sum(sizes) == shared.sent_bytes
        assert sum(sizes) / (took + 1) <= 3e6  # a second's worth may go at once
        assert most <= 3
        assert queue
        assert shared.under_way == shared.waiting == 0
        await driver.close()
        await images.close()


@mode("F53")
async def test_f53_an_image_is_announced_only_when_its_turn_has_come(tmp_path: Path) -> None:
    async with site(tmp_path, *[DGX] * 3) as place:
        place.transfers = Transfers(bytes_per_s=1e6, clock=place.clock)
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        told = [
            type(event)
            for event in place.events
            if isinstance(event, ev.IntentRecorded | ev.EffectRecorded) and event.effect.endswith("/submit")
        ]
        assert told == [ev.IntentRecorded, ev.EffectRecorded] * 3
        assert all(harmless(place.truth(n)) for n in range(3))


@mode(
    "F54",
    symptom="The same failure in several nodes.",
    answer=Answer.HELD,
    does="Paced by evidence, a rollout halts when the failures, or those of one signature (model, firmware, step, message without its"
    " numbers), are too many for what is tolerated: two of the first two nodes do. In explicit waves a failed canary halts it at once,"
    " later the failure budget does. The sentence names the commonest reason.",
)
@pytest.mark.parametrize(("waves", "budget", "touched"), [((1, 4), 4, 1), ((4,), 1, 2)], ids=["canary", "budget"])
async def test_f54_failures_halt_the_rollout(tmp_path: Path, waves: tuple[int, ...], budget: int, touched: int) -> None:
    async with site(tmp_path, *[DGX] * 4, rules=[rule("update-fails", times="always")]) as place:
        plan = await place.planned(place.component(DGX, "bmc"), waves=waves, failure_budget=budget, max_in_flight=1)
        assert not plan.refused
        assert await place.ran() is Exit.HALTED
        assert sum(place.truth(n)["submits"] for n in range(4)) == touched
        assert sum(place.node(n).status is NodeStatus.PENDING for n in range(4)) == 4 - touched
        (halt,) = place.of(ev.RolloutHalted)
        assert Reason.UPDATE_FAILED.value in halt.message


@asynccontextmanager
async def imaging(place: Site) -> AsyncIterator[tuple[OsImage, Life]]:
    """A process that installs 24.04 on the first node."""
    node, document = place.nodes[0], json.loads((place.hall.spec.directory / "hall.json").read_text())
    image = place.directory / "ubuntu.iso"
    sha256 = build_os_image(image, version_id="24.04", size_bytes=1 << 20)
    password = SecretRef.parse(f"file:{place.hall.spec.directory / 'password'}")
    host, told = document["hosts"]["gpu1"], document["bmcs"]["gpu1"]
    made = Place(
        hall=document,
        clock=place.clock,
        node=node,
        ssh=SshAddress(host=host["address"], port=host["port"], user=document["host_user"]),
        profile=profile_named("dgx-h100"),
        credential=Credential(id=CredentialId("bmc"), user="admin", password=password),
        identity=(told["serial"], told["uuid"]),
        directory=place.directory / "homes",
        port=free_port(),
    )
    async with process(made) as life:
        yield OsImage(image=str(image), sha256=sha256, release="24.04"), life


async def installed(place: Site) -> dict[str, Any]:
    """The OS is there, once, and nothing is left of how it came; the truth."""
    async with imaging(place) as (step, life):
        await step.apply(life.ctx)
        assert await step.check(life.ctx) == Met("runs 24.04")
    truth = place.truth()
    assert truth["image_write_counts"] == {step.sha256: 1}
    assert (truth["boot_override"][0], truth["media"], truth["phone_homes"]) == ("Disabled", None, 1)
    return truth


async def not_installed(place: Site) -> tuple[Reason, str]:
    """Why not; media and override are taken back."""
    async with imaging(place) as (step, life):
        with pytest.raises(NodeFault) as caught:
            await step.apply(life.ctx)
    assert (place.truth()["boot_override"][0], place.truth()["media"]) == ("Disabled", None)
    return caught.value.reason, str(caught.value)


also(
    "F54",
    "property/test_property_pacing.py::test_an_image_that_is_bad_on_every_node_takes_two",
    "property/test_property_pacing.py::test_the_same_failure_again_halts_sooner_than_different_ones",
    "property/test_property_pacing.py::test_so_many_alike_halt_at_once_if_the_playbook_says_so",
)


@mode(
    "F55",
    symptom="A reset for activation consumes the boot override; a stale Continuous installs for ever.",
    answer=Answer.MASTERED,
    does="All activations come before the next step of the playbook. The override is set for once, read back, and"
    " cleared after the"
    " installation, also where somebody had left Continuous.",
)
async def test_f55_a_stale_override_installs_once_and_is_cleared(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        place.hall.bmcs["gpu1"].media.override = ("Continuous", "Cd")
        truth = await installed(place)
        assert [boot["from"] for boot in truth["boots"]].count("media") == 1


@mode("F55")
async def test_f55_firmware_is_in_force_before_anything_is_installed(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        image = StepSpec("os.image", {"image": "x.iso", "sha256": "0" * 64, "release": "24.04"})
        plan = await place.planned(place.component(DGX, "bmc"), place.component(DGX, "bios"), steps=[image])
        (recipe,) = plan.recipes.values()
        assert [step.name for step in recipe.steps] == [UPDATE, UPDATE, ACTIVATE, COMMIT, "os.image"]


@mode(
    "F56",
    symptom="Virtual media: stale, inserted but unreadable, dropped in the middle.",
    answer=Answer.HELD,
    does="Every slot is ejected first, Inserted is polled for a minute, and only the installer's phone-home counts."
    " Without it: media out, override"
    " cleared, node held. No second try and no HTTP boot by itself.",
)
async def test_f56_stale_media_are_taken_out_first(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        media = place.hall.bmcs["gpu1"].media
        for slot in media.model.slots:
            answer = media.post(
                f"{slot}/Actions/VirtualMedia.InsertMedia",
                json.dumps({"Image": "http://10.0.0.1/old.iso", "UserName": "", "Password": ""}).encode(),
                place.hall.clock.now(),
            )
            assert answer is not None
            assert answer.status == 204
        await installed(place)


@mode("F56")
@pytest.mark.parametrize(
    ("effect", "says"), [("image-unreadable", "could not be read"), ("media-dropped", "no phone-home")]
)
async def test_f56_media_that_do_not_boot_hold_the_node(tmp_path: Path, effect: str, says: str) -> None:
    async with site(tmp_path, DGX, rules=[rule(effect)]) as place:
        reason, message = await not_installed(place)
        assert (reason, says in message) == (Reason.IMAGE_FAILED, True)


@mode(
    "F57",
    symptom="The installer ran on another machine, or wrote another disk: cables are swapped.",
    answer=Answer.HELD,
    does="Serial and UUID in the phone-home must be those of the plan; the token is good for one installation. Which"
    " disk was written is what the"
    " image itself decides.",
)
async def test_f57_a_phone_home_of_another_machine_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, DGX, rules=[rule("wrong-identity", select={"node": "gpu1"})]) as place:
        reason, message = await not_installed(place)
        assert (reason, "F57" in message) == (Reason.IDENTITY_MISMATCH, True)
        assert place.truth(1)["image_writes"] == []


@mode(
    "F58",
    symptom="A node comes back from repair with old parts.",
    answer=Answer.MASTERED,
    does="The next plan reads the node anew, names each processor and GPU whose serial is another than in the last rollout's plan,"
    " with the firmware that it runs and what becomes of it, and flashes what differs. No loop looks by itself.",
)
async def test_f58_the_next_rollout_finds_old_firmware_of_a_new_part(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        repaired = place.hall.bmcs["gpu1"].firmware
        repaired.parts["HostBMC_0"].active = "23.11.21"
        repaired.revision += 1
        (tmp_path / "again").mkdir()
        later = replace(place, directory=tmp_path / "again", events=[])
        assert ended(await later.rolled_out(later.component(DGX, "bmc"))) == CONFIRMED
        assert later.flashes("HostBMC_0") == [("24.09.17", "done")] * 2
        assert harmless(later.truth())


also("F58", "wire/test_repaired_part.py::test_the_next_plan_names_the_part_and_what_becomes_of_it")


@mode(
    "F59",
    symptom="The event log or the log store is full and blocks the update.",
    answer=Answer.HELD,
    does="Held with the BMC's words; no log is exported or cleared by itself.",
)
async def test_f59_a_full_log_is_not_cleared(tmp_path: Path) -> None:
    full = http(UPLOAD, status=507, body=error("Base.1.12.InsufficientStorage", "The log storage is full."))
    async with site(tmp_path, DGX, rules=[full, http("*/LogServices/*", method="POST", status=200, body="")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.UPDATE_REJECTED.value)
        assert "The log storage is full" in node.message
        assert harmless(place.truth())


@mode(
    "F60",
    symptom="NIC and DPU firmware needs a tool on the host (mlxfwmanager, flint).",
    answer=Answer.REFUSED,
    does="There is no such step: a baseline with a component that the platform's profile cannot update is refused by the plan.",
)
async def test_f60_a_component_that_redfish_cannot_update_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        nic: ComponentBaseline = replace(place.component(DGX, "bmc"), key="nic")
        refused = (await place.planned(nic)).nodes["gpu1"]
        assert refused.reason == Reason.COMPONENT_MISSING
        assert "has no component 'nic'" in refused.message
        assert harmless(place.truth())
