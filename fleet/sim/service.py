"""The Redfish service of one BMC: who may ask, and which resource or action a path means."""

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.sim import accounts, protocol
from fleet.sim.actions import Actions
from fleet.sim.boxmodel import INVENTORY, ROOT, Dialect
from fleet.sim.faults import Effect
from fleet.sim.host import Power
from fleet.sim.httpfault import HttpFaults
from fleet.sim.message import Answer, Request, Wire, answer, error
from fleet.sim.sessions import Session
from fleet.sim.tasks import MONITORS
from fleet.sim.tree import SESSIONS, Tree

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_UNAUTHENTICATED_LIMIT = 4096
"""A body larger than this is not read without a login (field guide 1.2)."""
_HTML = b"<html><head><title>503 Service Unavailable</title></head><body>Starting...</body></html>"
_SLOW_LOGIN = 6
"""A login costs several times a plain GET (field guide 4: 0.81 s against 2.67 s)."""


class Service:
    """Answers requests for one BMC; all state is the BMC's."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        self._tree = Tree(bmc)
        self._actions = Actions(bmc)
        self._http = HttpFaults(bmc.faults, self._now_true, self._bmc_version)
        self._html_next = itertools.cycle((False, True))

    def answer(self, request: Request, now: float) -> Answer:
        """The answer, with its latency."""
        result = self._http.answer(request, now, lambda: self._said(request, now))
        usual = self._bmc.box.bmc.latency_s * (_SLOW_LOGIN if result.status == 201 else 1)  # noqa: PLR2004  created
        latency = self._bmc.strain.latency_s(usual)
        if _path(request) == INVENTORY and request.method == "GET" and result.status == 200:  # noqa: PLR2004  OK
            latency += self._bmc.strain.inventory_s()
        return Answer(
            status=result.status,
            body=result.body,
            headers=result.headers,
            content_type=result.content_type,
            delay_s=result.delay_s + latency,
            wire=result.wire,
            fetch=result.fetch,
        )

    def preflight(self, request: Request, now: float) -> Answer | None:
        """Refuse a large body before it is read, or break the connection in the middle of it (a fault)."""
        if self._bmc.phase in {"unavailable", "root-only", "auth-not-ready"}:
            return self._early(request, now)
        if spoiled := self._http.preflight(request, now):
            return spoiled
        if request.body_size > self._bmc.box.update.limit_bytes:
            return error(413, self._base("PayloadTooLarge"), "The supplied payload exceeds the maximum size.")
        if request.body_size > _UNAUTHENTICATED_LIMIT and self._login(request, now) is None:
            return self._denied()
        if self._is_push(request.path) and self._bmc.faults.take(Effect.UPLOAD_BROKEN):
            return Answer(status=0, wire=Wire.DROP_MIDWAY)
        return None

    def _said(self, request: Request, now: float) -> Answer:
        """The answer with the headers that go with it; HEAD is a GET without a body (DSP0266)."""
        asked = replace(request, method="GET") if request.method == "HEAD" else request
        result = self._early(asked, now) or self._authenticated(asked, now)
        return protocol.dressed(request, result, self._actions.allowed(_path(request)))

    def _early(self, request: Request, now: float) -> Answer | None:
        """What is answered before anybody is asked who they are."""
        path, phase = _path(request), self._bmc.phase
        if phase == "unavailable":
            return self._starting(html=next(self._html_next))
        if wrong := protocol.refused(request, self._bmc.box):
            return wrong
        if request.method == "GET" and (document := self._public(path, request, now)):
            return document
        if phase in {"root-only", "auth-not-ready"}:
            return self._starting(html=False) if phase == "root-only" else self._denied()
        return self._log_in(request, now) if path == SESSIONS and request.method == "POST" else None

    def _public(self, path: str, request: Request, now: float) -> Answer | None:
        """What needs no login (DSP0266, "Authentication requirements")."""
        if path == ROOT:
            root = self._tree.read(path, now)
            # what needs a login is not expanded for those who have none
            return self._tree.queried(request, root, now) if request.query and self._login(request, now) else root
        return answer(200, {"v1": f"{ROOT}/"}) if path == "/redfish" else protocol.public(path, self._bmc.box)

    def _authenticated(self, request: Request, now: float) -> Answer:
        login = self._login(request, now)
        if login is None:
            return self._denied()
        if isinstance(login, Session):
            login.requests += 1
            burst = self._bmc.faults.peek(Effect.HTTP_503)
            if burst is not None and login.requests <= burst.number("first", 2):
                return error(503, self._base("ServiceTemporarilyUnavailable"), "Service is busy.", ("5",))
        if request.method == "GET":
            return self._spoiled(self._tree.get(request, now))
        user = login.user if isinstance(login, Session) else login
        return self._forbidden(user, request) or self._write(request, now)

    def _write(self, request: Request, now: float) -> Answer:
        if request.method == "DELETE":
            return self._delete(_path(request), now)
        if request.method in {"POST", "PATCH"}:
            return self._actions.answer(request, now, self._tree.item_ids(now))
        return error(405, self._base("OperationNotAllowed"), f"{request.method} is not allowed.")

    def _forbidden(self, user: str, request: Request) -> Answer | None:
        """403 if the user's role does not allow this write (DSP0266, "Operation-to-privilege mapping")."""
        known, path = self._bmc.sessions.accounts, _path(request)
        own = known.owns(user, path) and set(accounts.parsed(request.body)) <= {"Password"}
        session = self._bmc.sessions.find(path.rpartition("/")[2]) if path.startswith(f"{SESSIONS}/") else None
        if own or (session is not None and session.user == user):
            return None
        needed = "ConfigureUsers" if path.startswith(accounts.SERVICE) else "ConfigureComponents"
        if known.may(user, "ConfigureManager" if session is not None else needed):
            return None
        text = "There are insufficient privileges for the account or credentials associated with the current session."
        return error(403, self._base("InsufficientPrivilege"), text)

    def _login(self, request: Request, now: float) -> Session | str | None:
        """The session of a token, or the user of Basic authentication."""
        token = request.header("X-Auth-Token")
        if token:
            return self._bmc.sessions.touch(token, now)
        basic = request.header("Authorization")
        return (self._bmc.sessions.check_basic(basic, now) or None) if basic.startswith("Basic ") else None

    def _log_in(self, request: Request, now: float) -> Answer:
        sessions, faults = self._bmc.sessions, self._bmc.faults
        try:
            body = json.loads(request.body)
            user, password = str(body["UserName"]), str(body["Password"])
        except (ValueError, KeyError, TypeError):
            return error(400, self._base("PropertyMissing"), "UserName and Password are required.", ("UserName",))
        if lockout := faults.take(Effect.AUTH_LOCKOUT):
            sessions.lock(now + lockout.number("lock_s", self._bmc.box.bmc.lockout_s))
        if not sessions.check(user, password, now):
            return self._denied()
        if sessions.full(now) or faults.take(Effect.SESSIONS_EXHAUSTED):
            return self._no_session_left()
        session = sessions.create(user, str(body.get("Context") or ""), now)
        for habit in self._bmc.logs.habits:
            habit.logged_in(session, now)
        headers = (("Location", f"{SESSIONS}/{session.number}"), ("X-Auth-Token", session.token))
        return answer(201, self._tree.session(session), headers)

    def _no_session_left(self) -> Answer:
        if self._bmc.box.dialect is Dialect.DELL:
            text = "The maximum number of user sessions has been reached."
            return error(503, "IDRAC.2.8.RAC0218", text, resolution="Close other sessions and retry the operation.")
        text = "The session establishment failed due to the number of simultaneous sessions exceeding the limit."
        return error(503, self._base("SessionLimitExceeded"), text)

    def _delete(self, path: str, now: float) -> Answer:
        session = self._bmc.sessions.find(path.rpartition("/")[2]) if path.startswith(f"{SESSIONS}/") else None
        if session is not None:
            self._bmc.sessions.close(session)
            for habit in self._bmc.logs.habits:
                habit.logged_out(session, now)
            return Answer(status=204)
        if gone := self._bmc.sessions.accounts.delete(path, self._bmc.box.registry):
            return gone
        if path.startswith(MONITORS) or self._tree.read(path, now).status == 200:  # noqa: PLR2004  OK
            return error(405, self._base("OperationNotAllowed"), "DELETE is not allowed here.")
        return self._tree.missing(path)

    def _spoiled(self, good: Answer) -> Answer:
        """What a fault makes of a good answer."""
        if not self._bmc.faults.rules or good.status != 200:  # noqa: PLR2004  OK
            return good
        if self._bmc.faults.take(Effect.HTML_BODY):
            return Answer(status=200, body=_HTML, content_type="text/html")
        if self._bmc.faults.take(Effect.TRUNCATED_JSON):
            return Answer(status=200, body=good.body[: len(good.body) // 2])
        return good

    def _now_true(self, now: float) -> frozenset[str]:
        """The words that a fault's `when` may name."""
        bmc = self._bmc
        words = {
            "flashing": bmc.updates.running is not None and bmc.updates.running.task.span is not None,
            "staged": any(state.staged for state in bmc.firmware.parts.values()),
            "restarted": any(reset["what"] == "bmc" for reset in bmc.ledger.resets),
            "posting": bmc.host.posting(now),
            "host-off": bmc.host.power is Power.OFF,
        }
        return frozenset(word for word, true in words.items() if true)

    def _bmc_version(self) -> str:
        bmc = self._bmc
        return next((bmc.firmware.shown(part) for part in bmc.box.parts if part.role == "bmc"), "")

    def _is_push(self, path: str) -> bool:
        update = self._bmc.box.update
        return path.rstrip("/") in {update.multipart, update.push} - {""}

    def unavailable(self) -> Answer:
        """503, as one that has too much to do says it."""
        return self._starting(html=False)

    def _starting(self, *, html: bool) -> Answer:
        if html:
            return Answer(status=503, body=_HTML, content_type="text/html")
        return error(503, self._base("ServiceTemporarilyUnavailable"), "Service is starting.", ("30",))

    def _denied(self) -> Answer:
        text = "The authentication credentials included with this request are missing or invalid."
        return error(401, self._base("NoValidSession"), text, headers=(("WWW-Authenticate", 'Basic realm="Redfish"'),))

    def _base(self, name: str) -> str:
        return f"{self._bmc.box.registry}.{name}"


def _path(request: Request) -> str:
    """The path without a slash at its end; POST to ``X/Members`` is one to X (DSP0266, "POST (create)")."""
    path = request.path.rstrip("/")
    return path.removesuffix("/Members") if request.method == "POST" else path
