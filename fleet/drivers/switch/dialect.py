"""What a platform's command line must be able to do. Blocks: called in a thread, with a terminal of its own."""

from collections.abc import Mapping
from typing import Protocol

from fleet.drivers.switch.connection import Terminal
from fleet.drivers.switch.replies import excerpt
from fleet.edges import Neighbour
from fleet.errors import NodeFault, Reason, Transient

LINES_LIMIT = 20_000
LINE_CHARS = 1000
"""Longer lines meet the limit of a terminal's line buffer (4,096 in Linux, n_tty)."""
DIFFERENCE_CHARS = 16_384


class Dialect(Protocol):
    """One platform."""

    def begin(self, terminal: Terminal) -> None:
        """After the login: rights, and what an earlier process of ours left is thrown away."""

    def running_config(self, terminal: Terminal) -> str:
        """Whole, as `restore` takes it."""

    def neighbours(self, terminal: Terminal) -> tuple[Neighbour, ...]:
        """See fleet.edges.SwitchCli."""

    def access_vlans(self, terminal: Terminal) -> Mapping[str, str]:
        """See fleet.edges.SwitchCli."""

    def difference(self, terminal: Terminal, lines: tuple[str, ...]) -> str:
        """What `push` would change; nothing is changed. Empty: nothing."""

    def push(self, terminal: Terminal, lines: tuple[str, ...]) -> None:
        """See fleet.edges.SwitchCli."""

    def restore(self, terminal: Terminal, config: str) -> None:
        """See fleet.edges.SwitchCli."""


def require_typable(name: str, lines: tuple[str, ...]) -> None:
    """Every line is one line of printable characters: what is typed must not be able to end a document or add a command."""
    wrong = next((line for line in lines if len(line) > LINE_CHARS or not line.isprintable()), None)
    if wrong is not None or len(lines) > LINES_LIMIT:
        what = f"at most {LINES_LIMIT} lines" if wrong is None else f"no line like {excerpt(wrong, 60)!r}"
        raise NodeFault(Reason.SWITCH_REFUSED, f"{name}: {what} can be typed; nothing was sent")


def refused_line(name: str, line: str, reply: str) -> NodeFault:
    """A line that the platform does not take."""
    return NodeFault(
        Reason.SWITCH_REFUSED, f"{name} refuses {excerpt(line, 80)!r}: {excerpt(reply)}; nothing was changed"
    )


def refused_commit(name: str, reply: str) -> Transient:
    """A commit that the platform turned down whole: it may take it later."""
    return Transient(f"{name} refused the commit: {excerpt(reply)}")
