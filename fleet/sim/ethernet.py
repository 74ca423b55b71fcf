"""The network interfaces of Managers, as resources of a box."""

from typing import Any


def interfaces(managers: dict[str, str]) -> dict[str, Any]:
    """Path of a Manager -> id of the interface at which the hall reaches it; the resources of both."""
    tree: dict[str, Any] = {}
    for manager, number in managers.items():
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
