"""`gpu[001-1024]` and what it stands for. Pure."""

from __future__ import annotations

import re
from itertools import cycle, product
from math import prod

EXPANSION_LIMIT = 100_000
"""More than any hall holds: a range that is larger is a slip of the finger."""

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_RUN = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._]+", re.ASCII)


def expand(pattern: str) -> tuple[str, ...]:
    """Every text that a pattern with brackets stands for, the last bracket running fastest.

    A bracket holds numbers, runs and words: `[1-4]`, `[01-16,18]`, `[A,B]`. The width of a run is that of its first
    number: `[001-1024]` is 001 ... 999, 1000 ... 1024.

    Raises:
        ValueError: a bracket is malformed, or the pattern stands for more than 100,000 texts.
    """
    pieces = _BRACKET.split(pattern)
    if any("[" in fixed or "]" in fixed for fixed in pieces[::2]):
        raise ValueError("has a bracket without its partner")
    choices = [_members(piece) if odd else (piece,) for piece, odd in zip(pieces, cycle((False, True)), strict=False)]
    _refuse_absurd(prod(map(len, choices)))
    return tuple(map("".join, product(*choices)))


def expand_numbers(pattern: str) -> tuple[int, ...]:
    """The numbers of `1-8,18-27` in the order written. Raises ValueError as `expand` does, and for words."""
    members = _members(pattern)
    if not all(member.isdecimal() for member in members):
        raise ValueError("is not a list of numbers (write 1-8,18-27)")
    return tuple(map(int, members))


def _members(inside: str) -> tuple[str, ...]:
    """What one bracket stands for."""
    members: list[str] = []
    for part in inside.split(","):
        word = part.strip()
        run = _RUN.fullmatch(word)
        if run:
            first, last = int(run[1]), int(run[2])
            if last < first:
                raise ValueError(f"has the range {word}, which runs backwards")
            _refuse_absurd(len(members) + last - first + 1)
            members.extend(str(number).zfill(len(run[1])) for number in range(first, last + 1))
        elif _WORD.fullmatch(word):
            members.append(word)
        else:
            raise ValueError(f"has a malformed range [{inside}] (write [001-1024] or [A,B])")
    return tuple(members)


def _refuse_absurd(count: int) -> None:
    if count > EXPANSION_LIMIT:
        raise ValueError(f"stands for {count:,} entries, the limit is {EXPANSION_LIMIT:,}")
