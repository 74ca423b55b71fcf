"""Field guide 6, A: tasks, and what they say. F01 to F14, against the hall over TLS."""

from pathlib import Path

import pytest
from failure_rig import (
    CONFIRMED,
    DELL,
    DGX,
    GB300,
    IMAGES,
    SMC,
    TASKS,
    Site,
    ended,
    harmless,
    http,
    resets,
    rule,
    site,
)
from modes import Answer, mode
from support.imaging import NoLedger

from fleet import events as ev
from fleet.errors import Reason
from fleet.ports import TaskPhase, UpdateOrder
from fleet.profile import ComponentProfile, Push
from fleet.sim.tasks import TaskState
from fleet.state import NodeStatus
from fleet.vendors import profile_named

FAILED = (NodeStatus.QUARANTINED, Reason.UPDATE_FAILED.value)


async def handed_over(place: Site, key: str, component: ComponentProfile, of: str) -> tuple[str, TaskPhase]:
    """Submit an image by the driver alone; the task that it names, and how that ended."""
    model = str(place.nodes[0].model)
    driver = place.driver()
    bmc = driver.bmc(place.nodes[0], profile_named(of), NoLedger())
    wish = place.component(model, key)
    order = UpdateOrder(
        component=key,
        profile=component,
        image=wish.image,
        size_bytes=wish.image.stat().st_size,
        sha256=wish.sha256,
        force=False,
    )
    await bmc.readiness()
    task = (await bmc.submit_update(order)).task
    assert task is not None
    while (reading := await bmc.read_task(task)) is not None and reading.phase is TaskPhase.ALIVE:
        await place.clock.sleep(15)
    await bmc.close()
    await driver.close()
    assert reading is not None
    return task, reading.phase


@mode(
    "F01",
    symptom="The task is gone (404): the BMC restarted, or purged it.",
    answer=Answer.MASTERED,
    does="Sends nothing again. Waits until no flash can be under way (three times its usual duration, then an idle update"
    " service), activates, and lets the versions decide.",
)
async def test_f01_a_task_that_vanishes_is_no_reason_to_flash_again(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("task-vanishes")]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert (place.intents("submit"), place.truth()["submits"]) == (1, 1)
        assert resets(place.truth(), "bmc") == ["ForceRestart"]
        assert harmless(place.truth())


@mode(
    "F02",
    symptom="After a restart of the BMC the task's id names another task: ids begin anew.",
    answer=Answer.MASTERED,
    does="The task's StartTime is in the journal; a task at our address with another one is nobody's we know, and ours counts"
    " as gone (F01). Where a BMC tells no StartTime, a task that ended after a restart is not believed.",
)
@pytest.mark.parametrize("shown", ["started", "mute"])
async def test_f02_the_task_of_somebody_else_at_our_address_is_not_ours(tmp_path: Path, shown: str) -> None:
    mute = [http(TASKS, merge={"StartTime": None})] if shown == "mute" else []
    async with site(tmp_path, DGX, rules=mute) as place:
        place.on_event = lambda event: strange(place) if isinstance(event, ev.EffectRecorded) else None
        node = await place.rolled_out(place.component(DGX, "bios"))
        assert ended(node) == CONFIRMED, node.message
        assert place.flashes("HostBIOS_0") == [("01.05.03", "done")]
        assert resets(place.truth(), "bmc") == ["watchdog"]
        assert harmless(place.truth())


def strange(place: Site) -> None:
    """At the end of the flash the BMC restarts unasked, and somebody's task gets the id that ours had, and fails."""
    bmc, now = place.hall.bmcs["gpu1"], place.hall.clock.now()
    if bmc.ledger.submits == 0:
        return
    place.on_event = lambda _event: None

    def another(at: float) -> None:
        assert place.truth()["items"]["HostBIOS_0"]["staged"]
        bmc.restart(at, "watchdog")
        task = bmc.tasks.open("Firmware Update", at)
        assert task.number == "1"
        task.end(at, TaskState.EXCEPTION, "Critical")

    flash_s = bmc.box.part("HostBIOS_0").flash_s
    bmc.agenda.add(now + bmc.box.bmc.verify_s + flash_s + 5.0, another, wakes=True)


@mode(
    "F03",
    symptom="The task monitor answers 204 for a task that failed, and 404 after that.",
    answer=Answer.MASTERED,
    does="Never asks the monitor how it went: reads the Task resource for which it stands.",
)
@pytest.mark.parametrize("told", ["Task", "Location"])
async def test_f03_a_monitor_that_says_204_to_everything_is_not_asked(tmp_path: Path, told: str) -> None:
    rules = [rule("update-fails"), http("*/TaskMonitors/*", status=204, body="")]
    if told == "Location":
        silent = {"@odata.id": None, "@odata.type": None, "TaskState": None, "TaskMonitor": None, "Messages": []}
        rules.append(http("*/update-multipart", method="POST", merge=silent))
    async with site(tmp_path, GB300, rules=rules) as place:
        hgx = ComponentProfile(
            items=("HGX_FW_*",), push=(Push.MULTIPART,), targets=("/redfish/v1/Chassis/HGX_Chassis_0",)
        )
        task, phase = await handed_over(place, "hgx", hgx, "gb300-nvl")
        assert task.startswith(TASKS.rstrip("*"))
        assert phase is TaskPhase.FAILED
        assert {outcome for _, outcome in place.flashes("HGX_FW_GPU_0")} <= {"failed"}


@mode(
    "F04",
    symptom="Completed, 100 %, and TaskStatus Critical.",
    answer=Answer.HELD,
    does="A failure, unless every instance shows the wanted version. No second try by itself.",
)
async def test_f04_completed_and_critical_is_a_failure_unless_the_version_is_there(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("update-completes-critical")]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == FAILED
        assert place.truth()["items"]["HostBMC_0"]["active"] == "23.11.21"
        assert resets(place.truth(), "bmc") == []
        assert harmless(place.truth())


@mode("F04")
async def test_f04_critical_with_the_version_there_is_none(tmp_path: Path) -> None:
    lie = http(TASKS, merge={"TaskState": "Completed", "TaskStatus": "Critical"}, skip=1)
    async with site(tmp_path, DELL, rules=[{**lie, "when": "restarted"}]) as place:
        assert ended(await place.rolled_out(place.component(DELL, "bmc"))) == CONFIRMED
        assert place.flashes("iDRAC.Embedded.1-1") == [("7.10.30.00", "done")]


@mode(
    "F05",
    symptom="Exception with status OK: a reset of a DGX that did nothing.",
    answer=Answer.MASTERED,
    does="No task of a reset is believed: the power state is read until it is the wanted one twice; then the action is issued"
    " again, off and on rather than restart.",
)
async def test_f05_a_reset_is_judged_by_the_power_state_not_by_its_task(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("power-ignored", times=2)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bios"))) == CONFIRMED
        done = resets(place.truth(), "host")
        assert sum("ignored" in kind for kind in done) == 2
        assert [kind for kind in done if "ignored" not in kind][-1] == "On"
        assert harmless(place.truth())


@mode(
    "F06",
    symptom="Completed, and the version is the old one: it waits for activation.",
    answer=Answer.MASTERED,
    does="Completed means handed over. All components' activations are done together, each once, after all flashing; only then"
    " versions are judged.",
)
async def test_f06_what_is_staged_is_activated_before_it_is_judged(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        node = await place.rolled_out(place.component(DGX, "bios"), place.component(DGX, "hgx"))
        assert ended(node) == CONFIRMED
        assert resets(place.truth(), "host") == ["GracefulShutdown", "On"]
        assert place.truth()["items"]["HGX_FW_GPU_SXM_8"]["active"] == IMAGES[DGX, "hgx"][2]
        assert harmless(place.truth())


@mode(
    "F07",
    symptom="Activated, and still the old version: it fell back to the other slot, or did not boot.",
    answer=Answer.HELD,
    does="Waits ten minutes beyond POST, reads every instance three times, then holds the node (or takes it back where the"
    " playbook says so). No second flash by itself; slots are not read.",
)
async def test_f07_a_fallback_to_the_old_image_is_seen(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("version-unchanged")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.VERSION_MISMATCH.value)
        assert "HostBMC_0 shows 23.11.21, wanted 24.09.17" in node.message
        assert place.truth()["submits"] == 1
        assert harmless(place.truth())


@mode(
    "F08",
    symptom="The task stays Running and makes no progress.",
    answer=Answer.HELD,
    does="Waits for the component's deadline (2 h), then holds the node with the warning that it may still be flashing. Neither"
    " host nor BMC is reset.",
)
async def test_f08_a_task_that_stalls_is_left_alone_at_its_deadline(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("update-stalls", at_percent=99)]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.STEP_TIMEOUT.value)
        assert "do not cut its power" in node.message
        assert place.truth()["resets"] == []
        assert harmless(place.truth())


@mode(
    "F09",
    symptom="The task says Cancelled/Warning, and the flash goes on.",
    answer=Answer.MASTERED,
    does="Cancelled is a watchdog's word: waits as in F01 and lets the versions decide. An image that only waits for"
    " its activation"
    " cannot be told from none: that node is held.",
)
async def test_f09_a_flash_that_goes_on_after_cancelled_is_waited_for(tmp_path: Path) -> None:
    lie = http(TASKS, when="flashing", merge={"TaskState": "Cancelled", "TaskStatus": "Warning"})
    async with site(tmp_path, SMC, rules=[lie]) as place:
        assert ended(await place.rolled_out(place.component(SMC, "bmc"))) == CONFIRMED
        assert place.flashes("BMC") == [("12.01.01", "done")]
        assert harmless(place.truth())


@mode("F09")
async def test_f09_cancelled_with_the_image_staged_holds_the_node_and_resets_nothing(tmp_path: Path) -> None:
    lie = http(TASKS, merge={"TaskState": "Cancelled", "TaskStatus": "Warning"})
    async with site(tmp_path, DGX, rules=[lie]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == FAILED
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert place.truth()["resets"] == []
        assert harmless(place.truth())


@mode(
    "F10",
    symptom="Seven of eight GPUs took the image.",
    answer=Answer.HELD,
    does="Every instance is verified; the one that lacks the version is named, and the node is held. The rest is not flashed"
    " again by itself.",
)
async def test_f10_one_gpu_of_eight_that_lacks_the_image_is_found(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("partial")]) as place:
        node = await place.rolled_out(place.component(DGX, "hgx"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.VERSION_MISMATCH.value)
        assert "7 of 8" in node.message
        active = [place.truth()["items"][f"HGX_FW_GPU_SXM_{n}"]["active"] for n in range(1, 9)]
        assert active.count(IMAGES[DGX, "hgx"][2]) == 7
        assert harmless(place.truth())


@mode(
    "F11",
    symptom='The image is there already: UpdateSkippedSameVersion, SUP029, ResourceAlreadyExists, "identical".',
    answer=Answer.MASTERED,
    does="A node at its baseline is not flashed at all. A BMC that says so of an image it was handed has not failed: the versions"
    " decide. Nothing is forced.",
)
async def test_f11_the_same_version_is_no_failure_and_is_not_forced(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, versions={"HostBMC_0": "24.09.17"}) as place:
        bmc = profile_named("dgx-h100").components["bmc"]
        assert (await handed_over(place, "bmc", bmc, "dgx-h100"))[1] is TaskPhase.DONE
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert place.intents("submit") == 0
        assert (place.flashes("HostBMC_0"), place.truth()["force_update"]) == ([], False)


@mode(
    "F12",
    symptom='States that no schema lists: null, UserIntervention, Stopping as "staged".',
    answer=Answer.MASTERED,
    does="A profile says what its own states mean. Any other is unknown, not failed: watched until the deadline, then held.",
)
async def test_f12_a_state_without_meaning_is_unknown_until_it_has_one(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[http(TASKS, merge={"TaskState": None}, times=6)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert harmless(place.truth())


@mode("F12")
async def test_f12_a_state_of_its_own_means_what_the_profile_says(tmp_path: Path) -> None:
    async with site(
        tmp_path, DELL, rules=[http(TASKS, merge={"TaskState": "UserIntervention", "Messages": []})]
    ) as place:
        assert ended(await place.rolled_out(place.component(DELL, "bios"))) == CONFIRMED
        assert place.flashes("BIOS.Setup.1-1") == [("1.13.2", "done")]
        assert harmless(place.truth())


@mode("F12")
async def test_f12_a_state_that_never_gets_a_meaning_holds_the_node_at_its_deadline(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[http(TASKS, merge={"TaskState": "Frobnicating"})]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.STEP_TIMEOUT.value)
        assert place.truth()["resets"] == []


@mode(
    "F13",
    symptom="A job instead of a task (Dell JID), purged minutes after its end.",
    answer=Answer.MASTERED,
    does='The Task resource of the job is followed, "scheduled" means staged; the job resource itself is not read. A purged task'
    " is F01.",
)
@pytest.mark.parametrize("rules", [[], [rule("task-vanishes", at_percent=50)]], ids=["kept", "purged"])
async def test_f13_a_job_that_waits_for_a_reboot_gets_it(tmp_path: Path, rules: list[dict[str, object]]) -> None:
    async with site(tmp_path, DELL, rules=rules) as place:
        assert ended(await place.rolled_out(place.component(DELL, "bios"))) == CONFIRMED
        assert place.flashes("BIOS.Setup.1-1") == [("1.13.2", "done")]
        assert harmless(place.truth())


@mode(
    "F14",
    symptom="PercentComplete is null, runs backwards or beyond 100.",
    answer=Answer.MASTERED,
    does="Shown, and used for nothing: the task's state and the deadline decide.",
)
@pytest.mark.parametrize("percent", [None, -7, 250, "much"])
async def test_f14_a_percentage_decides_nothing(tmp_path: Path, percent: object) -> None:
    async with site(tmp_path, DGX, rules=[http(TASKS, merge={"PercentComplete": percent})]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        handed_over, *_ = place.of(ev.StepEnded)
        assert handed_over.detail.endswith("BMC reset or AC power cycle"), handed_over
