"""The `power:` block of a playbook's `rollout:`. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from inventory.reader import MappingReader
from inventory.scalar import Percent

HEADROOM = Percent(2.0)
PERIOD_S = 10
SETTLE_S = 90
"""60 to 120 s after its start a soak draws what it will draw (rollout-science 3.2)."""


class Others(StrEnum):
    """What counts for a node that this rollout does not hold, or holds without having drained it."""

    NAMEPLATE = "nameplate"
    """Whoever uses it may load it at any moment."""
    MEASURED = "measured"
    """A person vouches that nobody else loads it (bring-up): what it was seen to draw, never less than idling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSpec:
    """How power is reserved."""

    headroom: Percent = HEADROOM
    """Share of every budget that is never reserved (rollout-science 3.2: eps)."""
    others: Others = Others.NAMEPLATE
    period_s: int = PERIOD_S
    """Between two readings of a meter; after two without one its last word counts for nothing."""
    settle_s: int = SETTLE_S
    """From the start of a steady stage until less than its peak may be believed."""

    def limit_w(self, budget_w: int) -> int:
        """What may be reserved of a budget."""
        return budget_w - self.headroom.of(budget_w)

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "headroom": self.headroom.percent,
            "others": self.others.value,
            "period_s": self.period_s,
            "settle_s": self.settle_s,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PowerSpec":
        """From the journal; a plan of before has none of it, and gets the defaults."""
        if not data:
            return cls()
        return cls(**{**data, "headroom": Percent(data["headroom"]), "others": Others(data["others"])})


def read_power(rollout: MappingReader) -> PowerSpec:
    """The block as a person wrote it. Raises InputError with file and line."""
    reader = rollout.mapping("power")
    headroom = reader.percent_or_count("headroom", minimum=0, default=HEADROOM)
    if not isinstance(headroom, Percent):
        raise reader.error("headroom is a share of every budget", key="headroom", hint="headroom: 2%")
    spec = PowerSpec(
        headroom=headroom,
        others=reader.choice("others", Others, default=Others.NAMEPLATE),
        period_s=reader.duration_s("period", minimum=1, default=PERIOD_S),
        settle_s=reader.duration_s("settle", minimum=60, default=SETTLE_S),
    )
    reader.finish()
    return spec
