"""Services that lie, break off, never end or are somebody else: each has one clear outcome, and nothing is done twice."""

import asyncio
import itertools
import json
from collections.abc import Awaitable
from pathlib import Path

import pytest
from aiohttp import web
from bmc_stand_in import (
    PASSWORD,
    ROOT,
    SESSIONS,
    Answer,
    Certificate,
    FieldClock,
    MemoryLedger,
    Seen,
    StandIn,
    error,
    make_certificate,
    reply,
    serving,
    session_reply,
)

from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.drivers.redfish.transport import MAX_REPLY_BYTES
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import PowerAction, PowerState, Restarted
from fleet.vendors import profile_named
from inventory.model import Credential, Tls

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
DOCUMENTS = {
    "/redfish/v1/": ROOT,
    "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
    SYSTEM: {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": {"target": RESET}}},
    "/redfish/v1/Managers": {"Members": []},
    "/redfish/v1/UpdateService": {},
    "/redfish/v1/TaskService": {},
}


def honest(seen: Seen) -> web.StreamResponse:
    """A small BMC without faults."""
    if seen.method == "DELETE":
        return web.Response(status=204)
    if seen.method == "POST":
        return session_reply() if seen.path == SESSIONS else web.Response(status=204)
    document = DOCUMENTS.get(seen.path)
    return error(404, "Base.1.0.ResourceMissingAtURI", seen.path) if document is None else reply(document)


def instead(path: str, *faults: Answer, method: str = "GET") -> Answer:
    """An honest BMC that answers the first requests for one path with faults."""
    left = iter(faults)

    def answer(seen: Seen) -> Awaitable[web.StreamResponse] | web.StreamResponse:
        if (seen.method, seen.path) == (method, path) and (fault := next(left, None)) is not None:
            return fault(seen)
        return honest(seen)

    return answer


def always(path: str, fault: Answer, method: str = "GET") -> Answer:
    """An honest BMC that answers one path with a fault, for ever."""
    return lambda seen: fault(seen) if (seen.method, seen.path) == (method, path) else honest(seen)


def html(_seen: Seen) -> web.StreamResponse:
    """What a BMC's web server says while Redfish starts."""
    return web.Response(text="<html>starting</html>", content_type="text/html")


def truncated(_seen: Seen) -> web.StreamResponse:
    """Half a document."""
    return web.Response(text='{"PowerState": "O', content_type="application/json")


def nested(_seen: Seen) -> web.StreamResponse:
    """JSON that nests without end."""
    return web.Response(text="[" * 200_000, content_type="application/json")


def no_object(_seen: Seen) -> web.StreamResponse:
    """JSON of the wrong type."""
    return reply(["On"])


def empty(_seen: Seen) -> web.StreamResponse:
    """200 and nothing."""
    return web.Response(status=200)


def busy(_seen: Seen) -> web.StreamResponse:
    """503 whose Retry-After is the request's URL, as bmcweb writes it."""
    return error(503, "Base.1.0.ServiceTemporarilyUnavailable", "later", Retry_After="/redfish/v1/Systems/1")


def busy_for_two_minutes(_seen: Seen) -> web.StreamResponse:
    """503 with a usable Retry-After."""
    return error(503, "Base.1.0.ServiceTemporarilyUnavailable", "later", Retry_After="120")


def refuse_login(_seen: Seen) -> web.StreamResponse:
    """401."""
    return error(401, "Base.1.0.NoValidSession", "no")


def bmc_of(driver: RedfishDriver, served: StandIn, ledger: MemoryLedger, tls: Tls | None = None) -> RedfishBmc:
    """The BMC of a stand-in, under the profile that a person chose."""
    return driver.bmc(served.node(tls), profile_named("generic-dmtf"), ledger)


@pytest.mark.parametrize("fault", [html, truncated, nested, no_object, empty, busy], ids=lambda fault: fault.__name__)
async def test_an_unreadable_reply_is_read_again(
    fault: Answer, certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        served.answer = instead(SYSTEM, fault, fault)
        assert await bmc.power_state() is PowerState.ON
        served.answer = always(SYSTEM, fault)
        with pytest.raises(Transient, match="Systems/1"):
            await bmc.power_state()
        await bmc.close()
    assert served.max_in_flight == 1


async def test_a_hint_to_wait_is_heeded(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, clock: FieldClock
) -> None:
    async with serving(certificate, instead(SYSTEM, busy_for_two_minutes)) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        await bmc.close()
    assert clock.slept_s == [120.0]


async def test_an_endless_body_is_cut_off(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    chunk = b" " * 2**20
    sent = 0

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(chunk)
            sent += 1

    async with serving(certificate, honest, {SYSTEM: stream}) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="goes on beyond"):
            await bmc.connect()
        await bmc.close()
    assert sent * len(chunk) < 4 * MAX_REPLY_BYTES


async def test_redirects_are_not_followed(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def elsewhere(_seen: Seen) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "https://127.0.0.1:1/redfish/v1/Systems/1"})

    async with serving(certificate, always(SYSTEM, elsewhere)) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="redirects are not followed") as refused:
            await bmc.connect()
        await bmc.close()
    assert refused.value.reason is Reason.PROTOCOL


async def test_a_link_to_another_host_stays_here(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def astray(_seen: Seen) -> web.StreamResponse:
        return reply(
            {"Members": [{"@odata.id": f"https://evil.example:1//{SYSTEM[1:]}"}, {"@odata.id": "file:///x"}, 7]}
        )

    async with serving(certificate, always("/redfish/v1/Systems", astray)) as served:
        bmc = bmc_of(driver, served, ledger)
        assert await bmc.power_state() is PowerState.ON
        await bmc.close()


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


async def test_an_expired_session_is_renewed_for_a_read_and_never_for_an_effect(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        served.answer = always(RESET, refuse_login, "POST")
        with pytest.raises(Transient, match="session had ended"):
            await bmc.power(PowerAction.FORCE_OFF)
        served.answer = instead(SYSTEM, refuse_login)
        assert await bmc.power_state() is PowerState.ON
        await bmc.close()
    assert served.effects().count(("POST", RESET)) == 1
    assert [line[0] for line in ledger.lines] == ["opening", "opened", "opening", "opened", "closed"]


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


async def test_an_effect_without_an_answer_is_unknown_and_not_repeated(
    certificate: Certificate, login: Credential, ledger: MemoryLedger
) -> None:
    async def never(_seen: Seen) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(certificate, honest) as served:
        driver = RedfishDriver([login], clock=FieldClock(io_timeout_s=0.2))
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        served.answer = always(RESET, never, "POST")
        with pytest.raises(OutcomeUnknown) as unknown:
            await bmc.power(PowerAction.FORCE_OFF)
        await bmc.close()
    assert unknown.value.effect == "power force-off"
    assert served.effects().count(("POST", RESET)) == 1


async def test_an_effect_that_could_not_be_sent_is_transient(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, clock: FieldClock
) -> None:
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
    clock.at += 60  # the connection of before is not trusted any more
    with pytest.raises(Transient, match="was not sent"):
        await bmc.power(PowerAction.FORCE_OFF)
    await bmc.close()
    assert ledger.open_uris  # what could not be deleted is still written down


async def test_a_refused_action_is_success_where_the_state_is_right(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    def conflict(_seen: Seen) -> web.StreamResponse:
        return error(409, "Base.1.0.NoOperation", "already")

    async with serving(certificate, always(RESET, conflict, "POST")) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.power(PowerAction.ON)
        with pytest.raises(Transient, match="refused for now"):
            await bmc.power(PowerAction.FORCE_OFF)
        await bmc.close()


async def test_nothing_is_sent_to_a_stranger(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path, "other")
    async with serving(certificate, honest) as served:
        for tls, text in (
            (Tls(fingerprint=other.fingerprint), "is not the pinned one"),
            (Tls(ca=other.pem), "was not signed for this address by"),
            (Tls(), "the inventory names none"),
        ):
            bmc = bmc_of(driver, served, ledger, tls)
            with pytest.raises(NodeFault, match=text) as refused:
                await bmc.connect()
            await bmc.close()
            assert refused.value.reason is Reason.UNTRUSTED_TLS
            assert certificate.fingerprint in str(refused.value)
        assert not served.seen
        bmc = bmc_of(driver, served, ledger, Tls(ca=certificate.pem))
        await bmc.connect()
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


def test_no_path_in_the_product_switches_verification_off() -> None:
    forbidden = ("CERT_NONE", "ssl=False", "verify_ssl", "check_hostname = False", "_create_unverified_context")
    package = Path(__file__).parents[2] / "fleet"
    found = [f"{file}: {word}" for file in package.rglob("*.py") for word in forbidden if word in file.read_text()]
    assert not found
