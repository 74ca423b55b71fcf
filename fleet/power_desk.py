"""The one who gives power away: owns the ledger of this process, reads the meters, answers those who wait, ends loads where it must.

A reservation is on disk before whoever asked for it goes on. After a crash it is rebuilt from the journal: every stage that power was
reserved for, and that was not seen to be over, counts with its peak; everything else with the nameplate, until a meter has spoken.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Recorder, drained
from fleet.edges import CommandResult, Edges, MetersFeeds, PduMeter
from fleet.errors import LoadShed, NodeFault, Transient
from fleet.events import Event, Recorded
from fleet.gate import Gate
from fleet.policy.power.account import Standing
from fleet.policy.power.ledger import Ask, PowerLedger, Refusal
from fleet.policy.power.pacing import JITTER
from fleet.policy.power.spec import Others
from fleet.policy.power.watch import Watch
from fleet.ports import Bmc, MetersPower
from fleet.profile import Timings
from fleet.state import ACTIVE, NodeState, NodeStatus, RolloutState
from fleet.watts import PowerReading
from inventory.model import Node
from inventory.power import Stage

START_S = Timings().post_s
"""A start that an earlier process began is over by then: the longest POST of any profile."""
READS = 32
"""Meters that are asked at once: more lose answers (measurements.md)."""
PDU, BMC = "pdu", "bmc"


@dataclass(slots=True)
class _Waiter:
    wanted: Ask
    answer: "asyncio.Future[None]"
    told: str = ""
    """Domain that was last said to be in the way."""


@dataclass(slots=True, kw_only=True)
class PowerDesk:
    """See the module. `meter` and `answer` have to be running for anybody to be answered."""

    ledger: PowerLedger
    recorder: Recorder
    clock: Clock
    gate: Gate
    edges: Edges
    nodes: Mapping[str, Node]
    """By name, all of the inventory."""
    watch: Watch = field(init=False)
    chance: random.Random = field(default_factory=random.Random)
    _waiting: dict[tuple[str, str, bool], _Waiter] = field(default_factory=dict)
    _loads: dict[tuple[str, str], "asyncio.Future[str]"] = field(default_factory=dict)
    _bmcs: dict[str, Bmc] = field(default_factory=dict)
    _begun: set[tuple[str, str]] = field(default_factory=set)
    """Loads that ran, or may have run in an earlier process."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _metered: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS))

    def __post_init__(self) -> None:
        self.watch = Watch(self.ledger)

    def take_over(self, state: RolloutState) -> None:
        """Rebuild the ledger from what the journal says."""
        now = self.clock.now()
        for name in self.ledger.accounts:
            node = state.nodes.get(name)
            self.ledger.stands(name, self._standing(node))
            if node is None or node.status in {NodeStatus.CONFIRMED, NodeStatus.ROLLED_BACK}:
                continue
            for stage in node.power:
                self._begun.add((name, stage))
                self.ledger.hold(name, stage, now, ends_at=now + START_S if stage == Stage.START else None)

    def noticed(self, event: Recorded | Event) -> None:
        """An event of the rollout (fleet.engine.Watcher): who holds a node, and whether others may load it."""
        fact = event.event if isinstance(event, Recorded) else None
        if not isinstance(fact, ev.NodeEvent) or fact.node not in self.ledger:
            return
        self.ledger.stands(fact.node, self._standing(self.recorder.node_state(fact.node)))
        if isinstance(fact, ev.NodeConfirmed | ev.NodeRolledBack):
            for load in self.ledger.loads_of(fact.node):
                self.ledger.ended(fact.node, load.stage, self.clock.now())
            self._wake.set()
        elif isinstance(fact, ev.NodeQuarantined):
            self._given_up(fact.node)

    def _given_up(self, node: str) -> None:
        """A start is over some time; what was reserved and never begun is free; a test whose end nobody saw stays booked."""
        now = self.clock.now()
        for load in self.ledger.loads_of(node):
            if load.stage == Stage.START:
                self.ledger.hold(node, load.stage, now, ends_at=now + START_S)
            elif (node, load.stage) not in self._begun:
                self.ledger.ended(node, load.stage, now)

    def _standing(self, node: NodeState | None) -> Standing:
        if self.ledger.spec.others is Others.MEASURED:
            return Standing.OURS
        held = node is not None and node.status in ACTIVE and drained(node)
        return Standing.OURS if held else Standing.FOREIGN

    def of(self, node: str, bmc: Bmc) -> "NodePower":
        """The port of one node (fleet.power_port.Power)."""
        return NodePower(self, node, bmc)

    async def meter(self) -> None:
        """Read all meters, again and again, until it is cancelled."""
        while True:
            await self._read_all()
            self._metered.set()
            self._wake.set()
            await self.clock.sleep(self.ledger.spec.period_s)

    async def answer(self) -> None:
        """Answer those who wait, until it is cancelled. Raises JournalUnwritable."""
        await self._metered.wait()  # before, nothing is known, and everybody would be told to wait
        while True:
            self._wake.clear()
            found = self.ledger.round(self.clock.now())
            await self._give(wanted for wanted in found.granted)
            await self._refuse(found.refused)
            alarm = asyncio.create_task(self._alarm(found.until))
            try:
                await self._wake.wait()
            finally:
                alarm.cancel()

    async def _alarm(self, until: float | None) -> None:
        if until is not None:
            await self.clock.sleep(until - self.clock.now())
            self._wake.set()

    async def _give(self, granted: Iterable[tuple[Ask, int]]) -> None:
        """To disk, and then to those who wait."""
        given = [(wanted, watts) for wanted, watts in granted if _key(wanted) in self._waiting]
        await self.recorder.record(
            *(ev.PowerReserved(node=wanted.node, stage=wanted.stage, watts=watts) for wanted, watts in given)
        )
        for wanted, _ in given:
            waiter = self._waiting.get(_key(wanted))
            if waiter is not None and not waiter.answer.done():
                waiter.answer.set_result(None)

    async def _refuse(self, refused: Iterable[tuple[Ask, Refusal]]) -> None:
        """Say who is in the way of whom: once a domain in the journal, each time to whoever watches."""
        for wanted, refusal in refused:
            waiter = self._waiting.get(_key(wanted))
            if waiter is None:
                continue
            text = f"waits for power: {refusal.why}"
            self.recorder.show(ev.StepProgress(node=wanted.node, step=wanted.stage, percent=None, text=text))
            if refusal.until is None and waiter.told != refusal.domain:
                waiter.told = refusal.domain
                await self.recorder.record(
                    ev.PowerWaiting(node=wanted.node, stage=wanted.stage, domain=refusal.domain, why=refusal.why)
                )

    async def wait(
        self, node: str, stage: str, *, left_s: float = 0.0, turn: float | None = None, leave: str = ""
    ) -> None:
        """Until it is granted. `leave`: non-empty where the node may be parked meanwhile."""
        jitter = self.chance.uniform(-JITTER, JITTER)
        wanted = Ask(node=node, stage=stage, since=self.clock.now(), left_s=left_s, turn=turn, jitter=jitter)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[_key(wanted)] = _Waiter(wanted, answer)
        self.ledger.ask(wanted)
        self._wake.set()
        try:
            while not answer.done():
                if not leave:
                    await answer
                    continue
                await self.gate.safe_point()
                moved = asyncio.create_task(self.gate.moved())
                await asyncio.wait({answer, moved}, return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
        finally:
            self._waiting.pop(_key(wanted), None)
            self.ledger.withdraw(wanted)

    async def ended(self, node: str, stage: str) -> None:
        """A stage was seen to be over."""
        if stage not in {load.stage for load in self.ledger.loads_of(node) if load.ended_at is None}:
            return
        await self.recorder.record(ev.PowerReleased(node=node, stage=stage))
        self.ledger.ended(node, stage, self.clock.now())

    async def under(
        self, node: str, stage: str, bmc: Bmc, run: Callable[[], Awaitable[CommandResult]], told: "asyncio.Future[str]"
    ) -> CommandResult | str:
        """The result of a load, or why it had to end: then it is no longer waited for. Its BMC is a second meter meanwhile."""
        self._begun.add((node, stage))
        self._loads[node, stage], self._bmcs[node] = told, bmc
        load = asyncio.ensure_future(run())
        try:
            either: list[asyncio.Future[Any]] = [load, told]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if load.done():
                return load.result()
            return told.result()
        finally:
            load.cancel()
            self._loads.pop((node, stage), None)
            self._bmcs.pop(node, None)
            self.ledger.unplug(node, BMC)

    async def _read_all(self) -> None:
        """One round of readings. A meter that does not answer has no say until it does."""
        nodes = [name for name, account in self.ledger.accounts.items() if account.standing is Standing.OURS]
        meters = {str(meter.pdu): meter for meter in self.edges.meters()} if isinstance(self.edges, MetersFeeds) else {}
        async with asyncio.TaskGroup() as asked:
            for name in nodes:
                asked.create_task(self._read_outlets(name))
            for name, bmc in self._bmcs.items():
                asked.create_task(self._read_bmc(name, bmc))
            for domain in self.ledger.tree.domains.values():
                if domain.meters and all(meter in meters for meter in domain.meters):
                    asked.create_task(self._read_domain(domain.id, [meters[meter] for meter in domain.meters]))
        for order in self.watch.look(self.clock.now()):
            told = self._loads.get((order.node, order.stage))
            if told is not None and not told.done():
                told.set_result(order.why)

    async def _read_outlets(self, name: str) -> None:
        outlets = self.edges.outlets(self.nodes[name])
        self._read(name, PDU, _sum([await self._asked(outlet.reading) for outlet in outlets]))

    async def _read_bmc(self, name: str, bmc: Bmc) -> None:
        if isinstance(bmc, MetersPower):
            self._read(name, BMC, await self._asked(bmc.power_reading))

    def _read(self, name: str, source: str, reading: PowerReading | None) -> None:
        if reading is not None:
            self.ledger.read(name, source, reading, self.clock.now())

    async def _read_domain(self, domain: str, meters: Iterable[PduMeter]) -> None:
        found = _sum([await self._asked(meter.reading) for meter in meters])
        if found is not None:
            self.watch.read(domain, found)

    async def _asked(self, meter: Callable[[], Awaitable[PowerReading | None]]) -> PowerReading | None:
        async with self._reading:
            try:
                return await meter()
            except (Transient, NodeFault):
                return None


@dataclass(frozen=True, slots=True)
class NodePower:
    """Fulfils fleet.power_port.Power for one node."""

    desk: PowerDesk
    node: str
    bmc: Bmc

    async def reserve(self, stage: str, *, left_s: float = 0.0) -> None:
        """See fleet.power_port.Power."""
        if self.node not in self.desk.ledger:
            return
        load = self.desk.ledger.accounts[self.node].loads.get(stage)
        if load is not None and load.ended_at is None and load.told_at is None:
            self.desk.ledger.hold(self.node, stage, self.desk.clock.now())
        else:
            await self.desk.wait(self.node, stage, left_s=left_s, leave="at a safe point")

    async def turn(self, start_s: float) -> None:
        """See fleet.power_port.Power."""
        if self.node in self.desk.ledger:
            await self.desk.wait(self.node, Stage.START, turn=start_s)

    async def ended(self, stage: str) -> None:
        """See fleet.power_port.Power."""
        if self.node in self.desk.ledger:
            await self.desk.ended(self.node, stage)

    async def under(
        self,
        stage: str,
        run: Callable[[], Awaitable[CommandResult]],
        gone: Callable[[], Awaitable[bool]],
    ) -> CommandResult:
        """See fleet.power_port.Power."""
        if self.node not in self.desk.ledger:
            return await run()
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        result = await self.desk.under(self.node, stage, self.bmc, run, told)
        seen = not isinstance(result, str) and result.exit_status is not None
        if seen or await gone():
            await self.ended(stage)
        if isinstance(result, str):
            raise LoadShed(f"{stage} was ended: {result}")
        return result


def _key(wanted: Ask) -> tuple[str, str, bool]:
    return wanted.node, wanted.stage, wanted.turn is not None


def _sum(readings: list[PowerReading | None]) -> PowerReading | None:
    """Of meters that measure parts of one thing: as old as the oldest; nothing where one of them is silent."""
    found = [reading for reading in readings if reading is not None]
    if not found or len(found) < len(readings):
        return None
    return PowerReading(watts=sum(reading.watts for reading in found), at=min(reading.at for reading in found))
