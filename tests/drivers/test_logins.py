"""Logins that count, sessions that are somebody else's, and effects that were sent before a login was refused."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from bmc_stand_in import (
    RESET,
    ROOT,
    SESSIONS,
    Certificate,
    FieldClock,
    MemoryLedger,
    Seen,
    StandIn,
    always,
    bmc_of,
    error,
    honest,
    instead,
    refuse_login,
    reply,
    serving,
    session_reply,
)
from support.rollout import ROLLOUT
from support.steps import Rig

from fleet import events as ev
from fleet.attempts import WINDOW_S, Attempt, counted
from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.engine import Ledger
from fleet.errors import LoginsSpent, NodeFault, NotDone, Reason
from fleet.events import Json
from fleet.journal import SqliteJournal
from fleet.logins import NodeLedger
from fleet.ports import PowerAction
from fleet.state import RolloutState
from fleet.step import StepSpec
from fleet.vendors import profile_named
from inventory.model import Credential

THEIRS = {"UserName": "operator"}


@pytest.fixture
async def journal(tmp_path: Path, clock: FieldClock) -> AsyncIterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "journal.db", clock)
    yield opened
    await opened.close()


def counting(driver: RedfishDriver, served: StandIn, journal: SqliteJournal) -> RedfishBmc:
    """A BMC whose logins are written to a real journal, and counted there."""
    ledger = NodeLedger(served.node(), Ledger(journal, RolloutState(rollout=ROLLOUT)))
    return driver.bmc(served.node(), profile_named("generic-dmtf"), ledger)


async def test_a_bmc_that_restarts_twice_within_ten_minutes_is_waited_for(
    certificate: Certificate, driver: RedfishDriver, clock: FieldClock, journal: SqliteJournal
) -> None:
    """Each time its PAM is late (F31): the password is right, so the fourth refusal is waited out, not suffered."""
    async with serving(certificate, honest) as served:
        bmc = counting(driver, served, journal)
        await bmc.connect()
        begun = clock.now()
        for _ in range(2):
            served.answer = instead(SESSIONS, refuse_login, refuse_login, method="POST")
            await bmc.reconnect()
        await bmc.close()
    refusals = [item.at for item in journal.read(ROLLOUT) if isinstance(item.event, ev.LoginRefused)]
    assert len(refusals) == 4
    assert refusals[3] - refusals[0] >= WINDOW_S
    assert clock.now() - begun < 2 * WINDOW_S


async def test_a_service_without_sessions_gets_a_wrong_password_three_times(
    certificate: Certificate, driver: RedfishDriver, journal: SqliteJournal
) -> None:
    def locked(seen: Seen) -> web.StreamResponse:
        if seen.path == "/redfish/v1/":
            return reply({"Systems": ROOT["Systems"]})
        return refuse_login(seen)

    async with serving(certificate, locked) as served:
        said: list[NodeFault] = []
        for _ in range(5):
            bmc = counting(driver, served, journal)
            with pytest.raises(NodeFault) as refused:
                await bmc.connect()
            await bmc.close()
            said.append(refused.value)
        sent = [seen for seen in served.seen if "authorization" in seen.headers]
    assert len(sent) == 3
    assert [type(each) for each in said] == [NodeFault] * 3 + [LoginsSpent] * 2


async def test_a_believed_password_that_is_refused_later_is_not_sent_again(
    certificate: Certificate, driver: RedfishDriver, journal: SqliteJournal
) -> None:
    def without_sessions(seen: Seen) -> web.StreamResponse:
        return reply({"Systems": ROOT["Systems"]}) if seen.path == "/redfish/v1/" else honest(seen)

    async with serving(certificate, without_sessions) as served:
        bmc = counting(driver, served, journal)
        await bmc.connect()
        served.answer = refuse_login
        before = len([seen for seen in served.seen if "authorization" in seen.headers])
        for _ in range(4):
            with pytest.raises(NodeFault) as refused:
                await bmc.power_state()
        sent = len([seen for seen in served.seen if "authorization" in seen.headers]) - before
        await bmc.close()
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert sent == 1


async def test_a_password_that_is_refused_with_a_400_counts(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """As iLO does."""

    def ilo(_seen: Seen) -> web.StreamResponse:
        return error(400, "iLO.2.14.UnauthorizedLoginAttempt", "The login was not successful")

    async with serving(certificate, always(SESSIONS, ilo, "POST")) as served:
        bmc = bmc_of(driver, served, ledger)
        with pytest.raises(NodeFault, match="check the credential"):
            await bmc.connect()
        await bmc.close()
    assert [line[0] for line in ledger.lines] == ["opening", "refused"]


@pytest.mark.parametrize("context", ["", "fleetwave-another", "somebody's"])
async def test_a_session_at_an_old_address_of_ours_is_left_alone_unless_it_shows_our_context(
    context: str, certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """Ids restart with a BMC; a person may have logged in since, or another Fleetwave."""

    def answer(seen: Seen) -> web.StreamResponse:
        if seen.path == SESSIONS and seen.method == "POST":
            return session_reply(2)
        shown = THEIRS | ({"Context": context} if context else {})
        return reply(shown) if (seen.method, seen.path) == ("GET", f"{SESSIONS}/1") else honest(seen)

    async with serving(certificate, answer) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        gone = await bmc.clear_sessions({"fleetwave-ours": f"{SESSIONS}/1"})
        assert ("DELETE", f"{SESSIONS}/1") not in served.effects()
        # Without a Context it may also be ours: then it is looked at again, until its timeout ends it.
        assert gone == (frozenset() if not context else {"fleetwave-ours"})
        await bmc.close()


async def test_a_session_that_was_let_go_of_is_deleted_in_its_own_name(
    certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """After the BMC restarted, a person's session may be at that address: our old token opens nothing there."""
    numbers = iter((1, 2, 3))
    restarted = False

    def answer(seen: Seen) -> web.StreamResponse:
        if seen.path == SESSIONS and seen.method == "POST":
            return session_reply(next(numbers))
        if seen.path == f"{SESSIONS}/1":
            if restarted and seen.headers["x-auth-token"] == "token-1":
                return refuse_login(seen)
            return reply(THEIRS) if seen.method == "GET" else web.Response(status=204)
        return honest(seen)

    async with serving(certificate, answer) as served:
        bmc = bmc_of(driver, served, ledger)
        await bmc.connect()
        restarted = True
        await bmc.reconnect()
        await bmc.close()
    assert ("DELETE", f"{SESSIONS}/1") not in served.effects()
    assert not ledger.open_uris


@pytest.mark.parametrize("sent", [True, False])
async def test_an_effect_is_called_absent_only_if_no_byte_of_it_was_sent(
    *, sent: bool, certificate: Certificate, login: Credential, tmp_path: Path
) -> None:
    """A reset is accepted and the login after it is refused: it happened. Refused before it, it did not."""
    clock = FieldClock()
    rig = Rig(tmp_path / "journal.db", clock)
    await rig.prepare()
    journal = SqliteJournal(rig.path, clock)
    driver = RedfishDriver([login], clock=clock)
    async with serving(certificate, honest) as served:
        bmc = bmc_of(driver, served, MemoryLedger())
        ctx, _ = rig.context(journal, edges=None, bmc=bmc)
        ctx.enter([("1 x", StepSpec("x"))], "1 x")
        await bmc.connect()

        async def act(_: Json) -> Json:
            if sent:
                await bmc.power(PowerAction.FORCE_OFF)
            served.answer = always(SESSIONS, refuse_login, "POST")
            if sent:
                await bmc.reconnect()
            else:
                await bmc._access.forget()
                await bmc._access.send("POST", RESET, {"ResetType": "ForceOff"}, effect="force-off")
            return {}

        async def prepare() -> Json:
            return {}

        async def reconcile(_: Json) -> None:
            raise AssertionError("nothing is to be reconciled yet")

        with pytest.raises(NodeFault) as refused:
            await ctx.once("reset", act, prepare=prepare, reconcile=reconcile)
        assert refused.value.reason is Reason.LOGIN_REFUSED
        assert isinstance(refused.value, NotDone) is not sent
        assert served.effects().count(("POST", RESET)) == sent
        await bmc.close()
    kinds = [type(item.event) for item in journal.read(ROLLOUT)]
    await journal.close()
    assert (ev.EffectAbsent in kinds) is not sent


async def test_two_effects_in_one_intent_are_not_absent_once_the_first_was_sent(
    certificate: Certificate, login: Credential, tmp_path: Path
) -> None:
    """A shutdown was asked for, and the login for the power-off that follows is refused."""
    clock = FieldClock()
    rig = Rig(tmp_path / "journal.db", clock)
    await rig.prepare()
    journal = SqliteJournal(rig.path, clock)
    async with serving(certificate, honest) as served:
        bmc = bmc_of(RedfishDriver([login], clock=clock), served, MemoryLedger())
        ctx, _ = rig.context(journal, edges=None, bmc=bmc)
        ctx.enter([("1 x", StepSpec("x"))], "1 x")
        await bmc.connect()

        async def act(_: Json) -> Json:
            for _ in range(2):
                await bmc._access.send("POST", RESET, {"ResetType": "GracefulShutdown"}, effect="off")
                served.answer = always(SESSIONS, refuse_login, "POST")
                await bmc._access.forget()
            return {}

        async def nothing(_: Json | None = None) -> Json:
            return {}

        with pytest.raises(NotDone):
            await ctx.once("host-off", act, prepare=nothing, reconcile=nothing)
        await bmc.close()
    kinds = [type(item.event) for item in journal.read(ROLLOUT)]
    await journal.close()
    assert ev.EffectAbsent not in kinds


async def test_the_small_table_and_the_pure_count_agree(journal: SqliteJournal, clock: FieldClock) -> None:
    """SQL and Python keep the same attempts, event by event; a rehearsal and a rollout stop at the same login."""

    def opening(context: str, bmc: str) -> ev.Event:
        return ev.SessionOpening(node="n", context=context, bmc=bmc, credential="c")

    story: list[ev.Event] = [
        *(opening(f"a{number}", "one:443") for number in range(4)),
        ev.LoginRefused(node="n", context="a0"),
        ev.SessionOpened(node="n", context="a1", uri="/s/1"),
        ev.SessionClosed(node="n", context="a1"),
        ev.SessionClosed(node="n", context="a2"),
        opening("b0", "two:443"),
        ev.SessionOpening(node="n", context="of-an-old-version"),
        ev.SessionOpened(node="n", context="b0", uri=""),
        opening("a4", "one:443"),
        ev.LoginRefused(node="n", context="a4"),
    ]
    kept: tuple[Attempt, ...] = ()
    for event in [*story, replace(story[0], context="late")]:
        clock.at += WINDOW_S / 8
        await journal.append(ROLLOUT, event)
        kept = counted(kept, event, clock.now())
        assert journal.logins_with("c") == kept
    assert [each.context for each in journal.logins_at("one:443")] == ["a4", "late"]


@pytest.mark.parametrize(("kind", "absent"), [(NotDone, True), (NodeFault, False)])
async def test_a_refused_login_alone_proves_nothing(kind: type[NodeFault], absent: object, tmp_path: Path) -> None:
    """Around a node are devices whose effects nobody counts: only who refused can say that nothing was done."""
    rig = Rig(tmp_path / "journal.db", FieldClock())
    await rig.prepare()
    journal = SqliteJournal(rig.path, rig.clock)
    ctx, _ = rig.context(journal, edges=None)
    ctx.enter([("1 x", StepSpec("x"))], "1 x")

    async def act(_: Json) -> Json:
        raise kind(Reason.LOGIN_REFUSED, "who are you")

    async def nothing(_: Json | None = None) -> Json:
        return {}

    with pytest.raises(NodeFault):
        await ctx.once("outlet off", act, prepare=nothing, reconcile=nothing)
    kinds = [type(item.event) for item in journal.read(ROLLOUT)]
    await journal.close()
    assert (ev.EffectAbsent in kinds) is absent
