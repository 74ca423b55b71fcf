"""A small rollout: two components, one or more machines, planned by the real planner, run by the real engine and journal."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet import events as ev
from fleet.edges import Edges
from fleet.engine import Engine, Ledger, Watcher
from fleet.events import Event, Recorded, RolloutId
from fleet.executor import LocalExecutor
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.journal import Request, SqliteJournal
from fleet.plan import Plan, Survey
from fleet.planning import build
from fleet.policy.power.ledger import PowerLedger
from fleet.policy.power.spec import PowerSpec
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.power_desk import PowerDesk
from fleet.profile import ComponentProfile, Profile, Push, Quirks, Rollback, Trust
from fleet.recipe import RecipeBook
from fleet.runner import Surroundings
from fleet.state import RolloutState, replay
from fleet.step import StepSpec
from fleet.survey import open_leftovers
from inventory.baseline import Activation, Baseline, ComponentBaseline, Fits, PreviousImage, SteppingStone
from inventory.model import Bmc, CredentialId, FeedId, Link, Node, NodeId, RackId
from inventory.observed import FirmwareItem, Observation
from inventory.power import PowerTree
from playbooks.registry import make
from support.clock import VirtualClock
from support.machine import Crash, Machine, ModelDriver, Process

ROLLOUT = RolloutId("r-1")
NEEDS = {"bmc": Activation.BMC_RESET, "bios": Activation.DC_CYCLE}
TASKS_KEPT_S = 86_400.0
"""The modelled BMC keeps its tasks until it restarts."""
OFFERS = frozenset({Activation.BMC_RESET, Activation.WARM_RESET, Activation.DC_CYCLE})


def digest(component: str, version: str) -> str:
    """Stands for the image of that version."""
    return hashlib.sha256(f"{component} {version}".encode()).hexdigest()


def image(component: str, version: str) -> Path:
    """Where that image would lie."""
    return Path(f"/images/{component}-{version}.fwpkg")


def component(
    key: str, *, previous: bool = True, stones: Sequence[SteppingStone] = (), models: tuple[str, ...] = ("M",)
) -> ComponentBaseline:
    """`old` to `new`, with `old` as the way back."""
    back = PreviousImage(version="old", image=image(key, "old"), sha256=digest(key, "old"))
    return ComponentBaseline(
        key=key,
        version="new",
        image=image(key, "new"),
        sha256=digest(key, "new"),
        fits=Fits(models=models),
        activation=frozenset({NEEDS.get(key, Activation.BMC_RESET)}),
        requires=tuple(stones),
        previous=back if previous else None,
    )


def stone(key: str, via: str, *from_versions: str) -> SteppingStone:
    """A version in between."""
    return SteppingStone(from_versions=from_versions, via=via, image=image(key, via), sha256=digest(key, via))


def profile(*keys: str, rollback: Rollback = Rollback.REFLASH, trust: Trust = Trust.MANAGED) -> Profile:
    """One item a component, named as the component."""
    parts = {
        key: ComponentProfile(items=(key,), push=(Push.MULTIPART,), rollback=rollback, flash_s=300.0) for key in keys
    }
    return Profile(
        name="model", title="a model", trust=trust, components=parts, quirks=Quirks(tasks_kept_s=TASKS_KEPT_S)
    )


def node(name: str, rack: str = "r1", feeds: Sequence[str] = ("A",)) -> Node:
    """A node as declared."""
    return Node(
        id=NodeId(name),
        model="M",
        rack=RackId(rack),
        slot=1,
        feeds=tuple(FeedId(feed) for feed in feeds),
        bmc=Bmc(address="127.0.0.1", credential=CredentialId("c")),
    )


def survey(declared: Node, versions: dict[str, str], of: Profile, offers: frozenset[Activation] = OFFERS) -> Survey:
    """What a precheck would have read."""
    items = tuple(FirmwareItem(id=name, version=version) for name, version in versions.items())
    seen = Observation(node=declared.id, serial="S1", uuid="u", model="M", items=items, read_at=0.0, source="model")
    return Survey(node=declared, profile=of, observation=seen, offers=offers)


def baseline(*components: ComponentBaseline) -> Baseline:
    """Of these components."""
    return Baseline(name="b", models=("M",), components={part.key: part for part in components})


def book(of: Baseline, *keys: str) -> RecipeBook:
    """`firmware.update` of each."""
    images = [stone.image for part in of.components.values() for stone in part.requires]
    images += [part.image for part in of.components.values()]
    images += [part.previous.image for part in of.components.values() if part.previous]
    steps = tuple(StepSpec("firmware.update", {"component": key}) for key in keys or of.components)
    return RecipeBook(steps=steps, baseline=of, sizes=dict.fromkeys(images, 1000))


def plan_for(
    nodes: Sequence[Node],
    *,
    on_failure: OnFailure = OnFailure.QUARANTINE,
    spec: RolloutSpec | None = None,
    of: Baseline | None = None,
    versions: dict[str, str] | None = None,
) -> Plan:
    """Planned by the real planner."""
    of = of or baseline(component("bmc"), component("bios"))
    spec = spec or RolloutSpec(
        waves=(len(nodes),), max_in_flight=len(nodes), rack=None, failure_budget=len(nodes), on_failure=on_failure
    )
    kind = profile(*of.components)
    seen = versions or dict.fromkeys(of.components, "old")
    surveys = [survey(item, seen, kind) for item in nodes]
    return build(playbook="p", baseline=of, spec=spec, surveys=surveys, recipe_for=book(of))


Slow = Callable[["HeldJournal", Sequence[Event]], Awaitable[None]]


class HeldJournal(SqliteJournal):
    """The real journal; virtual time stands still while it writes, and the process may die at an append.

    `dies_at`: the number of the append, from 1; `written`: whether that append still reaches the disk. `slow`: awaited before each,
    as a disk that takes its time.
    """

    def __init__(
        self,
        path: Path,
        clock: VirtualClock,
        process: Process,
        *,
        dies_at: int = 0,
        written: bool = False,
        slow: Slow | None = None,
    ) -> None:
        super().__init__(path, clock)
        self._slow = slow
        self._virtual, self._process, self._dies_at, self._written = clock, process, dies_at, written
        self.appends = 0

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """As SqliteJournal, or death."""
        self._process.must_live()
        self.appends += 1
        dies = self.appends == self._dies_at
        if dies and not self._written:
            self._process.kill()
            raise Crash
        if self._slow is not None:
            await self._slow(self, events)
        with self._virtual.hold():
            recorded = await super().append(rollout, *events)
        if dies:
            self._process.kill()
        self._process.must_live()
        return recorded


@dataclass(slots=True, kw_only=True)
class Hall:
    """Machines, a journal file and a clock; `run` is one process's life."""

    path: Path
    clock: VirtualClock
    plan: Plan
    nodes: dict[str, Node]
    machines: dict[str, Machine]
    appends: list[int] = field(default_factory=list)
    """Appends of each process so far."""
    edges: Callable[[Process], Edges] | None = None
    """What stands around the nodes, as one process sees it."""
    links: dict[str, tuple[Link, ...]] = field(default_factory=dict)
    """Node -> its cables."""
    power: PowerTree | None = None
    """What feeds the nodes."""
    power_spec: PowerSpec = field(default_factory=PowerSpec)
    wait_for_window: str = ""
    """Non-empty: as `fleet apply --wait-for-window`."""

    async def prepare(self) -> None:
        """The plan is in the journal, as after `fleet plan`."""
        journal = HeldJournal(self.path, self.clock, Process())
        await journal.append(ROLLOUT, ev.RolloutCreated(playbook="p", sources={}, by="test"))
        await journal.append(ROLLOUT, ev.RolloutPlanned(plan=self.plan.to_json(), digest=self.plan.digest()))
        await journal.close()

    async def run(
        self,
        *,
        dies_at: int = 0,
        written: bool = False,
        ask: Request | None = None,
        watch: Callable[["Running"], Watcher] | None = None,
        gate: Gate | None = None,
        slow: Slow | None = None,
    ) -> Exit:
        """One process: replay, take up, go on. Raises Crash if it dies."""
        process = Process()
        journal = HeldJournal(self.path, self.clock, process, dies_at=dies_at, written=written, slow=slow)
        try:
            running = Running(self, journal, process, watch, gate or Gate())
            return await running.engine.run(ask=ask)
        finally:
            self.appends.append(journal.appends)
            await journal.close()

    async def state(self) -> RolloutState:
        """What the journal says."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            return replay(ROLLOUT, journal.read(ROLLOUT))
        finally:
            await journal.close()

    async def open_sessions(self) -> int:
        """Sessions that the journal holds to be open."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            return len(journal.open_sessions())
        finally:
            await journal.close()


class Running:
    """What a process holds while it runs a rollout; the composition root in small."""

    def __init__(
        self,
        hall: Hall,
        journal: HeldJournal,
        process: Process,
        watch: Callable[["Running"], Watcher] | None,
        gate: Gate,
    ) -> None:
        state = replay(ROLLOUT, journal.read(ROLLOUT))
        self.hall = hall
        self.journal = journal
        self.gate = gate
        self.ledger = Ledger(journal, state, (watch(self),) if watch else ())
        profiles = {"model": profile(*(target.component for target in hall.plan.targets.values()))}
        plan = Plan.from_json(state.plan)
        edges = hall.edges(process) if hall.edges else None
        desk = None
        if hall.power is not None and edges is not None:
            power = PowerLedger(hall.power, {name: node.model for name, node in hall.nodes.items()}, hall.power_spec)
            desk = PowerDesk(
                ledger=power,
                recorder=self.ledger,
                clock=hall.clock,
                gate=gate,
                edges=edges,
                nodes=hall.nodes,
            )
            desk.take_over(state)
            self.ledger.watch(desk.noticed)
        around = Surroundings(
            rollout=ROLLOUT,
            plan=plan,
            driver=ModelDriver(hall.machines, process),
            profiles=profiles,
            steps=make,
            clock=hall.clock,
            gate=self.gate,
            recorder=self.ledger,
            edges=edges,
            power=desk,
            links=hall.links,
        )
        leftovers = open_leftovers((row.node, row.context, row.uri) for row in journal.open_sessions())
        self.engine = Engine(
            plan=plan,
            ledger=self.ledger,
            journal=journal,
            executor=LocalExecutor(around, hall.nodes, leftovers),
            gate=self.gate,
            clock=hall.clock,
            beside=(desk.meter, desk.answer) if desk else (),
            wait_for_window=hall.wait_for_window,
        )


def hall(
    path: Path,
    names: Sequence[str] = ("n1",),
    faults: Sequence[str] = (),
    plan: Callable[[list[Node]], Plan] = plan_for,
) -> Hall:
    """Fresh machines on old versions."""
    clock = VirtualClock()
    nodes = {name: node(name) for name in names}
    images = {digest(key, version): (key, version) for key in NEEDS for version in ("old", "new")}
    machines = {
        name: Machine(
            clock=clock,
            active=dict.fromkeys(NEEDS, "old"),
            images=images,
            activated_by=dict(NEEDS),
            faults=set(faults),
        )
        for name in names
    }
    return Hall(path=path, clock=clock, plan=plan(list(nodes.values())), nodes=nodes, machines=machines)
