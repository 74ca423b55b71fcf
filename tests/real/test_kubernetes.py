"""node.drain and node.undrain against a real Kubernetes API server and disruption controller on loopback."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kube_cluster import FLEET, NOBODY, Cluster, cluster, lacking
from support.kube import authority
from support.rollout import node
from support.steps import Around, Rig

from fleet.clock import SystemClock
from fleet.drivers.kubeapi import KubeApi, KubeAt
from fleet.drivers.kubernetes import KubernetesScheduler
from fleet.edges import SchedulerState
from fleet.errors import NodeFault, Reason, Transient
from inventory.model import RESTARTED, SecretRef, SecretScheme

pytestmark = [pytest.mark.skipif(bool(lacking()), reason=lacking() or "-"), pytest.mark.timeout(180)]
SPEED = 100.0
"""The step looks every half minute; a third of a second is enough here."""
OURS = "fleetwave r-1"


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as started:
        for name in ("gpu0001", "gpu0002", "gpu0003"):
            await started.make(
                "/api/v1/nodes", {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}
            )
        yield started


def scheduler(kube: Cluster, clock: SystemClock, token: str = FLEET, ca: Path | None = None) -> KubernetesScheduler:
    os.environ[f"FW_{token[:5].upper()}"] = token
    ref = SecretRef(scheme=SecretScheme.ENV, name=f"FW_{token[:5].upper()}")
    api = KubeApi(at=KubeAt(server=kube.server, ca=ca or kube.ca, token=ref), clock=clock)
    return KubernetesScheduler(api=api, clock=clock, evicted=frozenset(RESTARTED))


async def service(kube: Cluster, *, replicas: int = 2, at_least: int = 1) -> None:
    """A real ReplicaSet whose pods begin on the first node, and a disruption budget."""
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    for name in ("gpu0002", "gpu0003"):
        await cordon(kube, name, value=True)
    await kube.make("/apis/apps/v1/namespaces/default/replicasets", {"metadata": {"name": "web"}, "spec": spec})
    budget = {"metadata": {"name": "web"}, "spec": {"minAvailable": at_least, "selector": {"matchLabels": labels}}}
    await kube.make("/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets", budget)
    await kube.count("gpu0001", replicas)
    while await allowed(kube) < replicas - at_least:  # noqa: ASYNC110 (it is another process that gets there)
        await asyncio.sleep(0.1)


async def allowed(kube: Cluster) -> int:
    path = "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets/web"
    status, budget = await kube.ask("GET", path)
    return int(budget["status"].get("disruptionsAllowed", 0)) if status == 200 and "status" in budget else 0


async def cordon(kube: Cluster, name: str, *, value: bool) -> None:
    """As `kubectl cordon` and `kubectl uncordon` do."""
    path = f"/api/v1/nodes/{name}?fieldManager=kubectl-cordon"
    status, _ = await kube.ask(
        "PATCH", path, {"spec": {"unschedulable": value or None}}, "application/merge-patch+json"
    )
    assert status == 200


async def test_the_whole_life_of_a_drain(kube: Cluster, tmp_path: Path) -> None:
    clock = SystemClock(speed=SPEED, origin=0.0)
    driver = scheduler(kube, clock)
    rig = Rig(tmp_path / "first.db", clock, node("gpu0001"))
    await rig.prepare()
    await service(kube)
    await kube.pod("agent", "gpu0001", owner="DaemonSet")
    await kube.pod("static", "gpu0001", annotations={"kubernetes.io/config.mirror": "x"})
    await kube.pod("train", "gpu0001", owner="Job")
    assert await driver.barred() == ""

    walking = asyncio.create_task(rig.walk("node.drain", Around(scheduler=driver)))
    # One of two may go; the second only when the first runs elsewhere. Nowhere is free yet: the budget holds it.
    await kube.count("gpu0001", 4)
    while "held" not in (said := await driver.ask_to_leave("gpu0001", OURS)):  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.1)
    assert "1 held: default/web-" in said
    assert "(ReplicaSet): The disruption budget web needs 1 healthy pods and has 1 currently" in said
    assert "1 run on to their end: default/train (Job)" in said
    await cordon(kube, "gpu0002", value=False)
    await kube.count("gpu0001", 3)
    seen = await driver.look("gpu0001")
    assert (seen.state, seen.reason) == (SchedulerState.DRAINING, OURS)  # the job runs on
    assert not walking.done()
    done = {"status": {"phase": "Succeeded"}}
    await kube.ask("PATCH", "/api/v1/namespaces/default/pods/train/status", done, "application/merge-patch+json")
    assert await walking == f"then: drained: {OURS}"
    assert await kube.pods("gpu0001") == ["agent", "static", "train"]
    assert len(await kube.pods("gpu0002")) == 2
    assert await rig.walk("node.undrain", Around(scheduler=driver)) == "then: in service"
    left = await kube.node("gpu0001")
    assert "unschedulable" not in left["spec"]
    assert "fleetwave/drain" not in left["metadata"].get("annotations", {})
    await driver.close()


async def test_a_cordon_of_somebody_else_stays_theirs(kube: Cluster, tmp_path: Path) -> None:
    clock = SystemClock(speed=SPEED, origin=0.0)
    driver = scheduler(kube, clock)
    await cordon(kube, "gpu0001", value=True)
    await kube.pod("web-1", "gpu0001", owner="ReplicaSet")
    assert await driver.ask_to_leave("gpu0001", OURS) == ""
    await driver.drain("gpu0001", OURS)
    await driver.resume("gpu0001")
    seen = await driver.look("gpu0001")
    assert (seen.state, seen.reason) == (SchedulerState.DRAINING, "cordoned by kubectl-cordon")
    assert await kube.pods("gpu0001") == ["web-1"]

    # Ours is lifted by hand, and a cordon of theirs set: the annotation that we left says nothing of it.
    await driver.drain("gpu0002", OURS)
    assert (await driver.look("gpu0002")).reason == OURS
    await cordon(kube, "gpu0002", value=False)
    assert (await driver.look("gpu0002")).state is SchedulerState.IN_SERVICE
    await cordon(kube, "gpu0002", value=True)
    assert (await driver.look("gpu0002")).reason == "cordoned by kubectl-cordon"
    await driver.resume("gpu0002")
    assert (await kube.node("gpu0002"))["spec"]["unschedulable"] is True
    rig = Rig(tmp_path / "theirs.db", clock, node("gpu0002"))
    await rig.prepare()
    assert await rig.walk("node.drain", Around(scheduler=driver)) == "met: drained: cordoned by kubectl-cordon"
    said = await rig.walk("node.undrain", Around(scheduler=driver))
    assert said == "met: drained by others, which stays: cordoned by kubectl-cordon"
    assert (await driver.look("gpu0009")).state is SchedulerState.UNKNOWN
    await driver.close()


async def test_a_drain_that_was_announced_is_found_by_its_annotation(kube: Cluster, tmp_path: Path) -> None:
    clock = SystemClock(speed=SPEED, origin=0.0)
    driver = scheduler(kube, clock)
    rig = Rig(tmp_path / "dead.db", clock, node("gpu0001"))
    await rig.prepare()
    await rig.announce("1 node.drain/drain", {"reason": OURS, "was": "in-service"})
    await driver.drain("gpu0001", OURS)  # and its process died before it wrote that down
    before = (await kube.node("gpu0001"))["metadata"]["resourceVersion"]
    assert await rig.walk("node.drain", Around(scheduler=driver)) == f"then: drained: {OURS}"
    assert (await kube.node("gpu0001"))["metadata"]["resourceVersion"] == before
    assert "EffectRecorded 1 node.drain/drain" in await rig.wrote()
    await driver.close()


async def test_what_a_plan_must_find(kube: Cluster, tmp_path: Path) -> None:
    clock = SystemClock(speed=SPEED, origin=0.0)
    nobody = scheduler(kube, clock, token=NOBODY)
    assert await nobody.barred() == (
        "its token may not get nodes, patch nodes, list pods, create pods/eviction (in every namespace): see docs/drain.md"
    )
    with pytest.raises(Transient, match='nodes "gpu0001" is forbidden'):
        await nobody.look("gpu0001")
    stranger = scheduler(kube, clock, token="wrong-token")
    with pytest.raises(Transient, match="Unauthorized"):
        await stranger.look("gpu0001")
    other = tmp_path / "other.pem"
    authority(other)
    doubted = scheduler(kube, clock, ca=other)
    with pytest.raises(NodeFault) as fault:
        await doubted.look("gpu0001")
    assert fault.value.reason is Reason.UNTRUSTED_TLS
    for each in (nobody, stranger, doubted):
        await each.close()
