"""What a reading says against flashing: each refusal by itself, and that nobody is refused for what he does not need."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from support.rollout import baseline, book, component, node, profile, survey

from fleet.cli.plan_view import show_plan
from fleet.errors import Reason
from fleet.plan import CannotPlan, Survey
from fleet.planning import build
from fleet.policy.spec import RolloutSpec
from fleet.ports import Condition, TaskPhase, TaskReading, UpdateReadiness
from fleet.step import StepSpec

KIND = profile("bmc")
GOAL = baseline(component("bmc"))
READY = UpdateReadiness(enabled=True, alive=(), known_tasks=(), max_image_bytes=None)
SHORT = Condition(supplies=("PSU1 (Critical)",))
ALIVE = TaskReading(
    uri="/t/1",
    phase=TaskPhase.ALIVE,
    state="Running",
    status="OK",
    percent=None,
    name="Firmware Update",
    started="",
    messages=(),
    activation="",
)


def read(version: str = "old", *, health: str = "", item: dict[str, Any] | None = None, **readiness: Any) -> Survey:
    """A node that was read; `item`: what its one item says beside its version."""
    seen = survey(node("n"), {"bmc": version}, KIND)
    assert seen.observation is not None
    items = tuple(replace(each, **(item or {})) for each in seen.observation.items)
    observation = replace(seen.observation, health=health, items=items)
    return replace(seen, observation=observation, readiness=replace(READY, **readiness))


@pytest.mark.parametrize(
    ("told", "reason", "says"),
    [
        ({"enabled": False}, Reason.UPDATE_SERVICE_BUSY, "plan again in ten minutes"),
        ({"alive": (ALIVE,)}, Reason.UPDATE_SERVICE_BUSY, "1 update task under way: Firmware Update (Running)"),
        ({"max_image_bytes": 999}, Reason.UPDATE_REJECTED, "has 1000 bytes, the BMC takes 999"),
        ({"forced": True}, Reason.FORCE_LEFT_ON, "ForceUpdate is on"),
        ({"health": "Critical"}, Reason.NOT_HEALTHY, "its health is Critical"),
        ({"item": {"health": "Critical"}}, Reason.NOT_HEALTHY, "bmc says Critical"),
        ({"item": {"state": "Absent"}}, Reason.NOT_HEALTHY, "no device behind bmc (Absent)"),
    ],
)
def test_each_of_these_refuses_a_node_that_needs_an_image_and_no_other(
    told: dict[str, Any], reason: Reason, says: str
) -> None:
    with pytest.raises(CannotPlan, match=says.replace("(", r"\(").replace(")", r"\)")) as refusal:
        book(GOAL)(read(**told))
    assert refusal.value.reason is reason
    if told.get("item") != {"state": "Absent"}:  # of a device that is not there no version is known
        book(GOAL)(read("new", **told))


@pytest.mark.parametrize("item", ["PSU_3", "PowerSupply1"])
def test_the_image_of_a_power_supply_needs_the_others_well(item: str) -> None:
    seen, wanted = survey(node("n"), {item: "old"}, profile(item)), book(baseline(component(item)))
    wanted(replace(seen, condition=Condition()))
    with pytest.raises(CannotPlan, match=r"PSU1 \(Critical\)") as refusal:
        wanted(replace(seen, condition=SHORT))
    assert refusal.value.reason is Reason.NOT_HEALTHY


def test_other_images_do_not() -> None:
    book(GOAL)(replace(read(), condition=SHORT))


@pytest.mark.parametrize("told", [{}, {"max_image_bytes": 1000}, {"health": "Warning"}, {"health": "OK"}])
def test_these_refuse_nobody(told: dict[str, Any]) -> None:
    book(GOAL)(read(**told))


def test_what_could_not_be_read_refuses_nobody() -> None:
    book(GOAL)(replace(read(), readiness=None))


def test_a_way_back_may_begin_with_the_flag_on_that_it_needs_itself() -> None:
    back = replace(book(GOAL), downgrade="rollback of r-1")
    back(read(forced=True))


def test_a_playbook_that_flashes_nothing_asks_for_no_update_service() -> None:
    replace(book(GOAL), steps=(StepSpec("verify"),))(read(enabled=False, health="Critical"))


def test_the_plan_names_every_refused_node_under_its_reason() -> None:
    nodes = [node(f"gpu{number:04}") for number in range(1, 41)]
    surveys = [replace(read(health="Critical"), node=each) for each in nodes[:30]]
    surveys += [replace(read(forced=True), node=each) for each in nodes[30:39]]
    surveys += [replace(read(), node=nodes[39])]
    plan = build(playbook="p", baseline=GOAL, spec=RolloutSpec(), surveys=surveys, recipe_for=book(GOAL))
    console = Console(file=StringIO(), width=60)
    show_plan(plan, console)
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "  not-healthy: 30 nodes\n    gpu[0001-0030]: the machine says that its health is Critical" in shown
    assert "  force-left-on: 9 nodes\n    gpu[0031-0039]: ForceUpdate is on" in shown
    assert "gpu[0040" not in shown


def test_reasons_with_very_many_sentences_are_cut_short_and_still_name_everybody() -> None:
    nodes = [node(f"gpu{number:04}") for number in range(1, 41)]
    surveys = [
        Survey(node=each, reason=Reason.UNREACHABLE, message=f"no answer at 10.0.0.{number}")
        for number, each in enumerate(nodes, 1)
    ]
    plan = build(playbook="p", baseline=GOAL, spec=RolloutSpec(), surveys=surveys, recipe_for=book(GOAL))
    console = Console(file=StringIO(), width=200)
    show_plan(plan, console)
    assert isinstance(console.file, StringIO)
    assert "gpu[0013-0040]: each with such a message of its own" in console.file.getvalue()
