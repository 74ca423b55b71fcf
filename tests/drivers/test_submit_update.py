"""How an image is handed over: in which words, by which way, and what each answer means."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bmc_stand_in import ROOT, SESSIONS, Certificate, MemoryLedger, Seen, StandIn, error, reply, serving, session_reply

from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import UpdateOrder
from fleet.profile import ComponentProfile, Force, Push
from fleet.vendors import profile_named

UPDATE = "/redfish/v1/UpdateService"
UPLOAD = f"{UPDATE}/upload"
PUSH = f"{UPDATE}/raw"
TASKS = "/redfish/v1/TaskService/Tasks"
IMAGE = bytes(range(256)) * 3000


class Service:
    """An UpdateService, its tasks, and one prepared answer to an image."""

    def __init__(self, answer: web.StreamResponse | None = None, **properties: Any) -> None:
        self.answer = answer or reply({}, 202, Location=f"{TASKS}/7")
        self.update: dict[str, Any] = {"MultipartHttpPushUri": UPLOAD, "HttpPushUri": PUSH, **properties}
        self.tasks = [f"{TASKS}/3"]
        self.monitors: dict[str, web.StreamResponse] = {}

    def __call__(self, seen: Seen) -> web.StreamResponse:
        """Answer one request."""
        if seen.method in {"DELETE", "PATCH"}:
            return web.Response(status=204)
        if seen.method == "POST":
            return session_reply() if seen.path == SESSIONS else self.answer
        documents = {
            "/redfish/v1/": ROOT,
            "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
            "/redfish/v1/Systems/1": {},
            "/redfish/v1/Managers": {},
            UPDATE: self.update,
            "/redfish/v1/TaskService": {"Tasks": {"@odata.id": TASKS}},
            TASKS: {"Members": [{"@odata.id": task} for task in self.tasks]},
        } | {task: {"@odata.id": task, "TaskState": "Completed"} for task in self.tasks}
        if seen.path in self.monitors:
            return self.monitors.pop(seen.path)
        return reply(documents[seen.path]) if seen.path in documents else error(404, "Base.1.0.Gone", seen.path)


@pytest.fixture
def order(tmp_path: Path) -> UpdateOrder:
    image = tmp_path / 'odd "name"\r\n.fwpkg'
    image.write_bytes(IMAGE)
    profile = ComponentProfile(
        items=("BMC",), push=(Push.MULTIPART, Push.HTTP_PUSH), targets=("/redfish/v1/Managers/1",)
    )
    sha256 = hashlib.sha256(IMAGE).hexdigest()
    return UpdateOrder(component="bmc", profile=profile, image=image, size_bytes=len(IMAGE), sha256=sha256, force=False)


def bmc_of(driver: RedfishDriver, served: StandIn, ledger: MemoryLedger) -> RedfishBmc:
    """The BMC of a stand-in."""
    return driver.bmc(served.node(), profile_named("generic-dmtf"), ledger)


async def test_a_multipart_push_says_its_words_before_its_bytes(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    profile = replace(order.profile, apply_time="Immediate", force=Force.PARAMETER)
    times = {"SupportedValues": ["Immediate"]}
    service = Service()
    service.update["MultipartHttpPushUri@Redfish.OperationApplyTimeSupport"] = times
    async with serving(certificate, service) as served:
        bmc = bmc_of(driver, served, ledger)
        submission = await bmc.submit_update(replace(order, profile=profile, force=True))
        await bmc.close()
    (upload,) = [seen for seen in served.seen if seen.path == UPLOAD]
    assert upload.headers["content-length"] == str(len(upload.body))
    assert "transfer-encoding" not in upload.headers
    boundary = upload.headers["content-type"].partition("boundary=")[2].encode()
    nothing, words, image, end = upload.body.split(b"--" + boundary)
    assert (nothing, end) == (b"", b"--\r\n")
    assert b'name="UpdateParameters"' in words
    assert words.endswith(
        b'{"Targets": ["/redfish/v1/Managers/1"], "ForceUpdate": true, "@Redfish.OperationApplyTime": "Immediate"}\r\n'
    )
    head, _, content = image.partition(b"\r\n\r\n")
    assert b'name="UpdateFile"; filename="oddname.fwpkg"' in head
    assert content == IMAGE + b"\r\n"
    assert submission.task == f"{TASKS}/7"


async def test_nothing_that_the_service_does_not_list_is_sent(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    profile = replace(order.profile, apply_time="OnReset", targets=(), push=(Push.MULTIPART,))
    async with serving(certificate, Service()) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.submit_update(replace(order, profile=profile))
        await bmc.close()
    (upload,) = [seen for seen in served.seen if seen.path == UPLOAD]
    assert b"\r\n\r\n{}\r\n" in upload.body


async def test_a_raw_push_is_only_the_image_and_never_guesses_a_target(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    async with serving(certificate, Service(MultipartHttpPushUri=None)) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="offers no way"):
            await bmc.submit_update(order)
        await bmc.submit_update(replace(order, profile=replace(order.profile, targets=())))
        await bmc.close()
    assert [seen.body for seen in served.seen if seen.path == PUSH] == [IMAGE]


@pytest.mark.parametrize(
    ("answer", "expected", "text"),
    [
        (error(400, "Base.1.0.ArgumentError", "An update is in progress"), Transient, "is in progress"),
        (error(400, "Base.1.0.X", "BMC not finished booting"), Transient, "busy"),
        (error(503, "Base.1.0.ServiceTemporarilyUnavailable", "later", Retry_After="/upload"), Transient, "busy"),
        (error(413, "Base.1.0.PayloadTooLarge", "too big"), NodeFault, "larger than the BMC takes"),
        (error(400, "Update.1.0.UpdateNotApplicable", "No Matching Devices"), NodeFault, "No Matching Devices"),
        (error(500, "Base.1.0.InternalError", "internal"), NodeFault, "internal"),
        (error(401, "Base.1.0.NoValidSession", "who"), Transient, "session had ended"),
        (web.Response(status=504, text="<html>"), OutcomeUnknown, "504"),
    ],
    ids=["busy-words", "booting", "busy", "too-large", "wrong-image", "internal", "expired", "gateway"],
)
async def test_each_refusal_has_its_consequence(
    *,
    answer: web.StreamResponse,
    expected: type[Exception],
    text: str,
    certificate: Certificate,
    driver: RedfishDriver,
    ledger: MemoryLedger,
    order: UpdateOrder,
) -> None:
    async with serving(certificate, Service(answer)) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(expected, match=text):
            await bmc.submit_update(order)
        await bmc.close()
    assert served.effects().count(("POST", UPLOAD)) == 1


async def test_an_image_that_is_there_already_is_for_the_inventory_to_judge(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    async with serving(certificate, Service(error(400, "Base.1.0.ResourceAlreadyExists", "there"))) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.readiness()
        submission = await bmc.submit_update(order)
        await bmc.close()
    assert (submission.task, submission.status) == (None, 400)


async def test_a_file_that_changed_or_is_too_large_is_not_sent(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    async with serving(certificate, Service(MaxImageSizeBytes=1000)) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="at most 1000"):
            await bmc.submit_update(order)
        order.image.write_bytes(IMAGE[::-1])
        with pytest.raises(NodeFault, match="not the file that the plan was made with") as refused:
            await bmc.submit_update(order)
        await bmc.close()
    assert refused.value.reason is Reason.UPDATE_REJECTED
    assert ("POST", UPLOAD) not in served.effects()


def task_body() -> web.Response:
    """A monitor's 202 with the Task that it stands for."""
    return reply({"@odata.id": f"{TASKS}/9", "TaskState": "Running"}, 202)


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        (reply({"@odata.id": f"{TASKS}/9", "@odata.type": "#Task.v1_4_3.Task"}, 202, Location=f"{TASKS}Monitors/9"), 9),
        (reply({}, 202, Location="https://other.host/redfish/v1/TaskService/TaskMonitors/9"), 9),
        (reply({}, 202, Location=f"{TASKS}/9/Monitor"), 9),
        (reply({"Messages": [{"MessageId": "Task.1.0.New", "MessageArgs": [f"{TASKS}/9"]}]}, 202), 9),
        (reply({}, 202), 9),
        (web.Response(status=202), 9),
    ],
    ids=["body", "monitor", "old-monitor", "argument", "new-task", "no-body"],
)
async def test_the_task_is_found(
    *,
    answer: web.StreamResponse,
    task: int,
    certificate: Certificate,
    driver: RedfishDriver,
    ledger: MemoryLedger,
    order: UpdateOrder,
) -> None:
    service = Service(answer)
    service.monitors = {"/redfish/v1/TaskService/TaskMonitors/9": task_body(), f"{TASKS}/9/Monitor": task_body()}
    async with serving(certificate, service) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.readiness()
        service.tasks.append(f"{TASKS}/9")
        submission = await bmc.submit_update(order)
        await bmc.close()
    assert submission.task == f"{TASKS}/{task}"


async def test_the_sticky_force_flag_is_set_and_set_back(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, order: UpdateOrder
) -> None:
    service = Service(HttpPushUriOptions={"ForceUpdate": False})
    forced = replace(order, force=True, profile=replace(order.profile, force=Force.STICKY_FLAG))
    async with serving(certificate, service) as served:
        node = served.node()
        bmc = driver.bmc(node, replace(profile_named("dgx-h100"), system="*", bmc="*"), ledger)
        await bmc.submit_update(forced)
        await bmc.restore_force_flag()  # false as read: nothing to do
        service.update["HttpPushUriOptions"] = {"ForceUpdate": True}
        await bmc.restore_force_flag()
        await bmc.close()
    flags = [seen.json["HttpPushUriOptions"]["ForceUpdate"] for seen in served.seen if seen.method == "PATCH"]
    assert flags == [True, False]
    assert served.effects()[1:3] == [("PATCH", UPDATE), ("POST", UPLOAD)]
