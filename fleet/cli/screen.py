"""How a rollout looks while it runs: as a live display, and as one plain line. Pure: state in, text out.

Colours are those of Okabe and Ito, which colour-blind people tell apart, and never stand alone: every number has its word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.state import NodeStatus, RolloutState, RolloutStatus
from fleet.tally import Tally, WaveTally
from fleet.words import against, duration, plural, time_of_day, tolerance

STATUS_STYLES = {
    NodeStatus.PENDING: "dim",
    NodeStatus.REFUSED: "#CC79A7",
    NodeStatus.RUNNING: "#56B4E9",
    NodeStatus.UNCERTAIN: "#F0E442",
    NodeStatus.PARKED: "#999999",
    NodeStatus.ROLLING_BACK: "#E69F00",
    NodeStatus.CONFIRMED: "#009E73",
    NodeStatus.ROLLED_BACK: "#E69F00",
    NodeStatus.QUARANTINED: "#D55E00",
}
"""Okabe and Ito, Color Universal Design (2008)."""
_ROLLOUT_STYLES = {
    RolloutStatus.RUNNING: "bold #56B4E9",
    RolloutStatus.COMPLETED: "bold #009E73",
    RolloutStatus.HALTED: "bold #D55E00",
    RolloutStatus.ABORTING: "bold #D55E00",
    RolloutStatus.ABORTED: "bold #D55E00",
}
_BAR = 28
"""Cells of a bar."""
_WAVES = 8
"""Most waves that are shown at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a painting needs to know beside the state."""

    now: float
    """Field time."""
    speed: float
    """Field seconds per wall second; other than 1 only against a simulated hall."""
    full: str
    failed: str
    empty: str
    """Cells of a bar, in characters that the terminal has."""


def look(now: float, speed: float, encoding: str) -> Look:
    """With block characters where the terminal's encoding has them."""
    if encoding.casefold().startswith("utf"):
        return Look(now=now, speed=speed, full="█", failed="▒", empty="·")
    return Look(now=now, speed=speed, full="#", failed="x", empty=".")


def paint(state: RolloutState, tally: Tally, recent: Iterable[tuple[float, str]], how: Look) -> RenderableType:
    """The live display."""
    parts: list[RenderableType] = [_title(state, tally, how)]
    if tally.waves:
        parts += [_waves(state, tally.waves, how), _counts(tally), _limits(state, tally)]
    parts += [Text(f"  {time_of_day(at)} {text}", overflow="ellipsis", no_wrap=True) for at, text in recent]
    return Group(*parts)


def line(state: RolloutState, tally: Tally, how: Look) -> str:
    """The same in one line without colours, for a log."""
    if not tally.waves:
        return f"{time_of_day(how.now)} {state.rollout} {state.status}: there is no plan yet"
    wave = f"wave {state.wave + 1} of {len(tally.waves)}" if state.wave >= 0 else "no wave open"
    said = [
        wave,
        f"{tally.done} of {tally.total} done",
        f"{tally.in_flight} in flight",
        f"{plural(state.failures, 'failure')} ({tolerance(tally.budget, tally.total)})",
        *_left(state, tally, how),
    ]
    return f"{time_of_day(how.now)} {state.rollout} {state.status}: {', '.join(said)}"


def _title(state: RolloutState, tally: Tally, how: Look) -> Text:
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(state.rollout or "rollout", "bold").append("  ").append(state.playbook).append("  ")
    title.append(state.status.value, _ROLLOUT_STYLES.get(state.status, "bold"))
    if state.message and state.status is not RolloutStatus.RUNNING:
        title.append(f" ({state.message})")
    if not tally.waves:
        return title.append("  there is no plan yet")
    spent = [] if state.started_at is None else [f"{_both((state.ended_at or how.now) - state.started_at, how)} so far"]
    return title.append("".join(f"  {part}" for part in (*spent, *_left(state, tally, how))), "dim")


def _left(state: RolloutState, tally: Tally, how: Look) -> list[str]:
    left_s = tally.left_s(how.now) if state.status is RolloutStatus.RUNNING else None
    return [] if left_s is None else [f"about {_both(left_s, how)} left"]


def _both(seconds: float, how: Look) -> str:
    """Field time, and the operator's where that differs."""
    return duration(seconds) + (f" ({duration(seconds / how.speed)} here)" if how.speed > 1 else "")


def _waves(state: RolloutState, waves: Sequence[WaveTally], how: Look) -> Table:
    table = Table.grid(padding=(0, 2))
    first = min(max(0, state.wave - _WAVES // 2), max(0, len(waves) - _WAVES))
    for index in range(first, min(first + _WAVES, len(waves))):
        wave = waves[index]
        name = f"  wave {index + 1}" + (" canary" if index == 0 and len(waves) > 1 else "")
        note = f"{wave.failed} failed" if wave.failed else ("waits" if index > state.wave else "")
        table.add_row(name, _bar(wave, how), f"{wave.done}/{wave.size}", note)
    return table


def _bar(wave: WaveTally, how: Look) -> Text:
    """Failures get at least one cell: one node in a thousand must be seen."""
    done = wave.done * _BAR // max(1, wave.size)
    failed = min(max(1 if wave.failed else 0, wave.failed * _BAR // max(1, wave.size)), _BAR)
    good = max(0, done - failed)
    bar = Text(how.full * good, STATUS_STYLES[NodeStatus.CONFIRMED])
    bar.append(how.failed * failed, STATUS_STYLES[NodeStatus.QUARANTINED])
    return bar.append(how.empty * (_BAR - good - failed), "dim")


def _counts(tally: Tally) -> Text:
    text = Text("  nodes  ")
    shown = [(status, count) for status, count in tally.counts.items() if count]
    for index, (status, count) in enumerate(shown):
        text.append(", " if index else "").append(f"{count} {status}", STATUS_STYLES[status])
    return text


def _limits(state: RolloutState, tally: Tally) -> Text:
    new = state.failures - state.accepted_failures
    accepted = f" ({state.accepted_failures} more accepted)" if state.accepted_failures else ""
    style = STATUS_STYLES[NodeStatus.QUARANTINED] if new > tally.budget else ""
    text = Text(f"  in flight {tally.in_flight} of at most {tally.cap}, ")
    return text.append(f"failures {against(new, tally.budget, tally.total)}{accepted}", style)
