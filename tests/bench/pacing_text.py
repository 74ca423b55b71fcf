"""The pacing figures as plain text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench_table import table

if TYPE_CHECKING:
    from pacing_bench import PacingFigures, Row


def render(figures: "PacingFigures") -> str:
    """The whole report."""
    plain = [row for row in figures.rows if not row.variant]
    rates = sorted({row.rate for row in plain})
    policies = list(dict.fromkeys(row.policy for row in plain))
    run_s = max(row.run_s for row in plain)
    lines = [
        f"{figures.seeds} seeds, {figures.cores} cores, {figures.wall_s:.0f} s, largest process {figures.peak_rss_mib:.0f} MiB",
        f"one rollout of 1,024 nodes is simulated in {run_s:.3f} s of CPU at most (mean of a row)",
        "",
        "Nothing fails: how long",
        "",
        *table([("", "minutes", "/ LB", "p95", "/ LB_safe", "p95"), *(_time(row) for row in plain if row.rate == 0)]),
        "",
        "A share of the nodes fails: nodes lost on average (95th percentile), runs that halted",
        "",
        *table(
            [("", *(f"{rate:.1%}" for rate in rates[1:])), *(_harm(policy, plain, rates[1:]) for policy in policies)]
        ),
        "",
        "Up to 1 % the failures have the field's causes (Llama 3 405B); above, they all look the same.",
        "",
        *[line for row in figures.rows if row.variant for line in _special(row)],
        "",
        *_statistics(figures),
        "",
        *table([("goal", "", "measured", ""), *_targets(figures)]),
    ]
    return "\n".join(lines)


def _time(row: "Row") -> tuple[str, ...]:
    numbers = (row.ratio, row.ratio_p95, row.safe_ratio, row.safe_ratio_p95)
    return (row.policy, f"{row.makespan_min:.0f}", *(f"{number:.2f}" for number in numbers))


def _harm(policy: str, rows: "Sequence[Row]", rates: Sequence[float]) -> tuple[str, ...]:
    of = {row.rate: row for row in rows if row.policy == policy}
    return (policy, *(_cell(of[rate]) for rate in rates))


def _cell(row: "Row") -> str:
    return f"{row.failed_mean:.1f} ({row.failed_p95}) {row.halts}/{row.runs}"


def _special(row: "Row") -> list[str]:
    what = "all alike" if row.variant == "alike" else "showing 60 min after the node is back, on average"
    if not row.rate:
        return [f"{row.policy}, nothing fails: {row.makespan_min:.0f} minutes ({row.runs} runs)"]
    return [f"{row.policy}, {row.rate:.0%} of the nodes fail, {what}: lost {_cell(row)}"]


def _statistics(figures: "PacingFigures") -> list[str]:
    """Coverage and size."""
    lines = ["U, which shall be at least the true rate in 95 % of the cases; exact", ""]
    rows: list[tuple[str, ...]] = [("after nodes", "worst below 10 %", "worst", "at rate", "mean over rates")]
    for near in (each for each in figures.coverage if each.up_to < 1):
        far = next(each for each in figures.coverage if each.up_to >= 1 and each.nodes == near.nodes)
        shares = (f"{near.worst:.2%}", f"{far.worst:.2%}", f"{far.at:.3f}", f"{near.mean:.2%}")
        rows.append((str(near.nodes), *shares))
    lines += [*table(rows), "", "Halts of rollouts of 1,024 nodes, looked at after every node", ""]
    rows = [("true rate, causes", "by all failures", "by failures alike", "by either", "runs")]
    for each in figures.halts:
        shares3 = (f"{each.evidence:.2%}", f"{each.alike:.2%}", f"{each.either:.2%}")
        rows.append((f"{each.rate:.1%}, {each.looks}", *shares3, str(each.runs)))
    return [*lines, *table(rows)]


def _targets(figures: "PacingFigures") -> list[tuple[str, ...]]:
    return [(each.what, each.goal, each.measured, "reached" if each.met else "MISSED") for each in figures.targets]
