"""The update life cycle of one BMC: receive, verify, write, await activation (field guide 1.7, 1.8, A.1)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

from fleet.sim.agenda import Agenda, Due
from fleet.sim.boxmodel import INVENTORY, BoxModel, Cause, Dialect, Ending, Part, Supply
from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.firmware import Firmware
from fleet.sim.fwpkg import Package, PackageError, parse
from fleet.sim.ledger import Ledger
from fleet.sim.logging_habits import Logs
from fleet.sim.message import message
from fleet.sim.order import Order
from fleet.sim.roots import Roots
from fleet.sim.selection import Pick, Selection, select, selection_error, stored
from fleet.sim.tasks import Task, Tasks, TaskState
from fleet.sim.wording import applied, awaits, failed, skipped, transferring

_CACHED_PACKAGES = 8
_SELF_RESET_S = 5.0
"""From the end of a BMC update to its own restart."""


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One update in progress."""

    order: Order
    task: Task
    request: int
    force: bool
    package: Package | None = None
    error: str = ""
    picks: tuple[Pick, ...] = ()
    dues: list[Due] = field(default_factory=list)
    ends_critical: str = ""
    lost: set[str] = field(default_factory=set)
    """Parts whose image was lost on the way (power cut, or a fault)."""


@lru_cache(maxsize=_CACHED_PACKAGES)
def _read(data: bytes) -> Package | str:
    try:
        return parse(data)
    except PackageError as cause:
        return str(cause)


class Updates:
    """At most one running update, one held for StartUpdate, and those that wait for a host reset."""

    def __init__(
        self,
        box: BoxModel,
        agenda: Agenda,
        firmware: Firmware,
        tasks: Tasks,
        *,
        faults: NodeFaults,
        ledger: Ledger,
        roots: Roots,
        logs: Logs,
        on_self_reset: Callable[[float], None],
    ) -> None:
        """`on_self_reset(at)`: the BMC restarts itself because of what was written."""
        self._box = box
        self._agenda = agenda
        self._firmware = firmware
        self._tasks = tasks
        self._faults = faults
        self._ledger = ledger
        self._roots = roots
        self._logs = logs
        self._on_self_reset = on_self_reset
        self.running: Run | None = None
        self.held: Run | None = None
        self.scheduled: list[Run] = []
        self.sticky_force = False
        """HttpPushUriOptions.ForceUpdate: stays set until somebody clears it."""

    def submit(self, order: Order, now: float) -> Task:
        """Accept an update whose image is here or will be fetched; the caller has checked that none is running."""
        self._ledger.submits += 1
        task = self._tasks.open("Firmware Update", now)
        task.state = TaskState.STARTING if order.data is None else TaskState.RUNNING
        force = order.force or (self.sticky_force and self._box.update.older_needs == "sticky-force")
        run = Run(order=order, task=task, request=self._ledger.submits, force=force)
        self.running = run
        if order.data is not None:
            self._received(run, order.data, now)
            run.order = Order(targets=order.targets, force=order.force, apply_time=order.apply_time)
        return task

    def roll_back(self, part: Part, now: float) -> Task:
        """Install the previous version of `part` from the BMC's own store (Dell's Previous-* entries)."""
        self._ledger.submits += 1
        package = stored(self._box, part, self._firmware.parts[part.item].previous)
        task = self._tasks.open("Rollback", now)
        task.state = TaskState.RUNNING
        order = Order(targets=(f"{INVENTORY}/{part.item}",))
        run = Run(order=order, task=task, request=self._ledger.submits, force=True, package=package)
        self.running = run
        run.dues.append(self._agenda.add(now + self._box.bmc.verify_s, lambda at: self._verified(run, at)))
        return task

    def fetched(self, task_id: str, data: bytes | None, error: str, now: float) -> None:
        """The image that a SimpleUpdate named has arrived, or could not be fetched."""
        run = self.running
        if run is None or run.task.number != task_id or run.task.ended is not None:
            return
        if data is None:
            self._end(run, now, TaskState.EXCEPTION, "Critical", failed("TransferFailed", error, run.order.uri))
            return
        run.task.state = TaskState.RUNNING
        self._received(run, data, now + len(data) / self._box.bmc.pull_bytes_per_s)

    def start_held(self, now: float) -> Task | None:
        """StartUpdate: write what OnStartUpdateRequest held back; None if nothing was."""
        run, self.held = self.held, None
        if run is None:
            return None
        run.task = self._tasks.open("BMC Update", now)
        self.running = run
        self._write(run, now)
        return run.task

    def bmc_lost(self, now: float) -> None:
        """The BMC restarts or loses power: what it was writing is damaged, what it held is gone."""
        run, self.running = self.running, None
        self.held = None
        if run is not None:
            self._stop(run)
            run.lost.update(self._firmware.cut(Supply))
            run.task.end(now, TaskState.EXCEPTION, "Critical", failed("ApplyFailed", "the BMC restarted"))
        if not self._box.update.durable_tasks:
            self.scheduled.clear()

    def main_power_lost(self) -> None:
        """The host was switched off or reset: parts on main power that were being written are damaged."""
        if self.running is not None:
            self.running.lost.update(self._firmware.cut({Supply.MAIN}))

    def host_boots(self, now: float) -> float:
        """Write what waited for a host reset; returns by how many seconds that delays POST."""
        if self.running is not None or not self.scheduled:
            return 0.0
        self._next_scheduled(now)
        runs = [*self.scheduled, *([self.running] if self.running else [])]
        return sum(pick.part.flash_s for run in runs for pick in run.picks)

    def percent(self, now: float) -> int | None:
        """How far the running update is; None if there is none."""
        return None if self.running is None else self.running.task.percent(now)

    def _next_scheduled(self, now: float) -> None:
        self.running = self.scheduled.pop(0)
        self._write(self.running, now)

    def _received(self, run: Run, data: bytes, at: float) -> None:
        self._ledger.received_bytes += len(data)
        result = _read(data)
        if isinstance(result, str):
            run.error = result
        else:
            run.package = result
        run.dues.append(self._agenda.add(at + self._box.bmc.verify_s, lambda now: self._verified(run, now)))

    def _verified(self, run: Run, now: float) -> None:
        chosen = Selection() if run.package is None else self._select(run, run.package)
        run.task.messages.extend(skipped(skip) for skip in chosen.skipped)
        run.picks = chosen.picks
        run.error = run.error or self._fused(chosen)
        if run.picks and not run.error:
            self._note_arrival(run, now)
        if run.error:
            self._end(run, now, TaskState.EXCEPTION, "Critical", failed("VerificationFailed", run.error))
        elif not chosen.picks and not chosen.skipped:
            self._end(run, now, TaskState.EXCEPTION, "Critical", selection_error())
        elif not chosen.picks:
            self._end(run, now, TaskState.COMPLETED, "OK")
        elif run.order.apply_time == "OnStartUpdateRequest":
            run.task.name = "BMC Verify"
            self._end(run, now, TaskState.COMPLETED, "OK")
            self.held = run
        elif any(pick.part.ending is Ending.AT_REBOOT for pick in run.picks):
            run.task.state = TaskState.STARTING
            run.task.messages.append(message("IDRAC.2.8.JCP001", "Task successfully scheduled."))
            self.running = None
            self.scheduled.append(run)
        else:
            self._write(run, now)

    def _note_arrival(self, run: Run, now: float) -> None:
        for habit in self._logs.habits:
            habit.verified(run.picks, now)
        items, versions = [pick.part.item for pick in run.picks], [pick.image.version for pick in run.picks]
        if rule := self._faults.take(Effect.LOG_CLEARED, items=items, versions=versions):
            self._agenda.add(now + rule.number("after_s", 60), lambda _: self._logs.clear())

    def _select(self, run: Run, package: Package) -> Selection:
        bad = self._faults.peek(Effect.BAD_IMAGE, versions=[image.version for image in package.images])
        if bad is not None and bad.text("outcome", "bricks") == "verify-fails":
            run.error = "signature of the image is not valid"
        return select(self._box, self._firmware, package, run.order.targets, force=run.force)

    def _fused(self, chosen: Selection) -> str:
        """Why the fuses forbid an image, forced or not. PLDM names no security version: here the comparison stamp stands for it."""
        for pick in chosen.picks:
            least = self._roots.minimum(pick.part.item)
            if pick.image.comparison_stamp < least:
                return (
                    f"security version {pick.image.comparison_stamp} of image '{pick.image.version}' is below the minimum"
                    f" {least} of '{pick.part.item}'"
                )
        return ""

    def _end(self, run: Run, now: float, state: TaskState, status: str, *messages: dict[str, object]) -> None:
        run.task.end(now, state, status, *messages)
        self.running = None

    def _write(self, run: Run, now: float) -> None:
        spans, lanes = [], dict[str, float]()
        for pick in run.picks:
            start = lanes.get(pick.part.lane, now) if pick.part.lane else now
            lanes[pick.part.lane] = start + pick.part.flash_s
            spans.append((pick, start, start + pick.part.flash_s))
        end = max(span[2] for span in spans)
        run.task.state, run.task.span = TaskState.RUNNING, (now, end)
        items = [pick.part.item for pick in run.picks]
        versions = [pick.image.version for pick in run.picks]
        stops_at = self._strike(run, items, versions, now, end)
        for pick, start, stop in spans:
            if start < stops_at:
                run.dues.append(self._agenda.add(start, partial(self._begin, run, pick)))
            if stop < stops_at:
                run.dues.append(self._agenda.add(stop, partial(self._finish, run, pick)))
        if end < stops_at:
            wakes = any(pick.part.ending is Ending.SELF_RESET for pick in run.picks)
            run.dues.append(self._agenda.add(end, lambda at: self._done(run, at), wakes=wakes))
        self._agenda.advance(now)

    def _strike(self, run: Run, items: list[str], versions: list[str], now: float, end: float) -> float:
        """Let the faults of this run take effect; returns when writing stops for good."""
        take = self._faults.take
        if rule := take(Effect.TASK_VANISHES, items=items, versions=versions):
            at = now + (end - now) * rule.number("at_percent", 30) / 100
            self._agenda.add(at, lambda _: self._tasks.forget(run.task))
        if rule := take(Effect.UPDATE_STALLS, items=items, versions=versions):
            run.task.stalls_at = int(rule.number("at_percent", 40))
            return now
        if rule := take(Effect.UPDATE_FAILS, items=items, versions=versions):
            at = now + (end - now) * rule.number("at_percent", 40) / 100
            text = rule.text("message", "the device did not accept the image")
            run.dues.append(self._agenda.add(at, lambda when: self._fail(run, items, text, when)))
            return at
        if rule := take(Effect.UPDATE_COMPLETES_CRITICAL, items=items, versions=versions):
            run.ends_critical = rule.text("message", "Unable to apply the image.")
            run.lost.update(items)
        if take(Effect.PARTIAL, items=items, versions=versions):
            run.lost.add(items[-1])
        return float("inf")

    def _begin(self, run: Run, pick: Pick, now: float) -> None:
        if run.package is not None:
            run.task.messages.append(transferring(pick))
            for habit in self._logs.habits:
                habit.begun(pick, now)
            self._firmware.begin(
                pick.part, version=pick.image.version, sha256=run.package.sha256, request=run.request, now=now
            )

    def _finish(self, run: Run, pick: Pick, now: float) -> None:
        part, version = pick.part, pick.image.version
        if part.item in run.lost:
            self._firmware.finish(part, stages=False)
            return
        unchanged = self._faults.take(Effect.VERSION_UNCHANGED, items=(part.item,), versions=(version,))
        self._firmware.finish(part, stages=True, falls_back="image does not start" if unchanged else "")
        run.task.messages.append(applied(pick))
        for habit in self._logs.habits:
            habit.ended(pick, now)
        if Cause.AUTOMATIC in part.activates_on:
            self._firmware.activate_written([part.item])
        elif part.ending is Ending.AWAIT:
            run.task.messages.append(awaits(pick))

    def _done(self, run: Run, now: float) -> None:
        self.running = None
        if run.ends_critical:
            run.task.end(now, TaskState.COMPLETED, "Critical", failed("ApplyFailed", run.ends_critical))
            return
        cut = [pick for pick in run.picks if pick.part.item in run.lost and not run.ends_critical]
        if len(cut) == len(run.picks):
            run.task.end(now, TaskState.EXCEPTION, "Critical", failed("ApplyFailed", "the device lost power"))
            return
        staged = self._box.dialect is Dialect.OPENBMC and any(p.part.ending is Ending.AWAIT for p in run.picks)
        if staged:
            run.task.state = TaskState.STOPPING
            # bmcweb says so of a staged image: it waits for a power cycle (field guide 1.3)
            paused = f"The task with Id '{run.task.number}' has been paused."
            run.task.messages.append(message("TaskEvent.1.0.3.TaskPaused", paused, (run.task.number,)))
        else:
            run.task.end(now, TaskState.COMPLETED, "OK", _completed(self._box.dialect, run.task))
        if any(pick.part.ending is Ending.AT_REBOOT for pick in run.picks):
            self._firmware.activate_written(pick.part.item for pick in run.picks)
            if self.scheduled:
                self._next_scheduled(now)
        if any(pick.part.ending is Ending.SELF_RESET for pick in run.picks):
            self._agenda.add(now + _SELF_RESET_S, self._on_self_reset, wakes=True)

    def _fail(self, run: Run, items: list[str], text: str, now: float) -> None:
        self._stop(run)
        for pick in run.picks:
            self._firmware.finish(pick.part, stages=False)
            for habit in self._logs.habits:
                habit.failed(pick, now)
        self._end(run, now, TaskState.EXCEPTION, "Critical", failed("ApplyFailed", text, items[0]))

    def _stop(self, run: Run) -> None:
        for due in run.dues:
            due.cancel()


def _completed(dialect: Dialect, task: Task) -> dict[str, object]:
    if dialect is Dialect.DELL:
        return message("IDRAC.2.8.RED001", "Job completed successfully.")
    text = f"The task with id {task.number} has completed."
    return message("TaskEvent.1.0.TaskCompletedOK", text, (task.number,))
