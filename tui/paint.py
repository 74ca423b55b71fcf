"""Snapshots as text: every panel but the map. Pure: a snapshot and the room in, styled lines out.

Nothing that hardware said is read as markup: words come from fleet.words, which also makes them harmless.
"""

from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from fleet import events as ev
from fleet.condense import condense
from fleet.events import Recorded
from fleet.overview import Process
from fleet.state import NodeStatus, RolloutStatus
from fleet.tally import WaveTally
from fleet.words import duration, plural, tell, time_of_day
from tui.palette import FAINT, GREY, INK, MARKS, MINT, ORANGE, ROLLOUT_COLOURS, SKY, VERMILLION
from tui.snapshot import Mode, Snapshot

DONE, FAILED, OUT, EMPTY = "━", "\N{MULTIPLICATION SIGN}", "╍", "─"
"""Cells of a bar; no two differ by colour alone."""
_QUIET = Style(color=GREY)
_EMPTY = Style(color=FAINT)
_BAD = Style(color=VERMILLION)
_FAILED = Style(color=VERMILLION, bold=True)
_SHORTEST_BAR = 4
_LONGEST_STEP = 26
"""Characters of a step beside its bar."""

EVENT_STYLES: dict[type[ev.Event], Style] = {
    ev.NodeQuarantined: _BAD,
    ev.RolloutHalted: _BAD,
    ev.RolloutAborting: _BAD,
    ev.NodeRollingBack: Style(color=ORANGE),
    ev.NodeRolledBack: Style(color=ORANGE),
    ev.NodeUncertain: Style(color="#F0E442"),
    ev.RolloutPaused: Style(color="#F0E442"),
    ev.ApprovalNeeded: Style(color="#F0E442"),
    ev.WaveOpened: Style(color=SKY),
    ev.NodeConfirmed: Style(color=MINT),
    ev.RolloutEnded: Style(color=MINT),
    ev.StepProgress: _QUIET,
    ev.SessionOpening: _QUIET,
    ev.SessionOpened: _QUIET,
    ev.SessionClosed: _QUIET,
}
"""Colour of an event's words; others have none."""


def head(seen: Snapshot, width: int, _height: int = 1) -> Text:
    """Two lines: which rollout, where it is, and the time; how long it took, and how long it will take."""
    first = Text(no_wrap=True)
    first.append(f" {seen.status.value.upper()} ", Style(color=INK, bgcolor=ROLLOUT_COLOURS[seen.status], bold=True))
    first.append(f" {seen.rollout}", "bold").append(f"  {seen.playbook}", _QUIET)
    second = Text(" " + "   ".join(_standing(seen)), _BAD if seen.trouble else _QUIET, no_wrap=True)
    return Text("\n").join((_sides(first, _clock(seen), width), _sides(second, _owner(seen), width)))


def _clock(seen: Snapshot) -> Text:
    text = Text()
    if seen.mode is Mode.REPLAY:
        text.append(" REPLAY ", Style(color=INK, bgcolor=GREY, bold=True))
    return text.append(f" {time_of_day(seen.now)} " if seen.now else "", "bold")


def _owner(seen: Snapshot) -> Text:
    if seen.mode is Mode.REPLAY or seen.ended:
        return Text("")
    if seen.process is Process.NONE:
        return Text("no process runs it", Style(color=ORANGE, bold=True))
    return Text(f"run by {seen.owner}" if seen.owner and seen.process is Process.RUNS else "", _QUIET)


def _standing(seen: Snapshot) -> list[str]:
    if seen.trouble:
        return [seen.trouble]
    said = []
    if seen.message and seen.status is not RolloutStatus.RUNNING:
        said.append(seen.message)
    if seen.started_at is not None:
        so_far = (seen.ended_at if seen.ended_at is not None else seen.now) - seen.started_at
        said.append(f"{'took' if seen.ended_at is not None else 'running for'} {both(so_far, seen.speed)}")
    if seen.left_s is not None:
        said.append(f"about {both(seen.left_s, seen.speed)} left")
    if not seen.waves:
        said.append("there is no plan yet: nodes are being read" if not seen.ended else "there was no plan")
    return said


def both(seconds: float, speed: float) -> str:
    """Field time, and the operator's where that differs."""
    return duration(seconds) + (f" ({duration(seconds / speed)} here)" if speed > 1 else "")


def _sides(left: Text, right: Text, width: int) -> Text:
    """Left and right on one line; what does not fit is cut from the left one."""
    room = max(0, width - right.cell_len - 1)
    left.truncate(room, overflow="ellipsis", pad=True)
    line = Text(no_wrap=True).append_text(left)
    return line.append(" ").append_text(right)


def bar(cells: int, parts: Sequence[tuple[str, Style, int]], whole: int) -> Text:
    """Parts of a whole as cells; a part above zero gets at least one: one node in a thousand must be seen."""
    text, left = Text(), cells
    for glyph, style, amount in parts:
        wanted = amount * cells // max(1, whole)
        drawn = min(left, max(1 if amount else 0, wanted))
        text.append(glyph * drawn, style)
        left -= drawn
    return text.append(EMPTY * left, _EMPTY)


def waves(seen: Snapshot, width: int, height: int) -> Text:
    """A line a wave, around the open one."""
    if not seen.waves:
        return Text("no plan yet", _QUIET)
    first = min(max(0, seen.wave - height // 2), max(0, len(seen.waves) - height))
    shown = list(enumerate(seen.waves))[first : first + max(1, height)]
    digits = max(len(f"{wave.done}/{wave.size}") for _, wave in shown)
    return Text("\n").join(_wave(seen, index, wave, width, digits) for index, wave in shown)


def _wave(seen: Snapshot, index: int, wave: WaveTally, width: int, digits: int) -> Text:
    is_open = index == seen.wave and not seen.ended
    name = f"{index + 1:>2} canary " if index == 0 and len(seen.waves) > 1 else f"{index + 1:>2}        "
    line = Text(no_wrap=True).append(name, Style(bold=is_open, color=None if index <= seen.wave else GREY))
    out = min(seen.in_flight, wave.size - wave.done) if is_open else 0
    ended_badly = min(wave.failed, wave.done)
    parts = (
        (FAILED, _FAILED, wave.failed),
        (DONE, MARKS[NodeStatus.CONFIRMED].style, wave.done - ended_badly),
        (OUT, MARKS[NodeStatus.RUNNING].style, out),
    )
    line.append_text(bar(max(_SHORTEST_BAR, width - len(name) - digits - 1), parts, wave.size))
    return line.append(f" {f'{wave.done}/{wave.size}':>{digits}}", "" if index <= seen.wave else _QUIET)


def limits(seen: Snapshot, width: int, _height: int = 1) -> Text:
    """What bounds the rollout: nodes at once, and failures."""
    over = seen.failures > seen.budget
    worn = Style(color=VERMILLION if over else ORANGE, bold=True)
    accepted = f" +{seen.accepted}" if seen.accepted else ""
    rows = (
        ("in flight", seen.in_flight, seen.cap, OUT, MARKS[NodeStatus.RUNNING].style, ""),
        ("failures", seen.failures, seen.budget, FAILED, worn, accepted),
    )
    digits = max(len(f"{amount}/{cap}{note}") for _, amount, cap, _, _, note in rows)
    lines = []
    for name, amount, cap, glyph, style, note in rows:
        line = Text(f"{name:<10}", no_wrap=True)
        line.append_text(bar(max(_SHORTEST_BAR, width - 11 - digits), ((glyph, style, amount),), max(cap, amount)))
        lines.append(line.append(f" {f'{amount}/{cap}{note}':>{digits}}", style if over and name == "failures" else ""))
    return Text("\n").join(lines)


def doing(seen: Snapshot, width: int, height: int) -> Text:
    """In which steps the nodes in flight are."""
    if not seen.doing:
        return Text("no node is in flight", _QUIET)
    named = sorted((step or "before the first step", count) for step, count in seen.doing[:height])
    longest = min(max(len(step) for step, _ in named), _LONGEST_STEP, max(1, width - _SHORTEST_BAR - 7))
    lines = []
    for step, count in named:
        line = Text(step, no_wrap=True)
        line.truncate(longest, overflow="ellipsis", pad=True)
        parts = ((OUT, MARKS[NodeStatus.RUNNING].style, count),)
        line.append(" ").append_text(bar(max(_SHORTEST_BAR, width - longest - 7), parts, seen.in_flight))
        lines.append(line.append(f" {count:>5}"))
    return Text("\n").join(lines)


def trouble(seen: Snapshot, width: int, height: int) -> Text:
    """Nodes that did not get there, by reason."""
    if not seen.trouble_groups:
        return Text("no node failed" if seen.waves else "", _QUIET)
    lines = []
    for group in seen.trouble_groups[: max(1, height)]:
        mark = MARKS[group.status]
        line = Text(no_wrap=True).append(mark.glyph, mark.style).append(f" {len(group.nodes)} ", "bold")
        line.append(f"{group.reason}  ").append(condense(group.nodes), _QUIET)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return Text("\n").join(lines)


def census(seen: Snapshot, width: int, _height: int = 1) -> Text:
    """The legend, with the number of nodes in each state."""
    total = max(1, len(seen.hall.nodes))
    lines = []
    for status, mark in MARKS.items():
        count = seen.counts[status]
        line = Text(no_wrap=True).append(mark.glyph, mark.style).append(f" {mark.word:<13}", "" if count else _EMPTY)
        line.append(f"{count:>6} ", "bold" if count else _EMPTY)
        line.append_text(bar(max(0, width - 22), ((DONE, _bar_style(status), count),), total) if count else Text(""))
        lines.append(line)
    return Text("\n").join(lines)


def _bar_style(status: NodeStatus) -> Style:
    style = MARKS[status].style
    return Style(color=style.bgcolor or style.color)


def legend(seen: Snapshot, width: int, _height: int = 1) -> Text:
    """The same in one line: states that occur, the words left out if they do not fit."""
    shown = [status for status in MARKS if seen.counts[status]]
    for worded in ("words", ""):
        line = Text(" ", no_wrap=True)
        for status in shown:
            mark = MARKS[status]
            line.append(mark.glyph, mark.style).append(f" {seen.counts[status]}", "bold")
            line.append(f" {mark.word}   " if worded else "   ", _QUIET)
        line.rstrip()
        if line.cell_len <= width:
            break
    return line


def recent(seen: Snapshot, width: int, height: int) -> Text:
    """Notable events, the newest last."""
    shown = seen.recent[-height:] if height > 0 else ()
    if not shown:
        return Text("nothing notable yet", _QUIET)
    return Text("\n").join(event_line(item, width) for item in shown)


def event_line(item: Recorded, width: int) -> Text:
    """Time, node, sentence."""
    line = Text(no_wrap=True).append(f"{time_of_day(item.at)} ", _QUIET)
    if isinstance(item.event, ev.NodeEvent):
        line.append(f"{item.event.node} ", "bold")
    line.append(tell(item.event), EVENT_STYLES.get(type(item.event), ""))
    line.truncate(width, overflow="ellipsis")
    return line


def time_line(seen: Snapshot, width: int, _height: int = 1) -> Text:
    """A replay's position; nodes that failed stand as marks on it."""
    playing = seen.playing
    if playing is None:
        return Text("")
    state = "▸" if playing.motion == "playing" else "‖"
    left = f" {state} {playing.speed:>6,.0f}x  {time_of_day(playing.start)} "
    right = f" {time_of_day(playing.end)} "
    cells = max(_SHORTEST_BAR, width - len(left) - len(right))
    here = min(cells - 1, int(playing.part * cells))
    marked = {min(cells - 1, int(mark * cells)) for mark in playing.marks}
    line = Text(left, no_wrap=True)
    for cell in range(cells):
        passed = Style(color=SKY) if cell < here else _EMPTY
        if cell == here:
            line.append("●", Style(color=SKY, bold=True))
        elif cell in marked:
            line.append(FAILED, _FAILED if cell < here else _QUIET)
        else:
            line.append(DONE if cell < here else EMPTY, passed)
    return line.append(right)


def node_words(seen: Snapshot, number: int) -> str:
    """The node under the map's cursor in one line."""
    status = seen.statuses[number]
    step = seen.steps[number]
    said = [seen.hall.nodes[number], f"rack {seen.hall.rack_of[number]}", MARKS[status].word]
    return "  ".join([*said, *([step] if step and status is not NodeStatus.PENDING else [])])


def hall_title(seen: Snapshot) -> str:
    """What the map shows."""
    if not seen.hall.nodes:
        return "hall"
    return f"{plural(len(seen.hall.nodes), 'node')} in {plural(len(seen.hall.racks), 'rack')}"
