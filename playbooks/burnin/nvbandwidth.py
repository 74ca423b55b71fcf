"""nvbandwidth's report: matrices of GB/s. Layout of v0.6, the only one that we have seen captured (SuperBench's test data)."""

import itertools
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from playbooks.burnin.verdict import Finding, Judged, UnknownFormatError, Verdict, gpu, judged, not_known, unjudged

TEST = "nvbandwidth"
_VERSIONS = frozenset({"v0.6"})
_END = "Performance can vary with software drivers, hardware clocks, and system topology."
_NA = "N/A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One test's table."""

    columns: int
    cells: Mapping[tuple[int, int], float]
    """(row, column) -> GB/s; a cell that says N/A is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a profile asks."""

    gpus: int
    minimum_gbps: Mapping[str, float]
    """Test -> GB/s that every cell must reach. A test that is named here must have run."""
    spread_percent: float
    """How far a GPU may be below the median of the node's GPUs."""


def judge(stdout: bytes, exit_status: int, limits: Limits) -> Judged:
    """The verdict on GPUs 0 to `gpus` - 1 in every test of the profile."""
    try:
        tables = parse(stdout)
    except UnknownFormatError as unknown:
        return unjudged(TEST, f"nvbandwidth: {unknown}")
    findings: list[Finding] = []
    measures: dict[str, float] = {}
    if exit_status:
        findings.append(not_known(f"nvbandwidth ended with exit status {exit_status}"))
    for test, minimum in limits.minimum_gbps.items():
        table = tables.get(test)
        if table is None:
            findings.append(not_known(f"nvbandwidth did not run {test}"))
            continue
        try:
            means = _by_gpu(test, table, limits.gpus)
        except UnknownFormatError as unknown:
            findings.append(not_known(f"{test}: {unknown}"))
            continue
        measures |= {f"{test} {gpu(index)}": round(value, 2) for index, value in enumerate(means)}
        findings += _slow(test, table, means, minimum, limits.spread_percent)
    return judged(TEST, findings, measures=measures)


def parse(stdout: bytes) -> dict[str, Matrix]:
    """Test -> its table. A block whose cells do not add up to its SUM, or that has no SUM, is refused; latencies are left out."""
    try:
        text = stdout.decode("ascii")
    except UnicodeDecodeError:
        raise UnknownFormatError("its output is not text") from None
    version = re.match(r"nvbandwidth Version: (\S{1,20})\n", text)
    if version is None or version[1] not in _VERSIONS:
        raise UnknownFormatError(f"its version is not known here ({version[1] if version else text[:40]!r})")
    if not text.endswith(f"\n{_END}\n"):
        raise UnknownFormatError("its output ends in the middle")
    if error := re.search(r"^.*\bERROR\b.*$", text, re.MULTILINE):
        raise UnknownFormatError(error[0])
    tables: dict[str, Matrix] = {}
    _, *blocks = re.split(r"^Running (?=\w+\.$)", text, flags=re.MULTILINE)
    for block in blocks:
        lines = block.splitlines()
        name = lines[0].removesuffix(".")
        if name in tables:
            raise UnknownFormatError(f"{name} stands twice")
        if len(lines) > 1 and lines[1].endswith("bandwidth (GB/s)"):
            tables[name] = _table(name, lines[2:])
    return tables


def _table(name: str, lines: list[str]) -> Matrix:
    """The lines from the head of the columns on."""
    head = lines[0].split() if lines else []
    if not head or head != [str(column) for column in range(len(head))]:
        raise UnknownFormatError(f"{name}: its columns are not numbered from 0")
    cells: dict[tuple[int, int], float] = {}
    for row, line in enumerate(itertools.takewhile(str.strip, lines[1:])):
        number, *values = line.split()
        if number != str(row) or len(values) != len(head):
            raise UnknownFormatError(f"{name}: row {row} is not whole")
        for column, value in enumerate(values):
            if value != _NA:
                cells[row, column] = _number(name, value)
    sums = [line.split() for line in lines if line.startswith("SUM ")]
    if len(sums) != 1 or sums[0][:2] != ["SUM", name] or len(sums[0]) != 3:  # noqa: PLR2004  SUM name value
        raise UnknownFormatError(f"{name}: it has no SUM")
    # Each cell is rounded to 0.01 by itself; the sum may be of the cells before that.
    if abs(sum(cells.values()) - _number(name, sums[0][2])) > 0.01 * (len(cells) + 1):
        raise UnknownFormatError(f"{name}: its cells do not add up to its SUM")
    return Matrix(columns=len(head), cells=cells)


def _number(name: str, text: str) -> float:
    if not re.fullmatch(r"\d{1,9}\.\d{2}", text, re.ASCII):
        raise UnknownFormatError(f"{name}: {text[:20]!r} is no bandwidth")
    return float(text)


def _by_gpu(test: str, table: Matrix, gpus: int) -> list[float]:
    """GB/s of each GPU: of its column where the row is the CPU, else the median over its partners."""
    if table.columns != gpus:
        raise UnknownFormatError(f"{table.columns} of {gpus} GPUs were tested")
    peers = test.startswith("device_to_device")
    want = {
        (row, column) for row in range(gpus if peers else 1) for column in range(gpus) if not peers or row != column
    }
    if not want or set(table.cells) != want:
        raise UnknownFormatError("not every pair was tested")
    return [
        statistics.median(
            value for (row, column), value in table.cells.items() if index in {column, row if peers else column}
        )
        for index in range(gpus)
    ]


def _slow(test: str, table: Matrix, means: list[float], minimum: float, spread_percent: float) -> Iterator[Finding]:
    middle = statistics.median(means)
    blamed = set()
    for index, value in enumerate(means):
        below = f"{test}: {value:.2f} GB/s, "
        if value < minimum:
            blamed.add(index)
            yield Finding(verdict=Verdict.FAIL_HW, entity=gpu(index), text=f"{below}at least {minimum:g} are asked")
        elif value < middle * (1 - spread_percent / 100):
            text = f"{below}{100 * (1 - value / middle):.1f} % below the median of this node's GPUs ({middle:.2f})"
            yield Finding(verdict=Verdict.DEGRADED, entity=gpu(index), text=text)
    for (row, column), value in table.cells.items():
        if value < minimum and not {row, column} & blamed:
            text = f"{test}: {value:.2f} GB/s between them, at least {minimum:g} are asked"
            yield Finding(verdict=Verdict.FAIL_HW, entity=f"{gpu(row)} and {gpu(column)}", text=text)
