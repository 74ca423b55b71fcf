"""Services that lie, break off, never end or are somebody else: each has one clear outcome, and nothing is done twice."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from bmc_stand_in import (
    RESET,
    SYSTEM,
    Answer,
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
    make_certificate,
    reply,
    serving,
)

from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.redfish.transport import MAX_REPLY_BYTES
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import PowerAction, PowerState
from inventory.model import Credential, Tls


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


async def test_an_endless_body_is_cut_off(certificate: Certificate, login: Credential, ledger: MemoryLedger) -> None:
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
            await asyncio.sleep(0)  # a write to a dead socket does not wait: let the loop see that it is dead

    async with serving(certificate, honest, {SYSTEM: stream}) as served:
        driver = RedfishDriver([login], clock=FieldClock(io_timeout_s=60.0))
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


def test_no_path_in_the_product_switches_verification_off() -> None:
    forbidden = ("CERT_NONE", "ssl=False", "verify_ssl", "check_hostname = False", "_create_unverified_context")
    package = Path(__file__).parents[2] / "fleet"
    found = [f"{file}: {word}" for file in package.rglob("*.py") for word in forbidden if word in file.read_text()]
    assert not found
