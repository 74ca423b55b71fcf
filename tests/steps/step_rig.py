"""Steps of one node, one process after another: the real context and journal, and leaves of the hall behind the real dialects."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from support.around import Switches
from support.clock import VirtualClock
from support.machine import Process
from support.rollout import ROLLOUT, HeldJournal, node, plan_for

from fleet import events as ev
from fleet.context import Context
from fleet.drivers.switch.connection import ANSWER_S, Terminal
from fleet.drivers.switch.driver import DIALECTS
from fleet.edges import Edges, Neighbour, SwitchCli
from fleet.engine import Ledger
from fleet.errors import Transient
from fleet.gate import Gate
from fleet.journal import SqliteJournal
from fleet.ports import Bmc
from fleet.sim.cabling import Cabling
from fleet.sim.faults import NodeFaults
from fleet.sim.layout import Layout, SwitchSpec
from fleet.sim.switch import Switch
from fleet.sim.switchface import CLIS
from fleet.state import NodeState, replay
from fleet.step import Deferred, Met, Step, StepSpec, Unmet
from inventory.model import Link, Node

sys.path.append(str(Path(__file__).parents[1] / "inventory"))  # its NetBox and its small hall

Seen = TypeVar("Seen")
Steps = Sequence[tuple[str, StepSpec, Step]]


class Wire(Terminal):
    """A terminal that is the hall's command line itself, without SSH in between."""

    def __init__(self, switch: Switch) -> None:
        self.name = switch.spec.name
        self._switch = switch
        self._cli = CLIS[switch.spec.platform](switch)

    def say(self, command: str, *, timeout_s: float = ANSWER_S, echo: bool = True) -> str:
        """See Terminal."""
        replies = [self._cli.line(line) for line in command.splitlines()]
        if any(reply.breaks for reply in replies):
            raise Transient(f"{self.name}: the link broke")
        return "\n".join(reply.text for reply in replies if reply.text).strip("\n")

    def enable(self) -> None:
        """See Terminal."""
        self.say("enable")
        self.say(self._switch.secret)


@dataclass(slots=True)
class Leaf:
    """A leaf of the hall (fleet.edges.SwitchCli), driven in its own dialect; a fresh terminal for each command."""

    switch: Switch
    silent: int = 0
    """Reads that get no answer, from now on."""
    pushes: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def platform(self) -> str:
        """See fleet.edges.SwitchCli."""
        return self.switch.spec.platform

    @property
    def vlans(self) -> dict[str, int]:
        """What is really so."""
        return {port: self.switch.vlan_of(port) for port in self.switch.running.ports}

    async def running_config(self) -> str:
        """See fleet.edges.SwitchCli."""
        return self._do(lambda dialect, wire: dialect.running_config(wire))

    async def neighbours(self) -> tuple[Neighbour, ...]:
        """See fleet.edges.SwitchCli."""
        return self._do(lambda dialect, wire: dialect.neighbours(wire))

    async def access_vlans(self) -> Mapping[str, str]:
        """See fleet.edges.SwitchCli."""
        if self.silent:
            self.silent -= 1
            raise Transient(f"{self.switch.spec.name}: no answer")
        return self._do(lambda dialect, wire: dialect.access_vlans(wire))

    async def difference(self, lines: tuple[str, ...]) -> str:
        """See fleet.edges.SwitchCli."""
        return self._do(lambda dialect, wire: dialect.difference(wire, lines))

    async def push(self, lines: tuple[str, ...]) -> None:
        """See fleet.edges.SwitchCli."""
        self.pushes.append(lines)
        self._do(lambda dialect, wire: dialect.push(wire, lines))

    async def restore(self, config: str) -> None:
        """See fleet.edges.SwitchCli."""
        raise AssertionError("no step puts back what others may have changed")

    def _do(self, work: Callable[[Any, Terminal], Seen]) -> Seen:
        dialect, wire = DIALECTS[self.platform](), Wire(self.switch)
        dialect.begin(wire)
        return work(dialect, wire)


def leaf(name: str, platform: str, vlans: dict[str, int]) -> Leaf:
    """A leaf that nothing is wrong with."""
    spec = SwitchSpec(name=name, platform=platform, vlans=vlans)
    cabling = Cabling(Layout(boxes=(), switches=(spec,), links=()), wrong=lambda _: False)
    return Leaf(Switch(spec, cabling, NodeFaults([]), secret="s", heard=lambda _: False))


@dataclass(slots=True, kw_only=True)
class Life:
    """A journal with one admitted node in it; each `walk` is one process's life."""

    path: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    node: Node = field(default_factory=lambda: node("n1"))
    links: tuple[Link, ...] = ()
    edges: Any = None
    bmc: Any = None
    appends: int = 0
    """Of the last life."""

    async def prepare(self) -> None:
        """The plan is in the journal, the node in its wave."""
        journal = SqliteJournal(self.path, self.clock)
        plan = plan_for([self.node])
        await journal.append(ROLLOUT, ev.RolloutCreated(playbook="p", sources={}, by="test"))
        await journal.append(ROLLOUT, ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        await journal.append(ROLLOUT, ev.NodeAdmitted(node=str(self.node.id), wave=0))
        await journal.close()

    async def walk(self, steps: Steps, *, dies_at: int = 0, written: bool = False) -> None:
        """As the runner: what has ended is left alone, what had begun is continued. Raises what a step raises, or Crash."""
        journal = HeldJournal(self.path, self.clock, Process(), dies_at=dies_at, written=written)
        try:
            ledger = Ledger(journal, replay(ROLLOUT, journal.read(ROLLOUT)))
            ctx = self.context(ledger, steps)
            for key, _, step in steps:
                if key not in ctx.state.steps:
                    ctx.enter([(each, spec) for each, spec, _ in steps], key)
                    await self._step(ctx, ledger, key, step)
        finally:
            self.appends = journal.appends
            await journal.close()

    async def look(self, steps: Steps, key: str) -> Met | Unmet:
        """What one step's check says."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            ctx = self.context(Ledger(journal, replay(ROLLOUT, journal.read(ROLLOUT))), steps)
            ctx.enter([(each, spec) for each, spec, _ in steps], key)
            return await next(step for each, _, step in steps if each == key).check(ctx)
        finally:
            await journal.close()

    def context(self, ledger: Ledger, steps: Steps) -> Context:
        """One process's view of the node."""
        return Context(
            node=self.node,
            planned=plan_for([self.node]).nodes[str(self.node.id)],
            targets={},
            bmc=cast("Bmc", self.bmc),
            clock=self.clock,
            gate=Gate(),
            recorder=ledger,
            rollout=str(ROLLOUT),
            edges=cast("Edges", self.edges),
            links=self.links,
            make=lambda wanted: next(step for _, spec, step in steps if spec == wanted),
            playbook="p",
        )

    async def _step(self, ctx: Context, ledger: Ledger, key: str, step: Step) -> None:
        begun = any(effect.startswith(f"{key}/") for effect in ctx.state.effects)
        name, outcome = str(self.node.id), "done"
        found = None if begun else await step.check(ctx)
        if isinstance(found, Met):
            outcome = "met"
        else:
            assert not isinstance(await step.apply(ctx), Deferred), "no step here defers"
            found = await step.check(ctx)
            assert isinstance(found, Met), found.detail
        await ledger.record(ev.StepEnded(node=name, step=key, outcome=outcome, detail=found.detail))

    async def state(self) -> NodeState:
        """What the journal says of the node."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            return replay(ROLLOUT, journal.read(ROLLOUT)).nodes[str(self.node.id)]
        finally:
            await journal.close()

    async def told(self) -> dict[str, str]:
        """Step -> the evidence that it ended with."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            events = [item.event for item in journal.read(ROLLOUT)]
        finally:
            await journal.close()
        return {event.step: event.detail for event in events if isinstance(event, ev.StepEnded)}


def switches(*leaves: Leaf) -> Edges:
    """The edges that leaves are."""
    return cast("Edges", Switches({each.switch.spec.name: cast("SwitchCli", each) for each in leaves}))
