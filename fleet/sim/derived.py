"""Resources that a box file says in a line and the hall writes out: Ethernet interfaces, roots of trust."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_ITEM = "/redfish/v1/UpdateService/FirmwareInventory"
_COMMIT_INFO = "/UpdateService/Oem/Nvidia/CommitImageActionInfo"
_NVIDIA = {"@odata.type": "#NvidiaChassis.v1_0_0.NvidiaChassis"}


class Shows(StrEnum):
    """How a root of trust tells of the two copies that it keeps."""

    STATUS = "status"
    """Only whether a copy runs: the HGX ERoTs of a DGX H100 (captured tree)."""
    BANKS = "banks"
    """AP_Firmware_Slot_0 and _1, and no status: the ERoTs of a DGX H100's motherboard tray (captured tree)."""
    SLOTS = "slots"
    """The status, ActiveFirmwareSlot and InactiveFirmwareSlot of the inventory item, MinimumSecurityVersion (NVIDIA/bmcweb)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootModel:
    """One root of trust, and the inventory items of which it keeps two copies."""

    chassis: str
    protects: tuple[str, ...]
    automatic: bool
    """AutomaticBackgroundCopyEnabled at the start."""
    shows: Shows
    begins_s: float
    """From the start of a new image to the copy."""
    copy_s: float
    minimum: int = 0
    """MinimumSecurityVersion at the start: images below it are refused for ever."""


def root_models(entries: Iterable[dict[str, Any]]) -> tuple[RootModel, ...]:
    """The `roots_of_trust` of a box file: one entry for `instances: [first, last]` of them."""
    return tuple(model for entry in entries for model in _models(entry))


def _models(entry: dict[str, Any]) -> list[RootModel]:
    raw = dict(entry)
    first, last = raw.pop("instances", (0, 0))
    chassis, protects, shows = raw.pop("chassis"), raw.pop("protects"), Shows(raw.pop("shows"))
    return [
        RootModel(chassis=chassis.format(n), protects=tuple(item.format(n) for item in protects), shows=shows, **raw)
        for n in range(first, last + 1)
    ]


def root_resources(roots: Sequence[RootModel]) -> dict[str, Any]:
    """Their chassis, what they protect, and what CommitImage takes."""
    tree: dict[str, Any] = {}
    for root in roots:
        tree[f"/Chassis/{root.chassis}"] = _chassis(root)
        if root.shows is Shows.SLOTS:
            at = f"/Chassis/{root.chassis}/Oem/NvidiaRoT/RoTProtectedComponents"
            kind = "NvidiaRoTProtectedComponent"
            tree[at] = {"@odata.type": f"#{kind}Collection.{kind}Collection", "Members": "children"}
            for item in root.protects:
                tree[f"{at}/{item}"] = {
                    "@odata.type": f"#{kind}.v1_0_0.{kind}",
                    "MinimumSecurityVersion": f"=minimum_security:{item}",
                }
    if roots:
        values = [f"{_ITEM}/{item}" for root in roots for item in root.protects]
        parameter = {"Name": "Targets", "Required": True, "DataType": "StringArray", "AllowableValues": values}
        tree[_COMMIT_INFO] = {"@odata.type": "#ActionInfo.v1_1_2.ActionInfo", "Parameters": [parameter]}
    return tree


def _chassis(root: RootModel) -> dict[str, Any]:
    nvidia: dict[str, Any] = {**_NVIDIA, "AutomaticBackgroundCopyEnabled": f"=copies_itself:{root.chassis}"}
    oem: dict[str, Any] = {"Nvidia": nvidia}
    if root.shows is Shows.BANKS:
        item = root.protects[0]
        nvidia |= {
            "AP_Firmware_Slot_0": f"=bank_zero:{item}",
            "AP_Firmware_Slot_1": f"=bank_one:{item}",
            "EC_BootSlot": f"=boot_bank:{item}",
            "InbandUpdatePolicyEnabled": False,
        }
    else:
        nvidia |= {"BackgroundCopyStatus": f"=copy_status:{root.chassis}", "InbandUpdatePolicyEnabled": True}
    if root.shows is Shows.SLOTS:
        at = f"/redfish/v1/Chassis/{root.chassis}/Oem/NvidiaRoT/RoTProtectedComponents"
        oem["NvidiaRoT"] = {"RoTProtectedComponents": {"@odata.id": at}}
    return {
        "@odata.type": "#Chassis.v1_17_0.Chassis",
        "ChassisType": "Component",
        "Manufacturer": "NVIDIA",
        "Status": {"Health": "OK", "HealthRollup": "OK", "State": "Enabled"},
        "Oem": oem,
    }


def ethernet(interfaces: dict[str, str]) -> dict[str, Any]:
    """Path of a Manager -> id of the interface at which the hall reaches it; the resources of both."""
    tree: dict[str, Any] = {}
    for manager, number in interfaces.items():
        at = f"{manager}/EthernetInterfaces"
        tree[at] = {"@odata.type": "#EthernetInterfaceCollection.EthernetInterfaceCollection", "Members": "children"}
        tree[f"{at}/{number}"] = {
            "@odata.type": "#EthernetInterface.v1_6_0.EthernetInterface",
            "Name": "Manager Ethernet Interface",
            "InterfaceEnabled": True,
            "LinkStatus": "LinkUp",
            "MACAddress": "=mac",
            "SpeedMbps": 1000,
            "FullDuplex": True,
            "AutoNeg": True,
            "HostName": "=host_name",
            "DHCPv4": {"DHCPEnabled": True},
            "IPv4Addresses": [
                {"Address": "=address", "SubnetMask": "255.0.0.0", "AddressOrigin": "DHCP", "Gateway": "127.0.0.1"}
            ],
            "Status": {"State": "Enabled", "Health": "OK"},
        }
    return tree
