"""One process of a history: the composition root in small (fleet.cli.apply), and the operator who asks it for things."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fleet import events as ev
from fleet.drivers.edges import HallEdges, Whereabouts
from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.slurm import NoScheduler
from fleet.engine import Engine, Ledger
from fleet.errors import Busy
from fleet.events import RolloutId
from fleet.executor import LocalExecutor
from fleet.gate import Gate
from fleet.journal import Request, Verb
from fleet.journal.lease import Lease
from fleet.limits import Limits
from fleet.plan import Plan, Survey
from fleet.planning import build
from fleet.recipe import RecipeBook
from fleet.runner import Surroundings
from fleet.state import NodeStatus, RolloutState, RolloutStatus, replay
from fleet.step import StepSpec
from fleet.survey import open_leftovers, survey, sweep
from fleet.twin.hall import credential, in_twin
from fleet.vendors import load_profiles
from inventory.exporters.snapshot import Origin
from playbooks.registry import make
from simulation.drawing import Ask, Drawing
from simulation.process import DyingClock, OpenJournal, Process, RoughTransport

if TYPE_CHECKING:
    from simulation.history import Player

ROLLOUT = RolloutId("r-1")
LOOK_S = 400.0
"""Field seconds between an operator's looks."""


class Running:
    """What one process holds; the composition root in small (fleet.cli.apply)."""

    def __init__(self, player: "Player", process: Process) -> None:
        self._player = player
        self._process = process
        self._clock: Any = DyingClock(player.clock, process)
        self._journal: Any = OpenJournal(player.disk, process)
        self._nodes = in_twin(player.drawing.nodes)
        self._gate = Gate()
        limits = Limits()
        ways = player.hall.transports(limits)
        self._driver = RedfishDriver(
            [credential(player.place)],
            clock=self._clock,
            limits=limits,
            transport=lambda bmc: RoughTransport(ways(bmc), process, player.network),
        )
        self._edges = HallEdges(Whereabouts(), scheduler=NoScheduler(), installs=None, exports=None, clock=self._clock)
        state = (
            replay(ROLLOUT, player.disk.read(ROLLOUT)) if player.disk.kept(ROLLOUT) else RolloutState(rollout=ROLLOUT)
        )
        self.ledger = Ledger(self._journal, state)
        self.engine: Engine | None = None

    def company(self) -> list[Coroutine[Any, Any, None]]:
        """Whoever acts while this process runs."""
        return [self._operator()] if self._process.number else []

    async def run(self, verb: Verb | None) -> str:
        """The first process surveys and plans; the others resume."""
        if self._process.number == 0:
            return await self._plan()
        result = await self._engine_made().run(
            ask=Request(id=0, rollout=ROLLOUT, verb=verb, by="operator") if verb else None
        )
        await self.sweep()
        await self._driver.close()
        return result.name.lower()

    async def sweep(self, all_of: str = "") -> None:
        """As a process does at its end, or (`all_of`) as the next rollout does."""
        worked = frozenset({NodeStatus.RUNNING, NodeStatus.UNCERTAIN, NodeStatus.PARKED, NodeStatus.ROLLING_BACK})
        nodes = self.ledger.state.nodes
        idle = [node for node in self._nodes if all_of or nodes[str(node.id)].status not in worked]
        await sweep(idle, self._driver, self.ledger, self._leftovers())

    def _leftovers(self) -> dict[str, dict[str, str]]:
        return open_leftovers((row.node, row.context, row.uri) for row in self._journal.open_sessions())

    async def _plan(self) -> str:
        drawing, record = self._player.drawing, self.ledger.record
        await record(ev.RolloutCreated(playbook="simulated", sources={}, by="operator"))
        surveys = await survey(self._nodes, self._driver, self._clock, self.ledger, leftovers={})
        plan = planned(drawing, surveys)
        await record(ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        refused = plan.refused.items()
        await record(*(ev.NodeRefused(node=name, reason=node.reason, message=node.message) for name, node in refused))
        if not plan.order:
            await record(ev.RolloutEnded(outcome=RolloutStatus.REFUSED.value))
        await self._driver.close()
        return "planned"

    def _engine_made(self) -> Engine:
        plan = Plan.from_json(self.ledger.state.plan)
        around = Surroundings(
            rollout=ROLLOUT,
            plan=plan,
            driver=self._driver,
            profiles=load_profiles(),
            steps=make,
            clock=self._clock,
            gate=self._gate,
            recorder=self.ledger,
            edges=self._edges,
            origin=Origin.SIMULATED_HALL,
        )
        nodes = {str(node.id): node for node in self._nodes}
        self.engine = Engine(
            plan=plan,
            ledger=self.ledger,
            journal=self._journal,
            executor=LocalExecutor(around, nodes, self._leftovers()),
            gate=self._gate,
            clock=self._clock,
            wait_for_window="yes" if self._player.drawing.patient else "",
        )
        return self.engine

    async def _operator(self) -> None:
        """Asks for what was drawn, approves waves, and forgets no pause for ever."""
        player, clock = self._player, self._player.clock
        asks = player.drawing.asks
        while True:
            due = asks[player.asked].at + player.planned_at if player.asked < len(asks) else None
            await clock.until(max(clock.now(), min(due or clock.now() + LOOK_S, clock.now() + LOOK_S)))
            if due is not None and clock.now() >= due:
                player.asked += 1
                self._carry_out(asks[player.asked - 1])
            elif self.ledger.state.status is RolloutStatus.WAITING_APPROVAL:
                player.disk.ask(ROLLOUT, Verb.APPROVE, "operator")
            elif self.ledger.state.status is RolloutStatus.PAUSED and due is None:
                player.disk.ask(ROLLOUT, Verb.RESUME, "operator")

    def _carry_out(self, ask: Ask) -> None:
        if ask.what == "stop":
            if self.engine is not None:
                self.engine.stop("the process was asked to stop (SIGTERM)")
        elif ask.what == "again":
            asyncio.create_task(self._again())  # noqa: RUF006 (it lives as long as the loop)
        else:
            self._player.disk.ask(ROLLOUT, Verb(ask.what), "operator")

    async def _again(self) -> None:
        """Somebody starts a second process."""
        second = Process(number=self._process.number + 1000)
        with suppress(Busy), Lease(self._player.disk.path, ROLLOUT):
            await Running(self._player, second).run(None)


def planned(drawing: Drawing, surveys: list[Survey]) -> Plan:
    """The plan, each model by its own baseline."""
    books = {}
    for model in {node.model for node in drawing.nodes}:
        baseline = drawing.wanted.baseline(model)
        images = [stone.image for part in baseline.components.values() for stone in part.requires]
        images += [part.image for part in baseline.components.values()]
        images += [part.previous.image for part in baseline.components.values() if part.previous]
        steps = tuple(StepSpec("firmware.update", {"component": key}) for key in drawing.wanted.keys)
        books[model] = RecipeBook(steps=steps, baseline=baseline, sizes={path: path.stat().st_size for path in images})
    return build(
        playbook="simulated",
        baseline=drawing.wanted.baseline(drawing.nodes[0].model),
        spec=drawing.spec,
        surveys=surveys,
        recipe_for=lambda each: books[each.node.model](each),
    )
