"""Who we are to a BMC: one session, announced before it is made, deleted at the end (field guide 4, B.18)."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fleet.attempts import LIMIT
from fleet.drivers.redfish import document
from fleet.drivers.redfish.bodies import Sealed
from fleet.drivers.redfish.channel import GONE, OK, READ_S, UNAUTHORISED, Channel, Reply, Unauthorised
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.transport import Body
from fleet.errors import FleetError, LoginsSpent, NodeFault, NotDone, OutcomeUnknown, Reason, Transient
from fleet.ports import SessionLedger
from inventory.secrets import Secret

ROOT = "/redfish/v1/"
"""The one URI that DSP0266 fixes."""
LOCKED_ROOT: Document = {"SessionService": {"@odata.id": "/redfish/v1/SessionService"}}
"""Stands in for a root that asks for a login, against DSP0266 13.3; its Sessions are where they usually are."""
CONTEXT_PREFIX = "fleetwave-"
"""A session at an address of ours whose Context does not begin so is somebody else's: ids restart with a BMC."""
NOT_READY_TRIES = 3
NOT_READY_PAUSE_S = 60.0
"""A BMC that restarted answers 401 until its PAM is up; more tries lock the account (field guide 4, F31)."""
REFUSED = frozenset({401, 403})
BAD_REQUEST = 400
JUDGED = "UnauthorizedLoginAttempt"
"""The iLO message registry's word for a wrong password; iLO gives it with a 400."""
MADE_NOTHING = frozenset({*range(400, 500), 503})
"""Answers to a login that came from the service itself and made no session; behind another 5xx there may be one."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User and password of a BMC."""

    user: str
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that is ours."""

    uri: str
    context: str
    token: Secret


class Access:
    """Requests in the name of one session. Reads renew an expired one, as far as a lockout allows; effects never do."""

    def __init__(self, channel: Channel, login: Callable[[], Awaitable[Login]], ledger: SessionLedger) -> None:
        self.channel = channel
        self.session: Session | None = None
        """None before `open`, and where the service has no sessions."""
        self.logins = 0
        """Sessions opened so far: the same number later means the same session."""
        self.root: Document = NOTHING
        """The service root as last read."""
        self._login = login
        self._ledger = ledger
        self._worked = False
        self._unanswered: set[str] = set()
        """Contexts of logins that got no answer."""
        self.survivors: set[int] = set()
        """Logins whose sessions were let go of and then found alive: there was no restart."""
        self.effects_sent = 0
        """Effects that may have reached the BMC."""
        self._forgotten: dict[int, Session] = {}
        """Login -> the session that it opened and that was let go of."""

    async def open(self, *, after_restart: bool = False) -> None:
        """Read the service root and log in.

        Raises:
            Transient: no answer, or the service has no session free.
            NodeFault: LOGIN_REFUSED, at once, but after a restart (or where this password worked before) only after
                three tries a minute apart, and as much later as the ledger allows; UNTRUSTED_TLS; PROTOCOL.
        """
        if self.session is not None:  # an attempt of before got this far and no further
            self.root = await self._root()
            return
        self.channel.use_nobody()
        try:
            self.root = await self._root()
        except Unauthorised:
            self.root = LOCKED_ROOT
        sessions = self._sessions()
        login = await self._login()
        tries = NOT_READY_TRIES if after_restart or self._worked else 1
        for last in range(tries, 0, -1):
            if await self._let_in(sessions, login, last=last == 1, patient=tries > 1):
                break
            await self.channel.clock.sleep(NOT_READY_PAUSE_S)
        self._worked = True
        if self.root is LOCKED_ROOT:
            self.root = await self.get(ROOT)
        await self._look_after_old_ones()

    async def _let_in(self, sessions: str, login: Login, *, last: bool, patient: bool) -> bool:
        """One login, now, or as soon as those that failed before allow one more. False: refused, though it may only be too early.

        `patient`: the password is known to be right. Others are told at once when they may try again.
        """
        once = partial(self._opened, sessions) if sessions else self._believed
        for _ in range(LIMIT):
            try:
                return await once(login, last=last)
            except LoginsSpent as spent:
                if not patient:
                    raise
                await self.channel.clock.sleep(spent.wait_s)
        return await once(login, last=last)

    async def forget(self) -> None:
        """Let go of connection and session. The next login looks whether the session is gone, and deletes it if not."""
        await self.channel.drop()
        self.channel.use_nobody()
        session, self.session = self.session, None
        if session is not None:
            self._forgotten[self.logins] = session

    async def end(self) -> None:
        """Delete the session and close the connection, as far as the BMC lets us."""
        session, self.session = self.session, None
        try:
            if session is not None and await self._deleted(session.uri):
                await self._ledger.closed(session.uri)
        except FleetError:
            pass  # its URI stays in the ledger; the next process deletes it
        finally:
            self.channel.use_nobody()
            await self.channel.close()

    async def get(self, path: str, *, read_s: float = READ_S) -> Document:
        """The resource at `path`. See `Channel.get`."""
        return (await self._renewing(lambda: self.channel.get(path, read_s=read_s))).body

    async def find(self, path: str, *, read_s: float = READ_S) -> Reply | None:
        """The reply to a read, None where there is no such resource."""
        return await self._renewing(lambda: self.channel.find(path, read_s=read_s))

    async def send(
        self, method: str, path: str, body: dict[str, Any] | Body | None, *, effect: str, read_s: float = READ_S
    ) -> Reply:
        """Send an effect, once. See `Channel.send`; 401 is a Transient: nothing was done, the next request logs in anew."""
        try:
            await self._logged_in()
            reply = await self.channel.send(method, path, body, effect=effect, read_s=read_s)
        except NodeFault as fault:  # of the login, or of the handshake: before the first byte of the effect
            raise NotDone(fault.reason, f"{fault}; {effect} was not sent") from fault
        except OutcomeUnknown:
            self.effects_sent += 1
            raise
        self.effects_sent += reply.status != UNAUTHORISED
        if reply.status == UNAUTHORISED:
            if self.session is None:
                await self._password_refused()
            await self.forget()
            raise Transient(f"{self.channel.base}: {effect} was not accepted: the session had ended: {reply.sentence}")
        return reply

    async def clear(self, left: Mapping[str, str]) -> frozenset[str]:
        """Delete sessions of ours that were left behind. See `fleet.ports.Bmc.clear_sessions`.

        A session is ours if it shows a Context of `left`. Ids restart with a BMC: what answers at an address of ours with another
        Context, or with none, may be anybody's. It is left to its timeout, and its address to a later look.
        """
        sessions = self._sessions()
        found = dict.fromkeys(path for path in map(document.path_of, left.values()) if path)
        if sessions and not all(left.values()):
            found |= dict.fromkeys(document.member_links(await self.get(sessions)))
        alive: dict[str, str] = {}
        gone = set(left)
        for uri in found:
            if self.session is not None and uri == self.session.uri:
                continue  # the one of before is not there any more
            reply = await self.find(uri)
            if reply is None:
                continue
            context = document.text(reply.body, "Context")
            if context in left:
                alive[context] = uri
            elif not context:
                gone -= {one for one, at in left.items() if document.path_of(at) == uri}
        for context, uri in alive.items():
            if not await self._deleted(uri):
                gone.discard(context)
        return frozenset(gone)

    async def _look_after_old_ones(self) -> None:
        """After a login: logins that got no answer may have left a session, and one that was let go of may still stand."""
        if self._unanswered:
            for context in sorted(await self.clear(dict.fromkeys(self._unanswered, ""))):
                await self._ledger.absent(context)
            self._unanswered.clear()
        for login, session in self._forgotten.items():
            await self._look_after(login, session)
        self._forgotten.clear()

    async def _look_after(self, login: int, old: Session) -> None:
        """Delete a session of ours that was let go of and stands: by its own token, which proves that it is ours."""
        now = self.session
        if now is None or old.uri == now.uri:  # ids restart with a BMC: the one of before is not there any more
            return
        self.channel.use(token=old.token.reveal(), session=old.uri)
        try:
            gone = await self.channel.find(old.uri) is None
            if not gone:
                self.survivors.add(login)
                gone = await self._deleted(old.uri)
        except Unauthorised:
            gone = True
        finally:
            self.channel.use(token=now.token.reveal(), session=now.uri)
        if gone:
            await self._ledger.closed(old.uri)

    async def _renewing(self, read: Callable[[], Awaitable[Found]]) -> Found:
        await self._logged_in()
        try:
            return await read()
        except Unauthorised as error:
            if self.session is None:
                await self._password_refused()
                raise NodeFault(Reason.LOGIN_REFUSED, f"{error}: refused; check the credential") from None
            await self.forget()
        await self.open()
        try:
            return await read()
        except Unauthorised as error:
            # The login worked, so the password is right: a BMC that forgets sessions at once is starting, or overloaded.
            raise Transient(f"{error}: a session that was just opened is not accepted") from None

    async def _logged_in(self) -> None:
        """Log in anew where a session was let go of since it ended."""
        if self.session is None and self._worked and self._sessions():
            await self.open()

    async def _root(self) -> Document:
        reply = await self.channel.find(ROOT)
        if reply is None:  # while it starts, a BMC knows not even its root (field guide 1.5)
            raise Transient(f"{self.channel.base}{ROOT}: HTTP 404; is this a Redfish service?")
        return reply.body

    def _sessions(self) -> str:
        """Path of the Sessions collection; empty where the service has no SessionService."""
        advertised = document.link(self.root, "Links", "Sessions")
        service = document.link(self.root, "SessionService")
        return advertised or (f"{service.rstrip('/')}/Sessions" if service else "")

    async def _opened(self, sessions: str, login: Login, *, last: bool) -> bool:
        """Try once to make a session. False: refused, though it may only be too early."""
        context = CONTEXT_PREFIX + secrets.token_hex(8)
        await self._ledger.opening(context)
        reply = await self._asked(sessions, login, context)
        where = f"{self.channel.base}: login as {login.user!r}"
        if reply.status in REFUSED or any(JUDGED in message.id for message in reply.told):
            await self._ledger.refused(context)
            if last:
                raise NodeFault(Reason.LOGIN_REFUSED, f"{where} was refused: {reply.sentence}; check the credential")
            return False
        if reply.status not in OK:
            if reply.status in MADE_NOTHING:
                await self._ledger.absent(context)
            else:
                self._unanswered.add(context)
            raise Transient(f"{where}: {reply.sentence}", retry_after_s=reply.retry_after_s)
        token = reply.headers.get("X-Auth-Token", "").strip()
        uri = document.path_of(reply.headers.get("Location", "")) or document.path_of(reply.body.get("@odata.id"))
        if not token or not uri:
            raise NodeFault(Reason.PROTOCOL, f"{where}: the service gave no session: token or address is missing")
        await self._ledger.opened(uri, context)
        self.session = Session(uri=uri, context=context, token=Secret(token))
        self.logins += 1
        self.channel.use(token=token, session=uri)
        return True

    async def _believed(self, login: Login, *, last: bool) -> bool:
        """Basic authentication: the password goes with each request, and is tried on one that needs it before it is believed."""
        context = CONTEXT_PREFIX + secrets.token_hex(8)
        await self._ledger.opening(context)
        await self.channel.use_basic(login.user, login.password.reveal())
        try:
            await self.channel.find(document.link(self.root, "Systems") or document.link(self.root, "Managers") or ROOT)
        except Unauthorised as error:
            self.channel.use_nobody()
            await self._ledger.refused(context)
            if last:
                message = f"{error}: login as {login.user!r} was refused; check the credential"
                raise NodeFault(Reason.LOGIN_REFUSED, message) from None
            return False
        except Transient:
            self._unanswered.add(context)
            raise
        await self._ledger.accepted(context)
        return True

    async def _password_refused(self) -> None:
        """A password that was believed is refused (Basic): it counts, and is not sent again before it may be."""
        self.channel.use_nobody()
        context = CONTEXT_PREFIX + secrets.token_hex(8)
        await self._ledger.opening(context)
        await self._ledger.refused(context)

    async def _asked(self, sessions: str, login: Login, context: str) -> Reply:
        """Post the credentials, with our context, and once more without where a service knows no such property."""
        wanted = {"UserName": login.user, "Password": login.password.reveal(), "Context": context}
        try:
            reply = await self.channel.send("POST", sessions, Sealed.of(wanted), effect="login")
            if reply.status == BAD_REQUEST and any("Property" in message.id for message in reply.told):
                del wanted["Context"]
                reply = await self.channel.send("POST", sessions, Sealed.of(wanted), effect="login")
        except OutcomeUnknown as error:
            self._unanswered.add(context)
            raise Transient(str(error)) from None
        except Transient:
            await self._ledger.absent(context)
            raise
        return reply

    async def _deleted(self, uri: str) -> bool:
        reply = await self.channel.send("DELETE", uri, None, effect="logout")
        return reply.status in OK or reply.status in GONE or reply.status == UNAUTHORISED
