"""A real Kubernetes control plane on loopback, for one test module: etcd, kube-apiserver, kube-controller-manager.

Built by tests/real/kubernetes.sh from Debian's source package (Kubernetes 1.20.2). There is no kubelet and no scheduler: `Hands` does
with the API what those would, so that pods run, move and end.
"""

import asyncio
import base64
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from slurm_cluster import free_ports
from support.kube import authority, certificate

BIN = Path(os.environ.get("FLEET_KUBERNETES", "/var/cache/fleetwave/kubernetes-1.20.2"))
ADMIN, FLEET, NOBODY = "admin-token", "fleet-token", "nobody-token"


def lacking() -> str:
    """Why there can be no cluster here; empty if there can."""
    missing = [name for name in ("kube-apiserver", "kube-controller-manager") if not (BIN / name).is_file()]
    missing += [] if shutil.which("etcd") else ["etcd"]
    return f"not built: {', '.join(missing)} (tests/real/kubernetes.sh)" if missing else ""


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A running control plane."""

    directory: Path
    server: str
    session: aiohttp.ClientSession
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    async def start(self, *argv: str) -> None:
        """A daemon, its output in a file of its own."""
        with (self.directory / f"{Path(argv[0]).name}.log").open("wb") as log:
            self.processes.append(await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log))

    async def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        """As its administrator: (status, answer)."""
        headers = {"Content-Type": kind, "Authorization": f"Bearer {ADMIN}"}
        async with self.session.request(method, f"{self.server}{path}", json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def make(self, path: str, body: Any) -> Any:
        """Something new."""
        status, made = await self.ask("POST", path, body)
        assert status == 201, (path, made)
        return made

    async def ready(self) -> None:
        """Once it answers; the test's own timeout ends a vain wait."""
        while True:
            with suppress(aiohttp.ClientError):
                if (await self.ask("GET", "/api/v1/namespaces/default"))[0] == 200:
                    return
            for process in self.processes:
                if process.returncode is not None:
                    raise AssertionError("\n".join(path.read_text()[-3000:] for path in self.directory.glob("*.log")))
            await asyncio.sleep(0.2)

    async def node(self, name: str) -> Any:
        return (await self.ask("GET", f"/api/v1/nodes/{name}"))[1]

    async def pods(self, node: str) -> list[str]:
        """Names of those that are there, over or not."""
        _, listed = await self.ask("GET", f"/api/v1/pods?fieldSelector=spec.nodeName={node}")
        return sorted(pod["metadata"]["name"] for pod in listed["items"])

    async def count(self, node: str, pods: int) -> None:
        """Once so many pods are there; the test's own timeout ends a vain wait."""
        while len(await self.pods(node)) != pods:  # noqa: ASYNC110 (it is another process that gets there)
            await asyncio.sleep(0.1)

    async def pod(
        self, name: str, node: str, *, owner: str = "", labels: dict[str, str] | None = None, **meta: Any
    ) -> None:
        """A pod that runs there. `owner`: kind of what controls it."""
        owners = (
            [{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u-1", "controller": True}] if owner else []
        )
        body = {
            "metadata": {"name": name, "labels": labels or {}, "ownerReferences": owners, **meta},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 5},
        }
        await self.make("/api/v1/namespaces/default/pods", body)


class Hands:
    """The kubelets and the scheduler: pods without a node get one, pods that run are ready, pods that are told to end do so."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.hold = ""
        """Name of a pod whose end takes longer."""

    async def run(self) -> None:
        while True:
            _, listed = await self._cluster.ask("GET", "/api/v1/pods")
            _, nodes = await self._cluster.ask("GET", "/api/v1/nodes")
            free = [node["metadata"]["name"] for node in nodes["items"] if not node["spec"].get("unschedulable")]
            for pod in listed["items"]:
                await self._tend(pod, free)
            await asyncio.sleep(0.1)

    async def _tend(self, pod: Any, free: list[str]) -> None:
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/default/pods/{name}"
        if pod["metadata"].get("deletionTimestamp"):
            if name != self.hold:
                await self._cluster.ask("DELETE", f"{path}?gracePeriodSeconds=0")
        elif "nodeName" not in pod["spec"]:
            if free:
                target = {"apiVersion": "v1", "kind": "Node", "name": free[0]}
                await self._cluster.ask("POST", f"{path}/binding", {"metadata": {"name": name}, "target": target})
        elif pod["status"]["phase"] == "Pending":
            ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            await self._cluster.ask("PATCH", f"{path}/status", {"status": ready}, "application/merge-patch+json")


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[Cluster]:
    """Started, with what docs/drain.md grants to `fleet-token`."""
    signer = authority(directory / "ca.pem")
    certificate(signer, directory / "server.pem", directory / "server.key")
    etcd, peer, port, manager = free_ports(4)
    (directory / "tokens.csv").write_text(
        f'{ADMIN},admin,1,"system:masters"\n{FLEET},system:serviceaccount:kube-system:fleetwave,2\n{NOBODY},nobody,3\n'
    )
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)))
        made = Cluster(directory=directory, server=f"https://127.0.0.1:{port}", session=session)
        stack.push_async_callback(_stop, made)
        await made.start(
            "etcd", "--data-dir", str(directory / "etcd"), "--unsafe-no-fsync",
            "--listen-client-urls", f"http://127.0.0.1:{etcd}", "--advertise-client-urls", f"http://127.0.0.1:{etcd}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
        )  # fmt: skip
        key = str(directory / "server.key")
        await made.start(
            str(BIN / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={port}",
            "--bind-address=127.0.0.1", f"--tls-cert-file={directory}/server.pem", f"--tls-private-key-file={key}",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://127.0.0.1", f"--token-auth-file={directory}/tokens.csv",
            "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            f"--cert-dir={directory}", "--service-cluster-ip-range=10.0.0.0/24",
        )  # fmt: skip
        await made.ready()
        await _manager(made, manager)
        await _grant(made)
        hands = asyncio.create_task(Hands(made).run())
        stack.push_async_callback(_ended, hands)
        yield made


async def _manager(made: Cluster, port: int) -> None:
    where = {"server": made.server, "certificate-authority-data": base64.b64encode(made.ca.read_bytes()).decode()}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": where}], "users": [{"name": "u", "user": {"token": ADMIN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    path = made.directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    await made.start(
        str(BIN / "kube-controller-manager"), f"--kubeconfig={path}", "--controllers=disruption,replicaset",
        "--leader-elect=false", f"--secure-port={port}", "--bind-address=127.0.0.1", "--port=0", f"--cert-dir={made.directory}",
    )  # fmt: skip


async def _grant(made: Cluster) -> None:
    """The manifest that the documentation tells people to apply, word for word."""
    page = (Path(__file__).parents[2] / "docs" / "drain.md").read_text()
    manifest = next(part for part in page.split("```yaml\n") if "kind: ClusterRole\n" in part).split("```")[0]
    paths = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
    for each in yaml.safe_load_all(manifest):
        if each["kind"] in paths:
            await made.make(f"/apis/rbac.authorization.k8s.io/v1/{paths[each['kind']]}", each)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _stop(made: Cluster) -> None:
    for process in reversed(made.processes):
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
