"""One step of one node on its own: the real context and journal, whatever BMC and edges a test gives."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Context
from fleet.edges import Outlet, Scheduler
from fleet.engine import Ledger
from fleet.gate import Gate
from fleet.journal import SqliteJournal
from fleet.state import replay
from fleet.step import StepSpec
from inventory.model import Node
from playbooks.registry import make
from playbooks.steps import drain  # noqa: F401  announces its steps
from support.rollout import ROLLOUT, node, plan_for


class LeapClock:
    """Field time that passes only when somebody sleeps, and then at once; sockets and processes get real seconds."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        """Field time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let field time pass."""
        self.at += seconds
        await asyncio.sleep(0)

    async def sleep_wall(self, seconds: float) -> None:
        """As `sleep`."""
        await self.sleep(seconds)

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self.at

    def io_timeout_s(self, seconds: float) -> float:
        """Real seconds."""
        return min(seconds, 20.0)


@dataclass(slots=True, kw_only=True)
class Around:
    """The edges that power and drain use (fleet.edges.Edges)."""

    scheduler: Scheduler | None = None
    fed_by: tuple[Outlet, ...] = ()

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """All of them feed the one node."""
        return self.fed_by if str(node.id) else ()


@dataclass(slots=True)
class Rig:
    """A journal file with one planned node in it. `context` is one process's view."""

    path: Path
    clock: Clock
    node: Node = field(default_factory=lambda: node("gpu0001", feeds=("A", "B")))
    identity: tuple[str, str] = ("S1", "u")
    """Serial and UUID as planned."""

    async def prepare(self) -> None:
        """The plan is in the journal."""
        journal = SqliteJournal(self.path, self.clock)
        await journal.append(ROLLOUT, ev.RolloutCreated(playbook="p", sources={}, by="test"))
        plan = plan_for([self.node])
        await journal.append(ROLLOUT, ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        await journal.append(ROLLOUT, ev.NodeAdmitted(node=str(self.node.id), wave=0))
        await journal.close()

    def context(self, journal: Any, *, edges: Any, bmc: Any = None, gate: Gate | None = None) -> tuple[Context, Ledger]:
        """What a step is given, and what it writes to; the step is entered as its tests name it."""
        ledger = Ledger(journal, replay(ROLLOUT, journal.read(ROLLOUT)))
        serial, uuid = self.identity
        made = Context(
            node=self.node,
            planned=replace(plan_for([self.node]).nodes[str(self.node.id)], serial=serial, uuid=uuid),
            targets={},
            bmc=bmc,
            clock=self.clock,
            gate=gate or Gate(),
            recorder=ledger,
            rollout=str(ROLLOUT),
            edges=edges,
        )
        return made, ledger

    async def walk(self, name: str, edges: Any, *, gate: Gate | None = None, **args: str) -> str:
        """As the runner: check, apply, check; what the last check says. A step that had begun is continued."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            ctx, _ = self.context(journal, edges=edges, gate=gate)
            spec = StepSpec(name, args)
            ctx.enter([(f"1 {name}", spec)], f"1 {name}")
            step = make(spec)
            found = await step.check(ctx)
            if type(found).__name__ == "Met" and not ctx.state.effects:
                return f"met: {found.detail}"
            await step.apply(ctx)
            return f"then: {(await step.check(ctx)).detail}"
        finally:
            await journal.close()

    async def wrote(self) -> list[str]:
        """Kinds of the node's events so far, those of effects with their effect."""
        journal = SqliteJournal(self.path, self.clock)
        try:
            events = [item.event for item in journal.read(ROLLOUT) if isinstance(item.event, ev.NodeEvent)]
        finally:
            await journal.close()
        return [f"{type(event).__name__} {getattr(event, 'effect', '')}".strip() for event in events]

    async def announce(self, effect: str, detail: dict[str, Any]) -> None:
        """As a process that died right after writing its intent."""
        journal = SqliteJournal(self.path, self.clock)
        await journal.append(ROLLOUT, ev.IntentRecorded(node=str(self.node.id), effect=effect, detail=detail))
        await journal.close()
