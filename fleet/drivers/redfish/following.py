"""From what an accepted update answers to the Task resource that tells how it goes (field guide 1.2, 1.3, F03)."""

from collections.abc import Collection

from fleet.drivers.redfish import document, tasks
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import Reply
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.firmware import Expansion, members
from fleet.drivers.redfish.layout import Layout

TASKS = "/tasks/"
MONITOR = "/monitor"
"""bmcweb: `/TaskService/TaskMonitors/0`, and before that `/TaskService/Tasks/0/Monitor`."""


async def task_of(access: Access, layout: Layout, reply: Reply, known: frozenset[str]) -> str | None:
    """Path of the Task that an accepted update started; None where the BMC names none and no new one is found.

    The body is asked first, then the arguments of its messages, then Location, which is a monitor: bmcweb's answers 204
    for success and failure alike and forgets, so it is read only for the Task that it stands for.
    """
    for path in _candidates(reply):
        if _is_task(path):
            return path
        monitored = await access.find(path)
        if monitored is not None and tasks.is_task(monitored.body):
            task = document.path_of(monitored.body.get("@odata.id"))
            if _is_task(task):
                return task
    return await _new_task(access, layout, known)


async def all_tasks(
    access: Access, layout: Layout, expansion: Expansion, finished: Collection[str]
) -> list[tuple[str, Document]]:
    """Path and document of every Task the BMC keeps; an empty document for those that had ended already."""
    if not layout.tasks:
        return []
    return [found async for found in members(access, layout.tasks, expansion, needs="TaskState", skip=finished)]


async def _new_task(access: Access, layout: Layout, known: frozenset[str]) -> str | None:
    """The one update task that was not there before, if there is exactly one."""
    if not layout.tasks:
        return None
    new = [path for path in document.member_links(await access.get(layout.tasks)) if path not in known]
    return new[0] if len(new) == 1 else None


def _candidates(reply: Reply) -> list[str]:
    found: list[str] = []
    if tasks.is_task(reply.body) or "#Task." in document.text(reply.body, "@odata.type"):
        found.append(document.path_of(reply.body.get("@odata.id")))
    for message in reply.told:
        found += [path for path in map(document.path_of, message.args) if TASKS in path.lower()]
    found.append(document.path_of(reply.headers.get("Location", "")))
    found.append(document.path_of(reply.body.get("@odata.id")))
    return [path for path in dict.fromkeys(found) if path]


def _is_task(path: str) -> bool:
    lower = path.lower()
    return TASKS in lower and not lower.endswith(MONITOR)
