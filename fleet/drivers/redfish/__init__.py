"""BMCs over Redfish: `RedfishDriver` makes the `fleet.ports.Bmc` of a node. docs/redfish.md says why it is so."""

from fleet.drivers.redfish.bmc import RedfishBmc
from fleet.drivers.redfish.driver import RedfishDriver
from fleet.drivers.redfish.transport import HttpTransport

__all__ = ["HttpTransport", "RedfishBmc", "RedfishDriver"]
