"""What is known of a machine before a profile is chosen for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Signals by which a platform is recognised. Empty where the BMC does not say."""

    manufacturer: str = ""
    """System.Manufacturer of the host."""
    model: str = ""
    """System.Model of the host."""
    serial: str = ""
    """System.SerialNumber; Dell's board number, whose asset key is the SKU."""
    sku: str = ""
    """System.SKU."""
    uuid: str = ""
    """Lower case."""
    vendor: str = ""
    """ServiceRoot.Vendor: often that of the BMC's firmware (`AMI` on a DGX H100), not of the machine."""
    product: str = ""
    """ServiceRoot.Product."""
    oem: tuple[str, ...] = ()
    """Names under ServiceRoot.Oem."""
    bmc_model: str = ""
    """Manager.Model."""
    bmc_version: str = ""
    """Manager.FirmwareVersion."""
    systems: tuple[str, ...] = ()
    """Ids."""
    managers: tuple[str, ...] = ()
    """Ids."""
    chassis: tuple[str, ...] = ()
    """Ids."""
