"""The Redfish service of one BMC: who may ask, and which resource or action a path means."""

import itertools
import json
from typing import TYPE_CHECKING, Any

from fleet.sim import inventory
from fleet.sim.actions import Actions
from fleet.sim.boxmodel import INVENTORY, ROOT, Dialect
from fleet.sim.facts import fill_for
from fleet.sim.faults import Effect
from fleet.sim.host import Power
from fleet.sim.httpfault import HttpFaults
from fleet.sim.message import Answer, Request, Wire, answer, encode, error
from fleet.sim.sessions import Session
from fleet.sim.tasks import JOBS, MONITORS, TASKS

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

SESSIONS = f"{ROOT}/SessionService/Sessions"
_UNAUTHENTICATED_LIMIT = 4096
"""A body larger than this is not read without a login (field guide 1.2)."""
_HTML = b"<html><head><title>503 Service Unavailable</title></head><body>Starting...</body></html>"
_SLOW_LOGIN = 6
"""A login costs several times a plain GET (field guide 4: 0.81 s against 2.67 s)."""


class Service:
    """Answers requests for one BMC; all state is the BMC's."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        self._actions = Actions(bmc)
        self._http = HttpFaults(bmc.faults, self._now_true, self._bmc_version)
        self._html_next = itertools.cycle((False, True))
        self._shown: tuple[tuple[int, bool], tuple[inventory.Entry, ...]] = ((-1, False), ())

    def answer(self, request: Request, now: float) -> Answer:
        """The answer, with its latency."""
        result = self._http.answer(request, now, lambda: self._early(request, now) or self._authenticated(request, now))
        latency = self._bmc.box.bmc.latency_s * (_SLOW_LOGIN if result.status == 201 else 1)  # noqa: PLR2004  created
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

    def _early(self, request: Request, now: float) -> Answer | None:
        """What is answered before anybody is asked who they are."""
        path, phase = request.path.rstrip("/"), self._bmc.phase
        if phase == "unavailable":
            return self._starting(html=next(self._html_next))
        if request.method == "GET" and path == "/redfish":
            return answer(200, {"v1": f"{ROOT}/"})
        if request.method == "GET" and path == ROOT:
            return Answer(status=200, body=self._bmc.box.resources[ROOT].render(fill_for(self._bmc, now)))
        if phase in {"root-only", "auth-not-ready"}:
            return self._starting(html=False) if phase == "root-only" else self._denied()
        return self._log_in(request, now) if path == SESSIONS and request.method == "POST" else None

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
            return self._spoiled(self._get(request, now))
        if request.method == "DELETE":
            return self._delete(request.path.rstrip("/"))
        if request.method in {"POST", "PATCH"}:
            return self._actions.answer(request, now, self.item_ids(now))
        return error(405, self._base("OperationNotAllowed"), f"{request.method} is not allowed.")

    def item_ids(self, now: float) -> frozenset[str]:
        """The Ids in FirmwareInventory right now."""
        return frozenset(entry.item for entry in self._entries(now))

    def _login(self, request: Request, now: float) -> Session | bool | None:
        token = request.header("X-Auth-Token")
        if token:
            return self._bmc.sessions.touch(token, now)
        basic = request.header("Authorization")
        if basic.startswith("Basic ") and self._bmc.sessions.check_basic(basic, now):
            return True
        return None

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
        headers = (("Location", f"{SESSIONS}/{session.number}"), ("X-Auth-Token", session.token))
        return answer(201, self._session(session), headers)

    def _no_session_left(self) -> Answer:
        if self._bmc.box.dialect is Dialect.DELL:
            text = "The maximum number of user sessions has been reached."
            return error(503, "IDRAC.2.8.RAC0218", text, resolution="Close other sessions and retry the operation.")
        text = "The session establishment failed due to the number of simultaneous sessions exceeding the limit."
        return error(503, self._base("SessionLimitExceeded"), text)

    def _get(self, request: Request, now: float) -> Answer:
        path = request.path.rstrip("/")
        expanded = "$expand=" in request.query and self._bmc.box.expand_levels > 0
        if not self._bmc.hmc_ready(now) and inventory.is_remote(self._bmc.box, path):
            return self._missing(path)
        resource = self._bmc.box.resources.get(path)
        if resource is not None:
            return Answer(status=200, body=resource.render(fill_for(self._bmc, now)))
        if media := self._bmc.media.get(path):
            return media
        if path.startswith(INVENTORY):
            return self._inventory(path, now, expanded=expanded)
        if path.startswith((TASKS, MONITORS, JOBS)):
            return self._task(path, now, expanded=expanded)
        return self._sessions(path)

    def _sessions(self, path: str) -> Answer:
        if path == SESSIONS:
            members = [{"@odata.id": f"{SESSIONS}/{each.number}"} for each in self._bmc.sessions.open.values()]
            return answer(200, {"@odata.id": SESSIONS, "Members": members, "Members@odata.count": len(members)})
        session = self._bmc.sessions.find(path.rpartition("/")[2]) if path.startswith(f"{SESSIONS}/") else None
        return self._missing(path) if session is None else answer(200, self._session(session))

    def _inventory(self, path: str, now: float, *, expanded: bool) -> Answer:
        members = self._entries(now)
        if path == INVENTORY:
            return Answer(status=200, body=inventory.collection(self._bmc.box, members, expanded=expanded))
        wanted = path.rpartition("/")[2]
        entry = next((entry for entry in members if entry.item == wanted), None)
        if entry is None:
            return self._missing(path)
        return Answer(status=200, body=encode(inventory.document(self._bmc.box, entry)))

    def _entries(self, now: float) -> tuple[inventory.Entry, ...]:
        stubs = not self._bmc.hmc_ready(now)
        key = (self._bmc.firmware.revision, stubs)
        if self._shown[0] != key:
            self._shown = (key, inventory.entries(self._bmc.box, self._bmc.firmware, stubs=stubs))
        return self._shown[1]

    def _task(self, path: str, now: float, *, expanded: bool) -> Answer:
        tasks, number = self._bmc.tasks, path.rpartition("/")[2]
        if path == TASKS:
            return answer(200, tasks.collection(now, expanded=expanded))
        if path == JOBS and self._bmc.box.dialect is Dialect.DELL:
            return answer(200, tasks.jobs())
        if path.startswith(MONITORS):
            return tasks.monitor(number, now)
        task = tasks.kept.get(number)
        if task is None:
            return self._missing(path)
        return answer(200, tasks.job(task, now) if path.startswith(JOBS) else tasks.document(task, now))

    def _delete(self, path: str) -> Answer:
        session = self._bmc.sessions.find(path.rpartition("/")[2]) if path.startswith(f"{SESSIONS}/") else None
        if session is not None:
            self._bmc.sessions.close(session)
            return Answer(status=204)
        return self._missing(path)

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

    def _session(self, session: Session) -> dict[str, Any]:
        return {
            "@odata.id": f"{SESSIONS}/{session.number}",
            "@odata.type": "#Session.v1_5_0.Session",
            "Id": session.number,
            "Name": f"User Session {session.number}",
            "UserName": session.user,
            "Context": session.context,
            "CreatedTime": self._bmc.stamp(session.created),
        }

    def _is_push(self, path: str) -> bool:
        update = self._bmc.box.update
        return path.rstrip("/") in {update.multipart, update.push} - {""}

    def _starting(self, *, html: bool) -> Answer:
        if html:
            return Answer(status=503, body=_HTML, content_type="text/html")
        return error(503, self._base("ServiceTemporarilyUnavailable"), "Service is starting.", ("30",))

    def _denied(self) -> Answer:
        text = "The authentication credentials included with this request are missing or invalid."
        return error(401, self._base("NoValidSession"), text, headers=(("WWW-Authenticate", 'Basic realm="Redfish"'),))

    def _missing(self, path: str) -> Answer:
        name = path.rpartition("/")[2]
        return error(404, self._base("ResourceMissingAtURI"), f"The resource at {name} was not found.", (path,))

    def _base(self, name: str) -> str:
        return f"{self._bmc.box.registry}.{name}"
