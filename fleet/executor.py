"""Where node runs execute: in this process by default. A distributed engine fulfils the same port."""

from collections.abc import Mapping
from typing import Protocol

from fleet.lookback import LookBack
from fleet.runner import NodeRun, Surroundings
from inventory.model import Node


class Executor(Protocol):
    """Runs one node at a time per call; the engine calls it for many at once."""

    async def execute(self, node: str) -> None:
        """Run the node until it has ended or is parked. Raises JournalUnwritable; anything else is a bug."""

    async def look(self, node: str) -> None:
        """Look at a confirmed node again, reading only; NodeRelapsed is recorded if it is ill. Raises JournalUnwritable."""


class LocalExecutor:
    """In this process, on this event loop."""

    def __init__(
        self, around: Surroundings, nodes: Mapping[str, Node], leftovers: Mapping[str, Mapping[str, str]]
    ) -> None:
        """`leftovers`: node -> Context -> URI of sessions that an earlier process left."""
        self._around = around
        self._nodes = nodes
        self._leftovers = leftovers

    async def execute(self, node: str) -> None:
        """See Executor."""
        await NodeRun(self._nodes[node], self._around, self._leftovers.get(node, {})).run()

    async def look(self, node: str) -> None:
        """See Executor."""
        await LookBack(self._nodes[node], self._around, {}).look()
