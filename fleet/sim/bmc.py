"""One BMC: a synchronous function of request, state and clock. It owns no timer and no socket."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from fleet.sim.agenda import Agenda, Due
from fleet.sim.boxmodel import BoxModel, Cause
from fleet.sim.boxtruth import box_truth
from fleet.sim.disk import Disk
from fleet.sim.faults import Effect, FaultBook
from fleet.sim.firmware import Firmware
from fleet.sim.fittings import Fittings
from fleet.sim.hmc import Hmc
from fleet.sim.host import Host, Power
from fleet.sim.installer import Installer
from fleet.sim.ledger import Ledger
from fleet.sim.logging_habits import Logs
from fleet.sim.media import Media
from fleet.sim.message import Answer, Link, Request, Wire
from fleet.sim.nodeos import NodeOs
from fleet.sim.roots import Roots
from fleet.sim.service import Service
from fleet.sim.sessions import Sessions
from fleet.sim.strain import OutOfMemory, Strain
from fleet.sim.tasks import Task, Tasks
from fleet.sim.updates import Updates

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""BMC time at simulated second 0, unless the hall gives another."""


class Phase(StrEnum):
    """How far a BMC has come in its start (field guide 1.5), in this order."""

    REFUSED = "refused"
    TLS_DEAD = "tls-dead"
    UNAVAILABLE = "unavailable"
    """503 or an HTML page for everything."""
    ROOT_ONLY = "root-only"
    AUTH_NOT_READY = "auth-not-ready"
    STUBS = "stubs"
    """Logins work; what the baseboard's BMC serves is missing."""
    READY = "ready"


_DRAIN_S = 30.0  # how long all feeds must be off until standby power is gone (field guide 2.2)
_LINK = {Phase.REFUSED: Link.REFUSED, Phase.TLS_DEAD: Link.TLS_DEAD}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSpec:
    """One machine of the hall."""

    name: str
    """The node's name."""
    model: str
    """A box name (`fleet.sim.boxmodel.box_names`)."""
    rack: str = "r1"
    slot: int = 1
    address: str = ""
    """Loopback address of the BMC; empty: 127.1.<rack number>.<slot>."""
    port: int = 8443
    serial: str = ""
    """Empty: made from the name."""
    uuid: str = ""
    feeds: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Inventory id or family -> version installed at the start."""
    fused: Mapping[str, int] = field(default_factory=dict)
    """Inventory id -> MinimumSecurityVersion, where it is not the box's own."""
    os: str = "22.04"
    """VERSION_ID of the OS on the disk at the start; empty: bare metal."""
    dcgm: int = 4
    """Major version of DCGM in every OS of this box: 3 or 4."""
    host_address: str = ""
    """Where the OS answers by SSH; empty: made from `address` (docs/hall.md)."""
    host_port: int = 0
    chassis: str = ""
    """Boxes of one chassis have their supplies in common: the AC cycle of one is the AC cycle of all. Empty: one of its own."""


class Bmc:
    """A box as it is seen through its BMC."""

    def __init__(
        self,
        spec: BoxSpec,
        box: BoxModel,
        *,
        user: str,
        password: str,
        seed: int = 0,
        faults: FaultBook | None = None,
        epoch: datetime = EPOCH,
    ) -> None:
        """`seed` decides POST time and start-up time of this box, by its name."""
        chance = random.Random(f"{seed}/{spec.name}")
        self.spec = spec
        self.box = box
        self.epoch = epoch
        self.agenda = Agenda()
        self.ledger = Ledger()
        self.faults = (faults or FaultBook()).of_node(node=spec.name, model=spec.model, rack=spec.rack)
        self.firmware: Firmware = Firmware(box, spec.versions, self.ledger, self.faults)
        self.roots: Roots = Roots(box, self.agenda, self.firmware, self.faults, spec.fused)
        self.sessions = Sessions(box.bmc, self.ledger, node=spec.name, user=user, password=password)
        self.tasks = Tasks(
            box.dialect, durable=box.update.durable_tasks, stamp=self.stamp, salt=chance.randrange(10**9)
        )
        self.last_restart = 0.0
        self.logs = Logs(box.logs, stamp=self.stamp, uptime=self._uptime)
        self.tasks.told = self._task_opened
        self.disk = Disk(f"{seed}/{spec.name}", spec.os)
        self.media = Media(box.media, self.agenda, registry=box.registry)
        self.installer = Installer(self)
        self.os = NodeOs(self)
        self._alone()
        self.host = self._host(chance)
        self.updates = self._updates()
        self.phase = Phase.READY
        self.hmc = Hmc(self)
        self.strain = Strain(model=box.strain, chance=random.Random(f"{seed}/{spec.name}/strain"))
        self._boot_factor = chance.uniform(0.85, 1.15)
        self._boot_dues: list[Due] = []
        self._gone = False
        self._dark_since: float | None = None
        self._dark_until = 0.0
        self._was_on = False
        self._restore: Due | None = None
        self.fittings = Fittings(self)
        self._service = Service(self)

    def _alone(self) -> None:
        """As long as nobody says what stands around the box."""
        self.neighbour_identity = ("SIM0000000000000", "00000000-0000-0000-0000-000000000000")
        """(serial, uuid) that a confused installer reports."""
        self.reaches_home: Callable[[], bool] = lambda: True
        """Whether an installer's phone-home would arrive: the leaf port is in the right VLAN."""
        self.mates: tuple[Bmc, ...] = ()
        """The others of its chassis."""
        self.disturbed: Callable[[], None] = lambda: None
        """Called when a mate took its power along: its port has to look."""

    def _host(self, chance: random.Random) -> Host:
        return Host(
            self.box.host,
            self.agenda,
            self.ledger,
            post_s=chance.uniform(*self.box.host.post_s),
            on_loss=lambda _: self._main_power_lost(),
            on_boot=self._host_boots,
        )

    def _updates(self) -> Updates:
        return Updates(
            self.box,
            self.agenda,
            self.firmware,
            self.tasks,
            faults=self.faults,
            ledger=self.ledger,
            roots=self.roots,
            logs=self.logs,
            on_self_reset=lambda at: self.restart(at, "self"),
        )

    def answer(self, request: Request, now: float) -> Answer:
        """What this BMC answers to `request` at `now` (simulated seconds)."""
        self.agenda.advance(now)
        if self.phase in _LINK:
            return Answer(status=0, wire=Wire.DROP)
        self.ledger.requests += 1
        return self._service.answer(request, now)

    def preflight(self, request: Request, now: float) -> Answer | None:
        """What this BMC answers before it has read a large body; None: it will read the body."""
        self.agenda.advance(now)
        if self.phase in _LINK:
            return Answer(status=0, wire=Wire.DROP)
        return self._service.preflight(request, now)

    def fetched(self, task_id: str, data: bytes | None, error: str, now: float) -> None:
        """The image of a `Fetch` is here, or (`data` None) could not be fetched because of `error`."""
        self.agenda.advance(now)
        if self.phase not in _LINK:
            self.updates.fetched(task_id, data, error, now)

    def burdened(self, body_bytes: int, now: float) -> Answer | None:
        """Another request comes while others are under way: None where there is memory for it, which `relieved` gives back."""
        if self.strain.hold(body_bytes):
            return None
        if self.strain.model.out_of_memory is OutOfMemory.RESTART:
            self.restart(now, "out of memory")
            return Answer(status=0, wire=Wire.DROP)
        return self._service.unavailable()

    def relieved(self, body_bytes: int) -> None:
        """A request was answered."""
        self.strain.release(body_bytes)

    def link(self, now: float) -> Link:
        """How the network port looks now."""
        self.agenda.advance(now)
        return _LINK.get(self.phase, Link.UP)

    def next_wake(self) -> float | None:
        """When to call `link` again although nobody asked; simulated seconds, or None."""
        return self.agenda.next_wake()

    def stamp(self, now: float) -> str:
        """Simulated time as the BMC prints it."""
        return (self.epoch + timedelta(seconds=int(now))).isoformat(timespec="seconds")

    def _uptime(self, now: float) -> str:
        """Time since its last restart, as a BMC without a clock prints it (field guide headline 9)."""
        return datetime.fromtimestamp(int(now - self.last_restart), UTC).isoformat(timespec="seconds")

    def _task_opened(self, task: Task, now: float) -> None:
        for habit in self.logs.habits:
            habit.opened(task, now)

    def restart(self, now: float, kind: str, *, dark_s: float = 0.0) -> None:
        """The BMC restarts: sessions and tasks go, staged images for it come up. `dark_s`: no power for so long."""
        self._go_down(now, kind)
        self._come_up(now, dark_s)

    def _go_down(self, now: float, kind: str) -> None:
        self.ledger.reset(now, "bmc", kind)
        for due in self._boot_dues:
            due.cancel()
        self.updates.bmc_lost(now)
        self.sessions.lose()
        self.tasks.restart()
        self.media.eject_all()
        self._boot_dues = [self.agenda.add(now + 1.0, partial(self._enter, Phase.REFUSED), wakes=True)]

    def _come_up(self, now: float, dark_s: float) -> None:
        changed = self.firmware.activate(frozenset({Cause.BMC}))
        self.last_restart = now + dark_s
        for habit in self.logs.habits:
            habit.restarted(changed, now + dark_s)
        if self.faults.take(Effect.LOGIN_CHANGES):
            self.sessions.change_password()
        versions = [self.firmware.shown(part) for part in self.box.parts if part.role == "bmc"]
        if self.faults.take(Effect.BMC_DEAD, versions=versions):
            self._gone = True
            self.ledger.brick("BMC does not return from its restart")
        if self._gone or self.firmware.dead("bmc"):
            return
        self.fittings.restarted()
        self.strain.restarted()
        slow = self.faults.take(Effect.BMC_SLOW, versions=versions)
        self._boot(now + 1.0 + dark_s, self._boot_factor * (slow.number("factor", 3) if slow else 1.0))

    def ac_cycle(self, now: float, *, off_s: float = 30.0) -> None:
        """All feeds of the chassis are switched off for `off_s` and on again; whatever is being written is damaged."""
        self._cycle(now, off_s)
        for mate in self.mates:
            mate._cycle(now, off_s)  # noqa: SLF001  of its own kind
            mate.disturbed()

    def _cycle(self, now: float, off_s: float) -> None:
        self.agenda.advance(now)
        self.ledger.reset(now, "ac", "cycle")
        self.ledger.ac_lost(self.fittings.policy, host_on=self.host.power is Power.ON)
        self.ledger.ac_drained += 1
        self._main_power_lost()
        was_on = self.host.lose(now)
        self._dark_until = now + off_s
        self.restart(now, "ac", dark_s=off_s)
        self.roots.power_lost()
        self.firmware.activate(frozenset(Cause) - {Cause.AUTOMATIC, Cause.MEDIUM})
        if self.fittings.comes_on(was_on=was_on) or self.faults.take(Effect.HOST_POWERS_ON):
            self._restore_host(now + off_s)

    def feeds_lost(self, now: float) -> None:
        """The last of its feeds went off: host and BMC are dark at once."""
        self.agenda.advance(now)
        if self._dark_since is not None:
            return
        self._dark_since = now
        self.ledger.reset(now, "ac", "off")
        self.ledger.ac_lost(self.fittings.policy, host_on=self.host.power is Power.ON)
        self._main_power_lost()
        self._was_on = self.host.lose(now) or self._restore is not None
        if self._restore is not None:  # it had not come back from the cut before: LastState is still On
            self._restore.cancel()
            self._restore = None
        self._go_down(now, "ac")
        self.roots.power_lost()
        self.fittings.draw.changed(now)

    def feeds_back(self, now: float) -> None:
        """A feed is on again; only if all were off long enough was it an AC cycle."""
        self.agenda.advance(now)
        if self._dark_since is None:
            return
        drained = now - self._dark_since >= _DRAIN_S
        self._dark_since = None
        self.ledger.ac_drained += drained
        self.ledger.reset(now, "ac", "on" if drained else "on too early")
        self.fittings.draw.started(now)
        self.fittings.draw.changed(now)
        causes = frozenset(Cause) - {Cause.AUTOMATIC, Cause.MEDIUM}
        self._come_up(now, 0.0)
        self.firmware.activate(causes if drained else causes - {Cause.AC})
        if self.fittings.comes_on(was_on=self._was_on):
            self._restore_host(now)

    def dark(self, now: float) -> bool:
        """Whether it has no AC."""
        return self._dark_since is not None or now < self._dark_until

    def _restore_host(self, now: float) -> None:
        """What PowerRestorePolicy says happens when the BMC has started, not before."""
        at = now + sum(self.box.bmc.boot_s.values())
        self._restore = self.agenda.add(at, self._restored, wakes=True)

    def _restored(self, at: float) -> None:
        self._restore = None
        self.host.reset("On", at)

    def _main_power_lost(self) -> None:
        self.updates.main_power_lost()
        self.installer.stop()

    def reset_host(self, kind: str, now: float) -> bool:
        """Do a ComputerSystem.Reset; False: accepted, but nothing will happen (a fault)."""
        if self.faults.take(Effect.POWER_IGNORED):
            self.ledger.reset(now, "host", f"{kind} ignored")
            return False
        self.ledger.reset(now, "host", kind)
        self.host.reset(kind, now)
        return True

    def reset_hmc(self, kind: str, now: float) -> None:
        """The baseboard's BMC restarts: what it serves is gone for a while."""
        self.hmc.restart(now, kind)

    def repaired(self, part: str, version: str) -> bool:
        """`part` (GPU_SXM_4) is another one now, with `version` on it; False: no firmware goes by its name."""
        item = next((item for item in self.firmware.parts if item.endswith(f"FW_{part}")), None)
        if item is None:
            return False
        self.fittings.swap(part)
        self.firmware.replace(item, version)
        return True

    def hmc_ready(self, now: float) -> bool:
        """Whether the resources of the baseboard's BMC are served."""
        return self.phase is Phase.READY and self.hmc.ready(now)

    def truth(self) -> dict[str, Any]:
        """The ground truth of this box, as plain data."""
        return box_truth(self)

    def _boot(self, start: float, factor: float) -> None:
        at = start
        for phase, following in zip(list(Phase), list(Phase)[1:], strict=False):
            at += self.box.bmc.boot_s[phase] * factor
            wakes = phase in _LINK
            self._boot_dues.append(self.agenda.add(at, partial(self._enter, following), wakes=wakes))
        self.hmc.starts_with_bmc(at + self.box.bmc.hmc_ready_s * factor)

    def _enter(self, phase: Phase, _: float) -> None:
        self.phase = phase

    def _host_boots(self, now: float, causes: frozenset[Cause]) -> None:
        if self.firmware.dead("bios"):
            self.host.power = Power.POWERING_ON
            return
        self.firmware.activate(causes)
        self.host.post_until += self.updates.host_boots(now)
        self.installer.host_starts()
