"""Figures as plain text."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import Figures, Row

_HEAD = (
    "",
    "nodes",
    "wall s",
    "CPU s",
    "CPU s/node",
    "x ours",
    "peak MiB",
    "requests/node",
    "at wanted versions",
    "exit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the figures come from."""

    cores: int
    """That this process may use."""
    system: str
    python: str
    at: str
    load: float
    """Of the last minute, before anything was started: above 0.5 somebody else was working."""


def machine() -> Machine:
    """This one, now."""
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        load=os.getloadavg()[0],
    )


def render(figures: "Figures") -> str:
    """The whole report."""
    where = figures.machine
    lines = [
        f"{where.at}, {where.cores} cores, {where.system}, Python {where.python}, load {where.load:.1f} before the start",
        f"simulated DGX H100, time {figures.speed:g} times faster, faults: {figures.faults}; each run on a fresh hall",
    ]
    if figures.rollout is not None:
        lines += ["", f"Rollout of {figures.rollout.nodes} nodes, three components", "", *_rollout(figures.rollout)]
    if figures.journey is not None:
        title = f"The whole journey of {figures.journey.nodes} nodes (bring-up.yaml), time {figures.journey_speed:g} times faster"
        lines += ["", title, "", *_rollout(figures.journey)]
    if figures.comparison:
        nodes = figures.comparison[0].nodes
        lines += ["", f"The same update of {nodes} nodes by other tools", "", *_comparison(figures.comparison)]
    if figures.power:
        lines += ["", "Burn-in below a breaker, simulated (power_bench.py)", "", *figures.power]
    alone = [row for row in (figures.rollout, figures.journey) if row is not None]
    rows = [*alone, *figures.comparison]
    lines += ["", "Measured commands", ""]
    lines += [f"  {row.name}, {row.nodes} nodes: {row.cost.command}" for row in rows if row.cost]
    return "\n".join(lines)


def _rollout(row: "Row") -> list[str]:
    if row.cost is None or row.truth is None:
        return [row.why_not]
    cost, truth = row.cost, row.truth
    size = row.nodes
    rows = [
        ("", "wall s", "CPU s", "CPU s/node", "peak MiB"),
        ("engine", f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{cost.cpu_s / size:.4f}", f"{cost.peak_rss_mib:.0f}"),
        ("hall", "", f"{truth.cpu_s:.1f}", f"{truth.cpu_s / size:.4f}", f"{truth.peak_rss_mib:.0f}"),
    ]
    transitions = row.transitions or 0
    counts = f"journal transitions: {transitions} ({transitions / size:.0f} a node); exit code {cost.exit_code}"
    harm = ", ".join(f"{what}: {number}" for what, number in truth.harm.items())
    around = "".join(f", {what} {number:.1f}" for what, number in truth.around_per_node.items())
    return [
        *table(rows),
        "",
        f"per node: Redfish requests {truth.requests_per_node:.1f}{around}; {counts}",
        f"ground truth: {truth.at_wanted} of {size} nodes at the wanted versions; {harm}",
    ]


def _comparison(rows: "Sequence[Row]") -> list[str]:
    ours = rows[0].cost.cpu_s / rows[0].nodes if rows[0].cost and rows[0].transitions is not None else None
    lines = table([_HEAD, *(_compared(row, ours) for row in rows)])
    for row in rows:
        if row.why_not:
            lines.append(f"{row.name}: not measured: {row.why_not}")
        elif row.versions:
            lines.append(f"{row.name}: " + ", ".join(f"{name} {version}" for name, version in row.versions.items()))
        if row.truth is not None and any(row.truth.harm.values()):
            harm = ", ".join(f"{what}: {number}" for what, number in row.truth.harm.items() if number)
            lines.append(f"{row.name}: ground truth: {harm}")
    return lines


def _compared(row: "Row", ours: float | None) -> tuple[str, ...]:
    if row.cost is None or row.truth is None:
        return (row.name, str(row.nodes), "not measured", *[""] * (len(_HEAD) - 3))
    each = row.cost.cpu_s / row.nodes
    return (
        row.name,
        str(row.nodes),
        f"{row.cost.wall_s:.1f}",
        f"{row.cost.cpu_s:.1f}",
        f"{each:.3f}",
        f"{each / ours:.1f}" if ours else "",
        f"{row.cost.peak_rss_mib:.0f}",
        f"{row.truth.requests_per_node:.1f}",
        str(row.truth.at_wanted),
        str(row.cost.exit_code),
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
