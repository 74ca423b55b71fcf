"""Many names in few characters: the inverse of inventory.ranges.expand, for people. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable

_NUMBERED = re.compile(r"(.*?)(\d{1,9})(\D*)", re.ASCII | re.DOTALL)


def condense(names: Iterable[str]) -> str:
    """`gpu[0003,0017-0019],login1` for any order of these names; each part expands to exactly the names that went in."""
    numbers: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    plain: set[str] = set()
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            plain.add(name)
        else:
            numbers[match[1], match[3]].add(match[2])
    parts = [_bracket(prefix, _runs(found), suffix) for (prefix, suffix), found in sorted(numbers.items())]
    return ",".join([*parts, *sorted(plain)])


def _bracket(prefix: str, runs: list[str], suffix: str) -> str:
    inside = ",".join(runs)
    return f"{prefix}{inside}{suffix}" if inside.isdecimal() else f"{prefix}[{inside}]{suffix}"


def _runs(texts: Iterable[str]) -> list[str]:
    """`0003`, `0017-0019`: a run has the width of its first number, as inventory.ranges reads it."""
    runs: list[list[str]] = []
    for text in sorted(texts, key=lambda text: (int(text), text)):
        if runs and text == str(int(runs[-1][-1]) + 1).zfill(len(runs[-1][0])):
            runs[-1].append(text)
        else:
            runs.append([text])
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
