"""A GPU tray of an NVL72 compute tray in the hall, managed by a profile that the product does not have yet."""

from dataclasses import replace

from failure_rig import GB300, Site

from fleet.profile import CopyPolicy, Force, Profile, Push, Rollback, Trust
from fleet.sim.package import build_box_package
from fleet.vendors import profile_named
from inventory.baseline import ComponentBaseline, ItemWant


def tray(policy: CopyPolicy = CopyPolicy.AS_FOUND) -> Profile:
    """A compute tray as it will be once racks are updated whole: until then the profile is read-only (F52)."""
    known = profile_named("gb300-nvl")
    hgx = replace(
        known.components["hgx"],
        push=(Push.MULTIPART,),
        targets=("/redfish/v1/Chassis/HGX_Chassis_0",),
        rollback=Rollback.REFLASH,
        background_copy=policy,
        force=Force.PARAMETER,
        flash_s=300.0,
    )
    return replace(known, trust=Trust.MANAGED, components={"hgx": hgx})


def tray_wish(place: Site, *, goal: int | None, previous: int | None) -> ComponentBaseline:
    """A GPU image of a compute tray with these security versions, in the image (0 if None) and in the baseline."""
    wish = place.component(GB300, "hgx", previous="97.00.6C.00.03")
    path, version = wish.image, wish.version
    versions = {"HGX_FW_GPU": version}
    sha256 = build_box_package(
        path, model=GB300, bundle="hgx", versions=versions, version=version, comparison_stamp=goal or 0
    )
    assert wish.previous is not None
    items = (ItemWant(pattern="HGX_FW_GPU_*", version="97.00.6C.00.03"),)
    back = replace(wish.previous, security_version=previous, items=items)
    return replace(wish, sha256=sha256, security_version=goal, previous=back)
