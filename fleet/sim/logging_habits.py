"""Which entries each vendor's BMC writes of logins, tasks and updates, and the logs of one box.

- ami (DGX H100 `Managers/BMC/LogServices/EventLog`): the captured log holds the removal of a session (EventLog.1.0.ResourceRemoved).
  That a new task is written there too (Task.1.0.New) is inferred: the captured EventService sends the registry `Task`, and the
  TaskService says LifeCycleEventOnTaskStateChange. Of the update's messages themselves nothing was captured there.
- hgx (`Systems/HGX_Baseboard_0/LogServices/EventLog`): entries 140 to 187 of the captured log: Update.1.0 TransferringToComponent,
  UpdateSuccessful, AwaitToActivate, dated by the time since the HMC started.
- supermicro (`Managers/1/LogServices/Log1`): entries 186, 189, 192, 193, 200, 203, 449 of the captured log. A BIOS file is logged
  when it has arrived and when it is written; of a BMC file nothing, until the new firmware has started.
- dell (`Managers/iDRAC.Embedded.1/LogServices/Lclog`): captured: the login (USR0030), newest first, ids in the ten thousands. Job
  and update (JCP027, SUP0516, SUP0517, SUP0518) by the ids that dell/iDRAC-Redfish-Scripting reads there after an update.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from fleet.sim.boxmodel import ROOT, Ending, Part
from fleet.sim.eventlog import EventLog, LogModel
from fleet.sim.message import Answer, answer, collection, message
from fleet.sim.query import words
from fleet.sim.selection import Pick
from fleet.sim.sessions import Session
from fleet.sim.tasks import TASKS, Task
from fleet.sim.wording import applied, awaits, transferring

_SESSIONS = f"{ROOT}/SessionService/Sessions"


class Habit:
    """Writes nothing; each vendor's writes some."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def _speaks_of(self, part: Part) -> bool:
        return self._log.model.bundle in {"", part.bundle}

    def logged_in(self, session: Session, now: float) -> None:
        """A session was made."""

    def logged_out(self, session: Session, now: float) -> None:
        """A session was deleted."""

    def opened(self, task: Task, now: float) -> None:
        """A task was made."""

    def verified(self, picks: Iterable[Pick], now: float) -> None:
        """An image is here, and will be written to these parts."""

    def begun(self, pick: Pick, now: float) -> None:
        """It is being written."""

    def ended(self, pick: Pick, now: float) -> None:
        """It was written."""

    def failed(self, pick: Pick, now: float) -> None:
        """It could not be written."""

    def restarted(self, changed: Iterable[Part], now: float) -> None:
        """The BMC restarted, and these parts run another version now."""


class _Ami(Habit):
    def logged_out(self, session: Session, now: float) -> None:
        path = f"{_SESSIONS}/{session.number}"
        said = message(
            "EventLog.1.0.ResourceRemoved", f"The resource at {path} was successfully removed.", (path,), resolution=""
        )
        self._log.write(now, said, Links={"OriginOfCondition": {"@odata.id": path}})

    def opened(self, task: Task, now: float) -> None:
        said = message("Task.1.0.New", f"A new task {task.uri} was created.", (task.uri,), resolution="")
        self._log.write(now, said, Links={"OriginOfCondition": {"@odata.id": task.uri}})


class _Hgx(Habit):
    def begun(self, pick: Pick, now: float) -> None:
        if self._speaks_of(pick.part):
            self._log.write(now, transferring(pick), Resolved=False)

    def ended(self, pick: Pick, now: float) -> None:
        if self._speaks_of(pick.part):
            self._log.write(now, applied(pick), Resolved=False)
            if pick.part.ending is Ending.AWAIT:
                self._log.write(now, awaits(pick), Resolved=False)


class _Supermicro(Habit):
    def logged_in(self, session: Session, now: float) -> None:
        self._mel("0133", "RedfishSessionCreated", "Redfish session was created successfully.", now, session.user)

    def logged_out(self, session: Session, now: float) -> None:
        self._mel("0134", "RedfishSessionDel", "Redfish session was deleted successfully.", now, session.user)

    def verified(self, picks: Iterable[Pick], now: float) -> None:
        if any(pick.part.role == "bios" for pick in picks):
            self._mel("0212", "FileUploaded", "The BIOS file was uploaded successfully.", now)

    def begun(self, pick: Pick, now: float) -> None:
        if pick.part.role == "bios":
            self._mel("0269", "FwStartUpdate", "BIOS update has started.", now)

    def ended(self, pick: Pick, now: float) -> None:
        if pick.part.role == "bios":
            self._mel("0101", "ComponentBiosFwUpdate", "BIOS was updated successfully.", now)

    def restarted(self, changed: Iterable[Part], now: float) -> None:
        self._mel("0056", "ResetBmc", "BMC was reset successfully.", now)
        if any(part.role == "bmc" for part in changed):
            self._mel("0104", "ComponentIpmiFwUpdate", "BMC firmware was updated successfully.", now)

    def _mel(self, number: str, name: str, text: str, now: float, user: str = "") -> None:
        said = message(f"Event.1.0.{name}", f"[MEL-{number}] {text}", resolution="")
        oem = {"Supermicro": {"@odata.type": "#SmcLogEntryExtensions.v1_0_1.LogEntry", "User": user}}
        self._log.write(now, said, OemRecordFormat="SMC", Oem=oem)


class _Dell(Habit):
    def logged_in(self, session: Session, now: float) -> None:
        text = f"Successfully logged in using {session.user}, from 192.0.2.1 and REDFISH."
        self._lc("USR0030", text, now, session.user, "192.0.2.1", "REDFISH")

    def opened(self, task: Task, now: float) -> None:
        text = f"The (installation or configuration) job {task.number} is successfully created on iDRAC."
        self._lc("JCP027", text, now, task.number)

    def begun(self, pick: Pick, now: float) -> None:
        name, version = pick.part.name or pick.part.item, pick.image.version
        self._lc("SUP0516", f"Updating firmware for {name} to version {version}.", now, name, version)

    def ended(self, pick: Pick, now: float) -> None:
        name, version = pick.part.name or pick.part.item, pick.image.version
        self._lc("SUP0518", f"Successfully updated the {name} firmware to version {version}.", now, name, version)

    def failed(self, pick: Pick, now: float) -> None:
        name, version = pick.part.name or pick.part.item, pick.image.version
        self._lc("SUP0517", f"Unable to update the {name} firmware to version {version}.", now, name, version)

    def _lc(self, number: str, text: str, now: float, *args: str) -> None:
        self._log.write(now, message(f"IDRAC.2.7.{number}", text, args, resolution=""), OemRecordFormat="Dell")


class _Habit(Protocol):
    def __call__(self, log: EventLog) -> Habit: ...


_HABITS: Mapping[str, _Habit] = {"ami": _Ami, "hgx": _Hgx, "supermicro": _Supermicro, "dell": _Dell}


class Logs:
    """All logs of one box."""

    def __init__(
        self, models: Iterable[LogModel], *, stamp: Callable[[float], str], uptime: Callable[[float], str]
    ) -> None:
        """`stamp`: simulated time -> text by the BMC's clock; `uptime`: the same by one that starts at 1970 with the BMC."""
        self.all = [EventLog(model, uptime if model.habit == "hgx" else stamp) for model in models]
        self.habits = [_HABITS[log.model.habit](log) for log in self.all]
        for log in self.all:  # these machines have lived for a while, and were updated before
            for said in _PAST[log.model.habit]:
                log.write(0.0, said)

    def clear(self) -> None:
        """Somebody clears all of them."""
        for log in self.all:
            log.clear()

    def get(self, path: str, query: str = "") -> Answer | None:
        """What is at `path`; None: nothing of ours."""
        if "/LogServices" not in path:
            return None
        skip = words(query).get("$skip", "0")
        found = (log.get(path, int(skip) if skip.isdecimal() else 0) for log in self.all)
        return next((each for each in found if each is not None), None) or self._listed(path)

    def _listed(self, path: str) -> Answer | None:
        members = [log.model.path for log in self.all if log.model.path.rpartition("/")[0] == path]
        if not members:
            return None
        return answer(200, collection(path, "LogService", "Log Service Collection", members))


_PAST: Mapping[str, tuple[dict[str, Any], ...]] = {
    "ami": (
        message("Task.1.0.New", f"A new task {TASKS}/0 was created.", (f"{TASKS}/0",)),
        message("EventLog.1.0.ResourceRemoved", f"The resource at {_SESSIONS}/0 was successfully removed."),
    ),
    "hgx": (
        message(
            "Update.1.0.AwaitToActivate",
            "Awaiting for an action to proceed with activating image 'HGX-22.10-1-rc34' on 'HGX_FW_BMC_0'.",
            ("HGX-22.10-1-rc34", "HGX_FW_BMC_0"),
            resolution="System reboot or AC power cycle",
        ),
    ),
    "supermicro": (
        message("Event.1.0.ComponentBiosFwUpdate", "[MEL-0101] BIOS was updated successfully."),
        message("Event.1.0.HostFwPwdRemoved", "[MEL-0207] The host FW user password has been removed."),
    ),
    "dell": (
        message(
            "IDRAC.2.7.JCP027",
            "The (installation or configuration) job JID_233445566778 is successfully created on iDRAC.",
            ("JID_233445566778",),
        ),
        message("IDRAC.2.7.LOG007", "The previous log entry was repeated 1 times.", ("1",)),
    ),
}
"""What each wrote before we came: of an earlier update, and the like."""
