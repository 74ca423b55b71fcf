"""Reports and tables on stdout: rich on a terminal, aligned plain text elsewhere. Nothing that hardware said is read as markup."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleet.advice import advice
from fleet.cli.screen import STATUS_STYLES
from fleet.condense import condense
from fleet.explain import Line
from fleet.journal import RolloutRow
from fleet.overview import Overview, Process
from fleet.report import Pace, Report
from fleet.state import NodeStatus
from fleet.words import against, duration, moment, plural, time_of_day, tolerance

_CELL = 120
_STYLES = {status.value: style for status, style in STATUS_STYLES.items()}
_PROCESS = {
    Process.RUNS: "a process works on it",
    Process.NONE: "no process works on it",
    Process.UNKNOWN: "whether a process works on it cannot be seen from here",
}


def say(console: Console, text: str = "", style: str = "") -> None:
    """One paragraph, unwrapped where nobody reads it on a screen."""
    console.print(Text(text, style), soft_wrap=not console.is_terminal)


def show_table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings; the words of a status are coloured where there are colours."""
    if console.is_terminal:
        table = Table(*headings, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell, _STYLES.get(cell, ""), overflow="fold") for cell in row))
        console.print(table)
        return
    lines = [tuple(heading.upper() for heading in headings), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        say(console, "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def show_rollouts(console: Console, rows: Iterable[tuple[RolloutRow, str, Process]]) -> None:
    """All rollouts of a journal, newest first."""
    show_table(
        console,
        ("rollout", "playbook", "asked for", "status", "process"),
        [(row.id, row.playbook, moment(row.created_at), status, process.value) for row, status, process in rows],
    )


def show_overview(console: Console, seen: Overview) -> None:
    """One rollout at one glance."""
    why = f" ({seen.message})" if seen.message else ""
    say(console, f"{seen.rollout}: {seen.playbook}, {seen.status}{why}", "bold")
    ended = f"; ended {moment(seen.ended_at)}" if seen.ended_at is not None else f"; {_PROCESS[seen.process]}"
    say(console, f"asked for {moment(seen.created_at)}; last event {moment(seen.last_at)}{ended}")
    if not seen.waves:
        return
    say(
        console,
        f"in flight {seen.in_flight} of at most {seen.in_flight_cap}; failures"
        f" {against(seen.failures - seen.accepted_failures, seen.failure_budget, sum(wave.size for wave in seen.waves))}"
        + (f", {seen.accepted_failures} more accepted" if seen.accepted_failures else "")
        + (f"; about {duration(seen.left_s)} left" if seen.left_s is not None else ""),
    )
    for why, nodes in seen.power_waits.items():
        say(console, f"{plural(nodes, 'node')} waiting for power: {why}")
    say(console)
    show_table(console, ("status", "nodes"), [(status, str(count)) for status, count in seen.nodes.items() if count])
    say(console)
    rows = [
        (str(index + 1), f"{wave.done} of {wave.size}", str(wave.failed), "open" if index == seen.wave else "")
        for index, wave in enumerate(seen.waves)
    ]
    show_table(console, ("wave", "ended", "failed", ""), rows)


def show_lines(console: Console, lines: Iterable[Line]) -> None:
    """Statements under their topics, each topic named once."""
    last = ""
    for line in lines:
        topic = line.topic if line.topic != last else ""
        at = f"{time_of_day(line.at)} " if line.at is not None else ""
        text = Text(f"{topic:<9} ", "bold")
        console.print(text.append(f"{at}{line.text}", "not bold"), soft_wrap=not console.is_terminal)
        last = line.topic


def show_report(console: Console, report: Report) -> None:
    """The whole report."""
    why = f" ({report.cause}): {report.message}" if report.cause else ""
    baseline = f" to baseline {report.baseline}" if report.baseline else ""
    say(console, f"{report.rollout}: {report.playbook}{baseline}: {report.status}{why}", "bold")
    say(console, f"asked for by {report.by}, {moment(report.created_at)}")
    if not report.waves:
        say(console, "there is no plan: nothing was touched")
        return
    _section(console, "nodes")
    show_table(console, ("status", "nodes"), [(status, str(count)) for status, count in report.totals.items() if count])
    _failures(console, report)
    _section(console, "plan against actual")
    show_table(console, ("", "plan", "actual"), _against(report))
    _section(console, "waves")
    rows = [
        (str(wave.wave + 1), str(wave.size), str(wave.done), str(wave.failed), _maybe(wave.duration_s))
        for wave in report.waves
    ]
    show_table(console, ("wave", "nodes", "ended", "failed", "duration"), rows)
    if report.flashes:
        _section(console, "images handed over")
        show_table(console, ("component", "times"), [(name, str(times)) for name, times in report.flashes.items()])
    _survived(console, report)
    if report.standing:
        _section(console, "handed over, not proven to be in force")
        standing = [
            (item.component, item.version, item.stage, str(len(item.nodes)), condense(item.nodes))
            for item in report.standing
        ]
        show_table(console, ("component", "version", "stage", "nodes", "which"), standing)


def _section(console: Console, title: str) -> None:
    say(console)
    say(console, title, "bold")


def _failures(console: Console, report: Report) -> None:
    if not report.groups:
        return
    _section(console, "not confirmed, and why")
    rows = [
        (group.status.value, group.reason, str(len(group.nodes)), condense(group.nodes), _short(group.example))
        for group in report.groups
    ]
    show_table(console, ("status", "reason", "nodes", "which", "for example"), rows)
    _section(console, "what to do next")
    told = {
        group.reason: advice(group.status, group.reason)[0]
        for group in report.groups
        if group.status in {NodeStatus.QUARANTINED, NodeStatus.REFUSED} and advice(group.status, group.reason)
    }
    for reason, first in told.items():
        say(console, f"{reason}: {first}")
    say(console, f"a node's trail and all that can be done: fleet why {report.rollout} NODE")


def _short(text: str) -> str:
    """A table's cell; `fleet why` has all of it."""
    return text if len(text) <= _CELL else f"{text[:_CELL]}..."


def _against(report: Report) -> list[tuple[str, str, str]]:
    pace = report.pace
    held = f" ({duration(pace.held_s)} of it held)" if pace.held_s else ""
    return [
        ("duration", duration(pace.predicted_s), _maybe(pace.actual_s) + held),
        ("a node", _maybe(pace.node_predicted_s), _node_took(pace)),
        ("in flight", f"at most {pace.in_flight_cap}", f"at most {pace.in_flight_peak}"),
        ("failures", _at_most(report), str(report.failures)),
    ]


def _at_most(report: Report) -> str:
    nodes = sum(wave.size for wave in report.waves)
    return (
        f"at most {report.failure_budget}" if report.failure_budget < nodes else tolerance(report.failure_budget, nodes)
    )


def _node_took(pace: Pace) -> str:
    if pace.node_mean_s is None or pace.node_p95_s is None:
        return "-"
    return f"{duration(pace.node_mean_s)} on average, 95 % within {duration(pace.node_p95_s)}"


def _survived(console: Console, report: Report) -> None:
    survived = report.survived
    told = [
        f"{plural(survived.uncertain, 'outcome')} not known at first: {survived.found_done} found done,"
        f" {survived.found_absent} found not done, {survived.open} open"
        if survived.uncertain
        else "",
        f"{plural(survived.retried, 'effect')} announced again after the first was proven absent, {survived.power_retried} of them"
        " power actions"
        if survived.retried
        else "",
        f"{survived.processes} processes worked on it one after the other" if survived.processes > 1 else "",
    ]
    if any(told):
        _section(console, "met on the way, and settled by reading the hardware")
        for text in filter(None, told):
            say(console, text)


def _maybe(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)
