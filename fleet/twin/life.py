"""One rollout in a twin, from the survey to its end: the composition root in small, with the product's own parts."""

import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import events as ev
from fleet.drivers.redfish import RedfishDriver
from fleet.engine import Engine, Ledger, Watcher
from fleet.errors import Refused
from fleet.events import Event, Recorded, RolloutId
from fleet.executor import LocalExecutor
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.journal import Verb
from fleet.limits import Limits
from fleet.outlets import outlet_offers
from fleet.plan import Plan, Survey
from fleet.policy.durations import Learned
from fleet.runner import Surroundings
from fleet.sim.faults import FaultBook
from fleet.state import RolloutState, RolloutStatus
from fleet.step import StepFactory
from fleet.survey import survey
from fleet.timebox import too_short
from fleet.twin.around import Around, TwinEdges, around_hall
from fleet.twin.clock import START, VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, credential, in_twin
from fleet.twin.journal import MemoryJournal
from fleet.vendors import load_profiles
from inventory.exporters.snapshot import Origin
from inventory.model import Node, Pdu

ROLLOUT = RolloutId("rehearsal")
_BY = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is rehearsed: the same for every seed."""

    playbook: str
    nodes: tuple[Node, ...]
    planned: Callable[[list[Survey]], Plan]
    """The plan for what was read of the nodes."""
    steps: StepFactory
    faults: FaultBook
    """Its seed is added to that of each life."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node -> item or family -> version at the start."""
    pdus: tuple[Pdu, ...] = ()
    """Of the inventory."""
    around: Around = field(default_factory=Around)
    """What the inventory declares beside nodes and PDUs."""
    start: float = START
    """Field time at which the rollout is asked for."""
    wait_for_window: str = ""
    """Non-empty: as `fleet apply --wait-for-window`."""
    takes_s: Mapping[str, float] = field(default_factory=dict)
    """Step -> field seconds, of those that no profile knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How it went, once."""

    seed: int
    exit: Exit
    state: RolloutState
    recorded: tuple[Recorded, ...]
    """The journal."""
    truth: dict[str, Any]
    """What really happened, as the hall knows it."""
    starts: tuple[tuple[float, float], ...]
    """(from, to) in hall seconds: every start of a host, POST included."""


def hall_of(scene: Scene, seed: int, clock: VirtualClock) -> TwinHall:
    """The hall of one life, as it is before anything is done. Raises UsageError for a model that has no simulated box."""
    return TwinHall(
        TwinSpec(
            nodes=in_twin(scene.nodes),
            clock=clock,
            versions=scene.versions,
            seed=seed,
            faults=_seeded(scene.faults, seed),
            pdus=scene.pdus,
            switches=scene.around.switches,
            cables=scene.around.cables,
            provisioning_vlan=scene.around.provisioning_vlan,
        )
    )


def live(scene: Scene, seed: int, watcher: Watcher | None = None, *, place: Path | None = None) -> Life:
    """Run the scene once in virtual time. The same scene and seed give the same life, event by event.

    Args:
        scene: what.
        seed: decides whom faults hit, how long each machine takes, and every pause that has chance in it.
        watcher: told of events, for progress.
        place: a folder for what the product keeps on a disk; unless given one that is thrown away.

    Raises:
        UsageError: a model that has no simulated box, or what planning raises.
        Refused: no window of the playbook is long enough.
    """
    clock = VirtualClock(scene.start)
    hall = hall_of(scene, seed, clock)
    journal = MemoryJournal(clock)
    ledger = Ledger(journal, RolloutState(rollout=ROLLOUT), (watcher,) if watcher else ())
    ledger.watch(_Approver(journal))
    process = _Process(scene, seed, hall, clock, journal, ledger)
    # The pauses between retries (fleet.limits) have chance in them. Not earlier: who imports pysnmp, as the first life's PDUs do, draws.
    random.seed(f"rehearsal {seed}")
    with tempfile.TemporaryDirectory(prefix="fleet-twin-") as directory:
        done = clock.run(process.run(place or Path(directory)))
    return Life(
        seed=seed,
        exit=done,
        state=ledger.state,
        recorded=journal.kept(ROLLOUT),
        truth=hall.truth(),
        starts=tuple(hall.starts()),
    )


def _seeded(book: FaultBook, seed: int) -> FaultBook:
    return FaultBook(name=book.name, seed=book.seed + seed, rules=book.rules)


class _Approver:
    """Lets every wave through at once: a rehearsal has nobody to ask."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    def __call__(self, event: Recorded | Event) -> None:
        if isinstance(event, Recorded) and isinstance(event.event, ev.ApprovalNeeded):
            self._journal.ask(event.rollout, Verb.APPROVE, _BY)


@dataclass(frozen=True, slots=True)
class _Process:
    """What one process holds while it surveys, plans and runs."""

    scene: Scene
    seed: int
    hall: TwinHall
    clock: VirtualClock
    journal: MemoryJournal
    ledger: Ledger

    async def run(self, directory: Path) -> Exit:
        """`directory`: for the secret of the twin, and for what the product keeps on a disk."""
        limits = Limits()
        way = self.hall.transports(limits)
        async with AsyncExitStack() as stack:
            driver = RedfishDriver([credential(directory)], clock=self.clock, limits=limits, transport=way)
            stack.push_async_callback(driver.close)
            around = around_hall(self.hall, self.scene.around, self.clock, directory, seed=self.seed)
            edges = await stack.enter_async_context(around)
            await self.ledger.record(ev.RolloutCreated(playbook=self.scene.playbook, sources={}, by=_BY))
            plan = await self._planned(driver, edges)
            if not plan.order:
                await self.ledger.record(ev.RolloutEnded(outcome=RolloutStatus.REFUSED.value))
                return Exit.REFUSED
            short = too_short(plan, load_profiles(), self.scene.steps, Learned(self.scene.takes_s), self.clock.now())
            if short:
                raise Refused(f"rollout.window ({plan.caps.window}): {short}")
            return await self._engine(plan, driver, edges).run()

    def _learned(self) -> Learned:
        """Of this life alone."""
        learned = Learned(self.scene.takes_s)
        for recorded in self.journal.kept(ROLLOUT):
            learned.note(recorded)
        self.ledger.watch(lambda event: learned.note(event) if isinstance(event, Recorded) else None)
        return learned

    async def _planned(self, driver: RedfishDriver, edges: TwinEdges) -> Plan:
        surveys = await survey(
            in_twin(self.scene.nodes),
            driver,
            self.clock,
            self.ledger,
            around=lambda node: outlet_offers(edges.outlets(node)),
            leftovers={},
        )
        plan = self.scene.planned(surveys)
        await self.ledger.record(ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        refused = plan.refused.items()
        await self.ledger.record(
            *(ev.NodeRefused(node=name, reason=node.reason, message=node.message) for name, node in refused)
        )
        return plan

    def _engine(self, plan: Plan, driver: RedfishDriver, edges: TwinEdges) -> Engine:
        gate = Gate()
        around = Surroundings(
            rollout=ROLLOUT,
            plan=plan,
            driver=driver,
            profiles=load_profiles(),
            steps=self.scene.steps,
            clock=self.clock,
            gate=gate,
            recorder=self.ledger,
            edges=edges,
            links=self.scene.around.leaf_links,
            origin=Origin.SIMULATED_HALL,
            learned=self._learned(),
        )
        nodes = {str(node.id): node for node in in_twin(self.scene.nodes)}
        return Engine(
            plan=plan,
            ledger=self.ledger,
            journal=self.journal,
            executor=LocalExecutor(around, nodes, {}),
            gate=gate,
            clock=self.clock,
            wait_for_window=self.scene.wait_for_window,
        )
