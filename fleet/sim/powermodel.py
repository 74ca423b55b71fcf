"""What a machine draws by what it does, and where its BMC shows that: data of a box.

DGX H100's idle and load are published (rollout-science 3.1: 2,074 W observed idle, 10,200 W by policy); idle of R750, DL385 and SYS-821GE
stands in their captured trees; load of B200 and GB300 is published (3.1). Standby and the fan ramp of POST are engineering values
everywhere (field guide 2.4, 7), and so is whatever a box file does not give.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Shows(StrEnum):
    """Where a BMC shows what the whole machine draws."""

    NOWHERE = "nowhere"
    """No captured tree at hand shows it (NVL trays, NVSwitch, BlueField)."""
    CONTROL = "control"
    """Chassis/Power, PowerControl[0].PowerConsumedWatts."""
    ENVIRONMENT = "environment"
    """Chassis/EnvironmentMetrics, PowerWatts."""
    SENSOR = "sensor"
    """A sensor of the chassis, named by `sensor`; PowerControl is there and shows no consumption, as on DGX H100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerModel:
    """Input watts of the whole machine by what it does."""

    standby_w: float = 140.0
    """Host off: BMC, standby rails, supplies."""
    idle_w: float = 600.0
    post_w: float = 900.0
    """From power-on to the end of POST: fans at full speed."""
    load_w: float = 1200.0
    shows: Shows = Shows.CONTROL
    sensor: str = ""


def read_power(raw: dict[str, Any]) -> PowerModel:
    """From a box file."""
    return PowerModel(**raw | {"shows": Shows(raw.get("shows", Shows.CONTROL))})
