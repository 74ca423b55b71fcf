"""What a step asks before it draws more: room for its node below every breaker above it (fleet.power_desk gives it)."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from fleet.edges import CommandResult


class Power(Protocol):
    """Room for one node below every breaker above it. Fulfilled at once where nobody said what feeds the node.

    What is reserved is on disk when a method returns, and stays until `ended` (of START: until it is over by itself).
    """

    async def reserve(self, stage: str, *, left_s: float = 0.0) -> None:
        """Wait until all that the stage may draw (inventory.power.Stage) is kept free. A safe point: the node may be parked here.

        Before a host is switched off, too, since it is switched on again: never between the two. What is held already is not
        asked for again.

        Args:
            stage: what is about to begin.
            left_s: for how long the node will draw more than idling, this stage and those after it: of several the longest goes first.
        """

    async def turn(self, start_s: float) -> None:
        """Right before a host is turned on or reset: wait for its turn on the branch circuit. Never parks.

        Args:
            start_s: how long it may draw as a start does: to the end of POST.
        """

    async def ended(self, stage: str) -> None:
        """The stage was seen to be over."""

    async def under(
        self,
        stage: str,
        run: Callable[[], Awaitable[CommandResult]],
        gone: Callable[[], Awaitable[bool]],
    ) -> CommandResult:
        """Run a command that is the load of a reserved stage; its end is the stage's.

        Args:
            stage: what was reserved.
            run: the command.
            gone: end whatever is left of the load through the node's shell; whether it was seen to be gone. Called where the command's
                end was not seen. While something may be left the reservation stands.

        Raises:
            LoadShed: a breaker was nearly full, and the load was ended for it.
        """


class Unlimited:
    """Fulfils Power where nobody said what feeds the node: there is nothing to reserve from."""

    async def reserve(self, stage: str, *, left_s: float = 0.0) -> None:
        """At once."""

    async def turn(self, start_s: float) -> None:
        """At once."""

    async def ended(self, stage: str) -> None:
        """Nothing was reserved."""

    async def under(
        self,
        stage: str,  # noqa: ARG002 (as in the port)
        run: Callable[[], Awaitable[CommandResult]],
        gone: Callable[[], Awaitable[bool]],  # noqa: ARG002
    ) -> CommandResult:
        """Only run."""
        return await run()
