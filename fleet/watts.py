"""What a meter said: watts, and when they were read. What both `fleet.ports` (a BMC) and `fleet.edges` (a PDU) answer with."""

import math
from dataclasses import dataclass

MOST_W = 1_000_000.0
"""No machine and no PDU draws more: the whole NVL72 rack stays below 135 kW (rollout-science 3.1). Beyond it a meter talks nonsense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReading:
    """One look at one meter. It says nothing of whether the meter itself has looked lately: a stale one repeats itself."""

    watts: float
    """Finite, 0 to MOST_W."""
    at: float
    """Field time (`fleet.clock`) at which the answer came: clocks of BMCs and PDUs lie (field guide 0.9)."""


def reading(watts: object, at: float) -> PowerReading | None:
    """What a device wrote, as a reading; None for null, for what is no number, and for what no machine can draw."""
    if isinstance(watts, bool) or not isinstance(watts, int | float) or not math.isfinite(watts):
        return None
    return PowerReading(watts=float(watts), at=at) if 0 <= watts <= MOST_W else None
