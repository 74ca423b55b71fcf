"""Who we are to a BMC: logins that are refused, sessions that end, and none that is left behind."""

import asyncio
import itertools
import json
from collections.abc import Awaitable

import pytest
from aiohttp import web
from bmc_stand_in import (
    PASSWORD,
    RESET,
    SESSIONS,
    SYSTEM,
    Certificate,
    FieldClock,
    MemoryLedger,
    Seen,
    always,
    bmc_of,
    error,
    honest,
    html,
    instead,
    refuse_login,
    reply,
    serving,
    session_reply,
)

from fleet.drivers.redfish import RedfishDriver
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import PowerAction, PowerState, Restarted
from inventory.model import Credential


async def test_a_wrong_password_is_tried_once(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, always(SESSIONS, refuse_login, "POST")) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="check the credential") as refused:
            await bmc.connect()
        await bmc.close()
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert served.effects() == [("POST", SESSIONS)]


async def test_after_a_restart_three_logins_a_minute_apart_are_all(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, clock: FieldClock
) -> None:
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        served.answer = instead(SESSIONS, refuse_login, refuse_login, method="POST")
        await bmc.reconnect()
        served.answer = always(SESSIONS, refuse_login, "POST")
        with pytest.raises(NodeFault) as refused:
            await bmc.reconnect()
        await bmc.close()
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert clock.slept_s == [60.0] * 4
    assert served.effects().count(("POST", SESSIONS)) == 1 + 3 + 3


async def test_an_expired_session_is_renewed_for_a_read_and_before_the_next_effect(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        served.answer = instead(RESET, refuse_login, method="POST")
        with pytest.raises(Transient, match="session had ended"):
            await bmc.power(PowerAction.FORCE_OFF)
        assert served.effects() == [("POST", SESSIONS), ("POST", RESET)]  # not sent again by itself
        await bmc.power(PowerAction.FORCE_OFF)
        assert served.effects()[2:] == [("POST", SESSIONS), ("POST", RESET)]
        served.answer = instead(SYSTEM, refuse_login)
        assert await bmc.power_state() is PowerState.ON
        await bmc.close()
    assert [line[0] for line in ledger.lines] == ["opening", "opened"] * 3 + ["closed"]


@pytest.mark.parametrize("unknown", ["PropertyUnknown", "PropertyNotWritable"])
async def test_a_service_without_session_context_gets_none(
    unknown: str, certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def picky(seen: Seen) -> web.StreamResponse:
        return error(400, f"Base.1.0.{unknown}", "Context") if "Context" in seen.json else session_reply()

    async with serving(certificate, always(SESSIONS, picky, "POST")) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        await bmc.close()
    logins = [seen.json for seen in served.seen if (seen.method, seen.path) == ("POST", SESSIONS)]
    assert [sorted(body) for body in logins] == [["Context", "Password", "UserName"], ["Password", "UserName"]]


async def test_an_attempt_that_breaks_off_after_the_login_leaks_no_session(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, always(SYSTEM, html)) as served:
        bmc = bmc_of(driver, served, ledger)
        for _ in range(3):
            with pytest.raises(Transient):
                await bmc.connect()
        served.answer = honest
        await bmc.connect()
        await bmc.close()
    assert served.effects() == [("POST", SESSIONS), ("DELETE", f"{SESSIONS}/1")]
    assert not ledger.open_uris


async def test_a_reconnect_that_breaks_off_leaks_no_session(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """A BMC that comes back lets us in before it knows its system: each attempt finds the session of the one before."""
    numbers = itertools.count(1)
    alive: set[str] = set()

    def slow_start(seen: Seen) -> web.StreamResponse:
        if (seen.method, seen.path) == ("POST", SESSIONS):
            alive.add(f"{SESSIONS}/{(number := next(numbers))}")
            return session_reply(number)
        if seen.method == "DELETE":
            alive.discard(seen.path)
        if seen.path in alive:
            return reply({"@odata.id": seen.path})
        return html(seen) if seen.path == SYSTEM else honest(seen)

    async with serving(certificate, slow_start) as served:
        bmc = bmc_of(driver, served, ledger)
        for _ in range(3):
            with pytest.raises(Transient):
                await bmc.reconnect()
        served.answer = lambda seen: slow_start(seen) if seen.path.startswith(SESSIONS) else honest(seen)
        await bmc.reconnect()
        assert len(alive) == 1
        await bmc.close()
    assert not alive
    assert not ledger.open_uris


@pytest.mark.parametrize(("restarts", "verdict"), [(True, Restarted.YES), (False, Restarted.NO)])
async def test_a_restart_is_proven_by_the_session_that_it_ended(
    *, restarts: bool, verdict: Restarted, certificate: Certificate, login: Credential, ledger: MemoryLedger
) -> None:
    """This BMC tells no LastResetTime and does not answer to its reset, as a DGX H100 may."""
    numbers, alive, manager = itertools.count(1), set[str](), "/redfish/v1/Managers/BMC"
    documents = {
        "/redfish/v1/Managers": {"Members": [{"@odata.id": manager}]},
        manager: {"Actions": {"#Manager.Reset": {"target": f"{manager}/Reset"}}},
    }

    async def mute(_seen: Seen) -> web.StreamResponse:
        if restarts:
            alive.clear()
        await asyncio.Event().wait()
        return web.Response()

    def answer(seen: Seen) -> Awaitable[web.StreamResponse] | web.StreamResponse:
        if (seen.method, seen.path) == ("POST", SESSIONS):
            alive.add(f"{SESSIONS}/{(number := next(numbers))}")
            return session_reply(number)
        if seen.path == f"{manager}/Reset":
            return mute(seen)
        if seen.path.startswith(f"{SESSIONS}/") and seen.path in alive:
            return reply({"@odata.id": seen.path})
        return reply(documents[seen.path]) if seen.path in documents else honest(seen)

    async with serving(certificate, answer) as served:
        bmc = bmc_of(RedfishDriver([login], clock=FieldClock(io_timeout_s=0.2)), served, ledger)
        marker = await bmc.boot_marker()
        with pytest.raises(OutcomeUnknown):
            await bmc.reset_bmc()
        await bmc.reconnect()
        assert await bmc.restarted_since(marker) is verdict
        await bmc.close()


async def test_a_root_that_asks_for_a_login_gets_one(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def locked(seen: Seen) -> web.StreamResponse:
        return honest(seen) if "x-auth-token" in seen.headers else refuse_login(seen)

    async with serving(certificate, always("/redfish/v1/", locked)) as served:
        bmc = bmc_of(driver, served, ledger)
        assert await bmc.power_state() is PowerState.ON
        await bmc.close()


async def test_the_password_is_shown_nowhere(
    certificate: Certificate,
    driver: RedfishDriver,
    ledger: MemoryLedger,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def echo(seen: Seen) -> web.StreamResponse:
        return error(401, "Base.1.0.NoValidSession", "no")

    caplog.set_level(0)
    async with serving(certificate, always(SESSIONS, echo, "POST")) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault) as refused:
            await bmc.connect()
        await bmc.close()
    shown = [
        repr(refused.value),
        str(refused.value),
        repr(vars(bmc)),
        repr(vars(driver)),
        caplog.text,
        repr(ledger.lines),
    ]
    frame = refused.value.__traceback__
    while frame is not None:
        shown.append(repr({k: v for k, v in frame.tb_frame.f_locals.items() if k not in {"served", "shown"}}))
        frame = frame.tb_next
    assert PASSWORD in json.dumps([seen.body.decode() for seen in served.seen])
    assert not [text for text in shown if PASSWORD in text]


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (503, ["opening", "absent", "opening", "opened", "closed"]),
        # Behind a 500 there may be a session: it is looked for after the next login, and only then struck out.
        (500, ["opening", "opening", "opened", "absent", "closed"]),
    ],
)
async def test_a_login_that_made_no_session_leaves_none_in_the_ledger(
    status: int, lines: list[str], certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def failing(_seen: Seen) -> web.StreamResponse:
        return error(status, "Base.1.0.InternalError", "not now")

    def answer(seen: Seen) -> Awaitable[web.StreamResponse] | web.StreamResponse:
        collection = (seen.method, seen.path) == ("GET", SESSIONS)
        return reply({"Members": [{"@odata.id": f"{SESSIONS}/1"}]}) if collection else first(seen)

    first = instead(SESSIONS, failing, method="POST")
    async with serving(certificate, answer) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(Transient):
            await bmc.connect()
        await bmc.connect()
        await bmc.close()
    assert [line[0] for line in ledger.lines] == lines


async def test_a_session_of_before_at_our_own_address_is_gone(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """Ids restart with a BMC: another session of ours answers there now, and must not be deleted."""
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        assert await bmc.clear_sessions({"fleetwave-of-before": f"{SESSIONS}/1"}) == {"fleetwave-of-before"}
        assert ("DELETE", f"{SESSIONS}/1") not in served.effects()
        await bmc.close()


async def test_a_task_number_that_a_restarted_bmc_gives_again_is_read_again(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """It restarts unasked: the session ends, and the task that had ended is another one, which flashes (F02)."""
    tasks, boot = "/redfish/v1/TaskService/Tasks", 1

    def answer(seen: Seen) -> web.StreamResponse:
        if seen.path == SESSIONS:
            return session_reply(boot)
        if seen.path not in {"/redfish/v1/", SESSIONS} and seen.headers.get("x-auth-token") != f"token-{boot}":
            return refuse_login(seen)
        state = "Completed" if boot == 1 else "Running"
        documents = {
            "/redfish/v1/TaskService": {"Tasks": {"@odata.id": tasks}},
            tasks: {"Members": [{"@odata.id": f"{tasks}/0"}]},
            f"{tasks}/0": {"@odata.id": f"{tasks}/0", "TaskState": state},
            "/redfish/v1/UpdateService": {"ServiceEnabled": True},
        }
        return reply(documents[seen.path]) if seen.path in documents else honest(seen)

    async with serving(certificate, answer) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        calm = await bmc.readiness()
        boot = 2
        busy = await bmc.readiness()
        await bmc.close()
    assert calm.alive == ()
    assert [task.uri for task in busy.alive] == [f"{tasks}/0"]
