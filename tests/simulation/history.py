"""One history: as many processes as it takes, one after the other, until the rollout has ended; then a last look at everything."""

import asyncio
import hashlib
import json
import random
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from fleet import events as ev
from fleet.clock import as_utc
from fleet.errors import Busy, JournalUnwritable
from fleet.events import Recorded
from fleet.journal import Verb
from fleet.journal.lease import Lease
from fleet.state import ENDED, IllegalTransition, RolloutState, RolloutStatus, replay
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, in_twin
from inventory.model import Node
from simulation.drawing import Drawing
from simulation.goods import directory
from simulation.process import Crash, KeptJournal, Network, Process, named
from simulation.running import ROLLOUT, Running
from simulation.witness import WatchedBmc, Witness

LIVES = 60
"""Processes that a rollout may take: far more than anything drawn can kill."""
QUIET_S = 5 * 86_400.0
"""Field time within which a rollout must end once nothing more goes wrong (I10)."""
WINDOW_S = 86_400.0
"""And as long for each node on top where a window opens once a day: it may be long enough for one node, and one may be out at once."""
SWEEPS = 3
"""Last processes, an hour apart: of one box, two rules may still drop a login each."""
_PATIENCE = 3
"""Halts for the same cause before the operator aborts."""


class WatchedHall(TwinHall):
    """A twin whose BMCs tell a witness."""

    def __init__(self, spec: TwinSpec, witness: Witness) -> None:
        self._witness = witness
        super().__init__(spec)

    def _bmc(self, spec: TwinSpec, node: Node) -> WatchedBmc:
        made = super()._bmc(spec, node)
        made.__class__ = WatchedBmc
        made.witness = self._witness  # type: ignore[attr-defined]
        return made  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How it went."""

    drawing: Drawing
    recorded: tuple[Recorded, ...]
    state: RolloutState
    truth: dict[str, Any]
    before: dict[str, dict[str, str]]
    """Node -> part -> version in force before anybody came."""
    witness: Witness
    writers: tuple[int, ...]
    ends: tuple[str, ...]
    """How each process ended."""
    bugs: tuple[str, ...]
    """Exceptions that nobody foresaw."""
    left_open: dict[str, list[str]]
    """Node -> Contexts of sessions that stand on its BMC at the end."""
    believed: tuple[tuple[str, str], ...]
    """Sessions that the journal believes in at the end, on BMCs that answer."""
    deaths: int
    spoiled: int
    field_s: float

    def digest(self) -> str:
        """Of the journal, times and order included."""
        return digest(self.recorded)

    def trail(self, nodes: frozenset[str] = frozenset()) -> str:
        """The journal in words; of these nodes, or of all."""
        lines = []
        for item, process in zip(self.recorded, self.writers, strict=True):
            if nodes and isinstance(item.event, ev.NodeEvent) and item.event.node not in nodes:
                continue
            told = asdict(item.event)
            told.pop("plan", None)
            lines.append(f"  {item.seq:4} {as_utc(item.at)} p{process} {item.event.kind} {json.dumps(told)[:400]}")
        return "\n".join(lines)


def digest(recorded: tuple[Recorded, ...]) -> str:
    """Bit for bit, but for what no seed decides: Contexts, owners, and where images lie."""
    hashed = hashlib.sha256()
    for item in named(recorded, {}):
        event = asdict(item.event)
        if item.event.kind == "rollout.planned":
            event.pop("digest")
        text = json.dumps([item.seq, item.at, item.event.kind, event]).replace(str(directory()), "")
        hashed.update(text.encode())
    return hashed.hexdigest()


def play(drawing: Drawing) -> History:
    """Live through it."""
    random.seed(f"history {drawing.seed}")  # the pauses between retries (fleet.limits) have chance in them
    place = Path(mkdtemp(prefix="history-", dir=directory()))
    try:
        return Player(drawing, place).play()
    finally:
        shutil.rmtree(place)


@dataclass(slots=True)
class Player:
    """The hall, the disk and the network that outlive processes."""

    drawing: Drawing
    place: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    witness: Witness = field(init=False)
    hall: WatchedHall = field(init=False)
    disk: KeptJournal = field(init=False)
    network: Network = field(init=False)
    ends: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    halts: Counter[str] = field(default_factory=Counter)
    planned_at: float = 0.0
    asked: int = 0
    quiet_at: float = 0.0
    known: tuple[int, RolloutState] | None = None
    """Events, and the state that they make."""

    def play(self) -> History:
        drawing = self.drawing
        self.witness = Witness(self.clock)
        self.hall = WatchedHall(
            TwinSpec(
                nodes=in_twin(drawing.nodes),
                clock=self.clock,
                versions=drawing.versions,
                seed=drawing.seed,
                faults=drawing.faults,
            ),
            self.witness,
        )
        before = {
            name: {item: state.active for item, state in bmc.firmware.parts.items()}
            for name, bmc in self.hall.bmcs.items()
        }
        self.disk = KeptJournal(self.clock, self.place / "journal.db")
        self.disk.told = self.witness.kept
        chance = random.Random(f"network {drawing.seed}")  # noqa: S311 (a seed is the point)
        self.network = Network(self.clock, chance, drawing.lost, self.clock.now() + drawing.rough_s)
        begun = self.clock.now()
        self._processes()
        left, believed = self._last_look()
        return History(
            drawing=drawing,
            recorded=self.disk.kept(ROLLOUT),
            state=self._state(),
            truth=self.hall.truth(),
            before=before,
            witness=self.witness,
            writers=tuple(self.disk.writers),
            ends=tuple(self.ends),
            bugs=tuple(self.bugs),
            left_open=left,
            believed=believed,
            deaths=self.ends.count("died"),
            spoiled=self.network.spoiled,
            field_s=self.clock.now() - begun,
        )

    def _state(self) -> RolloutState:
        """What the journal makes: replayed when it has grown."""
        kept = len(self.disk.kept(ROLLOUT))
        if self.known is None or self.known[0] != kept:
            before = self.known[1] if self.known else RolloutState(rollout=ROLLOUT)
            try:
                self.known = (kept, replay(ROLLOUT, self.disk.read(ROLLOUT)))
            except IllegalTransition as poison:
                self.bugs.append(f"the journal can never be read again: {poison}")
                self.known = (kept, before)
        return self.known[1]

    def _processes(self) -> None:
        drawing = self.drawing
        if not self._live(Process(number=0), None):
            return
        self.planned_at = self.clock.now()
        if drawing.swap is not None:
            self.hall.bmcs[drawing.swap.node].swap_at = drawing.swap.at + self.planned_at - self.hall._origin
        last = max([ask.at for ask in drawing.asks] or [0.0])
        daily_s = WINDOW_S * len(drawing.nodes) if drawing.spec.window else 0.0
        self.quiet_at = self.planned_at + max(last, drawing.rough_s) + QUIET_S + daily_s
        for number in range(1, LIVES):
            state = self._state()
            if state.status in ENDED:
                return
            death = drawing.deaths[number - 1] if number <= len(drawing.deaths) else None
            process = Process(number=number, death=death, full_from=drawing.full.get(number, 0))
            verb = None
            if number > 1 and state.status in {RolloutStatus.HALTED, RolloutStatus.PAUSED}:
                verb = self._continuation(state)
            self._live(process, verb)
            if self.bugs or self.clock.now() > self.quiet_at:
                return
            self._wait(drawing.away_s[number % len(drawing.away_s)] if drawing.away_s else 0.0)

    def _continuation(self, state: RolloutState) -> Verb:
        """What the operator does about a rollout that has stopped."""
        window = self.drawing.spec.window
        if state.cause == "window" and window is not None:
            opening = window.next_opening(self.clock.now())
            waits = any(node.held_at(self.clock.now()) for node in state.nodes.values())
            if opening is not None and (waits or not window.open_at(self.clock.now())):
                self._wait(opening - self.clock.now() + 1.0)
            return Verb.RESUME
        self.halts[state.cause] += state.status is RolloutStatus.HALTED
        return Verb.ABORT if self.halts[state.cause] > _PATIENCE else Verb.RESUME

    def _wait(self, seconds: float) -> None:
        """Nobody is there; the machines go on."""
        self.clock.run(self.clock.sleep(seconds))

    def _live(self, process: Process, verb: Verb | None) -> bool:
        """One process, to its end. False: there is nothing to go on with."""
        try:
            end = self.clock.run(self._lived(process, verb))
        except JournalUnwritable:
            end = "disk full"
        except Busy:
            end = "busy"
        except Exception as bug:  # noqa: BLE001 (what nobody foresaw is what is looked for)
            self.bugs.append(f"process {process.number}: {type(bug).__name__}: {bug}")
            end = "bug"
        self.ends.append(end)
        return bool(self._state().plan) and self._state().status not in ENDED

    async def _lived(self, process: Process, verb: Verb | None) -> str:
        process.died = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unheard)
        with Lease(self.disk.path, ROLLOUT):
            running = Running(self, process)
            main = asyncio.create_task(running.run(verb))
            died = asyncio.create_task(process.died.wait())
            others = [asyncio.create_task(each) for each in running.company()]
            limit = asyncio.create_task(self._limit())
            done, _ = await asyncio.wait({main, died, limit}, return_when=asyncio.FIRST_COMPLETED)
            for task in others:
                task.cancel()
            if died in done or not process.alive:
                return "died"
            if limit in done:
                self.bugs.append(f"process {process.number} does not end")
                process.kill()
                return "endless"
            result = main.result()
            held, made = running.ledger.state, self._state()
            if held != made and state_digest(held) != state_digest(made):
                self.bugs.append(f"I8: process {process.number} held another state than the journal makes")
            return result

    async def _limit(self) -> None:
        await self.clock.sleep((self.quiet_at or self.clock.now() + QUIET_S) - self.clock.now())

    def _unheard(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Exceptions of tasks that nobody awaited: those of a dead process are no news."""
        error = context.get("exception")
        if isinstance(error, BaseExceptionGroup):
            error = error.split((Crash, JournalUnwritable))[1]
        if error is not None and not isinstance(error, Crash | JournalUnwritable):
            self.bugs.append(f"{type(error).__name__}: {error} ({context['message']})")

    def _last_look(self) -> tuple[dict[str, list[str]], tuple[tuple[str, str], ...]]:
        """An hour later the network is whole; one more process deletes what sessions were left, or another, where a fault met its login."""
        self.network.lost = 0.0
        for _ in range(SWEEPS):
            self._wait(3600.0)
            for bmc in self.hall.bmcs.values():
                bmc.agenda.advance(self.clock.now() - self.hall._origin)
            if self.bugs or not self.disk.open_sessions():
                break
            self._sweep()
        reached = {name for name, bmc in self.hall.bmcs.items() if bmc.phase == "ready" and not bmc._gone}
        left = {
            name: [session.context for session in bmc.sessions.open.values()]
            for name, bmc in self.hall.bmcs.items()
            if name in reached and bmc.sessions.open
        }
        return left, tuple(
            (row.node, row.uri or row.context) for row in self.disk.open_sessions() if row.node in reached
        )

    def _sweep(self) -> None:
        process = Process(number=self.witness.owner)
        with suppress(JournalUnwritable, Crash):
            self.clock.run(Running(self, process).sweep(all_of="them"))


def state_digest(state: RolloutState) -> str:
    """Of all that a fold knows."""
    return hashlib.sha256(json.dumps(asdict(state), sort_keys=True, default=str).encode()).hexdigest()
