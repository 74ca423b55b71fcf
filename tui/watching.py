"""What every screen of the cockpit has: the newest snapshot, and a way to be told of the next."""

from typing import Protocol, runtime_checkable

from tui.snapshot import Snapshot


@runtime_checkable
class Watching(Protocol):
    """A screen that draws snapshots."""

    def show(self, seen: Snapshot) -> None:
        """Draw it."""
