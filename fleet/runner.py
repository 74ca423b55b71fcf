"""One node: connect, walk its steps, and end in a state that an operator can act on.

A run may begin anywhere: what the journal says is done is not done again, what it says was announced is reconciled. It ends with
NodeConfirmed, NodeRolledBack or NodeQuarantined, or it parks at a safe point.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Context, Recorder
from fleet.edges import Edges
from fleet.errors import JournalUnwritable, NodeFault, OutcomeUnknown, Reason, Transient, as_fault
from fleet.events import RolloutId
from fleet.gate import Aborted, Gate, OutsideWindow, Parked
from fleet.limits import Seat
from fleet.logins import NodeLedger
from fleet.outlets import cut_begun, cut_over, cycle_outlets, give_up, unfinished, was_cut
from fleet.plan import Plan, PlannedNode, Recipe, recipe_targets
from fleet.policy.durations import Learned
from fleet.policy.spec import OnFailure
from fleet.ports import Bmc, BmcDriver, SideEffects
from fleet.power_desk import PowerDesk
from fleet.profile import Profile
from fleet.reach import clear_leftovers, connect
from fleet.recipe import ACTIVATE, COMMIT, GIVEN_UP, KEEP, UPDATE
from fleet.state import NodeStatus
from fleet.step import Deferred, Met, StepFactory, StepSpec, numbered
from fleet.target import Target
from fleet.timebox import Timebox
from inventory.exporters.snapshot import Origin
from inventory.model import Link, Node
from inventory.observed import Observation

Result = TypeVar("Result")
_FIRMWARE = frozenset({UPDATE, ACTIVATE})
"""Steps whose failure other firmware may cure: after any other the node is held as it is."""
RESTORE_PORTS = "network.restore"
_CONNECT_S = 600.0
"""Field seconds a BMC may be silent before the node is given up at its start (field guide B.19: BMC return)."""

HANDS_OFF = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.LOGIN_REFUSED,
        Reason.UNTRUSTED_TLS,
        Reason.IDENTITY_MISMATCH,
        Reason.BMC_GONE,
        Reason.OUTCOME_UNKNOWN,
        Reason.STEP_TIMEOUT,
        Reason.NOT_DRAINED,
        Reason.SHARED_CHASSIS,
        Reason.ABORTED,
    }
)
"""After these nothing is flashed back: it cannot be reached, is not the planned machine, may still be flashing, or somebody uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all node runs of a rollout share."""

    rollout: RolloutId
    plan: Plan
    driver: BmcDriver
    profiles: Mapping[str, Profile]
    steps: StepFactory
    clock: Clock
    gate: Gate
    recorder: Recorder
    power: PowerDesk | None = None
    """Who gives power away; None where nobody said what feeds the nodes."""
    edges: Edges | None = None
    """What stands around the nodes; None where a rollout only speaks to BMCs."""
    links: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    """Node -> its cables to leaf switches."""
    origin: Origin = Origin.HARDWARE
    learned: Learned = field(default_factory=Learned)
    """How long stages took so far."""


class NodeRun:
    """See the module."""

    def __init__(
        self, node: Node, around: Surroundings, leftovers: Mapping[str, str], seat: Seat | None = None
    ) -> None:
        """`leftovers`: Context -> URI (or empty) of sessions that an earlier process left on this BMC."""
        self._node = node
        self._name = str(node.id)
        self._around = around
        self._leftovers = leftovers
        self._planned: PlannedNode = around.plan.nodes[self._name]
        self._recipe: Recipe = around.plan.recipes[self._planned.recipe]
        self._ledger = NodeLedger(node, around.recorder)
        self._bmc: Bmc = around.driver.bmc(node, around.profiles[self._planned.profile], self._ledger)
        self._timebox = Timebox(
            around.plan, self._planned, self._bmc.profile, around.steps, learned=around.learned, clock=around.clock
        )
        self._ctx = Context(
            node=node,
            planned=self._planned,
            targets=around.plan.targets,
            bmc=self._bmc,
            clock=around.clock,
            gate=around.gate,
            recorder=around.recorder,
            rollout=str(around.rollout),
            edges=around.edges,
            power=around.power.of(self._name, self._bmc) if around.power else None,
            links=around.links.get(self._name, ()),
            make=around.steps,
            playbook=around.plan.playbook,
            origin=around.origin,
            seat=seat,
            hours=self._timebox.require,
        )
        self._at = ""
        """Name of the step that is being done."""

    async def run(self) -> None:
        """To a terminal event, or parked. Raises JournalUnwritable."""
        try:
            last = await self._to_an_end()
        except OutsideWindow as early:
            last = ev.NodeParked(node=self._name, why=str(early), waits_for="window", until=early.until)
        except Parked as parked:
            last = ev.NodeParked(node=self._name, why=str(parked))
        except (JournalUnwritable, asyncio.CancelledError):
            await self._leave_quietly()
            raise
        await self._close()
        await self._record(last)

    async def _to_an_end(self) -> ev.NodeEvent:
        try:
            await self._reach()
            if self._ctx.state.phase is not NodeStatus.ROLLING_BACK:
                return await self._forward()
        except Aborted:
            return self._aborted()
        except (NodeFault, Transient, OutcomeUnknown) as error:
            failed = await self._failed(as_fault(error))
            if failed is not None:
                return failed
        return await self._backward()

    async def _forward(self) -> ev.NodeEvent:
        if not self._ctx.state.before:
            seen = await self._ctx.observe()
            self._require_as_planned(seen)
            await self._observed("before", seen)
        await self._walk(self._guarded(numbered(self._recipe.steps)))
        # A run that only had to finish what a crash left has seen nothing yet: nobody is confirmed unread.
        seen = self._ctx.last_seen or await self._ctx.observe()
        outcomes = set(self._ctx.state.steps.values())
        await self._observed("after", seen)
        return ev.NodeConfirmed(
            node=self._name, detail="was at baseline" if outcomes <= {"met"} else "updated and verified"
        )

    def _require_as_planned(self, seen: Observation) -> None:
        """Raise DRIFTED if somebody changed the firmware since the plan was made: its path was chosen for what ran then.

        A component that is at its goal by now, and needs no stepping stone, is as good as planned.
        """
        goals: dict[str, list[Target]] = {}
        for name in recipe_targets(self._recipe):
            target = self._around.plan.targets[name]
            goals.setdefault(target.component, []).append(target)
        for component, path in goals.items():
            now = path[-1].versions(seen.items)
            changed = [item for item, version in now.items() if self._planned.before.get(item, version) != version]
            if changed and not (len(path) == 1 and path[-1].diff(seen.items).met):
                item = changed[0]
                raise NodeFault(
                    Reason.DRIFTED,
                    f"{component}: {item} was {self._planned.before[item]} when the plan was made and is {now[item]}: nothing was"
                    " done to it; plan it anew",
                )

    async def _walk(self, steps: Sequence[tuple[str, StepSpec]]) -> None:
        for key, spec in steps:
            if key in self._ctx.state.steps:
                continue
            self._ctx.enter(steps, key)
            self._at = spec.name
            if not self._begun(key):
                await self._around.gate.safe_point()
            await self._step(steps, key, spec)

    def _guarded(self, steps: list[tuple[str, StepSpec]]) -> list[tuple[str, StepSpec]]:
        """With the comparison of what a flash must leave alone behind the last activation. No other step's key changes."""
        last = max((at for at, (_, spec) in enumerate(steps, 1) if spec.name == ACTIVATE), default=0)
        if not last or not isinstance(self._bmc, SideEffects):
            return steps
        return [*steps[:last], (KEEP, StepSpec(KEEP)), *steps[last:]]

    async def _note_settings(self) -> None:
        """Before the first image: what it must leave alone."""
        if isinstance(self._bmc, SideEffects) and not self._ctx.state.settings and not self._touched():
            settings = dict(await self._bmc.settings())
            await self._record(ev.SettingsObserved(node=self._name, when="before", settings=settings))

    def _begun(self, key: str) -> bool:
        """Whether the step has announced an effect: then it is in the middle of something, which is no safe point."""
        return any(effect.startswith(f"{key}/") for effect in self._ctx.state.effects)

    async def _step(self, steps: Sequence[tuple[str, StepSpec]], key: str, spec: StepSpec) -> None:
        """Check -> (Met: skip) -> apply -> check again."""
        step = self._around.steps(spec)
        # A step that had begun before a crash is continued, not asked whether it has anything to do.
        if not self._begun(key):
            found = await step.check(self._ctx)
            if isinstance(found, Met):
                await self._record(ev.StepEnded(node=self._name, step=key, outcome="met", detail=found.detail))
                return
            self._timebox.require(steps, key)
            await self._record(ev.StepStarted(node=self._name, step=key, detail=found.detail))
            if spec.name == UPDATE:
                await self._note_settings()
        left = await step.apply(self._ctx)
        if unsettled := [name for name, effect in self._ctx.state.effects.items() if effect.result is None]:
            # No step may leave one behind: the journal could not go on from there.
            raise NodeFault(Reason.OUTCOME_UNKNOWN, f"{unsettled[0]} was announced, and nobody knows what came of it")
        if isinstance(left, Deferred):
            await self._record(ev.StepEnded(node=self._name, step=key, outcome="deferred", detail=left.detail))
            return
        verified = await step.check(self._ctx)
        if not isinstance(verified, Met):
            raise NodeFault(
                Reason.VERSION_MISMATCH if spec.name in _FIRMWARE else Reason.DRIFTED, f"{spec.key}: {verified.detail}"
            )
        await self._record(ev.StepEnded(node=self._name, step=key, outcome="done", detail=verified.detail))

    async def _failed(self, fault: NodeFault) -> ev.NodeEvent | None:
        """What a fault leads to: an ending, or None for the way back."""
        state = self._ctx.state
        if state.phase is NodeStatus.ROLLING_BACK:
            return self._quarantine(
                Reason.ROLLBACK_FAILED, f"{state.reason}: {state.message}; on the way back: {fault}"
            )
        if self._around.plan.caps.on_failure is not OnFailure.ROLL_BACK_NODE or fault.reason in HANDS_OFF:
            return self._quarantine(fault.reason, str(fault))
        if fault.reason is Reason.POWER_IGNORED and was_cut(state.effects):
            # Its outlets do not do what the map says: the way back would end in a second cut, perhaps of another machine.
            return self._quarantine(fault.reason, str(fault))
        if self._at not in _FIRMWARE:
            # Other firmware mends no cable, no image and no GPU, and a part that failed a test is evidence: a person decides.
            return self._quarantine(fault.reason, str(fault))
        touched = self._touched()
        lacking = [way.component for way in self._recipe.ways_back if way.component in touched and not way.target]
        if not touched or lacking:
            rest = f"no way back for {', '.join(lacking)}" if lacking else "nothing was flashed"
            return self._quarantine(fault.reason, f"{fault} ({rest})")
        await self._record(ev.NodeRollingBack(node=self._name, reason=fault.reason.value, message=str(fault)))
        return None

    async def _backward(self) -> ev.NodeEvent:
        """Every touched component back to what it ran, announced by the plan; then activate and verify."""
        state = self._ctx.state
        back = {way.component: way.target for way in self._recipe.ways_back}
        specs = [
            StepSpec(UPDATE, {"target": back[component], "always": "staged" if staged else ""})
            for component, staged in self._touched().items()
        ]
        staged = any(self._touched().values())
        specs.append(StepSpec(ACTIVATE, {"block": "back", **({"always": "staged"} if staged else {})}))
        specs.extend(spec for spec in self._recipe.steps if spec.name == COMMIT)
        if self._ctx.pushed():
            specs.append(StepSpec(RESTORE_PORTS))
        steps = numbered(specs, prefix="back ")
        try:
            await self._walk(steps)
            seen = self._ctx.last_seen or await self._ctx.observe()
        except Aborted:
            return self._aborted()
        except (NodeFault, Transient, OutcomeUnknown) as fault:
            message = f"{state.reason}: {state.message}; on the way back: {fault}"
            return self._quarantine(Reason.ROLLBACK_FAILED, message)
        await self._observed("after", seen)
        return ev.NodeRolledBack(node=self._name, reason=state.reason, message=state.message)

    def _touched(self) -> dict[str, bool]:
        """Components whose image was handed over -> whether it waits, unactivated."""
        touched: dict[str, bool] = {}
        state, targets = self._ctx.state, self._around.plan.targets
        for key, spec in numbered(self._recipe.steps):
            if spec.name == UPDATE and f"{key}/submit" in state.effects:
                waits = state.steps.get(key) == "deferred" or f"{key}/{GIVEN_UP}" in state.effects
                touched[targets[str(spec.args["target"])].component] = waits
            elif spec.name == ACTIVATE and key in state.steps:
                touched = dict.fromkeys(touched, False)
        return touched

    async def _reach(self) -> None:
        """A connected BMC; before that, its power: a process before us may have left the node dark."""
        try:
            half = await self._relight()
        except NodeFault as dark:
            try:
                await self._connect()
            except NodeFault as silent:
                raise NodeFault(dark.reason, f"{dark}; {silent}") from silent
            return  # the step that cut the power says the same again, and turns the host on
        try:
            await self._connect()
        except NodeFault as silent:
            if half:
                await self._put_back(half, silent)
            raise

    async def _relight(self) -> tuple[str, ...]:
        """Finish an AC cycle by outlets that a process before us began, if all is dark: the BMC cannot answer before its end.

        While a feed is on, the BMC answers, and the step asks it before it cuts the rest: then the outlets are returned.
        """
        names = self._cut()
        if names and not await cut_over(self._ctx, names):
            return names
        if names:
            await cycle_outlets(self._ctx, names)
        return ()

    async def _put_back(self, names: tuple[str, ...], silent: NodeFault) -> None:
        """A node that cannot be asked loses no further feed, and gets back those that it lost."""
        await give_up(self._ctx, str(silent))
        try:
            await cycle_outlets(self._ctx, names)
        except NodeFault as given_up:
            raise NodeFault(silent.reason, str(given_up)) from silent

    def _cut(self) -> tuple[str, ...]:
        """The outlets of an AC cycle that has no end, if one of them was told to go off; the context then speaks for its step."""
        effects = self._ctx.state.effects.items()
        key, names = unfinished((key, effect.detail, effect.result) for key, effect in effects) or ("", ())
        self._ctx.enter((), key)
        return names if cut_begun(self._ctx, names) else ()

    async def _connect(self) -> None:
        """Reach the BMC, patiently but not for ever, and delete the sessions that a crash left on it."""
        if self._ctx.state.effects:
            # It may be restarting, because we told it to or by itself at the end of a flash, whose submission has its result long
            # before: then 401 means that it is not ready, and it may be away for long.
            give_up_s = self._bmc.profile.timings.bmc_return_hard_s
            await connect(self._bmc.reconnect, self._around.clock, give_up_s=give_up_s)
        else:
            await connect(self._bmc.connect, self._around.clock, give_up_s=_CONNECT_S)
        await self._ctx.remember_restarts()
        await clear_leftovers(self._bmc, self._name, self._leftovers, self._around.recorder)
        await self._ctx.require_identity()

    async def _observed(self, when: str, seen: Observation) -> None:
        versions: dict[str, str] = {}
        for target in recipe_targets(self._recipe):
            versions |= self._around.plan.targets[target].versions(seen.items)
        await self._record(ev.NodeObserved(node=self._name, when=when, versions=versions))

    def _aborted(self) -> ev.NodeEvent:
        return self._quarantine(Reason.ABORTED, "the rollout was aborted at a safe point")

    def _quarantine(self, reason: Reason, message: str) -> ev.NodeEvent:
        waiting = [component for component, staged in self._touched().items() if staged]
        if waiting:
            message = f"{message}; flashed but not activated: {', '.join(waiting)}: the next reset will activate"
        return ev.NodeQuarantined(node=self._name, reason=reason.value, message=message)

    async def _record(self, event: ev.NodeEvent) -> None:
        await self._around.recorder.record(event)

    async def _close(self) -> None:
        """Delete the session, leave the surroundings. A BMC that is gone took its sessions along; a later sweep tries again."""
        await self._leave()
        try:
            await self._bmc.close()
        except (Transient, NodeFault, OutcomeUnknown) as error:
            self._around.recorder.show(
                ev.StepProgress(node=self._name, step="session", percent=None, text=f"not deleted: {error}")
            )

    async def _leave_quietly(self) -> None:
        """The process ends: close the connection; sessions are in the journal and are deleted by the next process."""
        await self._leave()
        try:
            await self._bmc.close()
        except (Transient, NodeFault, OutcomeUnknown, JournalUnwritable):
            return

    async def _leave(self) -> None:
        if self._around.edges is not None:
            await self._around.edges.leave(self._node)
