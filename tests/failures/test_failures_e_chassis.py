"""Field guide 6, E: nodes that share a chassis. F51, against the hall over TLS: an AC cycle of one takes the power of both."""

from pathlib import Path
from typing import Any

import pytest
from failure_rig import CONFIRMED, SMC, Site, ended, error, harmless, http, resets, site
from modes import Answer, mode
from support.machine import Crash

from fleet import events as ev
from fleet.errors import Reason
from fleet.events import Event
from fleet.sim.faults import read_faults
from fleet.state import NodeStatus
from inventory.baseline import Activation

UNHELD = Reason.SHARED_CHASSIS.value


def spoil(place: Site, node: str, *found: dict[str, Any]) -> None:
    """From now on this is wrong with one of them."""
    place.hall.bmcs[node].faults.add(read_faults({"faults": "later", "rules": list(found)}, "test").rules)


async def rolled(place: Site, **more: object) -> list[tuple[NodeStatus, str]]:
    """How both nodes end."""
    plan = await place.planned(place.component(SMC, "bios", activation=Activation.AC_CYCLE), **more)  # type: ignore[arg-type]
    assert not plan.refused, {name: node.message for name, node in plan.refused.items()}
    await place.ran()
    return [ended(place.node(number)) for number in (0, 1)]


def unhurt(place: Site) -> bool:
    """No host was on when its power went, nothing was cut in a flash or in its POST, nothing is off that was on."""
    truths = [place.truth(number) for number in (0, 1)]
    return all(harmless(each) and each["ac_hit_host"] == 0 and each["host_power"] == "On" for each in truths)


@mode(
    "F51",
    symptom="Nodes share a chassis: the AC cycle of one takes its neighbours along.",
    answer=Answer.MASTERED,
    does="The inventory says which nodes share a chassis; they are begun together. One cycles the power of all once every other is"
    " held: drained, nothing flashing, host off, said freshly by each. What that cycle brought into force on the others is not cycled"
    " again; behind its last activation a node waits until none of them needs a cycle any more. A plan that does not hold all of a chassis"
    " refuses the nodes that would need the cycle, and nobody's power goes while a node of it is back in service or may be flashing.",
)
async def test_f51_one_cycle_for_both_and_no_running_host_loses_its_power(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        assert await rolled(place) == [CONFIRMED, CONFIRMED]
        assert [place.flashes("BIOS", number) for number in (0, 1)] == [[("2.4", "done")]] * 2
        assert [place.truth(number)["ac_cuts"] for number in (0, 1)] == [1, 1]
        assert unhurt(place)


@mode("F51")
async def test_f51_a_node_that_needs_nothing_is_held_until_its_neighbour_is_done(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        place.hall.bmcs["gpu2"].firmware.parts["BIOS"].active = "2.4"
        assert await rolled(place) == [CONFIRMED, CONFIRMED]
        assert place.flashes("BIOS", 1) == []
        kinds = resets(place.truth(1), "host")
        assert (kinds[0], kinds[-1], place.truth(1)["ac_cuts"]) == ("GracefulShutdown", "On", 1)
        assert unhurt(place)


@mode("F51")
@pytest.mark.parametrize(("effect", "kind"), [("ac-cycle", ev.IntentRecorded), ("host-off loan 1", ev.EffectRecorded)])
async def test_f51_whoever_continues_after_a_crash_leaves_no_host_off(
    tmp_path: Path, effect: str, kind: type[ev.IntentRecorded] | type[ev.EffectRecorded]
) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        await place.planned(place.component(SMC, "bios", activation=Activation.AC_CYCLE))

        def dies(event: Event) -> str:
            return "after" if isinstance(event, kind) and event.effect.endswith(f"/{effect}") else ""

        with pytest.raises(Crash):
            await place.ran(dies=dies)
        await place.ran()
        assert [ended(place.node(number)) for number in (0, 1)] == [CONFIRMED, CONFIRMED], place.node().message
        assert unhurt(place)


@mode("F51")
async def test_f51_a_plan_that_cannot_hold_the_neighbour_refuses(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        ill = http("/redfish/v1/Systems/1", merge={"Status": {"Health": "Critical"}})
        spoil(place, "gpu2", ill)
        plan = await place.planned(place.component(SMC, "bios", activation=Activation.AC_CYCLE))
        assert plan.nodes["gpu2"].reason == Reason.NOT_HEALTHY
        assert plan.nodes["gpu1"].reason == UNHELD
        assert "gpu2 is refused" in plan.nodes["gpu1"].message
        await place.ran()
        assert [place.truth(number)["submits"] for number in (0, 1)] == [0, 0]


@mode("F51")
@pytest.mark.parametrize("needs", [Activation.AC_CYCLE, Activation.DC_CYCLE])
async def test_f51_a_neighbour_that_is_not_selected_refuses_an_ac_cycle_only(tmp_path: Path, needs: Activation) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        both, place.nodes = place.nodes, place.nodes[:1]
        place.chassis = {"twin": [str(node.id) for node in both]}
        node = (await place.planned(place.component(SMC, "bios", activation=needs))).nodes["gpu1"]
        assert (node.reason, "gpu2 is not selected" in node.message) == (
            (UNHELD, True) if needs is Activation.AC_CYCLE else ("", False)
        )


@mode("F51")
async def test_f51_a_neighbour_that_may_be_flashing_keeps_its_power(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        gone = http("/redfish/v1/*", status=503)
        place.on_event = lambda event: (
            spoil(place, "gpu2", gone)
            if isinstance(event, ev.EffectRecorded) and (event.node, event.effect[-6:]) == ("gpu2", "submit")
            else None
        )
        first, second = await rolled(place)
        assert second[0] is NodeStatus.QUARANTINED
        assert first == (NodeStatus.QUARANTINED, UNHELD)
        assert "gpu2 in the same chassis would lose power too" in place.node().message
        assert [resets(place.truth(number), "ac") for number in (0, 1)] == [[], []]


@mode("F51")
async def test_f51_a_neighbour_that_is_out_and_quiet_does_not_hinder(tmp_path: Path) -> None:
    async with site(tmp_path, SMC, SMC, chassis="twin") as place:
        spoil(
            place, "gpu2", http("*pload*", method="POST", status=400, body=error("Base.1.0.GeneralError", "not today"))
        )
        first, second = await rolled(place)
        assert (first, second[0]) == (CONFIRMED, NodeStatus.QUARANTINED)
        assert place.truth(1)["ac_cuts"] == 1
        assert harmless(place.truth(0))
