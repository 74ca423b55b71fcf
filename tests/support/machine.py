"""A model of one machine, and a Bmc (fleet.ports) over it: staged and active images, power, sessions, tasks, and a ground truth.

No I/O and no patching: what the machine does follows from calls and the clock. `faults` say what is wrong with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import (
    BootMarker,
    LogMark,
    LogSays,
    LogVerdict,
    PowerAction,
    PowerState,
    Restarted,
    SessionLedger,
    Submission,
    TaskPhase,
    TaskReading,
    UpdateOrder,
    UpdateReadiness,
)
from fleet.profile import Profile
from inventory.baseline import Activation
from inventory.model import Node, NodeId
from inventory.observed import FirmwareItem, Observation
from support.clock import VirtualClock

AWAY_S = 200.0
"""How long the BMC is gone after a reset."""
UPLOAD_S = 20.0


class Crash(BaseException):
    """The process is dead. Nothing of ours may catch it."""


@dataclass(slots=True)
class Process:
    """A process of ours; `kill` it as `kill -9` would."""

    alive: bool = True

    def must_live(self) -> None:
        """Raise Crash if it is dead: a dead process sends nothing."""
        if not self.alive:
            raise Crash

    def kill(self) -> None:
        """From now on it does nothing."""
        self.alive = False


@dataclass(slots=True, kw_only=True)
class Flash:
    """One image being written, and its task."""

    uri: str
    component: str
    version: str
    ends_at: float
    fails: bool
    cut: bool = False


@dataclass(slots=True, kw_only=True)
class Machine:
    """What the hardware is, and what was done to it."""

    clock: VirtualClock
    active: dict[str, str]
    """Component -> version; each component is one inventory item of the same name."""
    images: dict[str, tuple[str, str]]
    """Digest -> (component, version)."""
    activated_by: dict[str, Activation]
    flash_s: float = 300.0
    staged: dict[str, str] = field(default_factory=dict)
    power: PowerState = PowerState.ON
    sessions: dict[str, str] = field(default_factory=dict)
    tasks: list[Flash] = field(default_factory=list)
    resets: int = 0
    away_until: float = 0.0
    serial: str = "S1"
    faults: set[str] = field(default_factory=set)
    """`<effect>:lost` (it happens, the answer is lost), `<effect>:unsent` (it does not happen and nobody knows): each once.
    `unforce:busy`: the force flag cannot be set back, once. `fails:<component>`: its task fails.
    `cancels:<component>`: its task says Cancelled at once, and the flash goes on.
    `deaf`: graceful shutdown is refused. `vanish`: tasks are forgotten when they end. `mute`: no LastResetTime."""
    flashes: list[str] = field(default_factory=list)
    """Ground truth: "component version" of every image that arrived."""
    cuts: int = 0
    """Ground truth: power actions and BMC resets while an image was being written."""
    post_s: float = 0.0
    """After the host is turned on, its BIOS still shows `old` for this long."""
    post_ends_at: float = 0.0
    unforced: int = 0
    """Ground truth: times that the force flag was set back."""
    effects: list[tuple[float, str]] = field(default_factory=list)
    """Ground truth: everything that changed the machine, and when."""
    broken_reads: set[str] = field(default_factory=set)
    """Reads that answer 503 for ever: identify, observe."""
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def settle(self) -> None:
        """Let what has ended by now have ended."""
        for task in self.tasks:
            if task.ends_at <= self.clock.now() and not task.fails and not task.cut and task.version:
                self.staged[task.component], task.version = task.version, ""
        if "vanish" in self.faults:
            self.tasks = [task for task in self.tasks if task.ends_at > self.clock.now()]

    def flashing(self) -> bool:
        """Whether an image is being written now."""
        return any(task.ends_at > self.clock.now() for task in self.tasks)

    def did(self, effect: str) -> None:
        """Write down an effect; count it as a cut if it hits a flash."""
        self.settle()
        self.effects.append((self.clock.now(), effect))
        if effect not in {"submit", "on"} and self.flashing():
            self.cuts += 1
            for task in self.tasks:
                task.cut = task.cut or task.ends_at > self.clock.now()

    def receive(self, digest: str) -> str:
        """An image arrives and is written."""
        self.did("submit")
        component, version = self.images[digest]
        self.flashes.append(f"{component} {version}")
        uri = f"/tasks/{next(self.numbers)}"
        fails = f"fails:{component}" in self.faults and version.endswith("new")
        self.tasks.append(
            Flash(uri=uri, component=component, version=version, ends_at=self.clock.now() + self.flash_s, fails=fails)
        )
        return uri

    def reset_bmc(self) -> None:
        """The BMC restarts: sessions and tasks are gone, what waited for it is in force."""
        self.did("bmc-reset")
        self.resets += 1
        self.sessions.clear()
        self.tasks.clear()
        self.away_until = self.clock.now() + AWAY_S
        self._activate(Activation.BMC_RESET)

    def switch(self, action: PowerAction) -> None:
        """Host power."""
        if action is PowerAction.ON:
            if self.power is PowerState.OFF:
                self.did("on")
                self._activate(Activation.DC_CYCLE)
            self.power = PowerState.ON
        elif action is PowerAction.WARM_RESET:
            self.did("warm-reset")
            self._activate(Activation.WARM_RESET)
        elif self.power is PowerState.ON:
            self.did("off")
            self.power = PowerState.OFF

    def _activate(self, by: Activation) -> None:
        if by is Activation.DC_CYCLE:
            self.post_ends_at = self.clock.now() + self.post_s
        for component, need in self.activated_by.items():
            if need is by and component in self.staged:
                self.active[component] = self.staged.pop(component)

    def fault(self, name: str) -> bool:
        """Whether this fault strikes now; each strikes once."""
        if name in self.faults:
            self.faults.remove(name)
            return True
        return False


class ModelBmc:
    """Fulfils fleet.ports.Bmc for one Machine, on behalf of one Process."""

    def __init__(self, machine: Machine, node: Node, profile: Profile, ledger: SessionLedger, process: Process) -> None:
        self._machine = machine
        self._node = node
        self.profile = profile
        self._ledger = ledger
        self._process = process
        self._uri = ""

    async def _pass(self, seconds: float = 1.0) -> None:
        self._process.must_live()
        await self._machine.clock.sleep(seconds)
        self._process.must_live()
        self._machine.settle()

    async def _request(self, read: str = "") -> Machine:
        await self._pass()
        if read in self._machine.broken_reads:
            raise Transient("503")
        if self._machine.clock.now() < self._machine.away_until:
            raise Transient("connection refused")
        if self._uri not in self._machine.sessions:
            raise Transient("401")
        return self._machine

    async def _effect(self, name: str) -> Machine:
        """An effect that may go unanswered."""
        machine = await self._request()
        if machine.fault(f"{name}:unsent"):
            raise OutcomeUnknown(name, "no answer")
        return machine

    async def connect(self) -> None:
        """See fleet.ports.Bmc.connect."""
        await self._pass()
        if self._uri in self._machine.sessions:
            return
        if self._machine.clock.now() < self._machine.away_until:
            raise Transient("connection refused")
        context = f"fw-{next(self._machine.numbers)}"
        await self._ledger.opening(context)
        self._process.must_live()
        self._uri = f"/sessions/{next(self._machine.numbers)}"
        self._machine.sessions[self._uri] = context
        await self._ledger.opened(self._uri, context)

    async def reconnect(self) -> None:
        """See fleet.ports.Bmc.reconnect."""
        await self._pass()
        if self._machine.clock.now() < self._machine.away_until:
            raise Transient("connection refused")
        await self._ledger.closed(self._uri)
        self._uri = ""
        await self.connect()

    async def observe(self) -> Observation:
        """See fleet.ports.Bmc.observe."""
        machine = await self._request("observe")
        shown = machine.active | ({"bios": "old"} if machine.clock.now() < machine.post_ends_at else {})
        items = tuple(FirmwareItem(id=name, version=version) for name, version in shown.items())
        return Observation(
            node=NodeId(str(self._node.id)),
            serial=machine.serial,
            uuid="u",
            model="M",
            items=items,
            read_at=machine.clock.now(),
            source="model",
        )

    async def identify(self) -> tuple[str, str]:
        """See fleet.ports.Bmc.identify."""
        return (await self._request("identify")).serial, "u"

    async def power_state(self) -> PowerState:
        """See fleet.ports.Bmc.power_state."""
        return (await self._request()).power

    async def boot_marker(self) -> BootMarker:
        """See fleet.ports.Bmc.boot_marker."""
        machine = await self._request()
        at = "" if "mute" in machine.faults else str(machine.resets)
        return BootMarker(manager_last_reset=at, system_last_reset="", session=self._uri)

    async def restarted_since(self, marker: BootMarker) -> Restarted:
        """See fleet.ports.Bmc.restarted_since."""
        machine = await self._request()
        if "mute" not in machine.faults:
            return Restarted.YES if marker.manager_last_reset != str(machine.resets) else Restarted.NO
        return Restarted.NO if marker.session in machine.sessions else Restarted.CANNOT_TELL

    def offers(self) -> frozenset[Activation]:
        """See fleet.ports.Bmc.offers."""
        return frozenset({Activation.BMC_RESET, Activation.WARM_RESET, Activation.DC_CYCLE})

    async def readiness(self) -> UpdateReadiness:
        """See fleet.ports.Bmc.readiness."""
        machine = await self._request()
        running = tuple(self._reading(task) for task in machine.tasks if task.ends_at > machine.clock.now())
        alive = tuple(reading for reading in running if reading.phase is TaskPhase.ALIVE)
        return UpdateReadiness(
            enabled=True, alive=alive, known_tasks=tuple(task.uri for task in machine.tasks), max_image_bytes=None
        )

    async def submit_update(self, order: UpdateOrder) -> Submission:
        """See fleet.ports.Bmc.submit_update."""
        machine = await self._effect("submit")
        await self._pass(UPLOAD_S)
        task = machine.receive(order.sha256)
        if machine.fault("submit:lost"):
            raise OutcomeUnknown("submit", "the connection broke after the last byte")
        return Submission(task=task, status=202, note="")

    async def restore_force_flag(self) -> None:
        """See fleet.ports.Bmc.restore_force_flag."""
        await self._pass()
        if self._machine.fault("unforce:busy"):
            raise Transient("503")
        self._machine.unforced += 1

    def _reading(self, task: Flash) -> TaskReading:
        ended = task.ends_at <= self._machine.clock.now()
        if f"cancels:{task.component}" in self._machine.faults:
            return self._said(task, TaskPhase.FAILED, "Cancelled")
        phase = TaskPhase.ALIVE if not ended else TaskPhase.FAILED if task.fails else TaskPhase.STAGED
        return self._said(task, phase, phase.value)

    def _said(self, task: Flash, phase: TaskPhase, state: str) -> TaskReading:
        return TaskReading(
            uri=task.uri,
            phase=phase,
            state=state,
            status="OK",
            percent=None,
            name="update",
            started="",
            messages=(),
            activation="",
        )

    async def log_mark(self, component: str) -> LogMark:
        """See fleet.ports.KeepsLog.log_mark."""
        return LogMark(last=len((await self._request()).flashes), print=component)

    async def log_since(self, component: str, mark: LogMark, versions: frozenset[str]) -> LogVerdict:
        """See fleet.ports.KeepsLog.log_since: every image that arrived is told."""
        later = (await self._request()).flashes[mark.last :]
        told = any(flash == f"{component} {version}" for flash in later for version in versions)
        return LogVerdict(says=LogSays.TOLD if told else LogSays.SILENT, why="the model's log")

    async def read_task(self, uri: str) -> TaskReading | None:
        """See fleet.ports.Bmc.read_task."""
        machine = await self._request()
        return next((self._reading(task) for task in machine.tasks if task.uri == uri), None)

    async def power(self, action: PowerAction) -> None:
        """See fleet.ports.Bmc.power."""
        machine = await self._effect(action.value)
        if action is PowerAction.SHUT_DOWN and "deaf" in machine.faults:
            raise NodeFault(Reason.POWER_IGNORED, "no OS listens")
        machine.switch(action)
        if machine.fault(f"{action.value}:lost"):
            raise OutcomeUnknown(action.value, "no answer")

    async def reset_bmc(self) -> None:
        """See fleet.ports.Bmc.reset_bmc."""
        machine = await self._effect("bmc-reset")
        machine.reset_bmc()
        raise OutcomeUnknown("bmc-reset", "the BMC is gone, as usual")

    async def clear_sessions(self, left: Mapping[str, str]) -> frozenset[str]:
        """See fleet.ports.Bmc.clear_sessions."""
        machine = await self._request()
        doomed = {uri for uri, context in machine.sessions.items() if context in left}
        if self._uri in doomed:
            raise NodeFault(Reason.PROTOCOL, "asked to delete the session in use")
        for uri in doomed:
            del machine.sessions[uri]
        return frozenset(left)

    async def close(self) -> None:
        """See fleet.ports.Bmc.close."""
        await self._pass()
        if self._uri:
            if self._machine.clock.now() < self._machine.away_until:
                raise Transient("connection refused")
            self._machine.sessions.pop(self._uri, None)
            await self._ledger.closed(self._uri)
            self._uri = ""


@dataclass(slots=True)
class ModelDriver:
    """Fulfils fleet.ports.BmcDriver."""

    machines: dict[str, Machine]
    process: Process

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> ModelBmc:
        """Not connected yet."""
        return ModelBmc(self.machines[str(node.id)], node, profile, ledger, self.process)

    async def close(self) -> None:
        """Nothing is shared."""
