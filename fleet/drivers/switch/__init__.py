"""Leaf switches over SSH: `fleet.edges.SwitchCli` by Netmiko, for Arista EOS and Cumulus Linux (NVUE)."""

from fleet.drivers.switch.connection import SwitchAccess
from fleet.drivers.switch.driver import NetmikoSwitch, SwitchDriver, Way

__all__ = ["NetmikoSwitch", "SwitchAccess", "SwitchDriver", "Way"]
