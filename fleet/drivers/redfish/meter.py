"""What the whole machine draws, from whichever resource tells it (DSP0268: EnvironmentMetrics, Power, Sensor). Everything is optional.

Three places, in this order: the sensor that the profile names (a quirk), EnvironmentMetrics.PowerWatts, and the older
Power.PowerControl. Of the chassis that hold the host only those are asked that can be the whole of it: a GPU tray's own figure is
less than what the machine draws, and less is the dangerous side.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from fleet.drivers.redfish import document
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.watts import PowerReading, reading

_PARTS = frozenset({"Module", "Component", "Card", "Cartridge", "Zone", "ExpansionChassis", "StorageEnclosure"})
"""Chassis.ChassisType of what is only a part of a machine."""
_MOST_CHASSIS = 8
"""Of one host: DGX H100 names one, an NVL tray a dozen parts [inf]."""


@dataclass(slots=True)
class Meter:
    """Where one BMC shows it, once that is known. Forget it after a restart."""

    place: str = ""
    """Path of the resource; empty: not looked for yet, or not found."""

    async def read(self, access: Access, system: str, sensor: str) -> PowerReading | None:
        """Watts of the machine now; None where nothing tells.

        Args:
            access: whose BMC.
            system: path of the host's ComputerSystem.
            sensor: Id that the profile names, or empty.
        """
        if self.place:
            return await _read(access, self.place)
        async for place in _places(access, system, sensor):
            found = await _read(access, place)
            if found is not None:
                self.place = place
                return found
        return None


async def _places(access: Access, system: str, sensor: str) -> AsyncIterator[str]:
    """Where it might stand, likeliest first."""
    host = await access.get(system)
    for link in document.objects(document.child(host, "Links"), "Chassis")[:_MOST_CHASSIS]:
        chassis = await _resource(access, document.path_of(link.get("@odata.id")))
        if document.text(chassis, "ChassisType") in _PARTS:
            continue
        sensors = document.link(chassis, "Sensors")
        if sensor and sensors:
            yield f"{sensors.rstrip('/')}/{sensor}"
        for name in ("EnvironmentMetrics", "Power"):
            if place := document.link(chassis, name):
                yield place


async def _read(access: Access, place: str) -> PowerReading | None:
    shown = await _resource(access, place)
    now = access.channel.clock.now()
    controls = document.objects(shown, "PowerControl")
    watts = (
        shown.get("Reading"),
        document.child(shown, "PowerWatts").get("Reading"),
        *(control.get("PowerConsumedWatts") for control in controls[:1]),
    )
    found = (reading(each, now) for each in watts)
    return next((each for each in found if each is not None), None)


async def _resource(access: Access, path: str) -> Document:
    reply = await access.find(path) if path else None
    return NOTHING if reply is None else reply.body
