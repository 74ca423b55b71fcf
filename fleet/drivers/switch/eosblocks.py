"""Which parts of an Arista configuration a commit would change. Pure.

Whole configurations are compared, not the lines of `show session-config diffs`: those have three lines of context, so that a port with a
description, an MTU and a speed does not show which one it is.
"""

import re
from collections.abc import Iterable

_PORT = re.compile(r"interface\s+(?:et|eth|ethernet)\s*(\d[\d/]*)", re.IGNORECASE)
_VLANS = re.compile(r"vlan\s+(\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)")
_LAST_VLAN = 4094


def foreign_block(running: str, session: str, lines: Iterable[str]) -> str:
    """The first part that differs between the two configurations and that no typed line names; empty: there is none.

    A session begins as a copy of what runs, and its commit replaces everything with it: what somebody else changed since would be
    taken back by it.
    """
    before, after = _blocks(running.splitlines()), _blocks(session.splitlines())
    ours = _blocks(lines).keys()
    return next((name for name in before | after if name not in ours and before.get(name) != after.get(name)), "")


def _blocks(lines: Iterable[str]) -> dict[str, list[str]]:
    """An unindented line -> the indented ones below it."""
    found: dict[str, list[str]] = {}
    current: tuple[str, ...] = ()
    for line in lines:
        if not line.strip() or line.startswith("!") or line.strip() == "end":
            continue
        if not line.startswith(" "):
            current = _names(line.strip())
        for name in current:
            below = found.setdefault(name, [])
            if line.startswith(" "):
                below.append(line.strip())
    return found


def _names(line: str) -> tuple[str, ...]:
    """`Et17` is `Ethernet17`; VLANs that EOS shows in one line (`vlan 100,200-202`) are one each."""
    if port := _PORT.fullmatch(line):
        return (f"interface Ethernet{port[1]}",)
    if vlans := _VLANS.fullmatch(line):
        return tuple(f"vlan {number}" for part in vlans[1].split(",") for number in _range(part))
    return (line,)


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), min(int(last or first), _LAST_VLAN) + 1)
