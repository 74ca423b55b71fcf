"""A journal in memory, for rehearsals: the port of `fleet.journal`, without a disk and without a writer thread.

What is read from it was encoded and decoded, as from a file. Each append gives way once, as one on disk does. It outlives whoever
appended: a process that dies in a rehearsal finds it as it was.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fleet import events as ev
from fleet.attempts import Attempt, counted
from fleet.clock import Clock
from fleet.eventcodec import decode, encode
from fleet.events import Event, Json, Recorded, RolloutId, RolloutPlanned
from fleet.journal.port import Request, RolloutRow, SessionRow, Verb


class MemoryJournal:
    """See fleet.journal.Journal. `request` may be called by anybody at any time."""

    def __init__(self, clock: Clock, path: Path = Path("rehearsal.db")) -> None:
        """`path` is where it would lie; nothing is written there."""
        self._clock = clock
        self._path = path
        self._kept: dict[RolloutId, list[Recorded]] = {}
        self._seq = 0
        self._rows: dict[RolloutId, RolloutRow] = {}
        self._claims: dict[tuple[RolloutId, str], None] = {}
        self._sessions: dict[str, SessionRow] = {}
        self._requests: list[Request] = []
        self._logins: dict[str, tuple[Attempt, ...]] = {}
        """BMC -> its attempts: an event concerns one BMC, and a hall has thousands."""
        self._asked: dict[str, tuple[str, int]] = {}
        """Context -> (BMC, number of the login)."""

    @property
    def path(self) -> Path:
        """Where it would lie."""
        return self._path

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """As durable as this process; in order, all or none."""
        at = self._clock.now()
        kept = self._kept.setdefault(rollout, [])
        recorded = []
        for event in events:
            self._seq += 1
            recorded.append(Recorded(self._seq, at, rollout, event))
            self._project(rollout, at, event)
        kept += recorded
        await asyncio.sleep(0)
        return tuple(recorded)

    def read(self, rollout: RolloutId, *, after: int = 0) -> Iterator[Recorded]:
        """Events above `after`, in order."""
        for item in tuple(self._kept.get(rollout, ())):
            if item.seq > after:
                yield Recorded(item.seq, item.at, rollout, decode(item.event.kind, encode(item.event)))

    def kept(self, rollout: RolloutId) -> tuple[Recorded, ...]:
        """All events as they were handed over."""
        return tuple(self._kept.get(rollout, ()))

    def rollouts(self) -> Iterable[RolloutRow]:
        """Newest first."""
        return list(reversed(self._rows.values()))

    def plan_of(self, rollout: RolloutId) -> Json | None:
        """The plan of one rollout."""
        kept = (item.event for item in self._kept.get(rollout, ()))
        return next((event.plan for event in kept if isinstance(event, RolloutPlanned)), None)

    def busy_nodes(self, nodes: Iterable[str], *, but: RolloutId) -> dict[str, RolloutId]:
        """Nodes that a rollout which has not ended still claims."""
        wanted = set(nodes)
        return {node: rollout for rollout, node in self._claims if node in wanted and rollout != but}

    def open_sessions(self) -> tuple[SessionRow, ...]:
        """Sessions that nobody has closed, as far as the journal knows."""
        return tuple(sorted(self._sessions.values(), key=lambda row: (row.node, row.context)))

    def logins_at(self, bmc: str) -> tuple[Attempt, ...]:
        """Logins to one BMC, in order."""
        return self._logins.get(bmc, ())

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """Logins with one credential, in order."""
        found = (each for attempts in self._logins.values() for each in attempts if each.credential == credential)
        return tuple(sorted(found, key=lambda each: self._asked[each.context][1]))

    async def request(self, rollout: RolloutId, verb: Verb, by: str) -> int:
        """Ask."""
        return self.ask(rollout, verb, by)

    def ask(self, rollout: RolloutId, verb: Verb, by: str) -> int:
        """As `request`, for whoever cannot wait."""
        self._requests.append(Request(id=len(self._requests) + 1, rollout=rollout, verb=verb, by=by))
        return len(self._requests)

    def requests(self, rollout: RolloutId, *, after: int) -> tuple[Request, ...]:
        """Requests above `after`."""
        return tuple(each for each in self._requests[after:] if each.rollout == rollout)

    def last_request(self, rollout: RolloutId) -> int:
        """The newest request's id, 0 if there is none."""
        return max((each.id for each in self._requests if each.rollout == rollout), default=0)

    async def close(self) -> None:
        """Nothing to flush."""

    def _project(self, rollout: RolloutId, at: float, event: Event) -> None:
        """The small tables, as fleet.journal.sqlite keeps them."""
        self._count_login(event, at)
        match event:
            case ev.RolloutCreated():
                self._rows[rollout] = RolloutRow(id=rollout, created_at=at, playbook=event.playbook, ended="")
            case ev.RolloutPlanned():
                self._claims |= dict.fromkeys((rollout, node) for node in event.plan["nodes"])
            case ev.NodeConfirmed() | ev.NodeRolledBack() | ev.NodeRefused():
                self._claims.pop((rollout, event.node), None)
            case ev.RolloutEnded():
                self._rows[rollout] = replace(self._rows[rollout], ended=event.outcome)
                self._claims = {key: None for key in self._claims if key[0] != rollout}
            case ev.SessionOpening():
                self._sessions[event.context] = SessionRow(
                    rollout=rollout, node=event.node, context=event.context, uri=""
                )
            case ev.SessionOpened() if event.context in self._sessions:
                self._sessions[event.context] = replace(self._sessions[event.context], uri=event.uri)
            case ev.SessionClosed() | ev.LoginRefused():
                self._sessions.pop(event.context, None)
            case _:
                pass

    def _count_login(self, event: Event, at: float) -> None:
        if isinstance(event, ev.SessionOpening):
            self._asked[event.context] = (event.bmc, len(self._asked))
        elif not isinstance(event, ev.SessionOpened | ev.LoginRefused | ev.SessionClosed):
            return
        bmc, _ = self._asked.get(event.context, ("", 0))
        self._logins[bmc] = counted(self._logins.get(bmc, ()), event, at)
