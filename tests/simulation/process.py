"""A process of ours in a simulated history: its journal, its network, its clock, and its death."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from yarl import URL

from fleet.drivers.redfish.transport import LinkLost, NotSent
from fleet.errors import JournalUnwritable
from fleet.events import Event, Recorded, RolloutId
from fleet.journal.port import SessionRow
from fleet.twin.clock import VirtualClock
from fleet.twin.journal import MemoryJournal
from simulation.drawing import Death, When

WHO = "X-Simulated-Process"
"""Header that tells the witness in a BMC whose request it is; a BMC makes nothing of it."""


_UPDATES = "/UpdateService/"
"""Part of every path to which an image is handed over."""


class Crash(BaseException):
    """The process is dead. Nothing of ours may catch it."""


@dataclass(slots=True, kw_only=True)
class Process:
    """One process. `number` grows; it is not the epoch of the journal."""

    number: int
    death: Death | None = None
    full_from: int = 0
    """The append from which the disk is full; 0: it never is."""
    alive: bool = True
    appends: int = 0
    requests: int = 0
    images: int = 0
    """Requests that hand over an image."""
    died: "asyncio.Event" = field(default_factory=asyncio.Event)

    def must_live(self) -> None:
        """Raise Crash if it is dead: a dead process does nothing."""
        if not self.alive:
            raise Crash

    def kill(self) -> None:
        """As `kill -9`."""
        self.alive = False
        self.died.set()

    def ends_at(self, when: When, number: int) -> bool:
        """Whether this is where it dies."""
        return self.death == Death(when, number)


class KeptJournal(MemoryJournal):
    """The disk: what is durable, whoever wrote it, and who that was. Sessions are listed in the order of their opening."""

    def __init__(self, clock: VirtualClock, path: Path) -> None:
        super().__init__(clock, path)
        self.writers: list[int] = []
        """Process of each event."""
        self.told: Callable[[int, Recorded], None] = lambda _process, _recorded: None
        """Called with each event as it becomes durable, before whoever appended it hears of that."""
        self._writing = 0

    async def write(self, process: int, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """Append for a process: nothing comes between here and the last event."""
        self._writing = process
        return await self.append(rollout, *events)

    def _project(self, rollout: RolloutId, at: float, event: Event) -> None:
        super()._project(rollout, at, event)
        self.writers.append(self._writing)
        self.told(self._writing, Recorded(self._seq, at, rollout, event))

    def open_sessions(self) -> tuple[SessionRow, ...]:
        """Contexts are drawn by chance that is not ours: an order by them would make two histories of one seed."""
        return tuple(sorted(self._sessions.values(), key=lambda row: row.node))


class OpenJournal:
    """The journal as one process has it open."""

    def __init__(self, disk: KeptJournal, process: Process) -> None:
        self._disk = disk
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """Durable when it returns; or the process dies before or after it is; or there is no room."""
        process = self._process
        process.must_live()
        process.appends += 1
        if process.full_from and process.appends >= process.full_from:
            raise JournalUnwritable("the journal cannot be written: no space left on device")
        if process.ends_at(When.APPEND_LOST, process.appends):
            process.kill()
            raise Crash
        recorded = await self._disk.write(process.number, rollout, *events)
        if process.ends_at(When.APPEND_KEPT, process.appends):
            process.kill()
        process.must_live()
        return recorded


class DyingClock:
    """The clock of one process: in a dead one nobody wakes up."""

    def __init__(self, clock: VirtualClock, process: Process) -> None:
        self._clock = clock
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless dead."""
        self._process.must_live()
        await self._clock.sleep(seconds)
        self._process.must_live()

    async def sleep_wall(self, seconds: float) -> None:
        """As `sleep`, wall time."""
        self._process.must_live()
        await self._clock.sleep_wall(seconds)
        self._process.must_live()


@dataclass(slots=True)
class Network:
    """Between our processes and all BMCs. It spoils a share of requests until it is whole again."""

    clock: VirtualClock
    chance: random.Random
    lost: float
    rough_until: float
    spoiled: int = 0

    def next(self) -> str:
        """What happens to the next request: nothing, or `refused`, `reset`, `unheard`."""
        if not self.lost or self.clock.now() >= self.rough_until or self.chance.random() >= self.lost:
            return ""
        self.spoiled += 1
        return self.chance.choice(("refused", "reset", "unheard", "unheard"))


class RoughTransport:
    """One process's way to one BMC: a TwinTransport whose requests may be lost, and which dies with its process."""

    def __init__(self, inner: Any, process: Process, network: Network) -> None:
        self._inner = inner
        self._process = process
        self._network = network

    def request(self, method: str, url: URL, **options: Any) -> "_Exchange":
        """See HttpTransport.request."""
        headers = {**(options.get("headers") or {}), WHO: str(self._process.number)}
        inner = self._inner.request(method, url, **{**options, "headers": headers})
        image = method == "POST" and _UPDATES in url.path
        return _Exchange(inner, self._process, self._network, image=image)

    async def drop(self) -> None:
        """See HttpTransport.drop."""
        self._process.must_live()

    async def close(self) -> None:
        """See HttpTransport.close."""


class _Exchange:
    def __init__(self, inner: Any, process: Process, network: Network, *, image: bool) -> None:
        self._inner = inner
        self._process = process
        self._network = network
        self._image = image

    async def __aenter__(self) -> Any:
        process = self._process
        process.must_live()
        process.requests += 1
        process.images += self._image
        number, image = process.requests, process.images if self._image else 0
        if process.ends_at(When.REQUEST_UNSENT, number) or process.ends_at(When.IMAGE_UNSENT, image):
            process.kill()
            raise Crash
        spoiled = self._network.next()
        if spoiled == "refused":
            raise NotSent("connection refused by the simulated network")
        if spoiled == "reset":
            raise LinkLost("the simulated network lost the request")
        response = await self._inner.__aenter__()
        if process.ends_at(When.REQUEST_SERVED, number) or process.ends_at(When.IMAGE_SERVED, image):
            process.kill()
        if spoiled or not process.alive:
            await self._inner.__aexit__(None, None, None)
            process.must_live()
            raise LinkLost("the simulated network lost the reply")
        return response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


def named(recorded: Iterable[Recorded], names: dict[str, str]) -> list[Recorded]:
    """The events with Contexts and owners by their order of appearance: the two things in a journal that no seed decides."""
    renamed = []
    for item in recorded:
        event = item.event
        if (context := getattr(event, "context", None)) is not None:
            event = replace(event, context=names.setdefault(context, f"context-{len(names)}"))
        if hasattr(event, "owner"):
            event = replace(event, owner="owner")
        renamed.append(replace(item, event=event))
    return renamed
