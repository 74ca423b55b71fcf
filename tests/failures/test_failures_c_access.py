"""Field guide 6, C: resets, reachability, access. F29 to F40, against the hall over TLS."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from failure_rig import (
    CONFIRMED,
    DELL,
    DGX,
    INVENTORY,
    SESSIONS,
    SMC,
    TASKS,
    ended,
    free_port,
    harmless,
    http,
    resets,
    rule,
    site,
)
from modes import Answer, mode, shown_elsewhere

from fleet.errors import Reason
from fleet.state import NodeStatus

MANAGER, SYSTEM = "/redfish/v1/Managers/BMC", "/redfish/v1/Systems/DGX"


@mode(
    "F29",
    symptom="The BMC is silent for longer than a restart takes.",
    answer=Answer.HELD,
    does="Waits for `bmc_return` (10 min, Dell 30), goes on knocking to the hard limit (30 min), then holds the node. It is not"
    " AC-cycled by itself.",
)
async def test_f29_a_slow_bmc_is_waited_for(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("bmc-slow", factor=4)]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert resets(place.truth(), "bmc") == ["ForceRestart"]
        assert harmless(place.truth())


@mode("F29")
async def test_f29_a_bmc_that_never_returns_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("bmc-dead")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.BMC_GONE.value)
        assert resets(place.truth(), "bmc") == ["ForceRestart"]
        assert (resets(place.truth(), "ac"), place.truth()["max_in_flight"]) == ([], 1)


@mode(
    "F30",
    symptom="The BMC hangs: HTTP is dead, IPMI may live.",
    answer=Answer.HELD,
    does="As F29: held as unreachable, nothing is reset. There is no IPMI and no other way to a BMC.",
)
async def test_f30_a_bmc_that_hangs_before_anything_was_done_is_left_alone(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        place.break_with(http("*", drop="before"))
        await place.ran()
        assert ended(place.node()) == (NodeStatus.QUARANTINED, Reason.UNREACHABLE.value)
        assert (place.truth()["submits"], place.truth()["resets"]) == (0, [])


@mode(
    "F31",
    symptom="401 after a restart: not ready yet, account locked, or the password is the factory's.",
    answer=Answer.HELD,
    does='Three tries a minute apart, as "not ready" passes by itself; then the node is held, which leaves a lockout'
    " of five alone. No"
    " default password is tried.",
)
async def test_f31_a_bmc_that_is_not_ready_lets_us_in_later(tmp_path: Path) -> None:
    early = http(SESSIONS, method="POST", when="restarted", times=2, status=401, body="")
    async with site(tmp_path, DGX, rules=[early]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert harmless(place.truth())


@mode("F31")
async def test_f31_another_password_is_tried_three_times_and_locks_nobody_out(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("login-changes")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.LOGIN_REFUSED.value)
        assert place.truth()["failed_logins"] <= 3
        assert not place.hall.bmcs["gpu1"].sessions.locked(place.hall.clock.now())
        assert place.truth()["host_power"] == "On"


@mode(
    "F32",
    symptom="The certificate is another one after the update.",
    answer=Answer.HELD,
    does="A pinned fingerprint that no longer fits holds the node before a byte of a request is sent; the new one is"
    " printed for a"
    " person to compare. Nothing is pinned anew by itself. Under an authority a new certificate of its own is no event.",
)
async def test_f32_a_new_certificate_of_a_pinned_bmc_holds_the_node(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, pins=True, rules=[rule("certificate-changes")]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.UNTRUSTED_TLS.value)
        assert "sha256:" in node.message
        truth = place.truth()
        assert (truth["failed_logins"], resets(truth, "bmc"), truth["host_power"]) == (0, ["ForceRestart"], "On")


@mode("F32")
async def test_f32_a_new_certificate_of_the_declared_authority_is_no_event(tmp_path: Path) -> None:
    async with site(tmp_path, DGX, rules=[rule("certificate-changes")]) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"))) == CONFIRMED
        assert harmless(place.truth())


@mode(
    "F33",
    symptom="The BMC has another address (DHCP, a static one lost).",
    answer=Answer.HELD,
    does="Nobody is looked for: the node is held as unreachable, or by F34 where another machine answers at its old address.",
)
async def test_f33_a_bmc_that_moved_is_not_looked_for(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        gone = place.moved(free_port())
        await gone.ran()
        assert ended(gone.node()) == (NodeStatus.QUARANTINED, Reason.UNREACHABLE.value)
        assert place.truth()["submits"] == 0


@mode(
    "F34",
    symptom="Another machine answers at the address.",
    answer=Answer.HELD,
    does="Serial and UUID are those of the plan before every image, every reset, every power action, and after every"
    " pause; else the node"
    " is held and nothing more is sent. A serial that the inventory declares is compared by the plan.",
)
async def test_f34_another_machine_at_the_address_gets_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        place.break_with(http(SYSTEM, merge={"SerialNumber": "ANOTHER"}))
        await place.ran()
        assert ended(place.node()) == (NodeStatus.QUARANTINED, Reason.IDENTITY_MISMATCH.value)
        assert "has serial ANOTHER" in place.node().message
        assert (place.truth()["submits"], place.truth()["resets"]) == (0, [])
        assert harmless(place.truth())


@mode("F34")
async def test_f34_a_machine_that_is_not_the_declared_one_is_refused_by_the_plan(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        place.nodes = tuple(replace(node, serial="DECLARED") for node in place.nodes)
        plan = await place.planned(place.component(DGX, "bmc"))
        assert plan.nodes["gpu1"].reason == Reason.IDENTITY_MISMATCH
        assert harmless(place.truth())


@mode("F34")
async def test_f34_a_machine_that_is_swapped_while_it_flashes_is_not_reset(tmp_path: Path) -> None:
    swapped = http(SYSTEM, when="staged", merge={"SerialNumber": "ANOTHER"})
    async with site(tmp_path, DGX, rules=[swapped]) as place:
        node = await place.rolled_out(place.component(DGX, "bmc"))
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.IDENTITY_MISMATCH.value)
        assert (place.truth()["submits"], place.truth()["resets"]) == (1, [])
        assert harmless(place.truth())


@mode(
    "F35",
    symptom="No session is left (RAC0218, 503).",
    answer=Answer.MASTERED,
    does="Waits for one; deletes its own of earlier processes and nobody else's. In vain for ten minutes (the plan:"
    " one): unreachable.",
)
@pytest.mark.parametrize("model", [DELL, DGX])
async def test_f35_a_session_is_waited_for_and_nobody_else_s_is_deleted(tmp_path: Path, model: str) -> None:
    async with site(tmp_path, model) as place:
        bmc = place.hall.bmcs["gpu1"]
        foreign = bmc.sessions.create("somebody", "", place.hall.clock.now() + 1e6)
        await place.planned(place.component(model, "bios"))
        place.break_with(rule("sessions-exhausted", times=4))
        await place.ran()
        assert ended(place.node()) == CONFIRMED
        assert foreign.token in bmc.sessions.open
        assert place.truth()["sessions"]["open"] == 1


@mode(
    "F36",
    symptom="Bursts of 503 and 500, HTML, half a JSON, an empty 200, broken connections.",
    answer=Answer.MASTERED,
    does="Reads are retried six times over two minutes, and waits go on beyond that; the plan gives a BMC one minute."
    " Failures are not"
    " counted by firmware version: canary and failure budget halt the rollout.",
)
@pytest.mark.parametrize(
    "sick",
    [
        rule("http-503", first=3),
        rule("html-body", times=12),
        rule("truncated-json", times=12),
        http("*", method="GET", times=8, skip=5, status=500),
        http("*", method="GET", times=8, skip=5, status=200, body=""),
        http("*", method="GET", times=8, skip=5, drop="after"),
    ],
    ids=["503", "html", "half", "500", "empty", "broken"],
)
async def test_f36_answers_that_are_none_are_asked_for_again(tmp_path: Path, sick: dict[str, Any]) -> None:
    async with site(tmp_path, DGX) as place:
        await place.planned(place.component(DGX, "bmc"))
        place.break_with(sick)
        await place.ran()
        assert ended(place.node()) == CONFIRMED
        assert place.flashes("HostBMC_0") == [("24.09.17", "done")]
        assert harmless(place.truth())


@mode(
    "F37",
    symptom="The BMC's clock says 1970 or 9999.",
    answer=Answer.MASTERED,
    does="Its times are compared for equality only, never ordered; deadlines are ours. A restart with an unchanged"
    " LastResetTime is"
    " proven by a session that is gone after silence. No clock is set.",
)
@pytest.mark.parametrize("said", ["1970-01-01T00:04:28Z", "9999-12-31T00:00:00Z", "0000-00-00T00:00:00", None])
async def test_f37_a_clock_that_lies_proves_nothing_and_hinders_nothing(tmp_path: Path, said: str | None) -> None:
    lies = [
        http(MANAGER, merge={"LastResetTime": said, "DateTime": said}),
        http(SYSTEM, merge={"LastResetTime": said}),
        http(TASKS, merge={"StartTime": said, "EndTime": said}),
    ]
    async with site(tmp_path, DGX, rules=lies) as place:
        assert ended(await place.rolled_out(place.component(DGX, "bmc"), place.component(DGX, "bios"))) == CONFIRMED
        assert resets(place.truth(), "bmc") == ["ForceRestart"]
        assert harmless(place.truth())


shown_elsewhere(
    "F38",
    symptom="Settings, users, NTP, subscriptions, boot order are gone after the reset.",
    answer=Answer.HELD,
    does="Settings, users, sensors, memory, processors, drives and PCIe widths are noted before the first image and compared"
    " after the last activation. What the profile names (DGX: NTP, power restore policy, boot order) is put back, once each,"
    " and the node goes on; whatever else differs holds it with the difference. Event subscriptions and SNMP targets are not"
    " read; no user is made anew.",
    tests=(
        "wire/test_side_effects.py::test_settings_that_a_flash_reset_are_put_back_once",
        "wire/test_side_effects.py::test_a_node_that_lost_something_is_held_with_the_difference",
        "steps/test_settings_keep.py::test_it_is_put_back_whenever_the_process_dies",
        "steps/test_settings_keep.py::test_a_user_that_is_gone_holds_the_node_and_the_rest_is_put_back",
    ),
)


@mode(
    "F39",
    symptom="Resources of the baseboard are missing or stubs after a reset.",
    answer=Answer.MASTERED,
    does="After a reset the layout must be as complete as before, and versions are judged by items, not by HTTP 200:"
    " ten minutes beyond"
    " POST. So it is, too, where the baseboard's own BMC restarts and its members vanish, turn 404, 500, 503, or go stale."
    " What stays away holds the node and is named. No AC cycle by itself.",
)
async def test_f39_a_baseboard_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    async with site(tmp_path, DGX) as place:
        parts = [place.component(DGX, "bmc"), place.component(DGX, "hgx")]
        assert ended(await place.rolled_out(*parts)) == CONFIRMED
        assert harmless(place.truth())


@mode("F39")
@pytest.mark.parametrize("answers", ["vanish", "404", "500", "503", "stale"])
async def test_f39_a_baseboard_whose_own_bmc_restarts_is_waited_for(tmp_path: Path, answers: str) -> None:
    gone = rule("hmc-restarts", times="always", answers=answers, after_s=20, down_s=150)
    async with site(tmp_path, DGX, rules=[gone]) as place:
        parts = [place.component(DGX, "bmc"), place.component(DGX, "hgx")]
        assert ended(await place.rolled_out(*parts)) == CONFIRMED
        truth = place.truth()
        assert harmless(truth)
        assert "self" in resets(truth, "hmc")
        assert {len(item["flashes"]) for item in truth["items"].values()} <= {0, 1}


@mode("F39")
async def test_f39_a_gpu_that_stays_away_is_named(tmp_path: Path) -> None:
    stub = http(f"{INVENTORY}/HGX_FW_GPU_SXM_3", when="restarted", merge={"Status": {"State": "UnavailableOffline"}})
    async with site(tmp_path, DGX, rules=[stub]) as place:
        parts = [place.component(DGX, "bmc"), place.component(DGX, "hgx")]
        node = await place.rolled_out(*parts)
        assert ended(node) == (NodeStatus.QUARANTINED, Reason.VERSION_MISMATCH.value)
        assert "no device behind HGX_FW_GPU_SXM_3" in node.message
        assert harmless(place.truth())


@mode(
    "F40",
    symptom="The machine is taken for another model.",
    answer=Answer.REFUSED,
    does="A profile is chosen only if all its signals match and no other's do; anything else is read-only until a"
    " person names a profile.",
)
async def test_f40_a_machine_that_nobody_recognises_is_read_only(tmp_path: Path) -> None:
    vague = [
        http(SYSTEM, merge={"Model": "GB NVL", "Manufacturer": "AMI"}),
        http("/redfish/v1/Systems/HGX_Baseboard_0", merge={"Model": "GB NVL"}),
    ]
    async with site(tmp_path, DGX, SMC, rules=vague) as place:
        plan = await place.planned(place.component(SMC, "bmc"))
        assert plan.nodes["gpu1"].reason == Reason.UNKNOWN_HARDWARE
        assert "read-only" in plan.nodes["gpu1"].message
        await place.ran()
        assert [place.truth(n)["submits"] for n in (0, 1)] == [0, 1]
