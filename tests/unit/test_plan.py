"""Plans: stones first, refusals with reasons, a plan that survives the journal, an order that spreads."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rollout import OFFERS, baseline, book, component, node, plan_for, profile, stone, survey

from fleet.errors import Reason
from fleet.plan import CannotPlan, Plan
from fleet.planning import build, spread
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.policy.window import Window
from fleet.profile import Rollback, Trust
from inventory.baseline import Activation

BMC_ONLY = frozenset({Activation.BMC_RESET})
BOTH = baseline(component("bmc"), component("bios"))


def flashes(steps: object) -> list[str]:
    """Targets in the order in which a recipe flashes them, `!` for an activation."""
    return ["!" if step.name == "firmware.activate" else str(step.args["target"]) for step in steps]  # type: ignore[attr-defined]


def test_everything_is_flashed_and_then_activated_once() -> None:
    recipe, targets = book(BOTH)(survey(node("n"), {"bmc": "old", "bios": "old"}, profile("bmc", "bios")))
    assert flashes(recipe.steps) == ["bmc", "bios", "!"]
    assert recipe.activation == (Activation.BMC_RESET, Activation.DC_CYCLE)
    assert [(way.component, way.target) for way in recipe.ways_back] == [("bmc", "bmc~old"), ("bios", "bios~old")]
    assert set(targets) == {"bmc", "bios", "bmc~old", "bios~old"}


def test_stepping_stones_come_first_each_activated() -> None:
    stones = [stone("bmc", "v2", "v1"), stone("bmc", "v3", "v2")]
    of = baseline(component("bmc", stones=stones), component("bios"))
    recipe, _ = book(of)(survey(node("n"), {"bmc": "v1", "bios": "old"}, profile("bmc", "bios")))
    assert flashes(recipe.steps) == ["bmc@v2", "!", "bmc@v3", "!", "bmc", "bios", "!"]
    later, _ = book(of)(survey(node("n"), {"bmc": "v2", "bios": "old"}, profile("bmc", "bios")))
    assert flashes(later.steps) == ["bmc@v3", "!", "bmc", "bios", "!"]
    assert later.name != recipe.name


def test_only_mixes_that_were_tested_are_passed_through() -> None:
    of = baseline(component("bmc", stones=[stone("bmc", "v2", "old")]), component("bios"))
    seen = survey(node("n"), {"bmc": "old", "bios": "old"}, profile("bmc", "bios"))
    rows: tuple[dict[str, frozenset[str]], ...] = ({"bmc": frozenset({"v2"}), "bios": frozenset({"new"})},)
    recipe, _ = book(replace(of, compatibility=rows))(seen)
    assert flashes(recipe.steps) == ["bmc@v2", "bios", "!", "bmc", "!"]
    rows = ({"bmc": frozenset({"v9"}), "bios": frozenset({"old"})},)
    with pytest.raises(CannotPlan, match="nobody tested") as refusal:
        book(replace(of, compatibility=rows))(seen)
    assert refusal.value.reason is Reason.NO_PATH
    alone = replace(of, compatibility=({"bmc": frozenset({"v2", "new"}), "bios": frozenset({"old"})},))
    recipe, _ = book(alone, "bmc")(seen)
    assert flashes(recipe.steps) == ["bmc@v2", "!", "bmc", "!"]
    with pytest.raises(CannotPlan, match="bios other, bmc v2"):
        book(alone, "bmc")(survey(node("n"), {"bmc": "old", "bios": "other"}, profile("bmc", "bios")))


def test_stones_that_lead_in_a_circle_are_refused() -> None:
    of = baseline(component("bmc", stones=[stone("bmc", "v2", "v1"), stone("bmc", "v1", "v2")]))
    with pytest.raises(CannotPlan, match="circle") as refusal:
        book(of)(survey(node("n"), {"bmc": "v1"}, profile("bmc")))
    assert refusal.value.reason is Reason.NO_PATH


@pytest.mark.parametrize(
    ("versions", "of", "kind", "offers", "reason", "says"),
    [
        ({}, BOTH, profile("bmc", "bios"), OFFERS, Reason.COMPONENT_MISSING, "no inventory item"),
        ({"bmc": "old"}, BOTH, profile("bmc"), OFFERS, Reason.COMPONENT_MISSING, "has no component 'bios'"),
        ({"bmc": "old", "bios": "old"}, BOTH, profile("bmc", "bios"), BMC_ONLY, Reason.NO_ACTIVATION, "bios needs dc-cycle"),
        ({"bmc": "old"}, baseline(component("bmc", models=("X*",))), profile("bmc"), OFFERS, Reason.NO_PATH, "is for X"),
        ({"bmc": "old"}, baseline(component("bmc")), profile("bmc", trust=Trust.READ_ONLY), OFFERS, Reason.UNKNOWN_HARDWARE, "read-only"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_reason(  # noqa: PLR0917 (a table)
    versions: dict[str, str], of: object, kind: object, offers: object, reason: Reason, says: str
) -> None:
    with pytest.raises(CannotPlan, match=says) as refusal:
        book(of)(survey(node("n"), versions, kind, offers))  # type: ignore[arg-type]
    assert refusal.value.reason is reason


def test_a_way_back_is_claimed_only_where_there_is_one() -> None:
    seen = {"bmc": "old"}
    none, _ = book(baseline(component("bmc")))(survey(node("n"), seen, profile("bmc", rollback=Rollback.NONE)))
    assert none.ways_back[0].target == ""
    no_image, _ = book(baseline(component("bmc", previous=False)))(survey(node("n"), seen, profile("bmc")))
    assert "no previous" in no_image.ways_back[0].why
    other, _ = book(baseline(component("bmc")))(survey(node("n"), {"bmc": "older"}, profile("bmc")))
    assert other.ways_back[0].target == ""


def test_a_refused_node_is_in_the_plan_and_not_in_its_order() -> None:
    kind = profile("bmc", "bios")
    surveys = [survey(node("a"), {"bmc": "old"}, kind), survey(node("b"), {"bmc": "old", "bios": "old"}, kind)]
    plan = build(playbook="p", baseline=BOTH, spec=RolloutSpec(), surveys=surveys, recipe_for=book(BOTH))
    assert plan.order == ("b",)
    assert plan.nodes["a"].reason == Reason.COMPONENT_MISSING
    assert list(plan.refused) == ["a"]
    empty = build(playbook="p", baseline=BOTH, spec=RolloutSpec(bake_s=600), surveys=surveys[:1], recipe_for=book(BOTH))
    assert empty.order == ()
    assert empty.expected_s() == 0


def test_a_plan_survives_the_journal_and_its_digest_covers_it() -> None:
    window = Window(days=("sat", "sun"), start="22:00", length_s=3600, tz="Europe/Berlin")
    spec = RolloutSpec(feed=3, bake_s=60, approve=(2,), window=window, on_failure=OnFailure.ROLL_BACK_NODE)
    nodes = [node(f"n{number}", f"r{number % 3}", ("A", "B")) for number in range(7)]
    plan = plan_for(nodes, spec=spec)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.digest() == plan.digest()
    other = plan_for(nodes, spec=RolloutSpec(feed=4, bake_s=60, approve=(2,), window=window))
    assert other.digest() != plan.digest()


@given(st.lists(st.integers(0, 6), max_size=40))
def test_the_order_holds_every_node_once_and_neighbours_stand_in_different_racks(racks: list[int]) -> None:
    nodes = [node(f"n{number}", f"r{rack}") for number, rack in enumerate(racks)]
    order = spread(nodes)
    assert sorted(order) == sorted(str(item.id) for item in nodes)
    rack_of = {str(item.id): item.rack for item in nodes}
    sizes = Counter(rack_of.values())
    for index in range(0, len(order), max(1, len(sizes))):
        head = Counter(rack_of[name] for name in order[: index + len(sizes)])
        assert max(head.values()) - min(head[rack] if head[rack] < size else 10**6 for rack, size in sizes.items()) <= 1


def test_nodes_of_two_platforms_keep_their_own_targets() -> None:
    first, second = profile("bmc"), profile("bmc")
    part = second.components["bmc"]
    second = replace(second, name="other", components={"bmc": replace(part, items=("BMC_0",))})
    of = baseline(component("bmc"))
    surveys = [survey(node("a"), {"bmc": "old"}, first), survey(node("b"), {"BMC_0": "old"}, second)]
    plan = build(playbook="p", baseline=of, spec=RolloutSpec(), surveys=surveys, recipe_for=book(of))
    for name, seen in (("a", surveys[0]), ("b", surveys[1])):
        for target in flashes(plan.recipes[plan.nodes[name].recipe].steps):
            if target != "!":
                assert seen.observation is not None
                assert not plan.targets[target].diff(seen.observation.items).missing, name


def test_short_nodes_prove_the_images_and_long_ones_then_fill_the_slots() -> None:
    nodes = [node(f"n{number:02}", f"r{number % 8}") for number in range(32)]
    kind = profile("bmc", "bios")
    surveys = [
        survey(each, {"bmc": "old", "bios": "new" if index % 2 else "old"}, kind) for index, each in enumerate(nodes)
    ]
    plan = build(
        playbook="p",
        baseline=BOTH,
        spec=RolloutSpec(max_in_flight=4, risk=2),
        surveys=surveys,
        recipe_for=book(BOTH),
    )
    takes = [plan.recipes[plan.nodes[name].recipe].expected_s for name in plan.order]
    short, long = sorted(set(takes))
    # U is about 3/n: after 3 * 4 / 2 clean nodes the four slots are open.
    assert takes == [short] * 6 + [long] * 16 + [short] * 10
