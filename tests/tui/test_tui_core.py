"""What the cockpit draws, where, and what it offers: the pure part."""

from pathlib import Path

import pytest
from cli.rollout_builder import NODE_S, START, Story, begins, confirms, make_plan, mixed, opening
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from fleet import events as ev
from fleet.journal import Verb
from fleet.overview import Process
from fleet.state import NodeStatus, RolloutStatus
from tui import node_text, paint
from tui.control import ANSWERS, Ask, Proposal, answered, offers, propose
from tui.follower import Follower
from tui.hall import Hall, Rack, hall_of
from tui.history import Sieve
from tui.palette import MARKS, ROLLOUT_COLOURS
from tui.placing import place
from tui.snapshot import Mode, Snapshot
from tui.timeline import Motion, Timeline


def follower(story: Story, mode: Mode = Mode.LIVE) -> Follower:
    found = Follower(story.state.rollout, mode=mode)
    found.learn(story.recorded)
    found.move(len(story.recorded))
    return found


def seen(story: Story, process: Process = Process.RUNS, mode: Mode = Mode.LIVE) -> Snapshot:
    return follower(story, mode).snapshot(story.at, process)


def proposal(ask: Ask, story: Story, process: Process = Process.RUNS) -> Proposal:
    found = follower(story)
    return propose(ask, found.brief(found.snapshot(story.at, process)), Path("/j/journal.db"))


def running() -> Story:
    story = Story(opening(make_plan(approve=(1,))))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    return story


def test_every_state_has_a_mark_of_its_own_one_cell_wide() -> None:
    assert set(MARKS) == set(NodeStatus)
    assert set(ROLLOUT_COLOURS) == set(RolloutStatus)
    assert len({mark.glyph for mark in MARKS.values()}) == len(MARKS)
    assert {cell_len(mark.glyph) for mark in MARKS.values()} == {1}
    assert len({paint.DONE, paint.FAILED, paint.OUT, paint.EMPTY}) == 4


racks = st.lists(st.integers(1, 20), min_size=1, max_size=30)


@given(racks, st.integers(1, 160), st.integers(1, 50))
def test_every_node_has_a_cell_of_its_own(sizes: list[int], width: int, height: int) -> None:
    hall = hall_of({"nodes": {f"n{r}-{n}": {"rack": f"r{r}"} for r, size in enumerate(sizes) for n in range(size)}})
    placing = place(hall, width, height)
    assert len(set(placing.spots)) == len(hall.nodes)
    assert [placing.at(x, y) for x, y in placing.spots] == list(range(len(hall.nodes)))
    for number in range(len(hall.nodes)):
        assert 0 <= placing.step(number, 1) < len(hall.nodes)


def test_racks_and_nodes_stand_in_the_order_of_their_numbers() -> None:
    hall = hall_of({"nodes": {"n10": {"rack": "r2"}, "n9": {"rack": "r2"}, "n1": {"rack": "r10"}}})
    assert hall.racks == (Rack(name="r2", first=0, nodes=("n9", "n10")), Rack(name="r10", first=2, nodes=("n1",)))
    assert hall.position("n1") == 2
    assert hall.position("nobody") is None


def test_an_empty_hall_is_placed() -> None:
    assert place(Hall(), 80, 24).height == 0


def test_a_small_hall_is_drawn_roomy_and_a_large_one_dense() -> None:
    def hall(count: int) -> Hall:
        return hall_of({"nodes": {f"n{n:04}": {"rack": f"r{n // 16:03}"} for n in range(count)}})

    assert place(hall(64), 120, 12).node_cells == 3
    assert place(hall(256), 80, 12).node_cells == 2
    assert place(hall(512), 80, 12).node_cells == 1
    assert place(hall(1024), 80, 17).label_cells == 0
    assert place(hall(1024), 80, 12).label_cells > 0, "it scrolls anyhow: then racks are named"


def test_going_back_in_time_shows_what_was_shown_then() -> None:
    story = Story(opening(make_plan(250, waves=(1, 250), cap=250)))
    story.tell(ev.WaveOpened(wave=0, nodes=1))
    for number in range(1, 251):
        story.after(1).tell(*confirms(f"gpu{number:04}", int(number > 1)))
    again = follower(story, Mode.REPLAY)
    for upto in (len(story.recorded) - 1, 2_100, 1_999, 700, 2, 0):
        fresh = Follower(story.state.rollout, mode=Mode.REPLAY)
        fresh.learn(story.recorded)
        fresh.move(upto)
        again.move(upto)
        one, other = again.snapshot(START, Process.NONE), fresh.snapshot(START, Process.NONE)
        assert (one.statuses, one.steps, one.counts, one.waves, one.recent, one.status, one.left_s) == (
            other.statuses,
            other.steps,
            other.counts,
            other.waves,
            other.recent,
            other.status,
            other.left_s,
        )


def test_the_time_line_plays_holds_seeks_and_ends() -> None:
    line = Timeline.over(100.0, 1_100.0, 10.0)
    line.advance(5)
    assert (line.at, line.part) == (150.0, 0.05)
    line.toggle()
    line.advance(5)
    assert line.at == 150.0
    line.jump(1)
    assert line.at == 170.0
    line.jump(-100)
    assert line.at == 100.0
    line.faster()
    assert line.speed == 30.0
    line.slower()
    line.slower()
    assert line.speed == 1.0
    line.slower()
    assert line.speed == 1.0
    line.toggle()
    line.advance(5_000)
    assert (line.at, line.motion) == (1_100.0, Motion.HELD)
    line.toggle()
    assert (line.at, line.motion) == (100.0, Motion.PLAYING)


def test_a_moment_has_a_part_even_if_nothing_lasted() -> None:
    assert Timeline.over(5.0, 5.0).part == 1.0


def test_sieves_let_through_what_they_say() -> None:
    story = running()
    story.tell(ev.SessionOpening(node="gpu0001", context="c"), ev.NodeUncertain(node="gpu0001", effect="e", why="w"))
    history, upto = follower(story).history, len(story.recorded)
    assert history.count(Sieve.ALL, upto) == upto
    assert history.count(Sieve.ACTIONS, upto) == upto - 1
    assert [item.event.kind for item in history.slice(Sieve.NOTABLE, 0, 9)] == ["wave.opened", "node.uncertain"]
    assert history.count(Sieve.NOTABLE, upto - 1) == 1
    assert [item.event.kind for item in history.of("gpu0001", upto)][-1] == "node.uncertain"


@pytest.mark.parametrize(
    ("story", "process", "wanted"),
    [
        (running, Process.RUNS, {Ask.PAUSE, Ask.ABORT}),
        (running, Process.NONE, {Ask.RESUME, Ask.ABORT}),
        (mixed, Process.RUNS, {Ask.RESUME, Ask.ABORT}),
        (lambda: Story(opening(make_plan())[:1]), Process.RUNS, set()),
    ],
)
def test_only_what_makes_sense_is_offered(story: object, process: Process, wanted: set[Ask]) -> None:
    assert callable(story)
    assert offers(seen(story(), process)) == wanted
    assert offers(seen(story(), process, Mode.REPLAY)) == frozenset()


def test_what_an_approval_and_an_end_offer() -> None:
    story = running()
    story.tell(ev.ApprovalNeeded(wave=1))
    assert offers(seen(story)) == {Ask.APPROVE, Ask.ABORT, Ask.PAUSE}
    story.tell(ev.RolloutAborting(by="x"))
    assert offers(seen(story)) == frozenset()
    assert offers(seen(story, Process.NONE)) == {Ask.RESUME}
    story.tell(ev.RolloutEnded(outcome="aborted"))
    assert offers(seen(story)) == {Ask.ROLLBACK}


def test_a_pause_says_who_stops_and_what_is_handed_over() -> None:
    found = proposal(Ask.PAUSE, running())
    assert (found.verb, found.command) == (Verb.PAUSE, "")
    said = " ".join(found.will)
    assert "1 node in flight: each goes on to its next safe point" in said
    assert "7 nodes not started" in said
    assert "bmc 24.01.05 is handed over and not activated on 1 node: gpu0001" in said


def test_a_resume_after_a_halt_says_which_failures_it_accepts() -> None:
    said = " ".join(proposal(Ask.RESUME, mixed()).will)
    assert "It halted itself (budget): 2 nodes failed" in said
    assert "This accepts 2 failures" in said


@pytest.mark.parametrize(("ask", "tail"), [(Ask.RESUME, ""), (Ask.ABORT, " --yes")])
def test_where_no_process_runs_the_command_is_shown_and_nothing_asked(ask: Ask, tail: str) -> None:
    found = proposal(ask, mixed(), Process.NONE)
    assert found.verb is None
    assert found.command == f"fleet {ask} hgx-2026.10-20260921-141320 --journal /j/journal.db{tail}"


def test_a_rollback_is_a_command() -> None:
    story = running()
    story.tell(ev.RolloutEnded(outcome="completed"))
    found = proposal(Ask.ROLLBACK, story)
    assert found.verb is None
    assert found.command.startswith("fleet rollback ")


def test_what_has_become_impossible_is_said() -> None:
    story = running()
    story.tell(ev.RolloutEnded(outcome="aborted"))
    found = proposal(Ask.PAUSE, story)
    assert (found.verb, found.command) == (None, "")
    assert "It is aborted by now" in found.will[0]


@pytest.mark.parametrize("verb", Verb)
def test_the_answer_to_a_request_is_found_and_nothing_before_it(verb: Verb) -> None:
    story = running()
    before = len(story.recorded)
    assert answered(verb, seen(story), before) is None
    if verb is Verb.APPROVE:
        story.tell(ev.WaveApproved(wave=1, by="ann"))
    elif verb is Verb.RESUME:
        story.tell(ev.RolloutContinued(by="ann", accepted_failures=0))
    else:
        story.tell(ANSWERS[verb](by="ann"))  # type: ignore[call-arg]  # both have exactly this field
    assert isinstance(answered(verb, seen(story), before), ANSWERS[verb])
    assert answered(verb, seen(story), before + 1) is None


def test_one_failure_in_a_thousand_is_seen_in_a_bar() -> None:
    parts = (
        (paint.FAILED, MARKS[NodeStatus.QUARANTINED].style, 1),
        (paint.DONE, MARKS[NodeStatus.CONFIRMED].style, 999),
    )
    text = paint.bar(20, parts, 1_000).plain
    assert (text.count(paint.FAILED), text.count(paint.DONE), len(text)) == (1, 19, 20)


def test_hostile_words_are_shown_as_one_harmless_line() -> None:
    story = running()
    story.tell(ev.NodeQuarantined(node="gpu0001", reason="update-failed", message="[bold]x\x1b[2J\ny"))
    line = paint.event_line(story.recorded[-1], 200).plain
    assert "\x1b" not in line
    assert "\n" not in line
    assert "[bold]x" in line


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_panel_writes_beyond_its_room(width: int) -> None:
    shown = seen(mixed())
    for painter in (paint.head, paint.waves, paint.limits, paint.doing, paint.trouble, paint.recent):
        assert max(len(line) for line in painter(shown, width, 8).plain.splitlines()) <= max(width, 24), painter


def test_a_nodes_steps_versions_and_advice() -> None:
    story = mixed()
    view = follower(story).node("gpu0002")
    assert view is not None
    assert [(step.key, step.mark) for step in view.steps] == [
        ("1 firmware.update bmc", "deferred"),
        ("2 firmware.activate 1", "never"),
    ]
    assert "handed over 0 s" in node_text.steps(view).plain
    assert "QUARANTINED" in node_text.title(view).plain
    assert "Read its firmware inventory first" in node_text.summary(view).plain
    assert "goes on" not in node_text.trail(view).plain
    assert [row[1].plain for row in node_text.version_rows(view)] == ["23.09.20"]


def test_a_running_step_and_one_that_was_left() -> None:
    story = Story(opening(make_plan()))
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001")[:3])
    found = follower(story.after(NODE_S)).node("gpu0001")
    assert found is not None
    assert [step.mark for step in found.steps] == ["runs", "waits"]
    story.tell(ev.NodeQuarantined(node="gpu0001", reason="update-failed", message="m"))
    found = follower(story).node("gpu0001")
    assert found is not None
    assert [(step.mark, step.took_s) for step in found.steps] == [("stopped", NODE_S), ("never", None)]
    assert follower(story).node("nobody") is None
