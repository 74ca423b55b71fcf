"""What a POST or PATCH does to a box: resets, updates, settings."""

import json
from typing import TYPE_CHECKING, Any

from fleet.sim.accounts import ACCOUNTS
from fleet.sim.boxmodel import INVENTORY, ROOT
from fleet.sim.faults import Effect
from fleet.sim.host import Power
from fleet.sim.message import Answer, Fetch, Request, answer, error, message
from fleet.sim.order import Order, OrderError, from_multipart, from_simple, read_json
from fleet.sim.selection import unknown_target
from fleet.sim.tasks import TaskState

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_RESET_CHECK_S = 22.0
"""How long a DGX watches a reset that does nothing before its task says so (field guide 2.1)."""


class Actions:
    """The writing side of one BMC's service."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc

    def allowed(self, path: str) -> str:
        """The methods of a path, as the Allow header says them."""
        box = self._bmc.box
        if path in box.actions or "/Actions/" in path or path in {box.update.multipart, box.update.push} - {""}:
            return "GET, HEAD" if path == INVENTORY else "POST"  # Dell pushes to the collection (1.1)
        if path in {ACCOUNTS, f"{ROOT}/SessionService/Sessions"}:
            return "GET, HEAD, POST"
        if path.startswith(f"{ACCOUNTS}/"):
            return "GET, HEAD, PATCH, DELETE"
        if path.startswith(f"{ROOT}/SessionService/Sessions/"):
            return "GET, HEAD, DELETE"
        settable = path in box.media.override_at
        sticky = path == f"{ROOT}/UpdateService" and box.update.older_needs == "sticky-force"
        settable = settable or self._bmc.fittings.settable(path)
        settable = settable or self._bmc.roots.settable(path.removeprefix(f"{ROOT}/Chassis/"))
        return "GET, HEAD, PATCH" if settable or sticky else "GET, HEAD"

    def answer(self, request: Request, now: float, items: frozenset[str]) -> Answer:
        """Do what a POST or PATCH asks; `items` are the inventory Ids of the moment."""
        path = request.path.rstrip("/").removesuffix("/Members")
        try:
            if request.method == "PATCH":
                return self._patch(path, request)
            return self._post(path, request, now, items)
        except OrderError as wrong:
            return error(400, self._base(wrong.message_id), wrong.text, wrong.message_args)

    def _post(self, path: str, request: Request, now: float, items: frozenset[str]) -> Answer:
        update = self._bmc.box.update
        if path in {update.multipart, update.push} - {""}:
            return self._update(self._pushed(path, request), request, now, items)
        if path == ACCOUNTS:
            return self._bmc.sessions.accounts.create(read_json(request.body), self._bmc.box.registry)
        if media := self._bmc.media.post(path, request.body, now):
            return media
        return self._act(path, request, now, items)

    def _act(self, path: str, request: Request, now: float, items: frozenset[str]) -> Answer:
        match self._bmc.box.actions.get(path):
            case "simple-update":
                return self._update(from_simple(request.body), request, now, items)
            case "start-update":
                return self._start(now)
            case "commit-image":
                return self._commit(request)
            case "host-reset" | "bmc-reset" | "hmc-reset" | "ac-cycle" | "ac-cycle-when-off" as what:
                return self._reset(what, path, request, now)
        if path in self._bmc.box.resources:
            return error(405, self._base("OperationNotAllowed"), "POST is not allowed here.")
        return error(404, self._base("ResourceMissingAtURI"), f"There is no action at {path}.", (path,))

    def _pushed(self, path: str, request: Request) -> Order:
        if path == self._bmc.box.update.multipart:
            return from_multipart(request.header("Content-Type"), request.body)
        return Order(data=request.body)

    def _update(self, order: Order, request: Request, now: float, items: frozenset[str]) -> Answer:
        bmc, model = self._bmc, self._bmc.box.update
        if refusal := self._refused(request):
            return refusal
        if order.apply_time and order.apply_time not in model.apply_times:
            name = "@Redfish.OperationApplyTime"
            text = f"The value {order.apply_time} for {name} is not in the list of acceptable values."
            raise OrderError("PropertyValueNotInList", text, order.apply_time, name)
        if wrong := unknown_target(bmc.box, order.targets, items):
            raise OrderError("PropertyValueNotInList", f"The target {wrong} is not known.", wrong, "Targets")
        if bmc.updates.running is not None:
            text = "An update is in progress."
            return error(
                503, self._base("ServiceTemporarilyUnavailable"), text, ("30",), headers=(("Retry-After", "30"),)
            )
        if bmc.roots.copying:
            return self._copying()
        if order.uri.startswith(f"{INVENTORY}/Previous-"):
            return self._roll_back(order.uri, now, items)
        task = bmc.updates.submit(order, now)
        reply = bmc.tasks.accepted(task)
        fetch = None
        if order.data is None:
            fetch = Fetch(uri=order.uri, task_id=task.number, limit_bytes=model.limit_bytes)
        delay = len(order.data or b"") / bmc.box.bmc.push_bytes_per_s
        return Answer(status=reply.status, body=reply.body, headers=reply.headers, delay_s=delay, fetch=fetch)

    def _roll_back(self, uri: str, now: float, items: frozenset[str]) -> Answer:
        bmc, wanted = self._bmc, uri.rpartition("/")[2]
        part = next((part for part in bmc.box.parts if wanted.endswith(f"__{part.item}")), None)
        if wanted not in items or part is None or part.bundle is None:
            raise OrderError("PropertyValueNotInList", f"There is no previous image at {uri}.", uri, "ImageURI")
        return bmc.tasks.accepted(bmc.updates.roll_back(part, now))

    def _refused(self, request: Request) -> Answer | None:
        faults = self._bmc.faults
        if faults.take(Effect.SUBMIT_BUSY):
            # bmcweb puts the request's URL into Retry-After (field guide 1.3)
            headers = (("Retry-After", request.path),)
            text = "The service is temporarily unavailable."
            return error(503, self._base("ServiceTemporarilyUnavailable"), text, (request.path,), headers=headers)
        if rule := faults.take(Effect.SUBMIT_REJECTED):
            status = int(rule.number("status", 400))
            name = "InternalError" if status >= 500 else "MissingOrMalformedPart"  # noqa: PLR2004  server's fault
            return error(status, self._base(name), rule.text("message", "The image cannot be used."))
        return None

    def _start(self, now: float) -> Answer:
        task = self._bmc.updates.start_held(now)
        if task is None:
            return error(400, self._base("ActionNotSupported"), "No update waits to be started.", ("StartUpdate",))
        return self._bmc.tasks.accepted(task)

    def _copying(self) -> Answer:
        """An ERoT copies, or an image is being written: 400, as NVIDIA/bmcweb has it (field guide 1.8)."""
        advice = "Retry the operation once firmware update operation is complete."
        return error(400, "Update.1.0.UpdateInProgress", "An update is in progress.", resolution=advice)

    def _commit(self, request: Request) -> Answer:
        """NvidiaUpdateService.CommitImage: an empty list means all that have a second slot."""
        bmc = self._bmc
        targets = read_json(request.body).get("Targets")
        if not isinstance(targets, list):
            raise OrderError(
                "ActionParameterMissing", "The action requires the parameter Targets.", "CommitImage", "Targets"
            )
        if bmc.updates.running is not None or bmc.roots.copying:
            return self._copying()
        known = [item for root in bmc.box.roots for item in root.protects]
        items = [str(target).rpartition("/")[2] for target in targets] or known
        if strange := [item for item in items if item not in known]:
            raise OrderError("PropertyValueNotInList", f"The target {strange[0]} is not known.", strange[0], "Targets")
        bmc.roots.commit(items)
        return answer(
            200, {"@Message.ExtendedInfo": [message(self._base("Success"), "The request completed successfully.")]}
        )

    def _reset(self, what: str, path: str, request: Request, now: float) -> Answer:
        bmc = self._bmc
        parameters = read_json(request.body or b"{}")
        allowed = bmc.box.action_values[path]
        kind = parameters.get("ResetType", allowed[0] if what != "host-reset" else None)
        if kind is None:
            raise OrderError("ActionParameterMissing", "The action requires ResetType.", "Reset", "ResetType")
        if kind not in allowed:
            text = f"The value {kind} for the parameter ResetType of the action Reset is not supported."
            raise OrderError("ActionParameterNotSupported", text, str(kind), "ResetType")
        if what == "host-reset":
            return self._reset_host(str(kind), now)
        if what == "ac-cycle-when-off" and bmc.host.power is not Power.OFF:
            raise OrderError("ChassisPowerStateOffRequired", "The host must be off.", path)
        if what == "bmc-reset":
            bmc.restart(now, str(kind))
        elif what == "hmc-reset":
            bmc.reset_hmc(str(kind), now)
        else:
            bmc.ac_cycle(now, off_s=10.0)
        return Answer(status=204)

    def _reset_host(self, kind: str, now: float) -> Answer:
        bmc = self._bmc
        works = bmc.reset_host(kind, now)
        if not bmc.box.host.reset_is_task:
            return Answer(status=204)
        task = bmc.tasks.open("Computer Reset", now)
        task.state = TaskState.RUNNING
        if works:
            text = f"The task with id {task.number} has completed."
            done = message("TaskEvent.1.0.TaskCompletedOK", text, (task.number,))
            bmc.agenda.add(now + 3.0, lambda at: task.end(at, TaskState.COMPLETED, "OK", done))
        else:
            why = (
                f"'{kind}' is unsuccessful. IPMI command for {kind} operation returned success but power state of "
                "chassis did not change !!"
            )
            text = f"The action {why} is not supported by the resource."
            lost = message(self._base("ActionNotSupported"), text, (why,), "Critical")
            # Exception with status OK, as real DGX tasks show (field guide headline 4)
            bmc.agenda.add(now + _RESET_CHECK_S, lambda at: task.end(at, TaskState.EXCEPTION, "OK", lost))
        return bmc.tasks.accepted(task)

    def _patch(self, path: str, request: Request) -> Answer:
        document = read_json(request.body)
        if "PATCH" not in self.allowed(path) and path.count("/") <= ROOT.count("/") + 1:  # the root and services
            return error(405, self._base("OperationNotAllowed"), "PATCH is not allowed here.")
        accounts, if_match = self._bmc.sessions.accounts, request.header("If-Match")
        changed = accounts.patch(path, document, if_match, self._bmc.box.registry)
        if changed := changed or self._bmc.fittings.patch(path, document) or self._patch_copy(path, document):
            return changed
        if path == f"{ROOT}/UpdateService" and self._bmc.box.update.older_needs == "sticky-force":
            options = document.get("HttpPushUriOptions")
            if isinstance(options, dict) and isinstance(options.get("ForceUpdate"), bool):
                self._bmc.updates.sticky_force = options["ForceUpdate"]
                return Answer(status=204)
        if "Boot" in document and path in self._bmc.media.model.override_at:
            return self._bmc.media.patch_boot(document["Boot"])
        if path not in self._bmc.box.resources:
            return error(404, self._base("ResourceMissingAtURI"), f"There is nothing at {path}.", (path,))
        names: list[Any] = list(document)
        text = f"The properties {json.dumps(names)} cannot be changed."
        return error(400, self._base("PropertyNotWritable"), text, tuple(str(name) for name in names))

    def _patch_copy(self, path: str, document: dict[str, Any]) -> Answer | None:
        chassis, wanted = path.removeprefix(f"{ROOT}/Chassis/"), _wanted_copy(document)
        if not wanted or not self._bmc.roots.settable(chassis):
            return None
        self._bmc.roots.set_automatic(chassis, enabled=wanted[0])
        return Answer(status=204)

    def _base(self, name: str) -> str:
        return f"{self._bmc.box.registry}.{name}"


def _wanted_copy(document: dict[str, Any]) -> tuple[bool, ...]:
    """(AutomaticBackgroundCopyEnabled,) where a PATCH asks for it; else nothing."""
    oem = document.get("Oem")
    nvidia = oem.get("Nvidia") if isinstance(oem, dict) else None
    wanted = nvidia.get("AutomaticBackgroundCopyEnabled") if isinstance(nvidia, dict) else None
    return (wanted,) if isinstance(wanted, bool) else ()
