"""Kubernetes as fleet.edges.Scheduler: cordon, eviction through policy/v1, uncordon. Nothing is ever deleted.

A cordon of ours is one change of the node: `spec.unschedulable` and an annotation that names the rollout, under the resourceVersion
that was read, so that nobody's cordon of a moment before is overwritten.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fleet.clock import Clock
from fleet.drivers.kubeapi import MANAGER, Answer, KubeApi, core
from fleet.drivers.pods import REASON, KubeNode, KubePod, Stay, budget_words, next_page, read_node, read_pods
from fleet.edges import SchedulerNode, SchedulerState
from fleet.errors import NodeFault, NotDone, OutcomeUnknown, Reason, Transient
from fleet.events import Json

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

_CHANGES = 5
"""Tries of a change that somebody else's change of the node came before: a kubelet writes its node's status every 10 s at most."""
_PAGE, _MOST = 500, 5000
"""Pods a request, as kubectl asks for; and on one node, ten times what anybody runs."""
_TOLD = 3
"""Pods that are named; the rest is counted."""
_MANY_BUDGETS = "more than one PodDisruptionBudget"
_NEEDED = (("get", "nodes", ""), ("patch", "nodes", ""), ("list", "pods", ""), ("create", "pods", "eviction"))
"""(verb, resource, subresource) of what a drain does."""


@dataclass(slots=True, kw_only=True)
class KubernetesScheduler:
    """One cluster. A node's name there is that of the inventory."""

    api: KubeApi
    clock: Clock
    evicted: frozenset[str]
    """Kinds of controllers whose pods are evicted; every other pod is waited for."""
    _not_before: dict[str, float] = field(default_factory=dict)
    """Pod (uid), or "" for all -> field time before which it is not asked again: the server's Retry-After."""
    _eviction: str = ""
    """apiVersion of an Eviction here, once it is known."""

    async def look(self, node: str) -> SchedulerNode:
        """Read now. UNKNOWN where the cluster has no node of this name."""
        found = await self._node(node)
        if found is None:
            return SchedulerNode(state=SchedulerState.UNKNOWN, reason="")
        if not found.cordoned:
            return SchedulerNode(state=SchedulerState.IN_SERVICE, reason="")
        counted = [pod for pod in await self._pods(node) if pod.stay(self.evicted) is not Stay.NOT_COUNTED]
        state = SchedulerState.DRAINING if counted else SchedulerState.DRAINED
        return SchedulerNode(state=state, reason=found.reason)

    async def drain(self, node: str, reason: str) -> None:
        """Cordon it, unless somebody has."""
        await self._change("drain", node, reason, cordoned=False)

    async def ask_to_leave(self, node: str, reason: str) -> str:
        """Evict what may be evicted, if the cordon is this one of ours; what is left, in words."""
        if self.clock.now() < self._not_before.get("", 0.0):
            return "the API server asked us to wait"
        found = await self._node(node)
        if found is None or not found.cordoned or found.reason != reason:
            return ""
        by: dict[Stay, list[str]] = {stay: [] for stay in Stay}
        for pod in await self._pods(node):
            stay = pod.stay(self.evicted)
            held = await self._evict(pod) if stay is Stay.ASKED else ""
            by[Stay.LEAVING if stay is Stay.ASKED and not held else stay].append(held or _told(pod))
        parts = [
            ("leaving", by[Stay.LEAVING]),
            ("held", by[Stay.ASKED]),
            ("run on to their end", by[Stay.RUNS_ON]),
        ]
        return "; ".join(f"{len(pods)} {what}: {_some(pods)}" for what, pods in parts if pods)

    async def resume(self, node: str) -> None:
        """Uncordon it. The caller has checked that the cordon is ours."""
        await self._change("resume", node, None, cordoned=True)

    async def barred(self) -> str:
        """What the token may not do of what a drain does (SelfSubjectAccessReview); empty: nothing. Raises as `look`."""
        lacking = []
        for verb, resource, sub in _NEEDED if self.evicted else _NEEDED[:3]:
            answer = await self.api.may(verb, resource, sub)
            status = answer.body.get("status")
            if not answer.ok or not isinstance(status, dict):
                return f"{self.api.at.server} does not say what its token may do: {answer.words}"
            if status.get("allowed") is not True:
                lacking.append(f"{verb} {resource}{f'/{sub}' if sub else ''}")
        return f"its token may not {', '.join(lacking)} (in every namespace): see docs/drain.md" if lacking else ""

    async def close(self) -> None:
        """Close connections."""
        await self.api.close()

    async def _node(self, node: str) -> KubeNode | None:
        answer = await self.api.ask(lambda client: core(client).read_node(_single(node), _preload_content=False))
        if answer.status == HTTPStatus.NOT_FOUND and _about_objects(answer):
            return None
        if not answer.ok:
            raise Transient(f"node {node}: {answer.words}")
        return read_node(answer.body, node)

    async def _pods(self, node: str) -> list[KubePod]:
        """All of the node. A list that grows old while it is read (410) is begun anew."""
        for _ in range(_CHANGES):
            pods: list[KubePod] = []
            page: str | None = ""
            while page is not None:
                answer = await self._page(node, page)
                if answer.status == HTTPStatus.GONE and page:
                    break
                if not answer.ok:
                    raise Transient(f"pods of {node}: {answer.words}")
                pods += read_pods(answer.body)
                page = next_page(answer.body)
                if len(pods) > _MOST:
                    raise NodeFault(Reason.PROTOCOL, f"the API server lists more than {_MOST} pods on {node}")
            if page is None:
                return pods
        raise Transient(f"pods of {node}: the list grew old each of {_CHANGES} times")

    async def _page(self, node: str, page: str) -> Answer:
        selector = f"spec.nodeName={_single(node)}"

        def call(client: "ApiClient") -> Awaitable[object]:
            return core(client).list_pod_for_all_namespaces(
                field_selector=selector, _continue=page, limit=_PAGE, _preload_content=False
            )

        return await self.api.ask(call)

    async def _change(self, effect: str, node: str, reason: str | None, *, cordoned: bool) -> None:
        """Cordon with a reason, or uncordon; nothing where it is not (any more) as the caller saw it. A conflict is looked at anew."""
        for _ in range(_CHANGES):
            found = await self._node(node)
            if found is None or found.cordoned is not cordoned or (cordoned and not found.ours):
                return
            body = {
                "metadata": {"resourceVersion": found.version, "annotations": {REASON: reason}},
                "spec": {"unschedulable": True if reason else None},
            }
            try:
                answer = await self._patch(node, body)
            except Transient as silent:
                raise OutcomeUnknown(effect, str(silent)) from silent
            if answer.ok:
                return
            if answer.status == HTTPStatus.FORBIDDEN:
                raise NotDone(Reason.LOGIN_REFUSED, f"Kubernetes does not let this token change nodes: {answer.words}")
            if answer.status != HTTPStatus.CONFLICT:
                raise OutcomeUnknown(effect, f"node {node}: {answer.words}")
        raise Transient(f"node {node}: somebody changed it each of {_CHANGES} times before we could")

    async def _patch(self, node: str, body: Json) -> Answer:
        def call(client: "ApiClient") -> Awaitable[object]:
            return core(client).patch_node(node, body, field_manager=MANAGER, _preload_content=False)

        return await self.api.ask(call)

    async def _evict(self, pod: KubePod) -> str:
        """Ask once, if it is time; why it stays, or nothing if it goes. A pod that came in its place is not meant (its uid)."""
        if self.clock.now() < self._not_before.get(pod.uid, 0.0):
            return f"{_told(pod)} is not asked again yet"
        body: Any = {
            "apiVersion": await self._eviction_version(),
            "kind": "Eviction",
            "metadata": {"namespace": pod.namespace, "name": pod.name},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        answer = await self.api.ask(
            lambda client: core(client).create_namespaced_pod_eviction(
                pod.name, pod.namespace, body, _preload_content=False
            )
        )
        if answer.ok or answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            self._not_before.pop(pod.uid, None)
            return ""
        budget = budget_words(answer.body)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS and budget is None:  # the server itself is busy
            self._not_before[""] = self.clock.now() + answer.retry_after_s
            raise Transient(answer.words)
        self._not_before[pod.uid] = self.clock.now() + answer.retry_after_s
        if budget is not None:
            return f"{_told(pod)}: {budget}"
        if answer.status == HTTPStatus.FORBIDDEN:
            raise NotDone(
                Reason.LOGIN_REFUSED, f"Kubernetes does not let this token evict {_told(pod)}: {answer.words}"
            )
        if _MANY_BUDGETS in answer.words:
            return f"{_told(pod)}: more than one disruption budget selects it, and Kubernetes evicts no such pod"
        return f"{_told(pod)}: {answer.words}"

    async def _eviction_version(self) -> str:
        """policy/v1 since Kubernetes 1.22; what an older server names is believed, as kubectl does."""
        if not self._eviction:
            answer = await self.api.ask(lambda client: core(client).get_api_resources(_preload_content=False))
            found = [each for each in answer.body.get("resources") or () if _names_eviction(each)]
            if not answer.ok or not found:
                raise Transient(f"the API server names no pods/eviction: {answer.words}")
            self._eviction = f"{found[0].get('group') or 'policy'}/{found[0].get('version') or 'v1'}"
        return self._eviction


def _names_eviction(resource: object) -> bool:
    return isinstance(resource, dict) and resource.get("name") == "pods/eviction"


def _about_objects(answer: Answer) -> bool:
    """A 404 of the API itself (a Status), and not of a proxy or of another server at its address."""
    return answer.body.get("kind") == "Status" and answer.body.get("reason") == "NotFound"


def _told(pod: KubePod) -> str:
    return f"{pod.title}{f' ({pod.controller})' if pod.controller else ''}"


def _some(pods: Iterable[str]) -> str:
    named = list(pods)
    more = f" and {len(named) - _TOLD} more" if len(named) > _TOLD else ""
    return ", ".join(named[:_TOLD]) + more


def _single(node: str) -> str:
    """A node's name is a DNS subdomain (RFC 1123): nothing else is put into a path or a selector."""
    parts = node.split(".")
    good = all(part and len(part) <= 63 and part.isascii() and part.replace("-", "a").isalnum() for part in parts)  # noqa: PLR2004
    if not good or node != node.lower() or len(node) > 253:  # noqa: PLR2004 (RFC 1123)
        raise NodeFault(Reason.NO_EDGE, f"{node!r} cannot be a node's name in Kubernetes")
    return node
