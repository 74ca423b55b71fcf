"""`dcgmi diag -j`: the documents of DCGM 3 and 4. Roots and severities changed between them (rollout-science 2.2).

JSON root: "DCGM GPU Diagnostic" up to 3.3.9, "DCGM Diagnostic" from 4.0.0. Severities: MONITOR, ISOLATE, UNKNOWN = 0, 1, 2 up to
3.2.6; NONE, MONITOR, ISOLATE, UNKNOWN, TRIAGE, CONFIG, RESET = 0 to 6 from 3.3.1. A document whose version is not in between is UNJUDGED.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from playbooks.burnin.verdict import Finding, Judged, UnknownFormatError, Verdict, gpu, judged, not_known, unjudged

TEST = "dcgm"
_FAILED_STATUS = frozenset({1, 226})
"""Exit status of dcgmi for a failed diag: 226 since DCGM 3.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dialect:
    """What one range of versions writes."""

    first: tuple[int, int, int]
    last: tuple[int, int, int]
    root: str
    version_key: str
    severities: tuple[Verdict, ...]
    """By error_severity; NONE beside a failure and UNKNOWN are UNJUDGED."""
    grouped: bool
    """Results name an entity group, and tests have a summary (4); or results name a gpu_id (3)."""
    required: frozenset[str]
    """Tests of level 1 that must have run."""


_D, _U, _C, _H = Verdict.DEGRADED, Verdict.UNJUDGED, Verdict.FAIL_CONFIG, Verdict.FAIL_HW
_THREE = (_D, _H, _U)
_SEVEN = (_U, _D, _H, _U, _H, _C, _H)
_SOFTWARE_3 = frozenset(
    {
        "Denylist",
        "NVML Library",
        "CUDA Main Library",
        "Permissions and OS Blocks",
        "Persistence Mode",
        "Environment Variables",
        "Page Retirement/Row Remap",
        "Graphics Processes",
        "Inforom",
    }
)
_OLD, _NEW = "DCGM GPU Diagnostic", "DCGM Diagnostic"
_DIALECTS = (
    _Dialect(first=(3, 0, 0), last=(3, 2, 6), root=_OLD, version_key="DCGM Version", severities=_THREE, grouped=False,
             required=_SOFTWARE_3),
    _Dialect(first=(3, 3, 1), last=(3, 3, 9), root=_OLD, version_key="DCGM Version", severities=_SEVEN, grouped=False,
             required=_SOFTWARE_3),
    _Dialect(first=(4, 0, 0), last=(4, 6, 0), root=_NEW, version_key="version", severities=_SEVEN, grouped=True,
             required=frozenset({"software"})),
)  # fmt: skip
"""DCGM tags 3.0 to 4.6.0 were read for rollout-science; others may mean other things by the same words."""


def judge(stdout: bytes, exit_status: int, gpus: int) -> Judged:
    """The verdict of `dcgmi diag -r 1 -j` on GPUs 0 to `gpus` - 1."""
    try:
        document = _document(stdout)
        dialect = _dialect(document)
        findings, answered = _read(document, dialect)
    except UnknownFormatError as unknown:
        return unjudged(TEST, f"dcgmi: {unknown}")
    for index in range(gpus):
        if missing := sorted(test for test in dialect.required if (test, index) not in answered):
            findings.append(not_known(f"dcgmi does not say whether it passed {', '.join(missing)}", gpu(index)))
    failed = any(finding.verdict is not Verdict.UNJUDGED for finding in findings)
    if exit_status not in ({0} | _FAILED_STATUS if failed else {0}):
        findings.append(not_known(f"dcgmi ended with exit status {exit_status}, which its document does not explain"))
    if failed and exit_status == 0:
        findings.append(not_known("dcgmi ended with exit status 0 and its document tells of failures"))
    return judged(TEST, findings)


def _document(stdout: bytes) -> dict[str, Any]:
    try:
        document = json.loads(stdout.decode(), object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise UnknownFormatError(f"its output is no JSON, or not all of it ({error})") from None
    return _mapping(document, "the document")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _dialect(document: Mapping[str, Any]) -> _Dialect:
    metadata = _mapping(document.get("metadata"), "metadata")
    for dialect in _DIALECTS:
        version = metadata.get(dialect.version_key)
        numbers = (
            re.fullmatch(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", version, re.ASCII) if isinstance(version, str) else None
        )
        if numbers and dialect.first <= (int(numbers[1]), int(numbers[2]), int(numbers[3])) <= dialect.last:
            if dialect.root not in document:
                raise UnknownFormatError(f"a document of version {version} has no {dialect.root!r}")
            return dialect
    raise UnknownFormatError(f"the version of its document is not known here (metadata: {str(dict(metadata))[:120]})")


def _read(document: Mapping[str, Any], dialect: _Dialect) -> tuple[list[Finding], set[tuple[str, int]]]:
    """Findings, and the (test, GPU) that they are about or that passed."""
    root = _mapping(document[dialect.root], dialect.root)
    findings: list[Finding] = []
    answered: set[tuple[str, int]] = set()
    seen: set[tuple[str, str, int]] = set()
    if root.get("runtime_error"):
        findings.append(not_known(f"dcgmi: {root['runtime_error']}"))
    for category in _list(root.get("test_categories"), "test_categories"):
        for value in _list(_mapping(category, "category").get("tests"), "tests"):
            test = _mapping(value, "test")
            name = _text(test.get("name"), "name of a test")
            statuses = set()
            for result in _list(test.get("results"), f"results of {name}"):
                one = _mapping(result, f"result of {name}")
                group, number = _entity(one, dialect)
                if (name, group, number) in seen:
                    raise UnknownFormatError(f"two results of {name} for {group} {number}")
                seen.add((name, group, number))
                status = _text(one.get("status"), f"status of {name}").casefold()
                statuses.add(status)
                findings += _result(one, status, name, f"{group} {number}", dialect)
                if group == "GPU":
                    answered.add((name, number))
            if dialect.grouped:
                findings += _summary(test, name, statuses)
    return findings, answered


def _entity(result: Mapping[str, Any], dialect: _Dialect) -> tuple[str, int]:
    if dialect.grouped:
        number = result.get("entity_id")
        if not isinstance(number, int) or isinstance(number, bool):
            raise UnknownFormatError("a result has no entity_id")
        return _text(result.get("entity_group"), "entity_group"), number
    text = _text(result.get("gpu_id"), "gpu_id")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII):
        raise UnknownFormatError(f"gpu_id {text[:20]!r} is no number")
    return "GPU", int(text)


def _result(result: Mapping[str, Any], status: str, name: str, entity: str, dialect: _Dialect) -> Iterator[Finding]:
    warnings = [_mapping(each, "warning") for each in _list(result.get("warnings", []), "warnings")]
    if status == "skip" and not entity.startswith("GPU"):
        return  # level 1 has no tests for CPUs, and says so
    if status not in {"pass", "fail", "warn"}:
        yield not_known(f"{name}: {status}", entity)
        return
    if status == "pass":
        for warning in warnings:
            yield not_known(f"{name} passed with a warning: {warning.get('warning')}", entity)
        return
    if not warnings:
        yield not_known(f"{name}: {status} without a reason", entity)
    for warning in warnings:
        severity = warning.get("error_severity")
        text = f"{name}: {status}, severity {severity}: {warning.get('warning')}"
        yield Finding(verdict=_meaning(severity, dialect), entity=entity, text=text)


def _meaning(severity: Any, dialect: _Dialect) -> Verdict:
    if isinstance(severity, int) and not isinstance(severity, bool) and 0 <= severity < len(dialect.severities):
        return dialect.severities[severity]
    return Verdict.UNJUDGED


def _summary(test: Mapping[str, Any], name: str, statuses: set[str]) -> Iterator[Finding]:
    """A summary must agree with the results that it sums up."""
    said = _text(_mapping(test.get("test_summary"), f"test_summary of {name}").get("status"), "test_summary").casefold()
    if (said == "pass") != (bool(statuses) and statuses <= {"pass", "skip"} and "pass" in statuses):
        yield not_known(f"{name} is {said} in all and {', '.join(sorted(statuses)) or 'nothing'} in its results")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnknownFormatError(f"{what} is no object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise UnknownFormatError(f"{what} is no list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise UnknownFormatError(f"{what} is no text")
    return value
