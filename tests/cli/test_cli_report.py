"""What the report says, from events alone."""

import json
from pathlib import Path

from rollout_builder import (
    ACTIVATE,
    NODE_S,
    ROLLOUT,
    START,
    SUBMIT,
    Story,
    Watch,
    activates,
    begins,
    confirms,
    make_plan,
    mixed,
    opening,
    quarantines,
)

from fleet import events as ev
from fleet.journal import SqliteJournal
from fleet.report import make_report
from fleet.state import NodeStatus, replay


def test_totals_waves_and_groups_of_a_halted_rollout() -> None:
    story = mixed()
    report = make_report(story.state, story.recorded)
    assert {status: count for status, count in report.totals.items() if count} == {
        "pending": 4, "uncertain": 1, "confirmed": 1, "quarantined": 2,
    }  # fmt: skip
    (group,) = report.groups
    assert (group.status, group.reason, group.nodes) == (
        NodeStatus.QUARANTINED, "update-failed", ("gpu0002", "gpu0003"),
    )  # fmt: skip
    assert group.example == "bmc: device refused"
    assert [(wave.size, wave.done, wave.failed, wave.duration_s) for wave in report.waves] == [
        (1, 1, 0, NODE_S), (3, 2, 2, None), (4, 0, 0, None),
    ]  # fmt: skip
    assert (report.failures, report.failure_budget, report.status) == (2, 1, "halted")


def test_plan_against_actual() -> None:
    story = mixed()
    pace = make_report(story.state, story.recorded).pace
    assert pace.predicted_s == make_plan().expected_s()
    assert pace.actual_s == NODE_S + 300
    assert (pace.node_predicted_s, pace.node_mean_s, pace.node_p95_s) == (NODE_S, NODE_S, NODE_S)
    assert (pace.in_flight_peak, pace.in_flight_cap) == (2, 2)


def test_time_in_which_the_rollout_was_held_is_told_apart() -> None:
    story = mixed()
    story.after(1_000).tell(ev.RolloutContinued(by="ann", accepted_failures=2))
    story.after(50).tell(ev.RolloutPaused(by="ann"))
    story.after(7).tell()
    story.tell(ev.RolloutClaimed(owner="ops2:1", epoch=2))
    report = make_report(story.state, story.recorded)
    assert report.pace.held_s == 1_007
    assert report.survived.processes == 2


def test_flashes_count_what_was_handed_over_and_nothing_else() -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001")[:3])
    assert make_report(story.state, story.recorded).flashes == {}
    story.tell(begins("gpu0001")[3], *confirms("gpu0002"))
    assert make_report(story.state, story.recorded).flashes == {"bmc": 2}


def test_uncertain_effects_are_settled_one_way_or_the_other() -> None:
    story = Story(opening(make_plan()))
    unsure = [ev.NodeUncertain(node=node, effect=SUBMIT, why="x") for node in ("gpu0001", "gpu0002", "gpu0003")]
    for node in ("gpu0001", "gpu0002", "gpu0003"):
        story.tell(*begins(node)[:3])
    story.tell(*unsure, unsure[0])
    story.tell(begins("gpu0001")[3], ev.EffectAbsent(node="gpu0002", effect=SUBMIT, why="no task"))
    story.tell(begins("gpu0002")[2], begins("gpu0002")[3])
    survived = make_report(story.state, story.recorded).survived
    assert (survived.uncertain, survived.found_done, survived.found_absent, survived.open) == (3, 1, 1, 1)
    assert (survived.retried, survived.power_retried) == (1, 0)


def test_an_ignored_power_action_counts_as_tried_again() -> None:
    story = Story(opening(make_plan()))
    reset = activates("gpu0001")
    story.tell(*begins("gpu0001"), *reset[:2])
    story.tell(ev.EffectAbsent(node="gpu0001", effect=f"{ACTIVATE}/bmc-reset", why="did not restart"), *reset[1:])
    survived = make_report(story.state, story.recorded).survived
    assert (survived.retried, survived.power_retried, survived.uncertain) == (1, 1, 0)


def test_what_stands_flashed_is_told_by_stage() -> None:
    story = Story(opening(make_plan()))
    story.tell(*confirms("gpu0001"), *begins("gpu0002"), ev.NodeParked(node="gpu0002", why="the rollout halted"))
    story.tell(*begins("gpu0003"), *activates("gpu0003")[:3])
    story.tell(ev.NodeQuarantined(node="gpu0003", reason="version-mismatch", message="shows 23"))
    found = make_report(story.state, story.recorded).standing
    assert [(item.component, item.version, item.stage, item.nodes) for item in found] == [
        ("bmc", "24.01.05", "not activated", ("gpu0002",)),
        ("bmc", "24.01.05", "not verified", ("gpu0003",)),
    ]


def test_the_document_is_json_and_condenses_names() -> None:
    story = mixed()
    document = json.loads(json.dumps(make_report(story.state, story.recorded).to_json()))
    assert document["rollout"] == ROLLOUT
    assert document["groups"][0]["nodes_condensed"] == "gpu[0002-0003]"
    assert document["started_at"] == START


def test_a_rollout_without_a_plan_has_a_report() -> None:
    story = Story(opening(make_plan())[:1])
    report = make_report(story.state, story.recorded)
    assert (report.status, report.waves, report.pace.actual_s) == ("surveying", (), None)


def test_messages_of_hardware_cannot_steer_a_terminal() -> None:
    story = Story(opening(make_plan()))
    story.tell(*quarantines("gpu0001", message="\x1b[2Jgone\n" + "x" * 5_000))
    (group,) = make_report(story.state, story.recorded).groups
    assert group.example.isprintable()
    assert len(group.example) < 500


def test_the_journal_gives_the_same_report(tmp_path: Path) -> None:
    story = mixed()
    path = tmp_path / "journal.db"
    story.write(path)
    journal = SqliteJournal(path, Watch())
    recorded = list(journal.read(ROLLOUT))
    assert make_report(replay(ROLLOUT, recorded), recorded) == make_report(story.state, story.recorded)


def test_a_failed_flash_is_not_staged() -> None:
    story = Story(opening(make_plan()))
    story.tell(*quarantines("gpu0001"))
    (found,) = make_report(story.state, story.recorded).standing
    assert (found.stage, found.nodes) == ("not staged", ("gpu0001",))


def test_one_absence_explains_one_new_attempt() -> None:
    story = Story(opening(make_plan()))
    intent = begins("gpu0001")[2]
    story.tell(intent, ev.EffectAbsent(node="gpu0001", effect=SUBMIT, why="no task"), intent, intent)
    assert make_report(story.state, story.recorded).survived.retried == 1
