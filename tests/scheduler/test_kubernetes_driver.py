"""The Kubernetes driver against an API server in small: conflicts, budgets, lost replies, tokens that change, hostile answers."""

import logging
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from kube_server import TOKEN, Kube, Mischief, serving, status
from support.kube import authority
from support.rollout import node
from support.steps import Around, LeapClock, Rig

from fleet.drivers.kubeapi import KubeApi, KubeAt
from fleet.drivers.kubernetes import KubernetesScheduler
from fleet.edges import SchedulerState
from fleet.errors import NodeFault, NotDone, OutcomeUnknown, Reason, Transient
from inventory.model import RESTARTED, SecretRef, SecretScheme

N1 = "gpu0001"
OURS = "fleetwave r-1"


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[Kube]:
    async with serving(tmp_path) as started:
        started.node(N1)
        started.node("gpu0002")
        yield started


def token_file(kube: Kube, token: str = TOKEN) -> Path:
    path = kube.directory / "token"
    path.write_text(f"{token}\n")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return path


@pytest.fixture
async def driver(kube: Kube, clock: LeapClock) -> AsyncIterator[KubernetesScheduler]:
    made = scheduler(kube, clock)
    yield made
    await made.close()


def scheduler(kube: Kube, clock: LeapClock, ca: Path | None = None) -> KubernetesScheduler:
    ref = SecretRef(scheme=SecretScheme.FILE, name=str(token_file(kube)))
    api = KubeApi(at=KubeAt(server=kube.server, ca=ca or kube.ca, token=ref), clock=clock)
    return KubernetesScheduler(api=api, clock=clock, evicted=frozenset(RESTARTED))


def once(method: str, tail: str, then: Callable[[Kube], web.Response | None]) -> Mischief:
    """The next request of that kind."""

    def mischief(kube: Kube, request: web.Request) -> web.Response | None:
        if request.method != method or not request.path.endswith(tail):
            return None
        kube.mischief.remove(mischief)
        return then(kube)

    return mischief


def cordons(by: str) -> Callable[[Kube], None]:
    return lambda kube: kube.cordon(N1, by, value=True)


async def test_a_cordon_that_came_a_moment_before_is_not_overwritten(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.mischief.append(once("PATCH", N1, cordons("kubectl-cordon")))
    await driver.drain(N1, OURS)
    seen = await driver.look(N1)
    assert (seen.state, seen.reason) == (SchedulerState.DRAINED, "cordoned by kubectl-cordon")
    assert kube.asked.count(f"PATCH /api/v1/nodes/{N1}") == 1
    await driver.resume(N1)
    assert kube.nodes[N1]["spec"] == {"unschedulable": True}


async def test_a_change_that_has_nothing_to_do_with_it_is_no_obstacle(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.mischief.append(
        once("PATCH", N1, lambda at: at.change(N1, {"metadata": {"annotations": {"x": "y"}}}, "kubelet"))
    )
    await driver.drain(N1, OURS)
    assert (await driver.look(N1)).reason == OURS
    assert kube.nodes[N1]["metadata"]["annotations"] == {"x": "y", "fleetwave/drain": OURS}


async def test_who_goes_who_is_held_and_who_stays(kube: Kube, driver: KubernetesScheduler, clock: LeapClock) -> None:
    kube.page = 2
    kube.pod("free", N1, owner="ReplicaSet")
    kube.pod("held", N1, owner="StatefulSet", app="db")
    kube.pod("twice", N1, owner="ReplicaSet", app="two")
    kube.pod("job", N1, owner="Job")
    kube.pod("alone", N1)
    kube.pod("agent", N1, owner="DaemonSet")
    kube.pod("static", N1, annotations={"kubernetes.io/config.mirror": "x"})
    kube.pod("over", N1, owner="Job", phase="Succeeded")
    kube.pod("elsewhere", "gpu0002", owner="ReplicaSet")
    kube.budgets["db"] = 0
    await driver.drain(N1, OURS)
    said = await driver.ask_to_leave(N1, OURS)
    assert said == (
        "1 leaving: default/free (ReplicaSet); 2 held: default/held (StatefulSet): The disruption budget db needs 2 healthy pods and has"
        " 2 currently, default/twice (ReplicaSet): more than one disruption budget selects it, and Kubernetes evicts no such pod;"
        " 2 run on to their end: default/alone, default/job (Job)"
    )
    assert kube.names() == sorted(["free", "held", "twice", "job", "alone", "agent", "static", "over", "elsewhere"])
    evicted = [name for (_, name), pod in kube.pods.items() if "deletionTimestamp" in pod["metadata"]]
    assert evicted == ["free"]
    assert not any(asked.startswith("DELETE") for asked in kube.asked)
    assert (await driver.look(N1)).state is SchedulerState.DRAINING
    for name in ("free", "held", "twice", "job", "alone"):
        del kube.pods["default", name]
    assert (await driver.look(N1)).state is SchedulerState.DRAINED


async def test_retry_after_is_kept(kube: Kube, driver: KubernetesScheduler, clock: LeapClock) -> None:
    kube.pod("web", N1, owner="ReplicaSet")
    await driver.drain(N1, OURS)
    cause = {"reason": "DisruptionBudget", "message": "still processing"}
    waits = status(429, "TooManyRequests", "no", headers={"Retry-After": "90"}, causes=[cause])
    kube.mischief.append(once("POST", "/eviction", lambda _: waits))
    path = "POST /api/v1/namespaces/default/pods/web/eviction"
    assert "still processing" in await driver.ask_to_leave(N1, OURS)
    clock.at += 89
    assert "not asked again yet" in await driver.ask_to_leave(N1, OURS)
    assert kube.asked.count(path) == 1
    clock.at += 2
    assert await driver.ask_to_leave(N1, OURS) == "1 leaving: default/web (ReplicaSet)"
    assert kube.asked.count(path) == 2

    kube.pod("other", N1, owner="ReplicaSet")
    busy = status(429, "TooManyRequests", "too many requests, please try again later", headers={"Retry-After": "60"})
    kube.mischief.append(once("POST", "/eviction", lambda _: busy))
    with pytest.raises(Transient, match="try again later"):
        await driver.ask_to_leave(N1, OURS)
    before = len(kube.asked)
    assert await driver.ask_to_leave(N1, OURS) == "the API server asked us to wait"
    assert len(kube.asked) == before


async def test_nobody_is_asked_to_leave_a_node_that_is_not_ours(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.pod("web", N1, owner="ReplicaSet")
    assert await driver.ask_to_leave(N1, OURS) == ""  # in service
    kube.cordon(N1, "kubectl-cordon", value=True)
    assert await driver.ask_to_leave(N1, OURS) == ""
    kube.cordon(N1, "kubectl-uncordon", value=False)
    await driver.drain(N1, "fleetwave r-0")
    assert await driver.ask_to_leave(N1, OURS) == ""  # another rollout's
    assert not any("eviction" in asked for asked in kube.asked)


async def test_a_pod_that_came_in_its_place_is_not_meant(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.pod("db-0", N1, owner="StatefulSet")
    await driver.drain(N1, OURS)
    kube.mischief.append(
        once("POST", "/eviction", lambda at: at.pod("db-0", "gpu0002", owner="StatefulSet", uid="new"))
    )
    await driver.ask_to_leave(N1, OURS)
    assert "deletionTimestamp" not in kube.pods["default", "db-0"]["metadata"]


async def test_a_list_that_grows_old_is_begun_anew(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.page = 1
    for name in ("a", "b", "c"):
        kube.pod(name, N1, owner="Job")
    await driver.drain(N1, OURS)
    pages: list[str] = []

    def old(_: Kube, request: web.Request) -> web.Response | None:
        if request.path == "/api/v1/pods":
            pages.append(request.query["continue"])
            return status(410, "Expired", "The provided continue parameter is too old") if len(pages) == 2 else None
        return None

    kube.mischief.append(old)
    assert (await driver.ask_to_leave(N1, OURS)).startswith("3 run on")
    assert pages == ["", "1", "", "1", "2"]


async def test_a_token_that_was_replaced_is_fetched_anew(kube: Kube, driver: KubernetesScheduler) -> None:
    assert (await driver.look(N1)).state is SchedulerState.IN_SERVICE
    kube.tokens = {"kube-secret-token-2"}
    with pytest.raises(Transient, match="Unauthorized"):
        await driver.look(N1)
    token_file(kube, "kube-secret-token-2")
    assert (await driver.look(N1)).state is SchedulerState.IN_SERVICE


async def test_a_reply_that_is_lost_is_found_by_reading(
    kube: Kube, driver: KubernetesScheduler, tmp_path: Path, clock: LeapClock
) -> None:
    def lost(at: Kube, request: web.Request) -> web.Response | None:
        if request.method == "PATCH":
            at.mischief.clear()
            at.change(
                N1,
                {"metadata": {"annotations": {"fleetwave/drain": OURS}}, "spec": {"unschedulable": True}},
                "fleetwave",
            )
            assert request.transport is not None
            request.transport.close()
        return None

    kube.mischief.append(lost)
    rig = Rig(tmp_path / "journal.db", clock, node(N1))
    await rig.prepare()
    assert await rig.walk("node.drain", Around(scheduler=driver)) == f"then: drained: {OURS}"
    assert kube.asked.count(f"PATCH /api/v1/nodes/{N1}") == 1
    wrote = await rig.wrote()
    assert "NodeUncertain 1 node.drain/drain" in wrote
    assert wrote[-1] == "EffectRecorded 1 node.drain/drain"


async def test_what_is_refused_is_told_apart(kube: Kube, driver: KubernetesScheduler) -> None:
    forbidden = status(403, "Forbidden", 'nodes "gpu0001" is forbidden: User "x" cannot patch resource "nodes"')
    kube.mischief.append(once("PATCH", N1, lambda _: forbidden))
    with pytest.raises(NotDone) as refused:
        await driver.drain(N1, OURS)
    assert refused.value.reason is Reason.LOGIN_REFUSED
    kube.mischief.append(once("PATCH", N1, lambda _: status(504, "Timeout", "request did not complete")))
    with pytest.raises(OutcomeUnknown, match="did not complete"):
        await driver.drain(N1, OURS)
    kube.denied = {"create pods/eviction", "patch nodes"}
    assert await driver.barred() == (
        "its token may not patch nodes, create pods/eviction (in every namespace): see docs/drain.md"
    )


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="[]", content_type="application/json"),
        web.Response(text='{"kind": "Node", "metadata": {"name": "gpu0002", "resourceVersion": "1"}}'),
        web.Response(text='{"kind": "Node", "metadata": []}'),
        web.Response(text="[" * 100_000),
        web.Response(status=404, text="no such page"),
    ],
    ids=["list", "another node", "no metadata", "deep", "404 of somebody else"],
)
async def test_an_answer_about_something_else_is_no_answer(
    kube: Kube, driver: KubernetesScheduler, answer: web.Response
) -> None:
    kube.mischief.append(once("GET", N1, lambda _: answer))
    with pytest.raises(Transient):
        await driver.look(N1)
    assert (await driver.look("gpu0009")).state is SchedulerState.UNKNOWN


async def test_an_answer_without_end_is_cut(kube: Kube, driver: KubernetesScheduler) -> None:
    kube.mischief.append(once("GET", N1, lambda _: web.Response(body=b" " * (16 * 1024 * 1024 + 1))))
    with pytest.raises(NodeFault, match="more than"):
        await driver.look(N1)


async def test_a_server_that_the_ca_does_not_vouch_for_is_told_nothing(kube: Kube, clock: LeapClock) -> None:
    other = kube.directory / "other.pem"
    authority(other)
    doubted = scheduler(kube, clock, ca=other)
    with pytest.raises(NodeFault) as fault:
        await doubted.look(N1)
    assert fault.value.reason is Reason.UNTRUSTED_TLS
    assert kube.asked == []
    await doubted.close()


async def test_the_token_is_in_no_error_and_in_no_log(
    kube: Kube, driver: KubernetesScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await driver.drain(N1, OURS)
    kube.mischief.append(once("GET", N1, lambda _: status(500, "InternalError", "etcd is gone")))
    with pytest.raises(Transient) as broken:
        await driver.look(N1)
    assert TOKEN not in f"{broken.value!r} {driver!r} {caplog.text}"


@pytest.mark.parametrize("name", ["../pods", "gpu[1-3]", "gpu0001,gpu0002", "GPU1", "", "a..b", "x" * 64])
async def test_a_name_that_cannot_be_a_node_reaches_no_server(
    kube: Kube, driver: KubernetesScheduler, name: str
) -> None:
    with pytest.raises(NodeFault, match="cannot be a node's name"):
        await driver.look(name)
    assert kube.asked == []


async def test_a_drain_asks_its_pods_to_leave_until_none_is_left(
    kube: Kube, driver: KubernetesScheduler, tmp_path: Path, clock: LeapClock
) -> None:
    kube.pod("web", N1, owner="ReplicaSet", app="web")
    kube.budgets["web"] = 0
    looks = 0

    def kubelet(at: Kube, request: web.Request) -> web.Response | None:
        """After some looks the budget lets it go; its kubelet ends it one look later."""
        nonlocal looks
        if request.path == "/api/v1/pods":
            looks += 1
            at.budgets["web"] = looks // 6
            for key, pod in list(at.pods.items()):
                if "deletionTimestamp" in pod["metadata"]:
                    del at.pods[key]
        return None

    kube.mischief.append(kubelet)
    rig = Rig(tmp_path / "journal.db", clock, node(N1))
    await rig.prepare()
    began = clock.at
    assert await rig.walk("node.drain", Around(scheduler=driver)) == f"then: drained: {OURS}"
    assert clock.at - began >= 60
    assert await rig.walk("node.undrain", Around(scheduler=driver)) == "then: in service"
    assert kube.nodes[N1]["spec"] == {}
