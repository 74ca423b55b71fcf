"""Handing over an image (DSP0266 multipart push, UpdateService schema; field guide 1.1, 1.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fleet.drivers.redfish import bodies, document, messages, resets
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.bodies import Pay, free
from fleet.drivers.redfish.channel import FORBIDDEN, OK, READ_S, Reply
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.ports import Submission, UpdateOrder
from fleet.profile import Force, Push

SIMPLE_UPDATE = "#UpdateService.SimpleUpdate"
APPLY_TIME = "@Redfish.OperationApplyTime"
APPLY_TIMES = "@Redfish.OperationApplyTimeSupport"
SLOWEST_PUSH_BYTES_PER_S = 1_000_000
"""A BMC on 100 Mbit/s that writes to flash as it reads; three times the time that takes is allowed (B.19)."""

TOO_LARGE = 413
UNDECIDED = frozenset({502, 504})
"""A gateway's answer: what stands behind it may have taken the image."""
BUSY = frozenset({409, 423, 425, 429, 503})


class ImageSource(Protocol):
    """Where a BMC can fetch an image (`fleet.drivers.images.ImageServer`)."""

    async def publish(self, image: Path, *, size_bytes: int, sha256: str) -> str:
        """A URL without query from which the BMC may pull this file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """By what an image can be handed over."""

    images: ImageSource | None = None
    """Where BMCs can pull from."""
    pay: Pay = free
    """For pushes: the budget of bytes."""


async def submit(access: Access, service: Document, order: UpdateOrder, by: Handing) -> Reply:
    """Hand over one image by the first of the profile's ways that the service offers.

    Raises:
        NodeFault: UPDATE_REJECTED, with the BMC's own words; nothing was started.
        Transient: nothing was started, and later it may be.
        OutcomeUnknown: it may have been started.
    """
    _fits(service, order)
    for push in order.profile.push:
        way = _WAYS[push]
        reply = await way(access, service, order, by)
        if reply is not None:
            return _judged(reply, f"{access.channel.base}: update of {order.component}")
    offered = ", ".join(order.profile.push) or "none"
    raise NodeFault(
        Reason.UPDATE_REJECTED,
        f"{access.channel.base}: the service offers no way to hand over {order.component}; "
        f"the profile knows: {offered}",
    )


def submission(reply: Reply, task: str | None, started: str) -> Submission:
    """What the journal keeps of an accepted image."""
    return Submission(task=task, status=reply.status, note=messages.sentence(reply.told)[:500], started=started)


async def _multipart(access: Access, service: Document, order: UpdateOrder, by: Handing) -> Reply | None:
    path = document.path_of(service.get("MultipartHttpPushUri"))
    if not path:
        return None
    support = document.child(service, f"MultipartHttpPushUri{APPLY_TIMES}")
    parameters = _parameters(order, support or _any_apply_times(service))
    body = bodies.multipart(order.image, order.size_bytes, parameters, by.pay)
    return await _pushed(access, path, body, order)


async def _http_push(access: Access, service: Document, order: UpdateOrder, by: Handing) -> Reply | None:
    path = document.path_of(service.get("HttpPushUri"))
    if not path or order.profile.targets:  # a raw push cannot name targets, and guessing them flashes the wrong part
        return None
    return await _pushed(access, path, bodies.raw(order.image, order.size_bytes, by.pay), order)


async def _simple(access: Access, service: Document, order: UpdateOrder, by: Handing) -> Reply | None:
    advertised = resets.action(service, SIMPLE_UPDATE)
    target = document.path_of(advertised.get("target"))
    if not target or by.images is None:
        return None
    info_path = resets.action_info(advertised)
    info = await access.find(info_path) if info_path else None
    known = resets.parameters(info.body) if info is not None else {}
    protocols = known.get("TransferProtocol") or document.texts(advertised, "TransferProtocol@Redfish.AllowableValues")
    url = await by.images.publish(order.image, size_bytes=order.size_bytes, sha256=order.sha256)
    protocol = url.partition(":")[0].upper()
    if protocols and protocol not in protocols:
        return None
    wanted = {"ImageURI": url, "TransferProtocol": protocol}
    wanted |= _parameters(order, document.child(advertised, APPLY_TIMES))
    body = {name: value for name, value in wanted.items() if not known or name in known or name.startswith("@")}
    return await access.send("POST", target, {"ImageURI": url, **body}, effect=f"update {order.component}")


_WAYS = {Push.MULTIPART: _multipart, Push.HTTP_PUSH: _http_push, Push.SIMPLE_UPDATE: _simple}


async def _pushed(access: Access, path: str, body: bodies.ImageBody, order: UpdateOrder) -> Reply:
    read_s = READ_S + 3 * body.size_bytes / SLOWEST_PUSH_BYTES_PER_S
    return await access.send("POST", path, body, effect=f"update {order.component}", read_s=read_s)


def _parameters(order: UpdateOrder, support: Document) -> dict[str, Any]:
    """What every way but the raw push says beside the image."""
    parameters: dict[str, Any] = {}
    if order.profile.targets:
        parameters["Targets"] = list(order.profile.targets)
    if order.force and order.profile.force is Force.PARAMETER:
        parameters["ForceUpdate"] = True
    if order.profile.apply_time in document.texts(support, "SupportedValues"):
        parameters[APPLY_TIME] = order.profile.apply_time
    return parameters


def _any_apply_times(service: Document) -> Document:
    """Apply times as the SimpleUpdate action lists them, for services that list none beside the push URI."""
    return document.child(resets.action(service, SIMPLE_UPDATE), APPLY_TIMES)


def _fits(service: Document, order: UpdateOrder) -> None:
    limit = document.number(service, "MaxImageSizeBytes")
    if limit and order.size_bytes > limit:
        raise NodeFault(
            Reason.UPDATE_REJECTED,
            f"{order.image.name} has {order.size_bytes} bytes, and the BMC takes at most {limit}; nothing was sent",
        )


def _judged(reply: Reply, what: str) -> Reply:
    """The reply, if the image was accepted."""
    if reply.status in OK:
        return reply
    told = reply.told
    if any(message.id in messages.SAME_VERSION for message in told):
        return reply  # it is there already: the inventory decides (field guide F11)
    if messages.is_busy(told) or reply.status in BUSY:
        raise Transient(f"{what}: the BMC is busy: {reply.sentence}", retry_after_s=reply.retry_after_s)
    if reply.status in UNDECIDED:
        raise OutcomeUnknown(what, f"{what}: {reply.sentence}")
    if reply.status == TOO_LARGE:
        raise NodeFault(
            Reason.UPDATE_REJECTED,
            f"{what}: the image is larger than the BMC takes, or the session had ended: {reply.sentence}",
        )
    hint = "; a licence may be missing, or this user's role is too low (F25)" if reply.status == FORBIDDEN else ""
    raise NodeFault(Reason.UPDATE_REJECTED, f"{what} was refused: {reply.sentence}{hint}")


async def set_force_flag(access: Access, layout: Layout, *, force: bool) -> None:
    """Set the sticky ForceUpdate flag, if it is not so already (field guide 1.2, F22).

    Raises:
        Transient: not known to be set; doing it again is safe.
        NodeFault: UPDATE_REJECTED: the BMC has no such flag or refuses to set it.
    """
    service = await access.get(layout.update_service)
    options = document.child(service, "HttpPushUriOptions")
    if document.flag(options, "ForceUpdate") is force or (not force and not options):
        return
    body = {"HttpPushUriOptions": {"ForceUpdate": force}}
    try:
        reply = await access.send("PATCH", layout.update_service, body, effect="ForceUpdate")
    except OutcomeUnknown as error:
        raise Transient(str(error)) from None
    if reply.status not in OK:
        refusal = f"{access.channel.base}: ForceUpdate={force} was refused: {reply.sentence}"
        if reply.status in BUSY or not force:  # to set it back is tried until it is done
            raise Transient(refusal, retry_after_s=reply.retry_after_s)
        raise NodeFault(Reason.UPDATE_REJECTED, refusal)
