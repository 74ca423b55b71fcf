"""What a BMC cannot bear, as data of its box: memory, slow answers, and what becomes of the baseboard while its own BMC is down.

Sources: field guide 1.2 (an upload is held in the BMC's memory; reads beside it exhaust it), 1.5 and 1.14 (a cold FirmwareInventory
takes two to three minutes), 1.8 (proxied members vanish, turn 404, 500 or 503, or go stale). Sizes of memory are engineering values.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class WhileDown(StrEnum):
    """How resources of the baseboard's BMC answer while it is down."""

    VANISH = "vanish"
    """Their members are gone from the firmware inventory, and they are 404."""
    MISSING = "404"
    """Listed, and 404."""
    ERROR = "500"
    UNAVAILABLE = "503"
    STALE = "stale"
    """As they were before."""


class OutOfMemory(StrEnum):
    """What a BMC does that has no memory left."""

    UNAVAILABLE = "503"
    """It refuses the request that is too much."""
    RESTART = "restart"
    """A process is killed, and the BMC restarts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrainModel:
    """The limits of one kind of box; what a file does not say is no limit."""

    memory_bytes: int = 0
    """For uploads and for requests under way together; 0: as much as it takes."""
    request_bytes: int = 0
    """What each request takes until it is answered, beside its body."""
    out_of_memory: OutOfMemory = OutOfMemory.UNAVAILABLE
    latency_spread: float = 0.0
    """Sigma of the log-normal factor on `latency_s`; 0: always the same."""
    cold_inventory_s: float = 0.0
    """The first read of FirmwareInventory after a start of the BMC takes so much longer."""
    hmc_while_down: WhileDown = WhileDown.VANISH


def read_strain(raw: Mapping[str, Any]) -> StrainModel:
    """Of a box file's `strain`."""
    words: dict[str, Any] = dict(raw)
    if "out_of_memory" in words:
        words["out_of_memory"] = OutOfMemory(str(words["out_of_memory"]))
    if "hmc_while_down" in words:
        words["hmc_while_down"] = WhileDown(str(words["hmc_while_down"]))
    return StrainModel(**words)


@dataclass(slots=True)
class Strain:
    """One box under load."""

    model: StrainModel
    chance: random.Random
    held_bytes: int = 0
    cold: str = ""
    """Non-empty: nobody has read the inventory since the BMC started."""
    counts: dict[str, int] = field(default_factory=lambda: {"out_of_memory": 0, "cold_reads": 0})

    def hold(self, body_bytes: int) -> bool:
        """Take the memory of one request; False: there is not enough, and none was taken."""
        needed = self.model.request_bytes + body_bytes
        # A BMC with nothing else to do serves one request of any size that it takes at all.
        if self.model.memory_bytes and self.held_bytes and self.held_bytes + needed > self.model.memory_bytes:
            self.counts["out_of_memory"] += 1
            return False
        self.held_bytes += needed
        return True

    def release(self, body_bytes: int) -> None:
        """Give it back."""
        self.held_bytes -= self.model.request_bytes + body_bytes

    def latency_s(self, usual_s: float) -> float:
        """How long one answer takes."""
        spread = self.model.latency_spread
        return usual_s * self.chance.lognormvariate(0.0, spread) if spread else usual_s

    def restarted(self) -> None:
        """Caches are empty."""
        self.cold = "yes" if self.model.cold_inventory_s else ""

    def inventory_s(self) -> float:
        """What one read of the inventory takes beyond the usual."""
        if not self.cold:
            return 0.0
        self.cold = ""
        self.counts["cold_reads"] += 1
        return self.model.cold_inventory_s
