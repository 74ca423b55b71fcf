"""An image is handed over, the process dies before the answer, and the BMC forgets the task (or never got the image)."""

from dataclasses import replace
from typing import Any

import pytest

from fleet import events as ev
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.sim.faults import read_faults
from fleet.vendors import load_profiles
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, RackId
from simulation.checks import violations
from simulation.drawing import Death, Drawing, When
from simulation.goods import DELL, DGX, OLD, PARTS, SMC, Wanted
from simulation.history import History, play

PROFILES = {DGX: "dgx-h100", SMC: "supermicro-hgx", DELL: "dell-idrac9"}
FORGETS = {"name": "forgets", "effect": "task-vanishes", "at_percent": 1}
LONG_S = 3000.0
"""Longer than any flash."""


def drawn(model: str, keys: tuple[str, ...], rules: tuple[dict[str, Any], ...], on_failure: OnFailure) -> Drawing:
    """One node as it left the factory, and nothing else that could go wrong."""
    node = Node(
        id=NodeId("n1"),
        model=model,
        rack=RackId("r1"),
        slot=1,
        feeds=(FeedId("A"),),
        bmc=Bmc(address="10.9.0.1", port=443, credential=CredentialId("operators")),
    )
    spec = RolloutSpec(waves=(1,), max_in_flight=1, rack=None, failure_budget=1, on_failure=on_failure, bake_s=0)
    return Drawing(
        seed=1,
        nodes=(node,),
        versions={"n1": {PARTS[model][key].item: PARTS[model][key].versions[OLD] for key in keys}},
        wanted=Wanted(keys=keys, stones=(), previous=on_failure is OnFailure.ROLL_BACK_NODE, ac=False),
        spec=spec,
        patient=False,
        faults=read_faults({"faults": "test", "rules": list(rules)}, "test"),
        faults_plain=rules,
        deaths=(),
    )


def lived(model: str, key: str, when: When, *rules: dict[str, Any], away_s: float = LONG_S) -> History:
    """One image; its first process dies there, the next one comes `away_s` later."""
    drawing = drawn(model, (key,), rules, OnFailure.QUARANTINE)
    history = play(replace(drawing, deaths=(Death(when, 1),), away_s=(away_s,)))
    assert not violations(history)
    assert history.deaths == 1
    return history


def submissions(history: History) -> int:
    """Images that reached the machine."""
    return sum(done.what == "submit" for done in history.witness.done)


def end(history: History) -> tuple[str, str]:
    """Status and reason of the node."""
    node = history.state.nodes["n1"]
    return node.status.value, node.reason


@pytest.mark.parametrize(("model", "key"), [(DGX, "bmc"), (DGX, "bios"), (SMC, "bios"), (DELL, "bios")])
def test_an_image_that_the_log_tells_of_is_not_handed_over_again(model: str, key: str) -> None:
    history = lived(model, key, When.IMAGE_SERVED, FORGETS)
    assert (end(history)[0], submissions(history)) == ("confirmed", 1)


@pytest.mark.parametrize(
    "log",
    [
        {"name": "log", "effect": "log-cleared"},
        {"name": "log", "effect": "http", "path": "*/LogServices/*", "status": 500, "times": "always"},
        {
            "name": "log",
            "effect": "http",
            "path": "*/LogServices/*",
            "status": 404,
            "times": "always",
            "when": "staged",
        },
        {
            "name": "log",
            "effect": "http",
            "path": "*/Entries",
            "times": "always",
            "when": "staged",
            "body": {"Members": []},
        },
        {
            "name": "log",
            "effect": "http",
            "path": "*/Entries",
            "times": "always",
            "when": "staged",
            "body": {"Members": [{"Id": "1"}]},
        },
    ],
    ids=["cleared", "never-read", "gone", "empty", "mute"],
)
def test_a_log_that_proves_nothing_holds_the_node(log: dict[str, Any]) -> None:
    history = lived(DGX, "bios", When.IMAGE_SERVED, FORGETS, log)
    assert (end(history), submissions(history)) == (("quarantined", "outcome-unknown"), 1)


@pytest.mark.parametrize(("model", "key"), [(DGX, "bmc"), (DGX, "bios"), (SMC, "bios"), (DELL, "bmc"), (DELL, "bios")])
def test_an_image_that_never_came_is_handed_over_when_a_flash_would_be_over(model: str, key: str) -> None:
    history = lived(model, key, When.IMAGE_UNSENT, away_s=5.0)
    assert (end(history)[0], submissions(history)) == ("confirmed", 1)
    intents = [
        item.at
        for item in history.recorded
        if isinstance(item.event, ev.IntentRecorded) and item.event.effect.endswith("/submit")
    ]
    flash_s = load_profiles()[PROFILES[model]].components[key].flash_s
    assert len(intents) == 2
    assert intents[1] - intents[0] >= flash_s


def test_without_a_log_that_tells_a_person_looks() -> None:
    """Of a BMC's image Supermicro's log has nothing before the new firmware runs: whether it came cannot be known."""
    for when in (When.IMAGE_UNSENT, When.IMAGE_SERVED):
        fails = {"name": "fails", "effect": "update-fails", "times": "always"}
        history = lived(SMC, "bmc", when, FORGETS, fails, away_s=300.0)
        assert end(history) == ("quarantined", "outcome-unknown")
        assert submissions(history) == (when is When.IMAGE_SERVED)


@pytest.mark.parametrize("keys", [("bios", "bmc"), ("bmc", "bios")])
@pytest.mark.parametrize("model", [DGX, SMC, DELL])
def test_the_way_back_leaves_nothing_that_waits(model: str, keys: tuple[str, ...]) -> None:
    """The second component fails: what was handed over of the first is flashed over, and brought into force.

    An iDRAC writes a BIOS at the next host reset; until then the old version runs, whatever is scheduled.
    """
    fails = {
        "name": "fails",
        "effect": "update-fails",
        "times": "always",
        "select": {"component": PARTS[model][keys[1]].item},
    }
    history = play(drawn(model, keys, (fails,), OnFailure.ROLL_BACK_NODE))
    assert not violations(history)
    assert end(history)[0] == "rolled-back"
    assert history.truth["nodes"]["n1"]["scheduled"] == []
    activated = "back 3 firmware.activate back staged"
    assert history.state.nodes["n1"].steps[activated] == "done"


def test_no_death_leaves_an_announced_effect_without_its_result() -> None:
    """The process dies at each append in turn, from the first activation to the copy of the new image over the old slot."""
    drawing = drawn(DGX, ("bios",), (), OnFailure.QUARANTINE)
    doubted: set[str] = set()
    for number in range(14, 24):
        history = play(replace(drawing, deaths=(Death(When.APPEND_LOST, number),), away_s=(LONG_S,)))
        assert not violations(history)
        assert end(history)[0] == "confirmed"
        doubted |= {item.event.effect for item in history.recorded if isinstance(item.event, ev.NodeUncertain)}
    assert "3 firmware.commit bios/copy" in doubted
