"""Whether new effects may begin. Node runs ask at every safe point; only the engine moves it."""

import asyncio
from enum import StrEnum


class Mode(StrEnum):
    """What the gate says."""

    OPEN = "open"
    PAUSED = "paused"
    PARK = "park"
    """Leave at the safe point; the node goes on after `fleet resume`."""
    ABORT = "abort"
    """Leave at the safe point for good."""


class Parked(Exception):
    """The node stands at a safe point and its run ends here, to be continued."""


class OutsideWindow(Parked):
    """What the node would begin does not fit the maintenance window; it goes on when it does, and not before."""

    def __init__(self, why: str, until: float | None) -> None:
        """`until`: the field time of an opening; None: there is none."""
        super().__init__(why)
        self.until = until


class Aborted(Exception):
    """The node stands at a safe point and its run ends here for good."""


class Gate:
    """One per rollout."""

    def __init__(self) -> None:
        self._mode = Mode.OPEN
        self._why = ""
        self._changed = asyncio.Event()

    @property
    def mode(self) -> Mode:
        """What it says now."""
        return self._mode

    def move(self, mode: Mode, why: str = "") -> None:
        """Let everybody who waits look again. ABORT is final."""
        if self._mode is Mode.ABORT:
            return
        self._mode, self._why = mode, why
        self._changed.set()
        self._changed = asyncio.Event()

    async def moved(self) -> None:
        """Wait until it says something else."""
        await self._changed.wait()

    async def safe_point(self) -> None:
        """Return when effects may begin; raise Parked or Aborted when the node must leave."""
        while self._mode is Mode.PAUSED:
            await self._changed.wait()
        if self._mode is Mode.PARK:
            raise Parked(self._why)
        if self._mode is Mode.ABORT:
            raise Aborted(self._why)
