"""A hall, a rollout over it, and processes of ours that are killed in the middle of it. Used by the soak and by its short form.

Nothing of the product runs in this process: `fleet` is started as an operator would start it, and is killed by SIGKILL. What it
did is read from its journal; what really happened is read from the hall.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import events as ev
from fleet.cli.demo import IN_WAVES, hall_for, write_demo
from fleet.cli.hall import RunningHall, read_hall
from fleet.cli.journey import hall_for_journey, write_journey
from fleet.cli.sim import fault_file
from fleet.errors import UsageError
from fleet.events import Recorded, RolloutId
from fleet.journal import SessionRow
from fleet.journal.reading import look
from fleet.state import RolloutState, fold, replay

FLEET = Path(sys.executable).with_name("fleet")
POLL_S = 0.01
GIVE_UP_S = 1800.0
"""Wall seconds for one life: a process that takes longer hangs."""
PROGRESS = (ev.NodeAdmitted, ev.StepStarted, ev.StepEnded, ev.IntentRecorded, ev.EffectRecorded, ev.NodeObserved)
"""What a rollout records once, however often its process dies: by these its age is counted."""


class SoakError(Exception):
    """The soak itself cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a rollout happens."""

    directory: Path
    hall: Path
    given: tuple[str, ...]
    """What `fleet apply` is told of it: playbook, inventory and whatever else is its own."""
    before: dict[str, Any]
    """The hall's truth before anything was done."""
    faults: Path
    """What is wrong in this hall."""
    baseline: Path | None = None
    """Of a journey: what its operator asked for."""

    @property
    def journal(self) -> Path:
        """The rollout's journal."""
        return self.directory / "journal.db"

    def running(self) -> RunningHall:
        """The hall's own description, clock and truth."""
        return read_hall(self.hall)

    def apply(self) -> list[str]:
        """The command line of a new rollout."""
        return [str(FLEET), "apply", *self.given, "--hall", str(self.hall), "--journal", str(self.journal), "--yes"]

    def command(self, *words: str) -> list[str]:
        """Another command over the same journal."""
        return [str(FLEET), *words, "--journal", str(self.journal)]

    def rollout(self) -> RolloutId | None:
        """The newest rollout, None before there is one."""
        if not self.journal.is_file():
            return None
        try:
            with look(self.journal) as view:
                return next((row.id for row in view.rollouts()), None)
        except UsageError:  # it is being created, or its creator was killed
            return None

    def recorded(self, rollout: RolloutId, *, after: int = 0) -> list[Recorded]:
        """Its events."""
        with look(self.journal) as view:
            return list(view.read(rollout, after=after))

    def state(self, rollout: RolloutId) -> RolloutState:
        """What its journal says is true."""
        return replay(rollout, self.recorded(rollout))

    def open_sessions(self) -> tuple[SessionRow, ...]:
        """Sessions that the journal believes in."""
        with look(self.journal) as view:
            return view.open_sessions()

    def wall(self, at: float) -> float:
        """Field time as the epoch seconds of this machine."""
        hall = self.running()
        return hall.started + (at - hall.started) / hall.speed


@contextmanager
def place(
    directory: Path,
    nodes: int,
    *,
    speed: float,
    faults: str,
    seed: int,
    on_failure: str = "roll_back_node",
    budget: str = "100%",
) -> Iterator[Place]:
    """A running hall of `nodes` DGX H100 and the files of a firmware rollout over it. Several may run on one machine."""
    playbook = write_demo(directory, nodes, on_failure=on_failure, budget=budget, pace=IN_WAVES)
    given = (str(playbook), "-i", str(directory / "inventory.yaml"))
    with _standing(lambda: hall_for(directory, playbook, speed=speed, faults=faults, seed=seed)) as hall:
        before = read_hall(hall).truth()
        yield Place(directory=directory, hall=hall, given=given, before=before, faults=fault_file(faults))


@contextmanager
def journey_place(
    directory: Path, select: str, *, speed: float, faults: str, seed: int, playbook: Path | None = None
) -> Iterator[Place]:
    """A running hall of the selected nodes of bring-up-256 and all that is around them, and the files of their bring-up.

    `playbook`: instead of the one that ships.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = write_journey(directory)
    given = (str(playbook or files.playbook), "-i", str(files.inventory), "--baseline", str(files.baseline))
    narrowed = ("--select", select) if select else ()
    with _standing(
        lambda: hall_for_journey(directory, files, select=select, speed=speed, faults=faults, seed=seed)
    ) as hall:
        yield Place(
            directory=directory,
            hall=hall,
            given=(*given, *narrowed),
            before=read_hall(hall).truth(),
            faults=fault_file(faults),
            baseline=files.baseline,
        )


@contextmanager
def _standing(start: Callable[[], AbstractContextManager[Path]]) -> Iterator[Path]:
    """The hall that `start` starts; once more if another one took its addresses between the look and the start."""
    with ExitStack() as stack:
        for attempts_left in range(4, -1, -1):
            try:
                hall = stack.enter_context(start())
                break
            except UsageError as error:
                if not attempts_left or "taken" not in str(error):
                    raise
        yield hall


@dataclass(slots=True, kw_only=True)
class Watch:
    """Follows the newest rollout of a journal as it grows."""

    place: Place
    rollout: RolloutId | None = None
    state: RolloutState | None = None
    progress: int = 0
    """Events that count as progress."""
    planned_at: float = 0.0
    """Epoch seconds at which the first plan was seen."""
    claims: list[Recorded] = field(default_factory=list)

    def look(self) -> list[Recorded]:
        """Read what is new."""
        newest = self.place.rollout()
        if newest is None:
            return []
        if newest != self.rollout or self.state is None:
            self.rollout, self.state, self.progress = newest, RolloutState(rollout=newest), 0
        fresh = self.place.recorded(newest, after=self.state.seq)
        for recorded in fresh:
            fold(self.state, recorded)
            self.progress += isinstance(recorded.event, PROGRESS)
            if isinstance(recorded.event, ev.RolloutClaimed):
                self.claims.append(recorded)
        if self.planned and not self.planned_at:
            self.planned_at = time.time()
        return fresh

    @property
    def planned(self) -> bool:
        """Whether there is a plan to resume."""
        return self.state is not None and bool(self.state.plan)


@dataclass(slots=True, kw_only=True)
class Life:
    """One process of `fleet`, from its start to its end."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float
    """Epoch seconds."""

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    @property
    def age_s(self) -> float:
        """Wall seconds since its start."""
        return time.time() - self.began

    def said(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-3000:]


def begin(command: list[str], directory: Path, number: int) -> Life:
    """Start a process; what it prints goes to a file."""
    log = directory / f"life-{number:03}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    return Life(process=process, log=log, began=time.time())


def live(life: Life, watch: Watch, until: Callable[[], bool]) -> int | None:
    """Until it ends by itself (its exit code) or `until` is true (None: it still runs)."""
    while not until():
        code = life.process.poll()
        watch.look()
        if code is not None:
            return code
        if life.age_s > GIVE_UP_S:
            life.kill()
            raise SoakError(f"the process did not end within {GIVE_UP_S:.0f} s: {life.said()}")
        time.sleep(POLL_S)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When to kill: at so much progress each, in order; the first ones before there is a plan."""

    survey_s: tuple[float, ...]
    """Ages of processes that read the nodes."""
    progress: tuple[int, ...]
    chance: random.Random

    @classmethod
    def make(cls, kills: int, seed: int, *, planned_s: float, progress: int) -> "Schedule":
        """Spread over a rollout that took `planned_s` to its plan and recorded `progress` events."""
        chance = random.Random(seed)  # noqa: S311 (a seeded choice of moments)
        early = max(1, kills // 12)
        return cls(
            survey_s=tuple(chance.uniform(0.05, 0.8) * planned_s for _ in range(early)),
            progress=tuple(sorted(chance.randrange(1, progress) for _ in range(kills - early))),
            chance=chance,
        )


@dataclass(slots=True, kw_only=True)
class Ordeal:
    """What was done to a rollout, and what came of it."""

    exit: int = -1
    kills: int = 0
    survey_kills: int = 0
    resumes: int = 0
    wall_s: float = 0.0
    claims_s: list[float] = field(default_factory=list)
    """From the start of each `fleet resume` to the first event that the new owner recorded."""
    planned_s: float = 0.0
    progress: int = 0


def endure(at: Place, schedule: Schedule | None, tell: Callable[[str], None] = lambda _: None) -> Ordeal:
    """Run a rollout to its end, killing its process as scheduled."""
    done = Ordeal()
    watch = Watch(place=at)
    begun = time.time()
    for number, moment in enumerate(_moments(schedule, watch), 1):
        life = begin(_next(at, watch, done), at.directory, number)
        claims = len(watch.claims)
        code = live(life, watch, moment(life))
        if code is None:
            life.kill()
            done.kills += 1
            done.survey_kills += not watch.planned
        watch.look()
        _note_claim(at, life, watch, claims, done)
        tell(f"life {number}: {life.age_s:.1f} s, {'killed' if code is None else f'exit {code}'}, {_words(watch)}")
        if code is not None:
            done.exit = code
            break
    done.wall_s, done.progress = time.time() - begun, watch.progress
    done.planned_s = watch.planned_at - begun
    return done


def _next(at: Place, watch: Watch, done: Ordeal) -> list[str]:
    if not watch.planned:
        return at.apply()
    done.resumes += 1
    return at.command("resume")


def _note_claim(at: Place, life: Life, watch: Watch, before: int, done: Ordeal) -> None:
    if len(watch.claims) > before and "resume" in life.process.args:  # type: ignore[operator]  # a list, as `begin` gave it
        done.claims_s.append(at.wall(watch.claims[before].at) - life.began)


def _moments(schedule: Schedule | None, watch: Watch) -> Iterator[Callable[[Life], Callable[[], bool]]]:
    """For each life, when it is killed."""
    if schedule is not None:
        for age_s in schedule.survey_s:
            yield lambda life, age_s=age_s: lambda: life.age_s >= age_s  # type: ignore[misc]  # bound by its default
        for target in schedule.progress:
            yield lambda life, target=target: _reaches(life, watch, target, schedule.chance)  # type: ignore[misc]  # bound by its default
    yield lambda _life: lambda: False


def _reaches(life: Life, watch: Watch, target: int, chance: random.Random) -> Callable[[], bool]:
    """At that much progress; if that much was made already, soon: while it starts, connects or reconciles."""
    if watch.progress < target:
        return lambda: watch.progress >= target
    soon_s = chance.uniform(0.2, 3.0)
    return lambda: life.age_s >= soon_s


def _words(watch: Watch) -> str:
    if watch.state is None or not watch.planned:
        return "no plan yet"
    counts = ", ".join(f"{number} {status}" for status, number in watch.state.count().items() if number)
    return f"{watch.state.status}, {counts}, {watch.progress} events"
