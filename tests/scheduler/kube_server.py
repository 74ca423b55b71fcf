"""A Kubernetes API server in small, over TLS: nodes, pods and disruption budgets with resourceVersions, and evictions that keep budgets.

Written from the published API (core/v1, policy/v1, authorization/v1, meta/v1 Status), for what a real one cannot be made to do in a
test: tests/real/test_kubernetes.py drives the same driver against a real kube-apiserver.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from support.kube import authority, certificate

TOKEN = "kube-secret-token-1"

Mischief = Callable[["Kube", web.Request], web.Response | None]
"""Told of a request before it is served; a response is given instead."""


def status(
    code: int, reason: str, message: str, *, headers: dict[str, str] | None = None, **details: Any
) -> web.Response:
    """A meta/v1 Status."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response(body | ({"details": details} if details else {}), status=code, headers=headers or {})


@dataclass(slots=True)
class Kube:
    """What it holds. Tests change it as other people would."""

    directory: Path
    server: str = ""
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    nodes: dict[str, Any] = field(default_factory=dict)
    pods: dict[tuple[str, str], Any] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    """Value of the label `app` -> disruptions allowed."""
    denied: set[str] = field(default_factory=set)
    """`verb resource/subresource` that the token may not."""
    mischief: list[Mischief] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """`METHOD path` of every request."""
    page: int = 500
    version: int = 100

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def node(self, name: str) -> Any:
        """A new one."""
        self.version += 1
        self.nodes[name] = {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "resourceVersion": str(self.version),
                "annotations": {},
                "managedFields": [_kubelet()],
            },
            "spec": {},
        }
        return self.nodes[name]

    def cordon(self, name: str, manager: str, *, value: bool) -> None:
        """Whoever does."""
        self.change(name, {"spec": {"unschedulable": value or None}}, manager)

    def change(self, name: str, patch: Any, manager: str) -> None:
        """A merge patch, with its managers (structured-merge: who changes a field owns it; who removes it leaves it ownerless)."""
        node = self.nodes[name]
        self.version += 1
        node["metadata"]["resourceVersion"] = str(self.version)
        for key, value in (patch.get("metadata", {}).get("annotations") or {}).items():
            node["metadata"]["annotations"].pop(key, None)
            if value is not None:
                node["metadata"]["annotations"][key] = value
        if "unschedulable" in patch.get("spec", {}) and patch["spec"]["unschedulable"] != node["spec"].get(
            "unschedulable"
        ):
            kept = [entry for entry in node["metadata"]["managedFields"] if "f:spec" not in entry["fieldsV1"]]
            node["spec"].pop("unschedulable", None)
            if patch["spec"]["unschedulable"]:
                node["spec"]["unschedulable"] = True
                owned = {"f:spec": {"f:unschedulable": {}}}
                kept.append({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": owned})
            node["metadata"]["managedFields"] = kept

    def pod(
        self,
        name: str,
        node: str,
        *,
        owner: str = "",
        app: str = "",
        uid: str = "",
        phase: str = "Running",
        **meta: Any,
    ) -> None:
        """One that runs there."""
        owners = [{"kind": owner, "name": "o", "uid": "u", "controller": True}] if owner else []
        self.pods["default", name] = {
            "metadata": {
                "namespace": "default",
                "name": name,
                "uid": uid or f"uid-{name}",
                "labels": {"app": app},
                "ownerReferences": owners,
            }
            | meta,
            "spec": {"nodeName": node},
            "status": {"phase": phase},
        }

    def names(self) -> list[str]:
        return sorted(name for _, name in self.pods)


def _kubelet() -> Any:
    return {
        "manager": "kubelet",
        "operation": "Update",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:labels": {}}},
    }


class _Server:
    """Its paths."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def routes(self) -> list[web.RouteDef]:
        review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return [
            web.get("/api/v1/", self.resources),
            web.get("/api/v1/nodes/{name}", self.get_node),
            web.patch("/api/v1/nodes/{name}", self.patch_node),
            web.get("/api/v1/pods", self.list_pods),
            web.post("/api/v1/namespaces/{namespace}/pods/{name}/eviction", self.evict),
            web.post(review, self.review),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.kube.asked.append(f"{request.method} {request.path}")
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.kube.tokens:
            return status(401, "Unauthorized", "Unauthorized")
        for mischief in list(self.kube.mischief):
            instead = mischief(self.kube, request)
            if instead is not None:
                return instead
        answer: web.StreamResponse = await handler(request)
        return answer

    async def resources(self, _: web.Request) -> web.Response:
        eviction = {
            "name": "pods/eviction",
            "kind": "Eviction",
            "group": "policy",
            "version": "v1",
            "verbs": ["create"],
        }
        return web.json_response({"kind": "APIResourceList", "resources": [{"name": "nodes"}, eviction]})

    async def get_node(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.kube.nodes:
            return status(404, "NotFound", f'nodes "{name}" not found')
        return web.json_response(self.kube.nodes[name])

    async def patch_node(self, request: web.Request) -> web.Response:
        name, patch = request.match_info["name"], await request.json()
        known = self.kube.nodes[name]["metadata"]["resourceVersion"]
        if patch["metadata"].get("resourceVersion", known) != known:
            return status(
                409, "Conflict", f"Operation cannot be fulfilled on nodes {name!r}: the object has been modified"
            )
        self.kube.change(name, patch, request.query["fieldManager"])
        return web.json_response(self.kube.nodes[name])

    async def list_pods(self, request: web.Request) -> web.Response:
        _, _, node = request.query["fieldSelector"].partition("=")
        found = [pod for _, pod in sorted(self.kube.pods.items()) if pod["spec"]["nodeName"] == node]
        begin = int(request.query.get("continue") or 0)
        end = begin + min(self.kube.page, int(request.query["limit"]))
        meta = {"resourceVersion": str(self.kube.version), "continue": str(end) if end < len(found) else ""}
        return web.json_response({"kind": "PodList", "metadata": meta, "items": found[begin:end]})

    async def evict(self, request: web.Request) -> web.Response:
        key = (request.match_info["namespace"], request.match_info["name"])
        body = await request.json()
        assert (body["apiVersion"], body["kind"]) == ("policy/v1", "Eviction")
        pod = self.kube.pods.get(key)
        if pod is None:
            return status(404, "NotFound", f'pods "{key[1]}" not found')
        if body["deleteOptions"]["preconditions"]["uid"] != pod["metadata"]["uid"]:
            return status(409, "Conflict", "Precondition failed: UID in precondition does not match")
        app = pod["metadata"]["labels"]["app"]
        if app == "two":
            return status(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )
        if self.kube.budgets.get(app, 1) <= 0:
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {app} needs 2 healthy pods and has 2 currently",
            }
            said = "Cannot evict pod as it would violate the pod's disruption budget."
            return status(429, "TooManyRequests", said, causes=[cause])
        if app in self.kube.budgets:
            self.kube.budgets[app] -= 1
        pod["metadata"]["deletionTimestamp"] = "2026-11-28T00:00:00Z"
        return web.json_response({"kind": "Status", "status": "Success"}, status=201)

    async def review(self, request: web.Request) -> web.Response:
        body = await request.json()
        wanted = body["spec"]["resourceAttributes"]
        what = f"{wanted['verb']} {wanted['resource']}{'/' if wanted['subresource'] else ''}{wanted['subresource']}"
        return web.json_response(body | {"status": {"allowed": what not in self.kube.denied}}, status=201)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Kube]:
    """Started on loopback."""
    kube = Kube(directory)
    signer = authority(kube.ca)
    certificate(signer, directory / "server.pem", directory / "server.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    server = _Server(kube)
    app = web.Application(middlewares=[server.guard])
    app.add_routes(server.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    kube.server = f"https://{host}:{port}"
    try:
        yield kube
    finally:
        await runner.cleanup()
