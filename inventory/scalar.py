"""What a person means by a piece of text: numbers, durations, shares. Pure.

Every ValueError is a predicate, such as "is not a number": the reader of the file puts the subject before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SECONDS = (86_400, 3_600, 60, 1)
_DIGITS_LIMIT = 18
"""Longer digit strings are nonsense here, and int() refuses to read them only from 4,300 digits on."""

_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


@dataclass(frozen=True, slots=True, order=True)
class Percent:
    """A share of a whole that is known only later."""

    percent: float
    """0 to 100."""

    def of(self, total: int) -> int:
        """That share of `total`, rounded down: a cap is never exceeded by rounding."""
        return int(total * self.percent / 100 + 1e-9)

    def __str__(self) -> str:
        return f"{self.percent:g}%"


def integer(text: str) -> int:
    """`42`, `-1` or `1_000`; ValueError for anything else, `1.0` and `0x10` among it."""
    if not re.fullmatch(r"-?\d+(?:_\d+)*", text, re.ASCII) or len(text) > _DIGITS_LIMIT:
        raise ValueError("is not a whole number")
    return int(text)


def number(text: str) -> float:
    """`3`, `0.5` or `-2.25`; ValueError for anything else, `nan` and `1e9` among it."""
    if not re.fullmatch(r"-?\d+(?:\.\d+)?", text, re.ASCII) or len(text) > _DIGITS_LIMIT:
        raise ValueError("is not a number")
    return float(text)


def boolean(text: str) -> bool:
    """`true`, `yes`, `on` and their opposites."""
    word = text.casefold()
    if word not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return word in _TRUE


def duration_s(text: str) -> int:
    """`90s`, `30m`, `8h`, `1h30m`, `2d` in seconds. A bare number is refused: its unit would be a guess."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()) or len(text) > _DIGITS_LIMIT:
        raise ValueError("is not a duration (write 90s, 30m, 8h or 1h30m)")
    return sum(int(count) * seconds for count, seconds in zip(found.groups(), _SECONDS, strict=True) if count)


def percent_or_count(text: str) -> Percent | int:
    """`12%`, `2.5%` or `40`."""
    if not text.endswith("%"):
        try:
            return integer(text)
        except ValueError:
            raise ValueError("is neither a share nor a count (write 12% or 40)") from None
    share = Percent(number(text[:-1].rstrip()))
    if not 0 <= share.percent <= 100:  # noqa: PLR2004 (what a percentage is)
        raise ValueError("is not between 0% and 100%")
    return share
