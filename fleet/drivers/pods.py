"""Nodes and pods as the Kubernetes API shows them (core/v1), read for what a drain must know. Pure; answers are hostile."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fleet.drivers.kubeapi import MANAGER
from fleet.errors import Transient
from fleet.events import Json

REASON = "fleetwave/drain"
"""Annotation beside a cordon of ours: `fleetwave ROLLOUT`."""
_MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a static pod's picture in the API; the kubelet runs it whatever the API says."""
_OVER = frozenset({"Succeeded", "Failed"})
"""PodStatus.phase in which no container runs any more."""
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeNode:
    """One node."""

    name: str
    version: str
    """metadata.resourceVersion: a change that names it fails if anybody changed the node since."""
    cordoned: bool
    """spec.unschedulable."""
    ours: str
    """What our annotation says, where the cordon is ours; else empty."""
    by: str
    """Who set it, as far as the API tells, where it is not ours."""

    @property
    def reason(self) -> str:
        """In words; empty where it is not cordoned."""
        return self.ours or self.by


class Stay(StrEnum):
    """What a drain does about a pod."""

    NOT_COUNTED = "not counted"
    """It is over, belongs to the node itself (DaemonSet), or is not the API's to move (mirror)."""
    LEAVING = "leaving"
    ASKED = "asked"
    """Whatever controls it starts it anew elsewhere: it is evicted, as far as its disruption budget allows."""
    RUNS_ON = "runs on"
    """Nobody would start it anew, or its work would be lost: it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubePod:
    """One pod of a node."""

    namespace: str
    name: str
    uid: str
    controller: str
    """Kind of what controls it (`ReplicaSet`, `Job`); empty for a pod on its own."""
    over: bool
    leaving: bool
    """metadata.deletionTimestamp is set: its kubelet is ending it."""
    mirror: bool

    @property
    def title(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def stay(self, evicted: frozenset[str]) -> Stay:
        """`evicted`: kinds of controllers whose pods are evicted."""
        if self.over or self.mirror or self.controller == "DaemonSet":
            return Stay.NOT_COUNTED
        if self.leaving:
            return Stay.LEAVING
        return Stay.ASKED if self.controller in evicted else Stay.RUNS_ON


def read_node(data: Json, name: str) -> KubeNode:
    """A Node. Raises Transient where it is none, or another one."""
    meta, spec = _mapping(data, "metadata"), _mapping(data, "spec")
    version = meta.get("resourceVersion")
    if data.get("kind") != "Node" or meta.get("name") != name or not isinstance(version, str):
        raise Transient(f"the API server was asked about node {name} and answers about something else")
    cordoned = spec.get("unschedulable") is True
    ours, by = _cordon(meta) if cordoned else ("", "")
    return KubeNode(name=name, version=version, cordoned=cordoned, ours=ours, by=by)


def _cordon(meta: Mapping[str, Any]) -> tuple[str, str]:
    """(what our annotation says, "") or ("", who set the cordon)."""
    ours = _mapping(meta, "annotations").get(REASON)
    # The annotation alone proves nothing: somebody may have lifted our cordon and set one of their own since.
    by = _cordoned_by(meta)
    if isinstance(ours, str) and ours and (by is None or by == MANAGER):
        return ours[:_LONGEST], ""
    return "", f"cordoned by {by}"[:_LONGEST] if by else "cordoned, nobody says by whom"


def _cordoned_by(meta: Mapping[str, Any]) -> str | None:
    """The manager of spec.unschedulable (meta/v1 ManagedFieldsEntry); empty: nobody; None: the server keeps no managers."""
    entries = meta.get("managedFields")
    if not isinstance(entries, list) or not entries:
        return None
    for entry in entries:
        if isinstance(entry, dict) and "f:unschedulable" in _mapping(_mapping(entry, "fieldsV1"), "f:spec"):
            return str(entry.get("manager") or "somebody")
    return ""


def read_pods(data: Json) -> Iterator[KubePod]:
    """The pods of a PodList. Raises Transient where it is none, or where a pod in it cannot be told from another."""
    items = data.get("items")
    if data.get("kind") != "PodList" or not (isinstance(items, list) or items is None):
        raise Transient("the API server was asked for pods and answers with something else")
    for item in items or ():
        meta, status = _mapping(item, "metadata"), _mapping(item, "status")
        names = [meta.get(key) for key in ("namespace", "name", "uid")]
        if not all(isinstance(name, str) and name for name in names):
            raise Transient("the API server lists a pod without a name")
        namespace, name, uid = map(str, names)
        yield KubePod(
            namespace=namespace,
            name=name,
            uid=uid,
            controller=_controller(meta),
            over=status.get("phase") in _OVER,
            leaving=meta.get("deletionTimestamp") is not None,
            mirror=_MIRROR in _mapping(meta, "annotations"),
        )


def next_page(data: Json) -> str | None:
    """The token of a list's next page (ListMeta.continue); None after the last."""
    return str(_mapping(data, "metadata").get("continue") or "") or None


def _controller(meta: Mapping[str, Any]) -> str:
    owners = meta.get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller") is True:
            return str(owner.get("kind") or "")
    return ""


def budget_words(status: Json) -> str | None:
    """Of a refused eviction: what the disruption budget says (policy/v1, cause DisruptionBudget); None: it is not refused by one."""
    causes = _mapping(status, "details").get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "DisruptionBudget":
            return " ".join(str(cause.get("message") or "its disruption budget").split())[:_LONGEST]
    return None


def _mapping(data: Any, key: str) -> Mapping[str, Any]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}
