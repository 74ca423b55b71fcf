"""Field guide 6, B: handing an image over. F15 to F28, against the hall over TLS."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from failure_rig import CONFIRMED, DELL, DGX, SMC, UPLOAD, Site, ended, error, harmless, http, resets, rule, site
from modes import Answer, also, mode
from support.imaging import NoLedger

from fleet import events as ev
from fleet.drivers.images import ImageServer
from fleet.errors import Reason
from fleet.events import Event
from fleet.exits import Exit
from fleet.plan import Plan
from fleet.ports import TaskPhase, UpdateOrder
from fleet.profile import Push
from fleet.sim.order import Order
from fleet.state import NodeStatus, RolloutStatus
from fleet.vendors import profile_named

REJECTED = (NodeStatus.QUARANTINED, Reason.UPDATE_REJECTED.value)
UPDATE_FAILED = (NodeStatus.QUARANTINED, Reason.UPDATE_FAILED.value)
SERVICE = "/redfish/v1/UpdateService"


def refused(plan: Plan, number: int = 1) -> tuple[str, str]:
    """Reason and sentence of a node that the plan refuses."""
    node = plan.nodes[f"gpu{number}"]
    return node.reason, node.message


async def rejected(directory: Path, *rules: dict[str, Any], model: str = DGX) -> str:
    """A submit that is answered so: the node is held, nothing was written, nothing was sent twice; what the operator reads."""
    async with site(directory, model, rules=rules) as place:
        node = await place.rolled_out(place.component(model, "bmc"))
        assert ended(node) == REJECTED
        assert (place.intents("submit"), place.truth()["submits"], place.truth()["resets"]) == (1, 0, [])
        assert harmless(place.truth())
        return node.message


async def passes(directory: Path, *rules: dict[str, Any]) -> None:
    """A refusal that passes by itself: one image arrives, once."""
    async with site(directory, DGX, rules=rules) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert place.truth()["submits"] == 1
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert harmless(place.truth())


def foreign_update(place: Site, component: str = "bios") -> None:
    """Somebody else hands the BMC an image, now."""
    image = place.component(DGX, component).image.read_bytes()
    bmc, now = place.hall.bmcs["gpu1"], place.hall.clock.now()
    bmc.agenda.advance(now)
    bmc.updates.submit(Order(data=image), now)


@mode(
    "F15",
    symptom='Busy: 503 with a URL as Retry-After, 400 "An update is in progress", FirmwareFlashAlreadyInProgress.',
    answer=Answer.MASTERED,
    does="The plan refuses a node with an update under way. One that begins later is waited for, ten minutes and ten"
    " tries, and ours is"
    " sent once; then the node is held. A BMC stuck in update mode is not reset.",
)
@pytest.mark.parametrize(
    "busy",
    [
        rule("submit-busy", times=3),
        http(UPLOAD, times=2, status=400, body=error("Base.1.0.GeneralError", "An update is in progress.")),
        http(UPLOAD, times=2, status=400, body=error("iLO.2.14.FirmwareFlashAlreadyInProgress", "x")),
    ],
    ids=["url", "words", "ilo"],
)
async def test_f15_a_busy_service_is_waited_for_and_gets_one_image(tmp_path: Path, busy: dict[str, Any]) -> None:
    await passes(tmp_path, busy)


@mode("F15")
async def test_f15_an_update_of_somebody_else_refuses_the_node_in_the_plan(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        foreign_update(place)
        reason, message = refused(await place.planned(place.component(DGX, "bmc")))
        assert reason == Reason.UPDATE_SERVICE_BUSY
        assert "Firmware Update (Running)" in message
        assert place.truth()["submits"] == 1


@mode("F15")
async def test_f15_an_update_that_begins_after_the_plan_is_waited_for(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        foreign_update(place)
        await place.ran()
        assert ended(place.node()) == CONFIRMED
        assert place.flashes("HostBIOS_0") == [("01.05.03", "done")]
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert harmless(place.truth())


@mode(
    "F16",
    symptom="The upload breaks in the middle, or no answer comes to it; 401 by a token that expired.",
    answer=Answer.MASTERED,
    does="Looks for a new task, or the version, three times. Found: followed. Proven absent (no task, no restart, tasks are kept"
    " longer): announced and sent again, three times at most. Undecidable: held.",
)
async def test_f16_an_upload_that_broke_is_sent_again_after_it_is_proven_absent(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("upload-broken")]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert (place.intents("submit"), len(place.of(ev.EffectAbsent))) == (2, 1)
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert harmless(place.truth())


@mode("F16")
async def test_f16_an_image_whose_answer_was_lost_is_found_and_not_sent_again(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[http(UPLOAD, drop="after", times=1)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert (place.intents("submit"), place.truth()["submits"]) == (1, 1)
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert harmless(place.truth())


@mode("F16")
async def test_f16_a_session_that_ended_before_the_upload_is_renewed_first(tmp_path: Path) -> None:
    await passes(tmp_path, http(UPLOAD, times=1, status=401, body=error("Base.1.0.NoValidSession", "no")))


@mode(
    "F17",
    symptom="The image is larger than MaxImageSizeBytes; 413.",
    answer=Answer.REFUSED,
    does="The plan refuses the node with both sizes. 413 in spite of that: held, nothing sent again, no other way tried.",
)
async def test_f17_an_image_that_is_too_large_is_refused_by_the_plan(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[http(SERVICE, merge={"MaxImageSizeBytes": 4000})]) as place:
        reason, message = refused(await place.planned(place.component(DGX, "bmc")))
        assert (reason, "the BMC takes 4000" in message) == (Reason.UPDATE_REJECTED, True)
        assert place.truth()["received_bytes"] == 0


@mode("F17")
async def test_f17_a_413_holds_the_node(tmp_path: Path) -> None:
    assert "larger than the BMC takes" in await rejected(tmp_path, http(UPLOAD, status=413, body=""))


@mode(
    "F18",
    symptom="Two packages at once, or polling beside an upload, exhaust the BMC's memory.",
    answer=Answer.MASTERED,
    does="Cannot arise by us: one request in flight a BMC, one image at a time, the next only when no update task"
    " runs. The 30 s gap"
    " between two packages that NVIDIA asks for is not kept. Where others exhaust it during our upload, it is read before"
    " anything is sent again, and held where it cannot tell.",
)
async def test_f18_one_request_and_one_image_at_a_time(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        parts = [place.component(DGX, key) for key in ("bmc", "bios", "hgx")]
        assert ended(await place.rolled_out(*parts)) == CONFIRMED
        items = place.truth()["items"]
        begun = [items[item]["flashes"][0]["at"] for item in ("HostBMC_0", "HostBIOS_0", "HGX_FW_GPU_SXM_1")]
        assert begun[1] - begun[0] > place.hall.bmcs["gpu1"].box.part("HostBMC_0").flash_s
        assert begun[2] - begun[1] > place.hall.bmcs["gpu1"].box.part("HostBIOS_0").flash_s
        assert place.truth()["max_in_flight"] == 1
        assert place.truth()["strain"]["out_of_memory"] == 0
        assert harmless(place.truth())


@mode("F18")
async def test_f18_a_bmc_that_others_exhaust_during_our_upload_is_read_before_anything_is_sent_again(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, DGX) as place:
        box, others = place.hall.bmcs["gpu1"], []

        def crowd(event: Event) -> None:
            """A monitoring system polls with many connections at once, just as the image arrives."""
            if isinstance(event, ev.IntentRecorded) and event.effect.endswith("/submit") and not others:
                others.append("polls")
                asyncio.get_running_loop().call_later(0.0, exhaust)

        def exhaust() -> None:
            now = place.hall.clock.now()
            held = 0
            while box.burdened(0, now) is None:
                held += 1
            for _ in range(held):
                box.relieved(0)

        place.on_event = crowd
        node = await place.rolled_out(place.component(DGX, "bmc"))
        truth = place.truth()
        assert truth["strain"]["out_of_memory"] == 1
        assert "out of memory" in resets(truth, "bmc")
        held = (NodeStatus.QUARANTINED, Reason.OUTCOME_UNKNOWN.value)
        assert (ended(node), len(place.flashes("HostBMC_0"))) in ((held, 0), (CONFIRMED, 1))
        assert harmless(truth)


@mode(
    "F19",
    symptom='The image is for another machine: "No Matching Devices", UpdateNotApplicable, 500 InternalError.',
    answer=Answer.HELD,
    does="Digest, package header and models are checked before the plan. What a BMC refuses in spite of that is not"
    " tried again, and a"
    " canary that fails halts the rollout.",
)
async def test_f19_an_image_for_another_machine_stops_the_rollout_at_the_canary(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, DGX) as place:
        await place.planned(place.component(DGX, "bmc", built_for=SMC), waves=(1, 2))
        assert await place.ran() is Exit.HALTED
        assert ended(place.node(0)) == UPDATE_FAILED
        assert place.node(1).status is NodeStatus.PENDING
        assert place.state.status is RolloutStatus.HALTED
        assert [place.truth(n)["submits"] for n in (0, 1)] == [1, 0]
        assert place.flashes("HostBMC_0") == []


@mode("F19")
@pytest.mark.parametrize("status", [400, 500])
async def test_f19_a_refused_image_is_not_sent_again(tmp_path: Path, status: int) -> None:
    said = await rejected(
        tmp_path, http(UPLOAD, status=status, body=error("Base.1.0.InternalError", "No Matching Devices"))
    )
    assert "No Matching Devices" in said


@mode(
    "F20",
    symptom="The signature is refused.",
    answer=Answer.HELD,
    does="Not tried again; a canary that fails halts the rollout, so that a bad artefact meets one node.",
)
async def test_f20_a_bad_signature_stops_the_rollout_at_the_canary(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, DGX, rules=[rule("bad-image", outcome="verify-fails", times="always")]) as place:
        await place.planned(place.component(DGX, "bmc"), waves=(1, 2))
        assert await place.ran() is Exit.HALTED
        assert ended(place.node(0)) == UPDATE_FAILED
        assert "signature" in place.node(0).message
        assert [place.truth(n)["submits"] for n in (0, 1)] == [1, 0]
        assert place.flashes("HostBMC_0") == []


@mode(
    "F22",
    symptom="ForceUpdate stays on (a sticky flag of the DGX).",
    answer=Answer.MASTERED,
    does="Set only for a downgrade that the plan announced, set back at once after the upload and again until it is;"
    " if that fails the"
    " node is held and says so. A flag that somebody else left on refuses the node in the plan.",
)
@pytest.mark.parametrize("busy", [0, 3], ids=["at once", "at the fourth try"])
async def test_f22_the_force_flag_is_set_back(tmp_path: Path, busy: int) -> None:
    deaf = [http(SERVICE, method="PATCH", skip=1, times=busy, status=503)] if busy else []
    async with site(tmp_path, DGX, rules=deaf) as place:
        wish = place.component(DGX, "bmc", version="22.01.01")
        assert ended(await place.rolled_out(wish, downgrade="a rollback")) == CONFIRMED
        assert place.flashes("HostBMC_0") == [("22.01.01", "done")]
        assert harmless(place.truth())


@mode("F22")
async def test_f22_a_flag_that_cannot_be_set_back_is_told(tmp_path: Path) -> None:
    deaf = http(SERVICE, method="PATCH", skip=1, status=503)
    async with site(tmp_path, DGX, rules=[deaf]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc", version="22.01.01"), downgrade="a rollback")
        assert ended(node) == REJECTED
        assert "ForceUpdate may still be set" in node.message
        assert place.truth()["force_update"] is True


@mode("F22")
async def test_f22_a_flag_that_somebody_left_on_refuses_the_node_in_the_plan(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        place.hall.bmcs["gpu1"].updates.sticky_force = True
        reason, message = refused(await place.planned(place.component(DGX, "bmc")))
        assert (reason, "ForceUpdate is on" in message) == (Reason.FORCE_LEFT_ON, True)
        assert place.truth()["submits"] == 0


@dataclass(frozen=True, slots=True)
class Gone:
    """An image server that has promised an address and answers nobody there (fleet.drivers.redfish.update.ImageSource)."""

    url: str

    async def publish(self, image: Path, *, size_bytes: int, sha256: str) -> str:
        """The same for every image."""
        assert image.suffix == ".fwpkg", (size_bytes, sha256)
        return self.url


@mode(
    "F23",
    symptom="The BMC pulls and cannot: server slow or gone, MIME type, TLS, a `?` in the URL, no DNS.",
    answer=Answer.HELD,
    does="Pushes first wherever profile and service know a way. Pulled images have a short path without query at an"
    " IP literal, with length"
    " and ranges. A pull that fails holds the node; the other way is not tried by itself.",
)
async def test_f23_a_pull_that_fails_is_a_failure_with_the_bmc_s_words(tmp_path: Path) -> None:
    async with site(tmp_path, DELL) as place:
        images = ImageServer(host="127.0.0.1")
        await images.start()
        wish = place.component(DELL, "bios")
        url = await images.publish(wish.image, size_bytes=wish.image.stat().st_size, sha256=wish.sha256)
        assert url.startswith("http://127.0.0.1:")
        assert "?" not in url
        await images.close()
        driver = place.driver(Gone(url))
        bmc = driver.bmc(place.nodes[0], profile_named("dell-idrac9"), NoLedger())
        part = replace(bmc.profile.components["bios"], push=(Push.SIMPLE_UPDATE,))
        size, sha256 = wish.image.stat().st_size, wish.sha256
        order = UpdateOrder(
            component="bios", profile=part, image=wish.image, size_bytes=size, sha256=sha256, force=False
        )
        task = (await bmc.submit_update(order)).task
        assert task is not None
        while (reading := await bmc.read_task(task)) is not None and reading.phase is TaskPhase.ALIVE:
            await place.clock.sleep(15)
        await bmc.close()
        await driver.close()
        assert reading is not None
        assert reading.phase is TaskPhase.FAILED
        assert "TransferFailed" in reading.messages[-1]
        assert place.flashes("BIOS.Setup.1-1") == []


@mode(
    "F24",
    symptom="400 because the BMC has not finished booting; UpdateService UnavailableOffline.",
    answer=Answer.MASTERED,
    does="The plan refuses a node whose update service is off. During a rollout both are waited for, ten minutes.",
)
async def test_f24_a_bmc_that_is_still_booting_is_waited_for(tmp_path: Path) -> None:
    early = error("Ami.1.0.GeneralError", "BMC not finished booting")
    await passes(tmp_path, http(UPLOAD, times=3, status=400, body=early))


@mode("F24")
async def test_f24_an_update_service_that_is_off_refuses_in_the_plan_and_is_waited_for_later(tmp_path: Path) -> None:
    away = http(SERVICE, method="GET", times=6, merge={"Status": {"State": "UnavailableOffline"}})
    async with site(tmp_path, DGX, rules=[away]) as place:
        reason, message = refused(await place.planned(place.component(DGX, "bmc")))
        assert (reason, "plan again in ten minutes" in message) == (Reason.UPDATE_SERVICE_BUSY, True)
    late = http(SERVICE, method="GET", skip=4, times=4, merge={"Status": {"State": "UnavailableOffline"}})
    (tmp_path / "later").mkdir()
    await passes(tmp_path / "later", late)


@mode(
    "F25",
    symptom="A licence is missing (SFT-OOB-LIC, iDRAC tier): 403, NotAllowed.",
    answer=Answer.HELD,
    does="The node is held with the BMC's words and the hint at licence and role. Not found by the plan: no field says it.",
)
async def test_f25_a_missing_licence_is_named(tmp_path: Path) -> None:
    words = error("SMC.1.0.OemLicenseNotPassed", "Not licensed to perform this request.")
    said = await rejected(tmp_path, http(UPLOAD, status=403, body=words))
    assert "Not licensed to perform this request" in said
    assert "a licence may be missing" in said


@mode(
    "F26",
    symptom="Write-protection, lockdown, secure mode.",
    answer=Answer.REFUSED,
    does="Refused by the plan where an item says WriteProtected, or the profile knows the property (DGX: hardware write protection of"
    " the baseboard; Supermicro, Dell: system lockdown). What shows only later is held with the BMC's words. Nothing is unlocked"
    " by itself.",
)
async def test_f26_a_locked_machine_is_not_unlocked(tmp_path: Path) -> None:
    locked = error("IDRAC.2.8.SYS473", "Unable to perform the operation because the system is in Lockdown mode.")
    assert "Lockdown mode" in await rejected(tmp_path, http(UPLOAD, status=400, body=locked))


also("F26", "failures/test_precheck_hall.py::test_a_locked_machine_is_refused")


@mode(
    "F27",
    symptom="The host must be off (SystemPowerOffRequired), or its POST over (UnableToModifyDuringSystemPOST).",
    answer=Answer.HELD,
    does="A POST is waited for. A host that would have to be off is not switched off for a flash: held with the BMC's words.",
)
async def test_f27_a_post_is_waited_for(tmp_path: Path) -> None:
    await passes(
        tmp_path, http(UPLOAD, times=4, status=400, body=error("iLO.2.14.UnableToModifyDuringSystemPOST", "x"))
    )


@mode("F27")
async def test_f27_a_host_that_must_be_off_is_left_on(tmp_path: Path) -> None:
    said = await rejected(
        tmp_path, http(UPLOAD, status=400, body=error("iLO.2.14.SystemPowerOffRequired", "Power off first"))
    )
    assert "SystemPowerOffRequired" in said


@mode(
    "F28",
    symptom="A stale job queue; the Lifecycle Controller is not ready; Members are empty for two minutes.",
    answer=Answer.MASTERED,
    does="Waits as for any busy service. No queue is ever cleared.",
)
async def test_f28_a_lifecycle_controller_that_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    words = error("IDRAC.2.8.SYS518", "The Lifecycle Controller is in use.")
    empty = http("/redfish/v1/TaskService/Tasks", times=4, merge={"Members": []})
    async with site(tmp_path, DELL, rules=[http("*/MultipartUpload", times=3, status=400, body=words), empty]) as place:
        assert ended(await place.rolled_out(place.component(DELL, "bios"))) == CONFIRMED
        assert place.truth()["submits"] == 1
        assert resets(place.truth(), "bmc") == []
        assert harmless(place.truth())
