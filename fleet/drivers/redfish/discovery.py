"""What a BMC says about its machine, before anybody has chosen a profile for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleet.drivers.redfish import document, layout
from fleet.drivers.redfish.access import Access
from fleet.vendors.discovery import Discovery

ANY = "*"


async def discover(access: Access) -> Discovery:
    """Read the signals by which a platform is recognised: about eight requests, reads only."""
    root = access.root
    _, host = await layout.find_host(access, ANY)
    _, bmc = await layout.find_manager(access, host, ANY)
    return Discovery(
        manufacturer=document.text(host, "Manufacturer"),
        model=document.text(host, "Model"),
        serial=document.text(host, "SerialNumber"),
        sku=document.text(host, "SKU"),
        uuid=document.text(host, "UUID").lower(),
        vendor=document.text(root, "Vendor"),
        product=document.text(root, "Product"),
        oem=tuple(sorted(document.child(root, "Oem"))),
        bmc_model=document.text(bmc, "Model"),
        bmc_version=document.text(bmc, "FirmwareVersion"),
        systems=await _ids(access, "Systems"),
        managers=await _ids(access, "Managers"),
        chassis=await _ids(access, "Chassis"),
    )


async def _ids(access: Access, collection: str) -> tuple[str, ...]:
    path = document.link(access.root, collection)
    reply = await access.find(path) if path else None
    if reply is None:
        return ()
    return tuple(document.last_part(member) for member in document.member_links(reply.body))


@asynccontextmanager
async def opened(access: Access) -> AsyncIterator[Access]:
    """A session for the time of one look."""
    try:
        await access.open()
        yield access
    finally:
        await access.end()
