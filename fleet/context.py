"""The NodeContext that steps are given: intent before effect, over crashes, for one node."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from fleet import events as ev
from fleet.attempts import Attempt
from fleet.clock import Clock
from fleet.edges import Edges
from fleet.errors import NodeFault, NotDone, OutcomeUnknown, Reason, Transient
from fleet.events import Json
from fleet.gate import Gate
from fleet.limits import Seat
from fleet.outlets import outlet_offers
from fleet.plan import PlannedNode
from fleet.ports import Bmc, BootMarker, CountsEffects, Restarted
from fleet.power_port import Power, Unlimited
from fleet.recipe import ACTIVATE, KEEP, UPDATE
from fleet.sharing import HOLD
from fleet.state import NodeState, NodeStatus
from fleet.step import Met, StepFactory, StepSpec, Unmet
from fleet.target import Target
from inventory.baseline import Activation
from inventory.exporters.snapshot import Origin, Reading, Sighting
from inventory.model import Link, Node
from inventory.observed import Observation

_ATTEMPTS = 3
"""Intents for one effect, each after the one before was proven absent. More is a loop, and a person should look."""

_REFUSALS = frozenset(
    {
        Reason.UPDATE_REJECTED,
        Reason.UPDATE_SERVICE_BUSY,
        Reason.IDENTITY_MISMATCH,
        Reason.NO_ACTIVATION,
        Reason.SWITCH_REFUSED,
        Reason.WRONG_CABLE,
        Reason.EXPORT_REFUSED,
        Reason.NO_EDGE,
    }
)
"""Faults that mean: it did not happen. After any other (a BMC that is gone, a bad reply) the intent stays open.

A refused login is none of them: it may be that of the session in which the effect's end was looked for. See NotDone.
"""


DRAIN = "node.drain"
_DRAINS = frozenset({DRAIN, "node.undrain"})
"""One takes back what the other did."""


class Recorder(Protocol):
    """Where facts go: to the disk first, then into the state."""

    async def record(self, *events: ev.Event) -> None:
        """Durable, and folded, when it returns."""

    def node_state(self, node: str) -> NodeState:
        """What is true of the node now."""

    def logins_at(self, bmc: str) -> tuple[Attempt, ...]:
        """See fleet.journal.Journal."""

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """See fleet.journal.Journal."""

    def show(self, event: ev.Event) -> None:
        """Tell those who watch; not journalled."""


class Context:
    """Implements fleet.step.NodeContext for one step of one node at a time."""

    def __init__(
        self,
        *,
        node: Node,
        planned: PlannedNode,
        targets: Mapping[str, Target],
        bmc: Bmc,
        clock: Clock,
        gate: Gate,
        recorder: Recorder,
        rollout: str = "",
        edges: Edges | None = None,
        power: Power | None = None,
        links: tuple[Link, ...] = (),
        make: StepFactory | None = None,
        playbook: str = "",
        origin: Origin = Origin.HARDWARE,
        seat: Seat | None = None,
        hours: Callable[[Sequence[tuple[str, StepSpec]], str], None] | None = None,
    ) -> None:
        """`hours`: asked at every safe point whether what this step of these goes on with may begin now (fleet.timebox)."""
        self.node = node
        self.seat = seat
        self.rollout = rollout
        self._make = make
        self._playbook = playbook
        self._origin = origin
        self._edges = edges
        self._power: Power = power or Unlimited()
        self._links = links
        self.bmc = bmc
        self.clock = clock
        self._planned = planned
        self._targets = targets
        self._gate = gate
        self._recorder = recorder
        self._name = str(node.id)
        self._steps: Sequence[tuple[str, StepSpec]] = ()
        self._key = ""
        self._hours = hours
        self._restarts: dict[str, Restarted] = {}
        self.last_seen: Observation | None = None

    @property
    def edges(self) -> Edges:
        """See fleet.step.NodeContext."""
        if self._edges is None:
            raise NodeFault(Reason.NO_EDGE, "this rollout knows no switches, shells, outlets or scheduler")
        return self._edges

    @property
    def power(self) -> Power:
        """See fleet.step.NodeContext."""
        return self._power

    def links(self) -> tuple[Link, ...]:
        """See fleet.step.NodeContext."""
        return self._links

    def planned_identity(self) -> tuple[str, str]:
        """See fleet.step.NodeContext."""
        return self._planned.serial, self._planned.uuid

    @property
    def state(self) -> NodeState:
        """What is true of this node now."""
        return self._recorder.node_state(self._name)

    def enter(self, steps: Sequence[tuple[str, StepSpec]], key: str) -> None:
        """From here on the context speaks for this step of this sequence."""
        self._steps, self._key = steps, key

    def target(self, name: str) -> Target:
        """One component's goal, from the plan."""
        return self._targets[name]

    def flashed(self) -> dict[str, Target]:
        """Handed over since the last activation: from what the journal says, not from memory."""
        targets = [self._targets[str(spec.args["target"])] for _, spec in self._handed_over()]
        return {target.component: target for target in targets}

    def flash_tasks(self) -> tuple[str, ...]:
        """See fleet.step.NodeContext."""
        effects = [self.state.effects.get(f"{key}/submit") for key, _ in self._handed_over()]
        tasks = [effect.result.get("task") for effect in effects if effect is not None and effect.result is not None]
        return tuple(task for task in tasks if task)

    def _handed_over(self) -> list[tuple[str, StepSpec]]:
        waiting: list[tuple[str, StepSpec]] = []
        for key, spec in self._steps:
            if key == self._key:
                break
            if spec.name == ACTIVATE:
                waiting.clear()
            elif spec.name == UPDATE and self.state.steps.get(key) == "deferred":
                waiting.append((key, spec))
        return waiting

    async def observe(self) -> Observation:
        """Read the node now."""
        self.last_seen = await self.bmc.observe()
        return self.last_seen

    async def safe_point(self) -> None:
        """Wait while paused; leave if the rollout stops, or if what follows does not fit the window."""
        await self._gate.safe_point()
        if self._hours is not None:
            self._hours(self._steps, self._key)

    async def require_identity(self) -> None:
        """Serial and UUID as they were when the plan was made; what the BMC does not say proves nothing either way."""
        serial, uuid = await self.bmc.identify()
        for what, planned, now in (("serial", self._planned.serial, serial), ("UUID", self._planned.uuid, uuid)):
            if planned and now and planned.casefold() != now.casefold():
                raise NodeFault(
                    Reason.IDENTITY_MISMATCH,
                    f"the machine behind {self.node.bmc.address} has {what} {now}, the plan was made for {planned}: nothing"
                    " more is done to it; check cabling and DHCP",
                )

    def offers(self) -> frozenset[Activation]:
        """See fleet.step.NodeContext."""
        outlets = () if self._edges is None else self._edges.outlets(self.node)
        return self.bmc.offers() | outlet_offers(outlets)

    async def recheck(self) -> tuple[tuple[str, Met | Unmet], ...]:
        """See fleet.step.NodeContext."""
        standing: dict[str, tuple[str, StepSpec]] = {}
        for key, spec in self._steps:
            if key == self._key:
                break
            # What was activated is what the updates before it ask for; what a flash left alone costs a walk to read again.
            if spec.name not in {ACTIVATE, KEEP, HOLD}:
                standing[self._subject(spec)] = (key, spec)
        assert self._make is not None  # noqa: S101  the runner gives it
        mine, found = self._key, []
        try:
            for self._key, spec in standing.values():
                found.append((self._key, await self._make(spec).check(self)))
        finally:
            self._key = mine
        return tuple(found)

    def _subject(self, spec: StepSpec) -> str:
        """What a step decides: the last step with a subject is the one that holds."""
        if spec.name == UPDATE:
            return f"{UPDATE} {self._targets[str(spec.args['target'])].component}"
        return "drain" if spec.name in _DRAINS else spec.name

    def pushed(self) -> Mapping[str, Json]:
        """See fleet.step.NodeContext."""
        first: dict[str, Json] = {}
        for key, effect in self.state.effects.items():
            _, push, switch = key.partition("/push ")
            if push:
                first.setdefault(switch, effect.detail)
        return first

    def settings_before(self) -> Mapping[str, str]:
        """See fleet.step.NodeContext."""
        return self.state.settings

    async def sighting(self) -> Sighting:
        """See fleet.step.NodeContext."""
        seen = await self.observe()  # what was seen before an installation or a test is not how it is now
        versions: dict[str, str] = {}
        for target in self._targets.values():
            versions |= target.versions(seen.items)
        return Sighting(
            node=self.node.id,
            rollout=self.rollout,
            playbook=self._playbook,
            status=NodeStatus.CONFIRMED.value,
            reading=Reading.AFTER,
            read_at=self.clock.now(),
            origin=self._origin,
            model=seen.model or self._planned.model,
            serial=seen.serial,
            uuid=seen.uuid,
            profile=self._planned.profile,
            versions=versions,
        )

    async def require_drained(self) -> None:
        """See fleet.step.NodeContext."""
        if self._make is None or not drained(self.state):
            return
        found = await self._make(StepSpec(DRAIN)).check(self)
        if isinstance(found, Unmet):
            raise NodeFault(
                Reason.NOT_DRAINED,
                f"it was drained, and somebody gave it back since (the scheduler has it {found.detail}): work may run on it, so that"
                " nothing more is done to it; drain it and apply again",
            )

    def announced(self, effect: str) -> bool:
        """Whether this step's effect has been announced."""
        return f"{self._key}/{effect}" in self.state.effects

    def latest(self, effect: str) -> Json | None:
        """The newest recorded result of an effect of this name, in whichever step of this node."""
        known = [entry.result for key, entry in self.state.effects.items() if key.endswith(f"/{effect}")]
        return next((result for result in reversed(known) if result is not None), None)

    async def restarted_since(self, marker: BootMarker) -> Restarted:
        """See fleet.step.NodeContext."""
        now = await self.bmc.restarted_since(marker)
        return self._restarts.get(marker.session, now) if now is Restarted.CANNOT_TELL else now

    async def remember_restarts(self) -> None:
        """Compare the markers of unfinished effects with the BMC now, while the sessions of a crashed process still stand."""
        for effect in self.state.effects.values():
            if effect.result is None and "marker" in effect.detail:
                marker = BootMarker(**effect.detail["marker"])
                self._restarts[marker.session] = await self.bmc.restarted_since(marker)

    def progress(self, percent: int | None, text: str) -> None:
        """Show how far this is."""
        self._recorder.show(ev.StepProgress(node=self._name, step=self._key, percent=percent, text=text))

    async def once(
        self,
        effect: str,
        act: Callable[[Json], Awaitable[Json]],
        *,
        prepare: Callable[[], Awaitable[Json]],
        reconcile: Callable[[Json], Awaitable[Json | None]],
    ) -> Json:
        """See fleet.step.NodeContext.once."""
        key = f"{self._key}/{effect}"
        for _ in range(_ATTEMPTS):
            known = self.state.effects.get(key)
            if known is not None and known.result is not None:
                return known.result
            if known is None:
                intent = await prepare()
                await self._recorder.record(ev.IntentRecorded(node=self._name, effect=key, detail=intent))
                result = await self._attempt(key, act, intent, reconcile)
            else:
                why = "announced before a restart of the engine, result not known"
                result = await self._settle(key, why, known.detail, reconcile)
            if result is not None:
                await self._recorder.record(ev.EffectRecorded(node=self._name, effect=key, result=result))
                return result
            await self._absent(key, "the hardware shows that it did not happen")
        raise NodeFault(Reason.OUTCOME_UNKNOWN, f"{effect}: attempted {_ATTEMPTS} times, each time without effect")

    async def _attempt(
        self,
        key: str,
        act: Callable[[Json], Awaitable[Json]],
        intent: Json,
        reconcile: Callable[[Json], Awaitable[Json | None]],
    ) -> Json | None:
        before = _sent(self.bmc)
        try:
            return await act(intent)
        except OutcomeUnknown as unknown:
            return await self._settle(key, str(unknown), intent, reconcile)
        except Transient as refusal:
            # The driver raises this only when the effect certainly did not happen.
            await self._absent(key, str(refusal))
            raise
        except NodeFault as refusal:
            # A login that is refused halfway through says nothing of what was sent before it.
            undone = isinstance(refusal, NotDone) and _sent(self.bmc) == before
            if refusal.reason in _REFUSALS or undone:
                await self._absent(key, str(refusal))
            raise

    async def _settle(
        self, key: str, why: str, detail: Json, reconcile: Callable[[Json], Awaitable[Json | None]]
    ) -> Json | None:
        await self._recorder.record(ev.NodeUncertain(node=self._name, effect=key, why=why))
        return await reconcile(detail)

    async def _absent(self, key: str, why: str) -> None:
        await self._recorder.record(ev.EffectAbsent(node=self._name, effect=key, why=why))


def drained(node: NodeState) -> bool:
    """Whether this rollout has drained the node, or found it so, and has not given it back."""
    ended = [name for name in (key.split(" ")[-1] for key in node.steps) if name in _DRAINS]
    return bool(ended) and ended[-1] == DRAIN


def _sent(bmc: Bmc) -> int:
    return bmc.effects_sent if isinstance(bmc, CountsEffects) else 0
