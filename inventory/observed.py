"""What was read from a node, from where and when: evidence, not intention. Nothing here was declared by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from inventory.model import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareItem:
    """One entry of the node's FirmwareInventory (Redfish: SoftwareInventory)."""

    id: str
    """`Id` of the entry, such as HostBMC_0 or HGX_FW_GPU_SXM_1."""
    name: str = ""
    version: str = ""
    """As the BMC wrote it, blanks and all; empty when it gave null, nothing or something that is no text."""
    software_id: str = ""
    """`SoftwareId`; lines up with a PLDM component identifier where present (field guide 1.12)."""
    updateable: bool | None = None
    """`Updateable`; None when the BMC does not say."""
    write_protected: bool | None = None
    """`WriteProtected`; None when the BMC does not say."""
    state: str = ""
    """`Status.State`: Enabled, Absent, UnavailableOffline ...; empty when the BMC does not say."""
    health: str = ""
    """The worse of `Status.Health` and `Status.HealthRollup`: OK, Warning, Critical; empty when the BMC does not say."""

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "software_id": self.software_id,
            "updateable": self.updateable,
            "write_protected": self.write_protected,
            "state": self.state,
            "health": self.health,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            TypeError: a field is missing or of the wrong type.
        """
        return cls(
            id=_text(data, "id"),
            name=_text(data, "name"),
            version=_text(data, "version"),
            software_id=_text(data, "software_id"),
            updateable=_flag(data, "updateable"),
            write_protected=_flag(data, "write_protected"),
            state=_text(data, "state"),
            health=_text(data, "health"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One reading of a node: who it says it is, and what it says it runs."""

    node: NodeId
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    uuid: str = ""
    bios_version: str = ""
    bmc_version: str = ""
    power_state: str = ""
    """`PowerState` in the BMC's words: On, Off, PoweringOn ...; empty when it does not say."""
    health: str = ""
    """Of the host system: the worse of `Status.Health` and `Status.HealthRollup`; a BMC rolls its power supplies up there."""
    items: tuple[FirmwareItem, ...] = ()
    read_at: float
    """Our clock in seconds since 1970, never the BMC's (field guide 0.9)."""
    source: str
    """The URL of the Redfish service that was read."""

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        return {
            "node": self.node,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "serial": self.serial,
            "uuid": self.uuid,
            "bios_version": self.bios_version,
            "bmc_version": self.bmc_version,
            "power_state": self.power_state,
            "health": self.health,
            "items": [item.to_dict() for item in self.items],
            "read_at": self.read_at,
            "source": self.source,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            TypeError: a field is missing or of the wrong type.
        """
        items, read_at = data.get("items"), data.get("read_at")
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            raise TypeError("items is not a list of objects")
        if not isinstance(read_at, int | float) or isinstance(read_at, bool):
            raise TypeError("read_at is not a number of seconds")
        return cls(
            node=NodeId(_text(data, "node")),
            manufacturer=_text(data, "manufacturer"),
            model=_text(data, "model"),
            serial=_text(data, "serial"),
            uuid=_text(data, "uuid"),
            bios_version=_text(data, "bios_version"),
            bmc_version=_text(data, "bmc_version"),
            power_state=_text(data, "power_state"),
            health=_text(data, "health"),
            items=tuple(FirmwareItem.from_dict(item) for item in items),
            read_at=float(read_at),
            source=_text(data, "source"),
        )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise TypeError(f"{key} is {type(value).__name__}, not text")
    return value


def _flag(data: Mapping[str, Any], key: str) -> bool | None:
    value = data.get(key)
    if not isinstance(value, bool | None):
        raise TypeError(f"{key} is {type(value).__name__}, not true, false or null")
    return value
