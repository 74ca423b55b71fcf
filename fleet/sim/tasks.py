"""Tasks as each vendor keeps them (field guide 1.3): ids, states, percent, messages, and what a BMC restart loses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.sim.boxmodel import ROOT, Dialect
from fleet.sim.message import Answer, answer, collection, message

TASKS = f"{ROOT}/TaskService/Tasks"
MONITORS = f"{ROOT}/TaskService/TaskMonitors"
JOBS = f"{ROOT}/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs"


class TaskState(StrEnum):
    """Task.TaskState, as far as the hall uses it."""

    NEW = "New"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    EXCEPTION = "Exception"
    CANCELLED = "Cancelled"


@dataclass(slots=True, kw_only=True)
class Task:
    """One Redfish task."""

    number: str
    name: str
    started: float
    state: TaskState = TaskState.NEW
    status: str = "OK"
    messages: list[dict[str, Any]] = field(default_factory=list)
    ended: float | None = None
    span: tuple[float, float] | None = None
    """When the work that PercentComplete measures begins and ends."""
    stalls_at: int | None = None
    """Percent that is never passed (a fault)."""
    monitor_read: int = 0

    @property
    def uri(self) -> str:
        """Where the task resource is."""
        return f"{TASKS}/{self.number}"

    def percent(self, now: float) -> int:
        """PercentComplete; 100 only when the task has ended."""
        if self.ended is not None:
            return 100
        if self.span is None:
            return 0
        start, end = self.span
        done = int(100 * (now - start) / max(end - start, 1e-6))
        return max(0, min(done, 99 if self.stalls_at is None else self.stalls_at))

    def end(self, now: float, state: TaskState, status: str = "OK", *messages: dict[str, Any]) -> None:
        """The task is over."""
        self.state, self.status, self.ended = state, status, now
        self.messages.extend(messages)


class Tasks:
    """The task table of one BMC."""

    def __init__(self, dialect: Dialect, *, durable: bool, stamp: Callable[[float], str], salt: int) -> None:
        """`durable`: tasks outlive a BMC restart. `stamp`: simulated time -> text. `salt` varies Dell's job numbers."""
        self._dialect = dialect
        self._durable = durable
        self._stamp = stamp
        self._salt = salt
        self._count = 0
        self.kept: dict[str, Task] = {}
        self.told: Callable[[Task, float], None] = lambda _task, _now: None
        """Called with each new task."""

    def open(self, name: str, now: float) -> Task:
        """Create a task."""
        self._count += 1
        number = str(self._count)
        if self._dialect is Dialect.DELL:
            number = f"JID_{(self._salt * 7919 + self._count * 1009) % 10**12:012d}"
        elif self._dialect is Dialect.OPENBMC:
            number = str(self._count - 1)
        task = Task(number=number, name=name, started=now)
        self.kept[number] = task
        self.told(task, now)
        return task

    def forget(self, task: Task) -> None:
        """The task vanishes from the table; the work goes on."""
        if self.kept.get(task.number) is task:  # ids begin anew after a restart
            del self.kept[task.number]

    def restart(self) -> None:
        """The BMC restarted: unless the table is durable, it is empty and ids begin anew."""
        if not self._durable:
            self.kept.clear()
            self._count = 0

    def accepted(self, task: Task) -> Answer:
        """The 202 that announces a task, in the vendor's manner (field guide 1.2)."""
        if self._dialect is Dialect.DELL:
            return Answer(status=202, headers=(("Location", task.uri),))
        if self._dialect is Dialect.SUPERMICRO:
            text = f"Please also check Task Resource {task.uri} to see more information."
            info = message(
                "SMC.1.0.OemSimpleupdateAcceptedMessage", text, (task.uri,), "Ok", "No resolution was required."
            )
            body = {"Accepted": {"code": "Base.v1_10_3.Accepted", "@Message.ExtendedInfo": [info]}}
            return answer(202, body, (("Location", f"{MONITORS}/{task.number}"),))
        document = self.document(task, task.started)
        document["Messages"] = [message("Task.1.0.New", f"A new task {task.uri} was created.", (task.uri,))]
        return answer(202, document, (("Location", f"{MONITORS}/{task.number}"), ("Retry-After", "30")))

    def collection(self) -> dict[str, Any]:
        """The task collection."""
        return collection(TASKS, "Task", "Task Collection", (task.uri for task in self.kept.values()))

    def document(self, task: Task, now: float) -> dict[str, Any]:
        """The task resource."""
        document: dict[str, Any] = {
            "@odata.id": task.uri,
            "@odata.type": "#Task.v1_4_2.Task",
            "Id": task.number,
            "Name": task.name,
            "Description": f"Task for {task.name}",
            "TaskState": task.state,
            "TaskStatus": task.status,
            "PercentComplete": task.percent(now),
            "TaskMonitor": f"{MONITORS}/{task.number}",
            "StartTime": self._stamp(task.started),
            "Messages": task.messages,
        }
        if task.ended is not None:
            document["EndTime"] = self._stamp(task.ended)
        return document

    def monitor(self, number: str, now: float) -> Answer:
        """What the task monitor says: OpenBMC gives 204 once for any end and 404 after (field guide headline 3)."""
        task = self.kept.get(number)
        if task is None:
            return Answer(status=404)
        if task.ended is None:
            return answer(202, self.document(task, now), (("Location", f"{MONITORS}/{number}"), ("Retry-After", "30")))
        task.monitor_read += 1
        if self._dialect is Dialect.OPENBMC:
            return Answer(status=204 if task.monitor_read == 1 else 404)
        if self._dialect is Dialect.HPE:  # gone as soon as it is done (field guide F01)
            return Answer(status=404)
        return answer(200, self.document(task, now))

    def job(self, task: Task, now: float) -> dict[str, Any]:
        """Dell's view of the same work (field guide 1.10)."""
        last = task.messages[-1] if task.messages else message("IDRAC.2.8.JCP000", "Job in progress.")
        state = {
            TaskState.NEW: "Downloading",
            TaskState.STARTING: "Scheduled",
            TaskState.RUNNING: "Running",
            TaskState.COMPLETED: "Completed" if task.status == "OK" else "CompletedWithErrors",
        }.get(task.state, "Failed")
        return {
            "@odata.id": f"{JOBS}/{task.number}",
            "@odata.type": "#DellJob.v1_2_0.DellJob",
            "Id": task.number,
            "Name": task.name,
            "JobState": state,
            "JobType": "FirmwareUpdate",
            "PercentComplete": task.percent(now),
            "Message": last["Message"],
            "MessageId": last["MessageId"].rpartition(".")[2],
            "StartTime": self._stamp(task.started),
            "EndTime": "TIME_NA",
            "CompletionTime": None if task.ended is None else self._stamp(task.ended),
        }

    def jobs(self) -> dict[str, Any]:
        """Dell's job collection."""
        return collection(JOBS, "DellJob", "JobQueue", (f"{JOBS}/{number}" for number in self.kept))
