"""One node as text: facts, steps, versions, what happened, what to do next. Pure."""

from itertools import groupby

from rich.style import Style
from rich.text import Text

from fleet.explain import Line
from fleet.state import NodeStatus
from fleet.words import clean, duration, time_of_day
from tui.node_steps import StepMark
from tui.palette import FAINT, GREY, MARKS, MINT, ORANGE, SKY, VERMILLION
from tui.snapshot import NodeView, StepView

STEP_MARKS: dict[str, tuple[str, Style]] = {
    StepMark.WAITS: ("·", Style(color=GREY)),
    StepMark.RUNS: ("◆", Style(color=SKY, bold=True)),
    StepMark.DEFERRED: ("□", Style(color=MINT)),
    StepMark.DONE: ("■", Style(color=MINT)),
    StepMark.MET: ("■", Style(color=GREY)),
    StepMark.STOPPED: ("X", Style(color=VERMILLION, bold=True)),
    StepMark.NEVER: ("·", Style(color=FAINT)),
}
_WORDS = {
    StepMark.WAITS: "waits",
    StepMark.RUNS: "runs",
    StepMark.DEFERRED: "handed over",
    StepMark.DONE: "verified",
    StepMark.MET: "nothing to do",
    StepMark.STOPPED: "stopped",
    StepMark.NEVER: "not reached",
}
_QUIET = Style(color=GREY)


def title(view: NodeView) -> Text:
    """State, name and place."""
    state = view.state
    mark = MARKS[state.status]
    badge = Style(color="#0E1116", bgcolor=(mark.style.bgcolor or mark.style.color), bold=True)
    text = Text(no_wrap=True).append(f" {mark.word.upper()} ", badge).append(f" {view.name}", "bold")
    wave = f"wave {state.wave + 1}" if state.wave >= 0 else "no wave"
    facts = [f"rack {view.rack}", f"feeds {'+'.join(view.feeds)}" if view.feeds else "", wave, view.model, view.serial]
    return text.append("  " + "  ".join(clean(fact) for fact in facts if fact), _QUIET)


def summary(view: NodeView) -> Text:
    """Why it is where it is, and what a person can do next."""
    lines = [Text(line.text, _tone(view)) for line in view.lines if line.topic == "status"]
    lines += [
        Text().append("! ", Style(color=ORANGE, bold=True)).append(line.text)
        for line in view.lines
        if line.topic in {"open", "standing"}
    ]
    following = [line.text for line in view.lines if line.topic == "next"]
    lines += [
        Text().append(f"{number}. ", Style(color=SKY, bold=True)).append(text)
        for number, text in enumerate(following, 1)
    ]
    return Text("\n").join(lines)


def _tone(view: NodeView) -> Style:
    colour = {NodeStatus.QUARANTINED: VERMILLION, NodeStatus.CONFIRMED: MINT, NodeStatus.ROLLED_BACK: ORANGE}
    return Style(color=colour.get(view.state.status))


def steps(view: NodeView) -> Text:
    """A line a step."""
    if not view.steps:
        return Text("it was refused: nothing is done to it", _QUIET)
    return Text("\n").join(_step(step) for step in view.steps)


def _step(step: StepView) -> Text:
    glyph, style = STEP_MARKS[step.mark]
    word = _WORDS[StepMark(step.mark)]
    took = f" {duration(step.took_s)}" if step.took_s is not None else ""
    line = Text().append(f"{glyph} ", style).append(step.key)
    return line.append(f"  {word}{took}", _QUIET)


def version_rows(view: NodeView) -> list[tuple[Text, Text, Text]]:
    """Item, before, after; what changed is coloured."""
    return [(Text(clean(item)), Text(clean(old) or "-"), _after(old, new)) for item, old, new in _grouped(view)]


def _after(old: str, new: str) -> Text:
    if not new:
        return Text("-", _QUIET)
    return Text(clean(new), Style(color=MINT, bold=True) if new != old else _QUIET)


def _grouped(view: NodeView) -> list[tuple[str, str, str]]:
    """Like parts with like versions as one row: eight GPUs are one line unless one of them differs."""
    rows = []
    for (stem, old, new), found in groupby(view.versions, lambda row: (row[0].rstrip("0123456789"), row[1], row[2])):
        items = [row[0] for row in found]
        name = items[0] if len(items) == 1 else f"{stem}{items[0][len(stem) :]}-{items[-1][len(stem) :]}"
        rows.append((name, old, new))
    return rows


def trail(view: NodeView) -> Text:
    """What happened, in order."""
    told = [line for line in view.lines if line.topic == "trail"]
    return Text("\n").join(_told(line) for line in told) if told else Text("nothing has happened to it", _QUIET)


def _told(line: Line) -> Text:
    at = f"{time_of_day(line.at)} " if line.at is not None else ""
    return Text().append(at, _QUIET).append(line.text)
