"""Field guide 6, D: what a host does by itself when AC returns. F42 and F43, against the hall over TLS."""

from dataclasses import replace
from pathlib import Path

import pytest
from failure_rig import CONFIRMED, GB300, SMC, Site, ended, error, harmless, http, resets, rule, site
from modes import Answer, mode
from support.machine import Crash

from fleet import events as ev
from fleet.errors import Reason
from fleet.events import Event
from fleet.profile import Profile, Trust
from fleet.state import NodeStatus
from fleet.vendors import profile_named
from inventory.baseline import Activation

SYSTEM = "/redfish/v1/Systems/System_0"
IGNORED = (NodeStatus.QUARANTINED, Reason.POWER_IGNORED.value)
AC = "*/OemSystemExtensions.Reset"


def managed() -> Profile:
    """The tray's profile, as it will be when racks can be updated: it has an AC cycle by Redfish, and shows its policy."""
    profile = profile_named("gb300-nvl")
    hgx = profile_named("dgx-h100").components["hgx"]
    parts = profile.components | {
        "hgx": replace(hgx, items=("HGX_FW_GPU_*",), targets=("/redfish/v1/Chassis/HGX_Chassis_0",))
    }
    return replace(profile, trust=Trust.MANAGED, components=parts)


def policy(place: Site) -> str:
    """What the machine will really do."""
    told: str = place.truth()["settings"]["restore_policy"]
    return told


async def cycled(place: Site, *, dies: str = "") -> list[str]:
    """One image that an AC cycle brings into force; the policy as it was whenever AC went. `dies`: at the end of this effect."""
    place.profile = managed()
    plan = await place.planned(place.component(GB300, "hgx", activation=Activation.AC_CYCLE))
    assert not plan.refused, plan.nodes["gpu1"].message
    if dies:
        with pytest.raises(Crash):
            await place.ran(dies=lambda event: "after" if _ends(event, dies) else "")
        assert policy(place) == "AlwaysOff"
    await place.ran()
    told: list[str] = place.truth()["ac_policies"]
    return told


def _ends(event: Event, effect: str) -> bool:
    return isinstance(event, ev.EffectRecorded) and event.effect.endswith(f"/{effect}")


@mode(
    "F42",
    symptom="An AC cycle is refused because the host is on; a power manager turns it on again and again.",
    answer=Answer.HELD,
    does="The host is off, seen twice, before an AC cycle is asked for. On again, or refused: no loop; the host is"
    " turned on and the node is held. PowerRestorePolicy is AlwaysOff while AC is away, where BMC and profile allow it, and put back"
    " afterwards, by the next process too; if it cannot be, the node is held and says what to set.",
)
async def test_f42_an_ac_cycle_comes_after_the_host_is_off(tmp_path: Path) -> None:
    async with site(tmp_path, SMC) as place:
        wish = place.component(SMC, "bios", activation=Activation.AC_CYCLE)
        assert ended(await place.rolled_out(wish)) == CONFIRMED
        done = [reset["what"] for reset in place.truth()["resets"]]
        assert done == ["host", "ac", "bmc", "host"]
        assert harmless(place.truth())


@mode("F42")
async def test_f42_a_refused_ac_cycle_leaves_the_host_on(tmp_path: Path) -> None:
    no = http(AC, status=400, body=error("Oem.ChassisPowerStateOffRequired", "off first"))
    async with site(tmp_path, SMC, rules=[no]) as place:
        node = await place.rolled_out(place.component(SMC, "bios", activation=Activation.AC_CYCLE))
        assert ended(node) == IGNORED
        assert "off first" in node.message
        assert (place.truth()["host_power"], resets(place.truth(), "ac")) == ("On", [])
        assert harmless(place.truth())


@mode("F42")
async def test_f42_a_host_that_somebody_turns_on_again_is_not_fought_over(tmp_path: Path) -> None:
    async with site(tmp_path, SMC) as place:
        box, clock = place.hall.bmcs["gpu1"], place.hall.clock

        def meddle(event: Event) -> None:
            if isinstance(event, ev.EffectRecorded) and event.effect.endswith("/host-off"):
                box.host.reset("On", clock.now())

        place.on_event = meddle
        node = await place.rolled_out(place.component(SMC, "bios", activation=Activation.AC_CYCLE))
        assert ended(node) == IGNORED
        assert "something turned it on" in node.message
        assert (place.truth()["host_power"], resets(place.truth(), "ac")) == ("On", [])
        assert harmless(place.truth())


@mode("F42")
@pytest.mark.parametrize("was", ["LastState", "AlwaysOn", "AlwaysOff"])
async def test_f42_the_host_stays_off_until_we_turn_it_on(tmp_path: Path, was: str) -> None:
    async with site(tmp_path, GB300) as place:
        place.hall.bmcs["gpu1"].fittings.policy = was
        assert await cycled(place) == ["AlwaysOff"]
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert (policy(place), place.truth()["host_power"]) == (was, "On")
        assert place.intents("restore-policy-back") == (was != "AlwaysOff")
        assert harmless(place.truth())


@mode("F42")
@pytest.mark.parametrize("effect", ["restore-policy-off", "ac-cycle"])
async def test_f42_the_next_process_puts_the_policy_back(tmp_path: Path, effect: str) -> None:
    async with site(tmp_path, GB300) as place:
        assert await cycled(place, dies=effect) == ["AlwaysOff"]
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert policy(place) == "LastState"
        assert harmless(place.truth())


@mode("F42")
async def test_f42_a_policy_that_cannot_be_changed_is_left_alone(tmp_path: Path) -> None:
    no = http(SYSTEM, method="PATCH", status=400, body=error("Base.1.0.PropertyNotWritable", "read-only"))
    async with site(tmp_path, GB300, rules=[no]) as place:
        assert await cycled(place) == ["LastState"]
        assert ended(place.node()) == CONFIRMED, place.node().message


@mode("F42")
async def test_f42_a_policy_that_cannot_be_put_back_is_told(tmp_path: Path) -> None:
    no = http(SYSTEM, method="PATCH", status=400, body=error("Base.1.0.PropertyNotWritable", "read-only"))
    async with site(tmp_path, GB300) as place:
        place.on_event = lambda event: place.break_with(no) if _ends(event, "ac-cycle") else None
        assert await cycled(place) == ["AlwaysOff"]
        assert place.node().status is NodeStatus.QUARANTINED
        assert "may be AlwaysOff and was LastState: set it back by hand" in place.node().message
        assert place.truth()["host_power"] == "On"


@mode(
    "F43",
    symptom="The host turns itself on after a BMC restart or an AC cycle.",
    answer=Answer.MASTERED,
    does="Where its restore policy is hidden or may not be changed it may do so: being on already is what was wanted; its POST is counted"
    " from then, and not interrupted.",
)
async def test_f43_a_host_that_turns_itself_on_is_welcome(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, rules=[rule("host-powers-on")]) as place:
        wish = place.component(SMC, "bios", activation=Activation.AC_CYCLE)
        assert ended(await place.rolled_out(wish)) == CONFIRMED
        assert place.truth()["host_power"] == "On"
        assert harmless(place.truth())


@mode("F43")
async def test_f43_a_host_whose_policy_is_hidden_comes_on_by_itself(tmp_path: Path) -> None:
    gone = http(SYSTEM, merge={"PowerRestorePolicy": None})
    async with site(tmp_path, GB300, rules=[gone]) as place:
        place.hall.bmcs["gpu1"].fittings.policy = "AlwaysOn"
        assert await cycled(place) == ["AlwaysOn"]
        assert ended(place.node()) == CONFIRMED, place.node().message
        assert place.intents("restore-policy-off") == 0
        assert harmless(place.truth())
