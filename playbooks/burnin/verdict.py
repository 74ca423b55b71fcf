"""The verdict on a node, and what it rests on. Fail-closed: what was not seen to pass has not passed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_TEXT_LIMIT = 300
_FINDINGS_LIMIT = 32
"""A node with 8 GPUs and four tests has fewer causes; a hostile tool may have any number."""


class Verdict(StrEnum):
    """From best to worst: the verdict on a whole is the worst of its parts."""

    PASS = "pass"  # noqa: S105  a verdict
    DEGRADED = "degraded"
    """Works, below what its profile or its own past asks."""
    UNJUDGED = "unjudged"
    """Not known: not tested, not finished, or said in a form that we do not know."""
    FAIL_CONFIG = "fail-config"
    """A setting is wrong: set it right and test again; no part needs to be changed."""
    FAIL_HW = "fail-hw"

    @property
    def rank(self) -> int:
        """0 is best."""
        return list(Verdict).index(self)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst; PASS of none, so that a caller has to know that something was tested."""
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why something is not PASS."""

    verdict: Verdict
    entity: str
    """`GPU 3`; `node` where no part can be named."""
    text: str
    """The evidence, for a person."""

    def __post_init__(self) -> None:
        # Tools are not trusted with our terminal or our disk.
        clean = "".join(letter if letter.isprintable() else " " for letter in self.text)
        object.__setattr__(self, "text", " ".join(clean[: 2 * _TEXT_LIMIT].split())[:_TEXT_LIMIT])

    def __str__(self) -> str:
        return f"{self.entity}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one test says of a node."""

    test: str
    findings: tuple[Finding, ...] = ()
    """Worst first. Empty: every expected entity was tested and passed."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """`host_to_device_memcpy_ce GPU 3` -> GB/s; bigger is better."""
    addresses: Mapping[str, int] = field(default_factory=dict)
    """PCI address (`0000:1b:00`) -> GPU, where the test says so."""

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return worst(finding.verdict for finding in self.findings)


def judged(
    test: str,
    findings: Iterable[Finding],
    *,
    measures: Mapping[str, float] | None = None,
    addresses: Mapping[str, int] | None = None,
) -> Judged:
    """Put findings in order and keep the worst of them."""
    ordered = sorted(findings, key=lambda finding: -finding.verdict.rank)[:_FINDINGS_LIMIT]
    return Judged(test=test, findings=tuple(ordered), measures=measures or {}, addresses=addresses or {})


def unjudged(test: str, text: str) -> Judged:
    """Nothing can be said, and why."""
    return Judged(test=test, findings=(not_known(text),))


def not_known(text: str, entity: str = "node") -> Finding:
    """An UNJUDGED finding."""
    return Finding(verdict=Verdict.UNJUDGED, entity=entity, text=text)


def gpu(index: int) -> str:
    """What a GPU is called."""
    return f"GPU {index}"


class UnknownFormatError(Exception):
    """Output that is not in a form that a parser knows: the message says where it left the known."""
