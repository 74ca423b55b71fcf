"""What a planted bug is. See simulation.planted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement; `old` stands exactly once in the file."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One planted bug."""

    name: str
    why: str
    edits: tuple[Edit, ...]
    first: int = 0
    """The seed to begin with: where rare things are drawn, those before it catch nothing."""
