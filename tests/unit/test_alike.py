"""Nodes that answered alike get one recipe, compiled once; whatever a recipe could depend on tells them apart."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from support.rollout import OFFERS, baseline, book, component, node, profile, survey

from fleet.alike import likeness, once_each
from fleet.errors import Reason
from fleet.plan import CannotPlan, Recipe, Survey
from fleet.ports import Condition, UpdateReadiness
from fleet.profile import Obstacle
from fleet.slots import SlotReading
from fleet.target import Target
from inventory.baseline import Activation
from inventory.observed import FirmwareItem, Observation

KIND = profile("bmc", "bios")
GOAL = baseline(component("bmc"), component("bios"))
READY = UpdateReadiness(enabled=True, alive=(), known_tasks=("/t/1",), max_image_bytes=None)


def read(name: str = "n1", rack: str = "r1", **versions: str) -> Survey:
    """A node that runs the old versions unless told otherwise."""
    found = survey(node(name, rack), {"bmc": "old", "bios": "old", **versions}, KIND)
    return replace(found, readiness=READY)


def seen(of: Survey) -> Observation:
    """What was read."""
    assert of.observation is not None
    return of.observation


def test_which_machine_it_is_makes_no_difference() -> None:
    other = read("n2", "r9")
    other = replace(other, observation=replace(seen(other), serial="S9", uuid="u9", read_at=9.0, source="x"))
    other = replace(other, readiness=replace(READY, known_tasks=("/t/8", "/t/9")))
    other = replace(other, condition=Condition(parts={"GPU_SXM_1": "1652923003067"}, ahead_s=2.0))
    assert likeness(replace(read(), condition=Condition())) == likeness(other)


def test_a_node_that_must_not_be_flashed_is_refused_beside_one_that_may() -> None:
    """The pair that must never be taken for one another, by the real recipes: only the second is locked."""
    locked = Obstacle(path="/redfish/v1/x", keys=("Lockdown",), blocks="true", says="lockdown")
    maker = once_each(book(GOAL))
    maker(replace(read("n1"), condition=Condition()))
    with pytest.raises(CannotPlan, match="lockdown is on"):
        maker(replace(read("n2"), condition=Condition(obstacles=(locked,))))


@pytest.mark.parametrize("field", [each.name for each in fields(FirmwareItem)])
def test_every_field_of_an_item_does(field: str) -> None:
    first = read()
    changed = replace(seen(first).items[0], **{field: False if field == "updateable" else "other"})
    second = replace(first, observation=replace(seen(first), items=(changed, *seen(first).items[1:])))
    assert likeness(first) != likeness(second)


CHANGES: dict[str, list[dict[str, Any]]] = {
    "node": [{"node": replace(node("n1"), model="other")}],
    "profile": [{"profile": profile("bmc", "bios")}],
    "observation": [
        {"observation": replace(seen(read()), health="Critical")},
        {"observation": replace(seen(read()), bmc_version="9")},
        {"observation": None},
    ],
    "offers": [{"offers": OFFERS - {Activation.DC_CYCLE}}],
    "readiness": [{"readiness": replace(READY, forced=True)}, {"readiness": None}],
    "slots": [
        {"slots": SlotReading()},
        {"slots": SlotReading(minimum={"bmc": 3})},
        {"slots": SlotReading(minimum={"bmc": 4})},
    ],
    "condition": [
        {"condition": Condition()},
        {"condition": Condition(supplies=("PSU3 (Critical)",))},
        {"condition": Condition(media=("Cd",))},
    ],
    "reason": [{"reason": Reason.NO_EDGE}],
    "message": [{"message": "a switch is missing"}],
}


@pytest.mark.parametrize("field", [each.name for each in fields(Survey)])
def test_whatever_else_a_survey_says_does(field: str) -> None:
    """A field that is added to Survey needs an example here: were it left out, a node could get the recipe of another."""
    found = [likeness(read()), *(likeness(replace(read(), **change)) for change in CHANGES[field])]
    assert len(set(found)) == len(CHANGES[field]) + 1


def test_the_maker_is_asked_once_for_each_kind_and_says_the_same() -> None:
    asked: list[str] = []
    plain = book(GOAL)

    def counted(of: Survey) -> tuple[Recipe, Mapping[str, Target]]:
        asked.append(str(of.node.id))
        return plain(of)

    maker = once_each(counted)
    surveys = [read(f"n{number}", bmc="new" if number % 3 == 0 else "old") for number in range(12)]
    assert [maker(each) for each in surveys] == [plain(each) for each in surveys]
    assert asked == ["n0", "n1"]


def test_a_refusal_is_repeated_with_its_reason() -> None:
    asked: list[str] = []

    def refuses(of: Survey) -> tuple[Recipe, Mapping[str, Target]]:
        asked.append(str(of.node.id))
        raise CannotPlan(Reason.NO_PATH, "no way")

    maker = once_each(refuses)
    for name in ("a", "b"):
        with pytest.raises(CannotPlan, match="no way") as refusal:
            maker(read(name))
        assert refusal.value.reason is Reason.NO_PATH
    assert asked == ["a"]
