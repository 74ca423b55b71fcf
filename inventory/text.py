"""Where in which file: the place that every complaint about input names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a file that a person wrote."""

    file: str
    """The path as the person gave it."""
    line: int
    """1 is the first line; 0 stands for the file as a whole."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class InputError(ValueError):
    """What a person wrote cannot be used. Its text says where, what, and what to do.

    >>> str(InputError("hall.yaml", 12, "unknown key 'adress' in node", hint="did you mean 'address'?"))
    "hall.yaml:12: unknown key 'adress' in node; did you mean 'address'?"
    """

    def __init__(self, file: str, line: int, message: str, *, hint: str = "") -> None:
        self.place = Place(file=file, line=line)
        self.message = message
        self.hint = hint
        super().__init__(f"{self.place}: {message}" + (f"; {hint}" if hint else ""))

    @classmethod
    def at(cls, place: Place, message: str, *, hint: str = "") -> InputError:
        """The same error at a place that is already known."""
        return cls(place.file, place.line, message, hint=hint)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None when none is near."""
    by_folded = {choice.casefold(): str(choice) for choice in sorted(set(known))}
    close = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown word: the nearest known one, else all of them when they are few, else nothing."""
    choices = sorted(set(known))
    meant = closest(word, choices)
    if meant is not None:
        return f"did you mean {meant!r}?"
    if choices and len(choices) <= 16:  # noqa: PLR2004 (more than this is no hint but a page)
        return "known: " + ", ".join(choices)
    return ""
