"""Many nodes: admit, gate, halt, pause, resume. It decides nothing itself: `policy` decides, `fold` knows, the gate obeys.

Pacing and steps are elsewhere; here is only the loop that asks `decide` after every change and carries out the answer.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from fleet import events as ev
from fleet.aftercare import due
from fleet.attempts import Attempt
from fleet.clock import Clock
from fleet.events import Event, Recorded
from fleet.executor import Executor
from fleet.exits import Exit
from fleet.gate import Gate, Mode
from fleet.journal import Journal, Request, Verb
from fleet.plan import Plan
from fleet.policy import admission
from fleet.state import ACTIVE, ENDED, FAILED, NodeState, NodeStatus, RolloutState, RolloutStatus, fold

_LOOK_S = 0.2
"""Wall seconds between looks for requests: a pause takes effect within one second."""

Watcher = Callable[[Recorded | Event], None]
"""Told of every event: Recorded ones are in the journal, bare ones (progress) are not."""


class Ledger:
    """Writes events to the journal, then into the state, then tells who watches (fleet.context.Recorder)."""

    def __init__(self, journal: Journal, state: RolloutState, watchers: tuple[Watcher, ...] = ()) -> None:
        self._journal = journal
        self.state = state
        self._watchers = watchers

    async def record(self, *events: Event) -> None:
        """Durable, and folded, when it returns."""
        if not events:
            return
        for recorded in await self._journal.append(self.state.rollout, *events):
            fold(self.state, recorded)
            for watch in self._watchers:
                watch(recorded)

    def watch(self, watcher: Watcher) -> None:
        """From now on tell this one too."""
        self._watchers = (*self._watchers, watcher)

    def node_state(self, node: str) -> NodeState:
        """What is true of the node now."""
        return self.state.nodes[node]

    def logins_at(self, bmc: str) -> tuple[Attempt, ...]:
        """See fleet.context.Recorder."""
        return self._journal.logins_at(bmc)

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """See fleet.context.Recorder."""
        return self._journal.logins_with(credential)

    def show(self, event: Event) -> None:
        """Tell those who watch; not journalled."""
        for watch in self._watchers:
            watch(event)


class Engine:
    """One rollout in one process. The caller holds the rollout's lease."""

    def __init__(
        self,
        *,
        plan: Plan,
        ledger: Ledger,
        journal: Journal,
        executor: Executor,
        gate: Gate,
        clock: Clock,
        wait_for_window: str = "",
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        """`wait_for_window`: non-empty if a closed window is waited for; otherwise the process ends.

        `beside`: what runs as long as the engine does; without one of them it must not go on.
        """
        self._beside = beside
        self._plan = plan
        self._rules = plan.rules()
        self._ledger = ledger
        self._journal = journal
        self._executor = executor
        self._gate = gate
        self._clock = clock
        self._wait_for_window = wait_for_window
        self._running: dict[asyncio.Task[None], str] = {}
        self._looking: dict[asyncio.Task[None], str] = {}
        self._looked: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._alarm: asyncio.Task[None] | None = None
        self._look_at: float | None = None
        self._stopping = ""
        self._broken: BaseException | None = None
        self._last_request = journal.last_request(ledger.state.rollout)
        self._deciding = asyncio.Lock()
        """Held from a look at the state to the event that follows from it: what an operator asks for in between would be undone by
        a decision that knew nothing of it."""

    @property
    def _state(self) -> RolloutState:
        return self._ledger.state

    async def run(self, *, ask: Request | None = None) -> Exit:
        """Until the rollout ends, halts, or the process is asked to stop. Raises JournalUnwritable.

        `ask` is a request to carry out before anything else: what `fleet resume` or `fleet abort` wants of a rollout that no
        process was running.
        """
        if self._state.status in ENDED:
            return self._ended_exit()
        owner = f"{socket.gethostname()}:{os.getpid()}"
        await self._ledger.record(ev.RolloutClaimed(owner=owner, epoch=self._state.epoch + 1))
        if ask is not None:
            await self._obey(ask)
        elif self._state.status in {RolloutStatus.PAUSED, RolloutStatus.HALTED}:
            self._gate.move(Mode.PAUSED)
        elif self._state.status is RolloutStatus.ABORTING:
            self._gate.move(Mode.ABORT, self._state.message)
        beside = [asyncio.create_task(each()) for each in (self._listen, *self._beside)]
        for task in beside:
            task.add_done_callback(self._deaf)
        try:
            await self._take_up()
            result = await self._loop()
        finally:
            others = [*beside, *self._running, *self._looking, *([self._alarm] if self._alarm else [])]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        if self._broken is not None:
            raise self._broken
        return result

    def _deaf(self, listener: asyncio.Task[None]) -> None:
        """An engine that no longer hears its operators, or that nobody gives power, must not go on."""
        error = None if listener.cancelled() else listener.exception()
        if error is not None:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        """No journal, no ears, or a bug: nothing new may begin; nodes stop at their safe points."""
        self._broken = self._broken or error
        self._gate.move(Mode.PARK, f"the engine stops: {error}")
        self._wake.set()

    def stop(self, why: str) -> None:
        """Ask the process to end: nodes park at their next safe point."""
        self._stopping = why
        self._gate.move(Mode.PARK, why)
        self._wake.set()

    async def _take_up(self) -> None:
        """Continue the nodes that an earlier process left in the middle."""
        running = set(self._running.values())
        for name, node in self._state.nodes.items():
            if node.status in ACTIVE and name not in running and not self._held(node):
                if node.status is NodeStatus.PARKED:
                    await self._ledger.record(ev.NodeAdmitted(node=name, wave=node.wave))
                self._start(name)

    async def _loop(self) -> Exit:
        while True:
            self._wake.clear()
            async with self._deciding:
                result = await self._turn()
            if result is not None:
                return result
            if not self._wake.is_set():
                await self._wake.wait()

    async def _turn(self) -> Exit | None:
        """Look once; an Exit ends the process."""
        if self._broken is not None or self._stopping:
            return Exit.PAUSED if not self._running else None
        status = self._state.status
        if status is RolloutStatus.ABORTING:
            await self._take_up()  # those that wait for a window end too
            if self._running:
                return None
            await self._ledger.record(ev.RolloutEnded(outcome=RolloutStatus.ABORTED.value))
            return self._ended_exit()
        if status is RolloutStatus.HALTED and self._gate.mode is Mode.PARK:
            return None if self._running else self._halted()
        if status in {RolloutStatus.PAUSED, RolloutStatus.HALTED} or status in ENDED:
            return None
        if self._gate.mode is Mode.OPEN:
            # Resumed while others still ran to their safe points: those that had parked go on too.
            await self._take_up()
        self._look_again()
        return await self._carry_out(admission.decide(self._state, self._rules, self._clock.now()))

    def _look_again(self) -> None:
        """At confirmed nodes whose success ripens."""
        now = self._clock.now()
        caps = self._plan.caps
        ripens_s = caps.bake_s if caps.risk else 0
        found = due(self._state.nodes, self._looked, self._looking.values(), bake_s=ripens_s, now=now)
        self._look_at = found.next_at
        for node in found.nodes:
            task = asyncio.create_task(self._executor.look(node), name=f"look {node}")
            self._looking[task] = node
            task.add_done_callback(self._has_looked)

    def _has_looked(self, task: asyncio.Task[None]) -> None:
        node = self._looking.pop(task)
        self._looked[node] = self._clock.now()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._break(error)
        self._wake.set()

    async def _carry_out(self, decision: admission.Decision) -> Exit | None:
        match decision:
            case admission.Admit(nodes=nodes):
                await self._ledger.record(*(ev.NodeAdmitted(node=node, wave=self._state.wave) for node in nodes))
                for node in nodes:
                    self._start(node)
            case admission.OpenWave(wave=wave):
                opened = self._plan.caps.waves[wave] - (self._plan.caps.waves[wave - 1] if wave else 0)
                await self._ledger.record(ev.WaveOpened(wave=wave, nodes=opened))
                self._wake.set()
            case admission.AskApproval(wave=wave):
                await self._ledger.record(ev.ApprovalNeeded(wave=wave))
            case admission.Stop(cause=cause, message=message):
                await self._halt(cause, message)
            case admission.Closed(why=why, until=until):
                return await self._outside_window(why, until)
            case admission.Wait(until=until):
                return await self._waiting(until)
            case admission.Finished():
                await self._ledger.record(ev.RolloutEnded(outcome=RolloutStatus.COMPLETED.value))
                return self._ended_exit()
        return None

    async def _halt(self, cause: str, message: str) -> None:
        await self._ledger.record(ev.RolloutHalted(cause=cause, message=message))
        self._gate.move(Mode.PARK, f"the rollout halted: {message}")
        self._wake.set()

    def _ended_exit(self) -> Exit:
        if self._state.status is RolloutStatus.ABORTED:
            return Exit.ABORTED
        failed = any(node.status in FAILED for node in self._state.nodes.values())
        return Exit.NODES_FAILED if failed else Exit.OK

    def _halted(self) -> Exit:
        return Exit.WINDOW_CLOSED if self._state.cause == "window" else Exit.HALTED

    async def _outside_window(self, why: str, until: float | None) -> Exit | None:
        until = _earliest([until, *(node.due_at for node in self._all_held())])
        if self._running:
            self._wake_at(until)
            return None
        if self._wait_for_window and until is not None:
            self._wake_at(until)
            return None
        await self._halt("window", why)
        return None

    async def _waiting(self, until: float | None) -> Exit | None:
        """Nothing to start: others run, time must pass, or whoever is left waits for the window."""
        held = self._all_held()
        if held and not self._running:
            return await self._outside_window(held[0].message, until)
        self._wake_at(_earliest([until, self._look_at, *(node.due_at for node in held)]))
        return None

    def _held(self, node: NodeState) -> bool:
        return self._gate.mode is not Mode.ABORT and node.held_at(self._clock.now())

    def _all_held(self) -> list[NodeState]:
        return [node for node in self._state.nodes.values() if self._held(node)]

    def _wake_at(self, at: float | None) -> None:
        if at is None:
            return

        async def alarm() -> None:
            await self._clock.sleep(at - self._clock.now())
            self._wake.set()

        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.create_task(alarm())

    def _start(self, node: str) -> None:
        task = asyncio.create_task(self._executor.execute(node), name=node)
        self._running[task] = node
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._break(error)
        self._wake.set()

    async def _listen(self) -> None:
        """Carry out what operators ask for."""
        while True:
            await self._clock.sleep_wall(_LOOK_S)
            for request in self._journal.requests(self._state.rollout, after=self._last_request):
                self._last_request = request.id
                async with self._deciding:
                    await self._obey(request)
                self._wake.set()

    async def _obey(self, request: Request) -> None:
        status = self._state.status
        if status in ENDED:
            return
        match request.verb:
            case Verb.PAUSE if status in {RolloutStatus.RUNNING, RolloutStatus.PLANNED, RolloutStatus.WAITING_APPROVAL}:
                if not self._stopping:
                    self._gate.move(Mode.PAUSED)
                await self._ledger.record(ev.RolloutPaused(by=request.by))
            case Verb.RESUME if status is not RolloutStatus.ABORTING and not self._stopping:
                # A person who resumes after failures has seen them; one who resumes after a closed window has not.
                seen = status is RolloutStatus.HALTED and self._state.cause in {
                    "budget",
                    "canary",
                    "evidence",
                    "signature",
                }
                accepted = self._state.failures if seen else self._state.accepted_failures
                await self._ledger.record(ev.RolloutContinued(by=request.by, accepted_failures=accepted))
                self._gate.move(Mode.OPEN)
            case Verb.APPROVE if status is RolloutStatus.WAITING_APPROVAL:
                await self._ledger.record(ev.WaveApproved(wave=self._state.wave + 1, by=request.by))
            case Verb.ABORT:
                self._gate.move(Mode.ABORT, f"aborted by {request.by}")
                await self._ledger.record(ev.RolloutAborting(by=request.by))
            case _:
                pass


def _earliest(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)
