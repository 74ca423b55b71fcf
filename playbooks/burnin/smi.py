"""`nvidia-smi --query-gpu=... --format=csv,nounits`: is every GPU there, and does it say of itself that it is whole?

Fields and their words: `nvidia-smi --help-query-gpu` of driver 590.48.01.
"""

import re
from collections.abc import Iterator, Mapping

from playbooks.burnin.verdict import Finding, Judged, UnknownFormatError, Verdict, gpu, judged, not_known, unjudged

TEST = "nvidia-smi"
FIELDS = (
    "index",
    "uuid",
    "pci.bus_id",
    "vbios_version",
    "driver_version",
    "pcie.link.width.current",
    "pcie.link.width.max",
    "ecc.mode.current",
    "ecc.errors.uncorrected.volatile.total",
    "remapped_rows.uncorrectable",
    "remapped_rows.pending",
    "remapped_rows.failure",
    "clocks_event_reasons.hw_slowdown",
    "clocks_event_reasons.hw_thermal_slowdown",
)
ARGV = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,nounits")
_REMAPPED_LIMIT = 512
"""Rows that the memory can replace (Azure's limit, rollout-science 2.3)."""
_HW, _CONFIG, _DEGRADED = Verdict.FAIL_HW, Verdict.FAIL_CONFIG, Verdict.DEGRADED

_WORDS: tuple[tuple[str, str, Mapping[str, tuple[Verdict, str]]], ...] = (
    ("ecc.mode.current", "Enabled", {"Disabled": (_CONFIG, "ECC is disabled")}),
    ("remapped_rows.pending", "No", {"Yes": (_DEGRADED, "a row waits to be remapped: reset the GPU and test again")}),
    ("remapped_rows.failure", "No", {"Yes": (_HW, "a row could not be remapped")}),
    ("clocks_event_reasons.hw_slowdown", "Not Active", {"Active": (_HW, "hardware slows it down")}),
    (
        "clocks_event_reasons.hw_thermal_slowdown",
        "Not Active",
        {"Active": (_HW, "it is slowed down by its temperature")},
    ),
)
"""Field, the good word, what the bad ones mean. Any other word is UNJUDGED."""


def judge(stdout: bytes, exit_status: int, gpus: int) -> Judged:
    """The verdict on `gpus` GPUs; also where they sit on the PCI bus."""
    try:
        rows = parse(stdout)
    except UnknownFormatError as unknown:
        return unjudged(TEST, f"nvidia-smi: {unknown}")
    findings: list[Finding] = []
    if exit_status:
        findings.append(not_known(f"nvidia-smi ended with exit status {exit_status}"))
    if len(rows) < gpus:
        # NVML numbers what is left, so that the missing one cannot be named by an index.
        text = f"nvidia-smi lists {len(rows)} of {gpus} GPUs: {', '.join(row['pci.bus_id'] for row in rows.values())}"
        findings.append(Finding(verdict=_HW, entity=f"{gpus - len(rows)} GPU(s)", text=f"missing; {text}"))
    elif set(rows) != set(range(gpus)):
        findings.append(
            Finding(verdict=_CONFIG, entity="node", text=f"nvidia-smi lists {len(rows)} GPUs, {gpus} are expected")
        )
    addresses: dict[str, int] = {}
    for index, row in rows.items():
        findings += _row(gpu(index), row)
        addresses[pci(row["pci.bus_id"])] = index
    if len(addresses) != len(rows):
        findings.append(not_known("two GPUs with one PCI address"))
    return judged(TEST, findings, addresses=addresses)


def parse(stdout: bytes) -> dict[int, dict[str, str]]:
    """GPU -> field -> value."""
    try:
        text = stdout.decode("ascii")
    except UnicodeDecodeError:
        raise UnknownFormatError("its output is not text") from None
    if not text.endswith("\n"):
        raise UnknownFormatError("its output is empty or ends in the middle")
    head, *lines = text[:-1].split("\n")
    if tuple(head.split(", ")) != FIELDS:
        raise UnknownFormatError(f"its head is not the one that was asked for: {head[:120]}")
    rows: dict[int, dict[str, str]] = {}
    for line in lines:
        cells = line.split(", ")
        if len(cells) != len(FIELDS) or not re.fullmatch(r"\d{1,3}", cells[0], re.ASCII):
            raise UnknownFormatError(f"a row is not whole: {line[:120]}")
        if int(cells[0]) in rows:
            raise UnknownFormatError(f"GPU {cells[0]} stands twice")
        rows[int(cells[0])] = dict(zip(FIELDS, cells, strict=True))
    return rows


def pci(bus_id: str) -> str:
    """`00000000:1B:00.0` (NVML) as the kernel writes it, `0000:1b:00`."""
    found = re.fullmatch(r"(?:0000)?([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})(?:\.0)?", bus_id.casefold(), re.ASCII)
    return f"{found[1]}:{found[2]}:{found[3]}" if found else bus_id.casefold()


def _row(name: str, row: Mapping[str, str]) -> Iterator[Finding]:
    for field, good, bad in _WORDS:
        if row[field] in bad:
            verdict, text = bad[row[field]]
            yield Finding(verdict=verdict, entity=name, text=text)
        elif row[field] != good:
            yield not_known(f"{field} is {row[field]!r}", name)
    numbers = {}
    for field in FIELDS[5:7] + FIELDS[8:10]:
        if re.fullmatch(r"\d{1,12}", row[field], re.ASCII):
            numbers[field] = int(row[field])
        else:
            yield not_known(f"{field} is {row[field]!r}", name)
    now, most = numbers.get("pcie.link.width.current"), numbers.get("pcie.link.width.max")
    if now is not None and most is not None and now != most:
        yield Finding(verdict=_HW, entity=name, text=f"its PCIe link has {now} of {most} lanes")
    if errors := numbers.get("ecc.errors.uncorrected.volatile.total"):
        yield Finding(verdict=_HW, entity=name, text=f"{errors} uncorrected memory errors since the driver was loaded")
    rows = numbers.get("remapped_rows.uncorrectable", 0)
    if rows > _REMAPPED_LIMIT:
        yield Finding(verdict=_HW, entity=name, text=f"{rows} rows remapped for uncorrectable errors")
