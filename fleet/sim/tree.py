"""The reading side of one BMC's service: which resource a path means, and what its query makes of it."""

import json
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fleet.sim import accounts, inventory
from fleet.sim.boxmodel import INVENTORY, ROOT, Dialect
from fleet.sim.facts import fill_for
from fleet.sim.message import Answer, Request, answer, collection, encode, error
from fleet.sim.query import QueryError, applied, words
from fleet.sim.sessions import Session
from fleet.sim.tasks import JOBS, MONITORS, TASKS

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

SESSIONS = f"{ROOT}/SessionService/Sessions"


@lru_cache(maxsize=2048)
def _parsed(body: bytes) -> dict[str, Any]:
    """A resource that a query takes apart and nobody changes: most of a model's are the same in all its machines."""
    document: dict[str, Any] = json.loads(body)
    return document


class Tree:
    """All that a GET can see of one BMC; it changes nothing but how often a task monitor was read."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        self._shown: tuple[tuple[int, bool, bool], tuple[inventory.Entry, ...]] = ((-1, False, False), ())

    def item_ids(self, now: float) -> frozenset[str]:
        """The Ids in FirmwareInventory right now."""
        return frozenset(entry.item for entry in self._entries(now))

    def get(self, request: Request, now: float) -> Answer:
        """The answer to a GET, with its query parameters applied."""
        path = request.path.rstrip("/")
        if path == INVENTORY and list(words(request.query)) == ["$expand"] and self._bmc.box.expand_levels > 0:
            return self._inventory(path, now, expanded=True)  # the same bytes for all boxes that show the same (A.14)
        if "$skip" in request.query and (page := self._bmc.logs.get(path, request.query)):
            return page
        result = self.read(path, now, request.header("If-None-Match"))
        return self.queried(request, result, now) if request.query else result

    def queried(self, request: Request, good: Answer, now: float) -> Answer:
        """What the query parameters make of a good answer."""
        if not request.query or good.status != 200:  # noqa: PLR2004  OK
            return good

        def read(path: str) -> dict[str, Any] | None:
            if path.startswith(f"{TASKS}/") and (task := self._bmc.tasks.kept.get(path.rpartition("/")[2])) is not None:
                return self._bmc.tasks.document(task, now)
            found = self.read(path.rstrip("/"), now)
            return _parsed(found.body) if found.status == 200 else None  # noqa: PLR2004  OK

        try:
            document = applied(request.query, json.loads(good.body), read, levels=self._bmc.box.expand_levels)
        except QueryError as wrong:
            return error(400, self._base("QueryNotSupportedOnResource"), str(wrong))
        return replace(good, body=encode(document))

    def read(self, path: str, now: float, if_none_match: str = "") -> Answer:
        """The resource at `path` as it is now."""
        if inventory.is_remote(self._bmc.box, path) and (down := self._bmc.hmc.refusal(now)):
            return down
        resource = self._bmc.box.resources.get(path)
        if resource is not None:
            body = resource.render(fill_for(self._bmc, now))
            return Answer(status=200, body=self._bmc.fittings.dressed(path, body))
        if fitting := self._bmc.fittings.get(path, now):
            return fitting
        if path.startswith(INVENTORY):
            return self._inventory(path, now, expanded=False)
        if path.startswith((TASKS, MONITORS, JOBS)):
            return self._task(path, now)
        return self._bmc.media.get(path) or self._bmc.logs.get(path) or self._user(path, if_none_match)

    def _user(self, path: str, if_none_match: str) -> Answer:
        return self._account(path, if_none_match) if path.startswith(accounts.SERVICE) else self._sessions(path)

    def _account(self, path: str, if_none_match: str) -> Answer:
        if path == accounts.SERVICE:
            model = self._bmc.box.bmc
            return answer(200, accounts.service(model.lockout_threshold, model.lockout_s))
        return self._bmc.sessions.accounts.get(path, if_none_match) or self.missing(path)

    def _sessions(self, path: str) -> Answer:
        if path == SESSIONS:
            members = (f"{SESSIONS}/{each.number}" for each in self._bmc.sessions.open.values())
            return answer(200, collection(SESSIONS, "Session", "Session Collection", members))
        session = self._bmc.sessions.find(path.rpartition("/")[2]) if path.startswith(f"{SESSIONS}/") else None
        return self.missing(path) if session is None else answer(200, self.session(session))

    def _inventory(self, path: str, now: float, *, expanded: bool) -> Answer:
        members = self._entries(now)
        if path == INVENTORY:
            proxy = self._bmc.hmc.refusal(now) is None
            return Answer(status=200, body=inventory.collection(self._bmc.box, members, expanded=expanded, proxy=proxy))
        wanted = path.rpartition("/")[2]
        entry = next((entry for entry in members if entry.item == wanted), None)
        if entry is None:
            return self.missing(path)
        return Answer(status=200, body=encode(inventory.document(self._bmc.box, entry)))

    def _entries(self, now: float) -> tuple[inventory.Entry, ...]:
        hmc = self._bmc.hmc
        stubs, stale = hmc.vanished(now), hmc.stale(now)
        key = (self._bmc.firmware.revision, stubs, bool(stale))
        if self._shown[0] != key:
            self._shown = (key, inventory.entries(self._bmc.box, self._bmc.firmware, stubs=stubs, stale=stale))
        return self._shown[1]

    def _task(self, path: str, now: float) -> Answer:
        tasks, number = self._bmc.tasks, path.rpartition("/")[2]
        if path == TASKS:
            return answer(200, tasks.collection())
        if path == JOBS and self._bmc.box.dialect is Dialect.DELL:
            return answer(200, tasks.jobs())
        if path.startswith(MONITORS):
            return tasks.monitor(number, now)
        task = tasks.kept.get(number)
        if task is None:
            return self.missing(path)
        return answer(200, tasks.job(task, now) if path.startswith(JOBS) else tasks.document(task, now))

    def session(self, session: Session) -> dict[str, Any]:
        """One session."""
        return {
            "@odata.id": f"{SESSIONS}/{session.number}",
            "@odata.type": "#Session.v1_5_0.Session",
            "Id": session.number,
            "Name": f"User Session {session.number}",
            "UserName": session.user,
            "CreatedTime": self._bmc.stamp(session.created),
            **({"Context": session.context} if session.context else {}),
        }

    def missing(self, path: str) -> Answer:
        """404."""
        name = path.rpartition("/")[2]
        return error(404, self._base("ResourceMissingAtURI"), f"The resource at {name} was not found.", (path,))

    def _base(self, name: str) -> str:
        return f"{self._bmc.box.registry}.{name}"
