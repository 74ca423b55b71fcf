"""Every effect a fault can have, and that the choice of nodes depends on nothing but seed, rule and name."""

from pathlib import Path
from typing import Any

import pytest
from hall_bench import BMC_RESET, DGX_RESET, HGX, Bench
from hypothesis import given
from hypothesis import strategies as st

from fleet.sim.faults import Effect, FaultError, load_faults, read_faults
from fleet.sim.message import Request, Wire

SHIPPED = Path(__file__).parents[2] / "fleet" / "sim" / "faults"
GPU = "HGX_FW_GPU_SXM_1"
NEW = "96.00.99.00.01"


def bench(effect: Effect, **more: Any) -> Bench:
    return Bench("DGXH100", [{"name": "r", "effect": str(effect), **more}])


def updated(one: Bench) -> Any:
    """Push, wait long enough, return the task (None if it is gone)."""
    assert one.push("gpu", {0x0020: NEW}, HGX).status == 202
    one.wait(600)
    answer = one.ask("GET", "/redfish/v1/TaskService/Tasks/1")
    return None if answer.status == 404 else one.get("/redfish/v1/TaskService/Tasks/1")


def dc_cycle(one: Bench) -> None:
    one.reset("ForceOff")
    one.wait(30)
    one.reset("On")
    one.wait(30)


def test_update_fails() -> None:
    one = bench(Effect.UPDATE_FAILS, message="flash chip says no")
    task = updated(one)
    assert (task["TaskState"], task["TaskStatus"]) == ("Exception", "Critical")
    assert "flash chip says no" in task["Messages"][-1]["Message"]
    assert one.item(GPU)["staged"] is None


def test_update_completes_critical() -> None:
    one = bench(Effect.UPDATE_COMPLETES_CRITICAL)
    task = updated(one)
    assert (task["TaskState"], task["TaskStatus"], task["PercentComplete"]) == ("Completed", "Critical", 100)
    dc_cycle(one)
    assert one.item(GPU)["active"] == "96.00.89.00.01"


def test_update_stalls_until_the_bmc_restarts() -> None:
    one = bench(Effect.UPDATE_STALLS, at_percent=40)
    assert updated(one)["PercentComplete"] == 40
    one.wait(100_000)
    one.log_in()
    assert one.push("gpu", {0x0020: NEW}, HGX).status == 503
    one.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    one.wait(400)
    one.log_in()
    assert updated(one)["TaskState"] == "Completed"
    assert one.bmc.truth()["power_cuts_in_flash"] == 0


def test_task_vanishes_and_the_flash_goes_on() -> None:
    one = bench(Effect.TASK_VANISHES)
    assert updated(one) is None
    assert one.item(GPU)["staged"] == NEW


def test_version_unchanged() -> None:
    one = bench(Effect.VERSION_UNCHANGED, times="always")
    assert updated(one)["TaskStatus"] == "OK"
    dc_cycle(one)
    assert one.item(GPU)["active"] == "96.00.89.00.01"


def test_partial() -> None:
    one = bench(Effect.PARTIAL)
    assert updated(one)["TaskState"] == "Completed"
    dc_cycle(one)
    assert [one.item(f"HGX_FW_GPU_SXM_{n}")["active"] == NEW for n in range(1, 9)] == [True] * 7 + [False]


def test_submit_busy_has_a_url_in_retry_after() -> None:
    one = bench(Effect.SUBMIT_BUSY, times=2)
    answers = [one.push("gpu", {0x0020: NEW}, HGX) for _ in range(3)]
    assert [answer.status for answer in answers] == [503, 503, 202]
    assert dict(answers[0].headers)["Retry-After"] == "/redfish/v1/UpdateService/upload"


def test_submit_rejected() -> None:
    one = bench(Effect.SUBMIT_REJECTED, status=500, message="no")
    assert one.push("gpu", {0x0020: NEW}, HGX).status == 500
    assert one.bmc.truth()["submits"] == 0


def test_upload_broken_once() -> None:
    one = bench(Effect.UPLOAD_BROKEN)
    headers = {"X-Auth-Token": one.token}
    request = Request(method="POST", path="/redfish/v1/UpdateService/upload", headers=headers, body_size=9000)
    first, second = (one.bmc.preflight(request, 1.0) for _ in range(2))
    assert first is not None
    assert first.wire is Wire.DROP_MIDWAY
    assert second is None


@pytest.mark.parametrize("outcome", ["bricks", "verify-fails"])
def test_bad_image(outcome: str) -> None:
    one = bench(Effect.BAD_IMAGE, select={"package_version": "96.00.99.*"}, outcome=outcome, times="always")
    task = updated(one)
    assert task["TaskState"] == ("Completed" if outcome == "bricks" else "Exception")
    dc_cycle(one)
    assert (one.bmc.truth()["bricked"] is not None) == (outcome == "bricks")


def test_bad_image_leaves_other_versions_alone() -> None:
    one = bench(Effect.BAD_IMAGE, select={"package_version": "97.*"}, times="always")
    updated(one)
    dc_cycle(one)
    assert one.item(GPU)["active"] == NEW


def test_bmc_slow_and_bmc_dead() -> None:
    times = []
    for rules in ([], [{"name": "r", "effect": "bmc-slow", "factor": 3}], [{"name": "r", "effect": "bmc-dead"}]):
        one = Bench("DGXH100", rules)
        one.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
        waited = 0
        while (one.bmc.phase != "ready" or waited == 0) and waited < 5000:
            one.wait(10)
            waited += 10 if one.bmc.phase != "ready" else 1
        times.append(waited)
    assert 2.5 < times[1] / times[0] < 3.5
    assert times[2] == 5000


def test_http_503_after_each_login() -> None:
    one = bench(Effect.HTTP_503, first=2, times="always")
    assert [one.ask("GET", "/redfish/v1/Systems").status for _ in range(4)] == [503, 503, 200, 200]
    one.log_in()
    assert one.ask("GET", "/redfish/v1/Systems").status == 503


def test_html_body_and_truncated_json() -> None:
    html = bench(Effect.HTML_BODY).ask("GET", "/redfish/v1/Systems")
    assert (html.status, html.content_type) == (200, "text/html")
    short = bench(Effect.TRUNCATED_JSON)
    with pytest.raises(ValueError, match="line 1"):
        short.get("/redfish/v1/Systems")
    assert short.get("/redfish/v1/Systems")["Members@odata.count"] == 2


@pytest.mark.parametrize(("effect", "status"), [(Effect.SESSIONS_EXHAUSTED, 503), (Effect.AUTH_LOCKOUT, 401)])
def test_login_trouble(effect: Effect, status: int) -> None:
    with pytest.raises(KeyError):
        bench(effect)
    one = bench(effect, times=0)
    one.bmc.faults = read_faults({"faults": "t", "rules": [{"name": "r", "effect": str(effect)}]}, "t").of_node(
        node="n1", model="DGXH100", rack="r1"
    )
    login = {"UserName": "admin", "Password": "p"}
    sessions = "/redfish/v1/SessionService/Sessions"
    assert one.ask("POST", sessions, login).status == status
    one.wait(301)
    assert one.ask("POST", sessions, login).status == 201


def test_power_ignored_ends_in_an_exception_with_status_ok() -> None:
    one = bench(Effect.POWER_IGNORED)
    one.ask("POST", DGX_RESET, {"ResetType": "ForceOff"})
    one.wait(60)
    assert one.get("/redfish/v1/Systems/DGX")["PowerState"] == "On"
    task = one.get("/redfish/v1/TaskService/Tasks/1")
    assert (task["TaskState"], task["TaskStatus"]) == ("Exception", "OK")
    one.ask("POST", DGX_RESET, {"ResetType": "ForceOff"})
    one.wait(60)
    assert one.get("/redfish/v1/Systems/DGX")["PowerState"] == "Off"


def test_select_by_component() -> None:
    one = bench(Effect.UPDATE_FAILS, select={"component": "HGX_FW_NVSwitch_*"})
    assert updated(one)["TaskState"] == "Completed"


@pytest.mark.parametrize("name", ["none", "demo", "five-percent", "bad-image"])
def test_shipped_files(name: str) -> None:
    book = load_faults(SHIPPED / f"{name}.yaml")
    assert book.name == name
    hit = [f"gpu{n:04d}" for n in range(4000) if book.of_node(node=f"gpu{n:04d}", model="DGXH100", rack="r1").rules]
    share = {"none": (0, 0), "bad-image": (1, 1)}.get(name, (0.04, 0.06))
    assert share[0] <= len(hit) / 4000 <= share[1]


@given(st.permutations(range(50)), st.integers(0, 9))
def test_the_choice_of_nodes_ignores_order(order: list[int], seed: int) -> None:
    raw = {"faults": "t", "seed": seed, "rules": [{"name": "r", "effect": "partial", "select": {"fraction": "30%"}}]}
    book = read_faults(raw, "t")

    def hits(number: int) -> bool:
        return bool(book.of_node(node=f"n{number}", model="m", rack="r").rules)

    forward = {number: hits(number) for number in range(50)}
    assert {number: hits(number) for number in order} == forward


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ([], "mapping"),
        ({"faults": "t", "rulez": []}, "'rulez'"),
        ({"faults": "t", "rules": [{"name": "a", "effect": "explodes"}]}, "unknown effect 'explodes'"),
        ({"faults": "t", "rules": [{"name": "a", "effect": "partial", "select": {"fraction": "200%"}}]}, "fraction"),
        ({"faults": "t", "rules": [{"name": "a", "effect": "partial", "times": "twice"}]}, "'twice'"),
        ({"faults": "t", "rules": [{"name": "a", "effect": "partial"}] * 2}, "same name"),
    ],
)
def test_a_wrong_fault_file_says_what_is_wrong(raw: Any, says: str) -> None:
    with pytest.raises(FaultError, match=says):
        read_faults(raw, "test.yaml")


def test_another_seed_or_rule_name_chooses_other_nodes() -> None:
    def chosen(seed: int, name: str) -> set[str]:
        rule = {"name": name, "effect": "partial", "select": {"fraction": "50%"}}
        book = read_faults({"faults": "t", "seed": seed, "rules": [rule]}, "t")
        return {f"n{n}" for n in range(100) if book.of_node(node=f"n{n}", model="m", rack="r").rules}

    assert chosen(1, "a") == chosen(1, "a")
    assert chosen(1, "a") != chosen(2, "a")
    assert chosen(1, "a") != chosen(1, "b")
