"""`fleet.ports.Bmc` over Redfish: one BMC, one connection, one session, one request in flight."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from fleet.drivers.digests import Digests
from fleet.drivers.redfish import (
    bodies,
    boot,
    condition,
    document,
    eventlog,
    firmware,
    following,
    layout,
    media,
    power,
    resets,
    settings,
    slots,
    tasks,
    update,
)
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK, Reply
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.firmware import Expansion
from fleet.drivers.redfish.layout import Layout
from fleet.drivers.redfish.meter import Meter
from fleet.errors import NodeFault, Reason, Transient, UsageError
from fleet.limits import Transfers
from fleet.ports import (
    BootMarker,
    Condition,
    LogMark,
    LogSays,
    LogVerdict,
    PowerAction,
    PowerState,
    Restarted,
    Submission,
    TaskPhase,
    TaskReading,
    UpdateOrder,
    UpdateReadiness,
)
from fleet.profile import Force, Profile, Setting
from fleet.slots import SlotReading
from fleet.watts import PowerReading
from inventory.baseline import Activation
from inventory.model import Node
from inventory.observed import Observation

NOT_READY = frozenset({"UnavailableOffline", "Disabled", "Starting", "Absent"})
"""UpdateService.Status.State in which nothing may be handed over (field guide 1.7)."""

_STUBS = frozenset({Reason.UNKNOWN_HARDWARE, Reason.PROTOCOL})
"""What a half-started BMC looks like: no system, a link that leads nowhere."""


class RedfishBmc:
    """See `fleet.ports`: Bmc, BootMedia, SideEffects, TwoSlots, RestoresPower, MetersPower."""

    def __init__(
        self,
        node: Node,
        profile: Profile,
        access: Access,
        *,
        digests: Digests,
        images: update.ImageSource | None,
        transfers: Transfers | None = None,
    ) -> None:
        self._node = node
        self._profile = profile
        self._access = access
        self._digests = digests
        self._transfers = transfers
        self._by = update.Handing(images=images, pay=transfers.take if transfers else bodies.free)
        self._layout: Layout | None = None
        self._before: Layout | None = None
        """As it was before the last restart."""
        self._expansion = Expansion(query="")
        self._meter = Meter()
        self._finished: set[str] = set()
        self._finished_login = 0
        self._known: frozenset[str] = frozenset()
        self._marked_login = 0

    @property
    def profile(self) -> Profile:
        """The platform, chosen once."""
        return self._profile

    @property
    def effects_sent(self) -> int:
        """See `fleet.ports.CountsEffects`."""
        return self._access.effects_sent

    async def connect(self) -> None:
        """See `fleet.ports.Bmc.connect`."""
        if self._layout is None:
            await self._connect(after_restart=False)

    async def reconnect(self) -> None:
        """See `fleet.ports.Bmc.reconnect`."""
        self._before, self._layout = self._layout or self._before, None
        self._finished.clear()
        self._meter = Meter()
        await self._access.forget()
        try:
            await self._connect(after_restart=True)
        except NodeFault as fault:
            if fault.reason not in _STUBS:
                raise
            raise Transient(f"{fault} (a BMC that has just restarted shows stubs; field guide 1.5)") from fault

    async def observe(self) -> Observation:
        """See `fleet.ports.Bmc.observe`."""
        found = await self._found()
        system = await self._access.get(found.system)
        manager = await self._access.get(found.manager) if found.manager else NOTHING
        serial, uuid = self._identity(system)
        return Observation(
            node=self._node.id,
            manufacturer=document.text(system, "Manufacturer"),
            model=document.text(system, "Model"),
            serial=serial,
            uuid=uuid,
            bios_version=document.text(system, "BiosVersion"),
            bmc_version=document.text(manager, "FirmwareVersion"),
            power_state=document.text(system, "PowerState"),
            health=firmware.worst_health(document.child(system, "Status")),
            items=await firmware.items(self._access, found.firmware, self._expansion, self._profile.quirks),
            read_at=self._access.channel.clock.now(),
            source=self._access.channel.base,
        )

    async def identify(self) -> tuple[str, str]:
        """See `fleet.ports.Bmc.identify`."""
        system = await self._access.get((await self._found()).system)
        return self._identity(system)

    async def power_state(self) -> PowerState:
        """See `fleet.ports.Bmc.power_state`."""
        return await power.host_state(self._access, await self._found())

    async def boot_marker(self) -> BootMarker:
        """See `fleet.ports.Bmc.boot_marker`."""
        manager_last_reset, system_last_reset = await self._last_resets()
        session = self._access.session
        self._access.channel.went_silent = False
        self._marked_login = self._access.logins
        return BootMarker(
            manager_last_reset=manager_last_reset,
            system_last_reset=system_last_reset,
            session=session.uri if session is not None else "",
        )

    async def restarted_since(self, marker: BootMarker) -> Restarted:
        """See `fleet.ports.Bmc.restarted_since`.

        LastResetTime decides where it is told and differs. Else the session does: one that still works outlived
        nothing; one that is gone proves a restart only if the BMC was silent in between: sessions also expire.
        """
        now, _ = await self._last_resets()
        if now and marker.manager_last_reset and now != marker.manager_last_reset:
            return Restarted.YES
        if marker.session and await self._still_open(marker.session):
            return Restarted.NO
        if marker.session and self._marked_login and self._access.channel.went_silent:
            return Restarted.YES
        return Restarted.NO if now and now == marker.manager_last_reset else Restarted.CANNOT_TELL

    def offers(self) -> frozenset[Activation]:
        """See `fleet.ports.Bmc.offers`."""
        if self._layout is None:
            raise NodeFault(Reason.PROTOCOL, f"{self._access.channel.base}: not connected yet")
        return resets.offers(self._layout.system_reset, self._layout.manager_reset, self._profile)

    async def readiness(self) -> UpdateReadiness:
        """See `fleet.ports.Bmc.readiness`."""
        found = await self._found()
        service = await self._access.get(found.update_service) if found.update_service else {"ServiceEnabled": False}
        state = document.text(document.child(service, "Status"), "State")
        alive, known = await self._tasks()
        self._known = frozenset(known)
        return UpdateReadiness(
            enabled=document.flag(service, "ServiceEnabled") is not False and state not in NOT_READY,
            alive=alive,
            known_tasks=known,
            max_image_bytes=document.number(service, "MaxImageSizeBytes") or None,
            forced=document.flag(document.child(service, "HttpPushUriOptions"), "ForceUpdate") is True,
        )

    async def submit_update(self, order: UpdateOrder) -> Submission:
        """See `fleet.ports.Bmc.submit_update`."""
        found = await self._found()
        await self._verify(order)
        if order.force and order.profile.force is Force.STICKY_FLAG:
            await update.set_force_flag(self._access, found, force=True)
        reply = await update.submit(self._access, found.update, order, self._by)
        try:
            task = await following.task_of(self._access, found, reply, self._known)
        except (Transient, NodeFault):
            task = None  # accepted is accepted: the inventory decides how it went
        return update.submission(reply, task, await self._started(reply, task))

    def turn(self, told: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """See `fleet.ports.TakesTurns.turn`."""
        return self._transfers.turn(told) if self._transfers is not None else nullcontext()

    async def restore_force_flag(self) -> None:
        """See `fleet.ports.Bmc.restore_force_flag`."""
        if any(component.force is Force.STICKY_FLAG for component in self._profile.components.values()):
            await update.set_force_flag(self._access, await self._found(), force=False)

    async def read_task(self, uri: str) -> TaskReading | None:
        """See `fleet.ports.Bmc.read_task`."""
        reply = await self._access.find(uri)
        return None if reply is None else tasks.read(uri, reply.body, self._profile.quirks)

    async def log_mark(self, component: str) -> LogMark | None:
        """See `fleet.ports.KeepsLog.log_mark`."""
        await self.connect()
        log = self._profile.components[component].log
        return None if log is None else await eventlog.mark(self._access, log)

    async def log_since(self, component: str, mark: LogMark, versions: frozenset[str]) -> LogVerdict:
        """See `fleet.ports.KeepsLog.log_since`."""
        await self.connect()
        log = self._profile.components[component].log
        if log is None:
            return LogVerdict(says=LogSays.CANNOT_TELL, why="no log of it is known to tell of this component")
        return await eventlog.since(self._access, log, mark, versions)

    async def power(self, action: PowerAction) -> None:
        """See `fleet.ports.Bmc.power`."""
        await power.power(self._access, await self._found(), self._profile, action)

    async def reset_bmc(self) -> None:
        """See `fleet.ports.Bmc.reset_bmc`."""
        await power.reset_bmc(self._access, await self._found())

    async def clear_sessions(self, left: Mapping[str, str]) -> frozenset[str]:
        """See `fleet.ports.Bmc.clear_sessions`."""
        await self._found()
        return await self._access.clear(left)

    async def close(self) -> None:
        """See `fleet.ports.Bmc.close`."""
        self._layout = None
        await self._access.end()

    async def settings(self) -> Mapping[str, str]:
        """See `fleet.ports.SideEffects.settings`."""
        return await settings.read(self._access, await self._found(), self._expansion)

    async def condition(self) -> Condition:
        """See `fleet.ports.TellsCondition.condition`."""
        return await condition.read(self._access, await self._found(), self._expansion, self._profile)

    async def put_back(self, what: Setting, value: str) -> None:
        """See `fleet.ports.SideEffects.put_back`."""
        await settings.put_back(self._access, await self._found(), what, value)

    async def slots(self) -> SlotReading:
        """See `fleet.ports.TwoSlots.slots`."""
        return await slots.read(self._access, await self._found(), self._expansion, self._profile)

    async def security_floors(self) -> Mapping[str, int]:
        """See `fleet.ports.TwoSlots.security_floors`."""
        await self._found()
        return await slots.floors(self._access, self._expansion, self._profile)

    async def copy_slots(self, items: Sequence[str]) -> None:
        """See `fleet.ports.TwoSlots.copy_slots`."""
        await slots.commit(self._access, await self._found(), items)

    async def copy_by_itself(self, root: str, *, enabled: bool) -> None:
        """See `fleet.ports.TwoSlots.copy_by_itself`."""
        await self._found()
        await slots.set_automatic(self._access, self._expansion, root, enabled=enabled)

    async def restore_policy(self) -> str:
        """See `fleet.ports.RestoresPower.restore_policy`."""
        return document.text(await self._access.get((await self._found()).system), "PowerRestorePolicy")

    async def set_restore_policy(self, policy: str) -> None:
        """See `fleet.ports.RestoresPower.set_restore_policy`."""
        await settings.put_back(self._access, await self._found(), Setting.POWER_RESTORE_POLICY, policy)

    async def power_reading(self) -> PowerReading | None:
        """See `fleet.ports.MetersPower.power_reading`."""
        return await self._meter.read(self._access, (await self._found()).system, self._profile.power_sensor)

    async def insert_media(self, url: str) -> None:
        """See `fleet.ports.BootMedia.insert_media`."""
        await media.insert(self._access, await self._found(), self._profile.media, url)

    async def eject_media(self) -> None:
        """See `fleet.ports.BootMedia.eject_media`."""
        await media.eject(self._access, await self._found())

    async def boot_once(self) -> None:
        """See `fleet.ports.BootMedia.boot_once`."""
        await boot.once(self._access, await self._found(), self._profile.media)

    async def boot_override(self) -> tuple[str, str]:
        """See `fleet.ports.BootMedia.boot_override`."""
        return await boot.override(self._access, await self._found())

    async def clear_boot_override(self) -> None:
        """See `fleet.ports.BootMedia.clear_boot_override`."""
        await boot.clear(self._access, await self._found(), self._profile.media)

    async def _started(self, reply: Reply, task: str | None) -> str:
        """StartTime of the task that was just made; empty where the BMC does not tell, or not now."""
        told = document.text(reply.body, "StartTime") if tasks.is_task(reply.body) else ""
        if told or task is None:
            return told
        try:
            reading = await self.read_task(task)
        except (Transient, NodeFault):
            return ""
        return "" if reading is None else reading.started

    async def _verify(self, order: UpdateOrder) -> None:
        try:
            await self._digests.verified(order.image, size_bytes=order.size_bytes, sha256=order.sha256)
        except UsageError as error:
            raise NodeFault(Reason.UPDATE_REJECTED, f"{error}; nothing was sent") from None

    def _identity(self, system: Document) -> tuple[str, str]:
        key = "SKU" if self._profile.quirks.serial_is_sku else "SerialNumber"
        return document.text(system, key), document.text(system, "UUID").lower()

    async def _connect(self, *, after_restart: bool) -> None:
        if self._access.session is None:
            await self._access.open(after_restart=after_restart)
        found = await layout.find_layout(self._access, self._profile)
        if after_restart and self._before is not None and self._before.lacks(found):
            raise Transient(f"{self._access.channel.base}: not all is there yet that was there before the restart")
        self._expansion = Expansion(query=found.expand)
        self._layout = found

    async def _found(self) -> Layout:
        """Where things are; connects where nobody has."""
        await self.connect()
        if self._layout is None:
            raise NodeFault(Reason.PROTOCOL, f"{self._access.channel.base}: not connected")
        return self._layout

    async def _last_resets(self) -> tuple[str, str]:
        """LastResetTime of manager and system, empty where they do not tell."""
        found = await self._found()
        manager = await self._access.get(found.manager) if found.manager else NOTHING
        system = await self._access.get(found.system)
        return document.text(manager, "LastResetTime"), document.text(system, "LastResetTime")

    async def _still_open(self, session: str) -> bool:
        """Whether a session of before is there now. Our own newer one at the same address does not count."""
        if self._marked_login in self._access.survivors:
            return True
        current = self._access.session
        if current is not None and current.uri == session:
            return self._access.logins == self._marked_login
        reply = await self._access.find(session)
        return reply is not None and reply.status in OK

    async def _tasks(self) -> tuple[tuple[TaskReading, ...], tuple[str, ...]]:
        """Update tasks that run, and the URIs of all tasks. One that has ended is not read again within one session.

        A BMC may restart unasked, and then numbers its tasks anew (F02): the session ends with it, and what is known with that.
        """
        await self._found()
        if self._finished_login != self._access.logins:
            self._finished.clear()
            self._finished_login = self._access.logins
        alive: list[TaskReading] = []
        known: list[str] = []
        for path, task in await following.all_tasks(self._access, await self._found(), self._expansion, self._finished):
            known.append(path)
            if not task:
                continue
            reading = tasks.read(path, task, self._profile.quirks)
            if reading.phase in {TaskPhase.DONE, TaskPhase.FAILED}:
                self._finished.add(path)
            elif reading.phase is not TaskPhase.STAGED and tasks.is_update(task):
                alive.append(reading)
        return tuple(alive), tuple(known)
