"""Which parts of a box a package would be written to."""

import re
from dataclasses import dataclass
from typing import Any

from fleet.sim.boxmodel import INVENTORY, BoxModel, Bundle, Part
from fleet.sim.firmware import Firmware
from fleet.sim.fwpkg import Image, Package
from fleet.sim.message import message


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One image for one part."""

    part: Part
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A part that the device itself leaves alone."""

    part: Part
    image: Image
    same: bool
    """The version is the same; otherwise it is lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an update will touch."""

    picks: tuple[Pick, ...] = ()
    skipped: tuple[Skip, ...] = ()


def stored(box: BoxModel, part: Part, version: str) -> Package:
    """The package that a BMC keeps in its own store for `part` (Dell's Previous-* entries)."""
    bundle = box.bundles[part.bundle or ""]
    image = Image(
        classification=0,
        identifier=part.identifier or 0,
        comparison_stamp=0,
        activation=0,
        version=version,
        offset=0,
        size_bytes=0,
    )
    digest = f"previous:{part.item}:{version}"
    devices = frozenset({(bundle.iana, bundle.sku)})
    return Package(version=version, devices=devices, images=(image,), size_bytes=0, sha256=digest)


def unknown_target(box: BoxModel, targets: tuple[str, ...], inventory: frozenset[str]) -> str | None:
    """The first target that means nothing to this box; `inventory` holds the Ids of the moment."""
    for target in targets:
        if _bundle_of(box, target) is None and not (
            target.startswith(f"{INVENTORY}/") and target.rpartition("/")[2] in inventory
        ):
            return target
    return None


def select(box: BoxModel, firmware: Firmware, package: Package, targets: tuple[str, ...], *, force: bool) -> Selection:
    """Match the package's images to parts by bundle, device and identifier."""
    picks, skips = [], []
    for part in box.parts:
        image = _image_for(box, part, package, targets)
        if image is None:
            continue
        active = firmware.parts[part.item].active
        same = image.version == active and box.update.same_version == "skip"
        lower = box.update.older_needs != "nothing" and _rank(image.version) < _rank(active)
        if (same or lower) and not force:
            skips.append(Skip(part=part, image=image, same=same))
        else:
            picks.append(Pick(part=part, image=image))
    return Selection(picks=tuple(picks), skipped=tuple(skips))


def selection_error() -> dict[str, Any]:
    """What a box says about a package that fits none of its parts (field guide 1.3, last line)."""
    args = ("Firmware Update Service", "No Matching Devices")
    return message(
        "ResourceEvent.1.0.ResourceErrorsDetected",
        "The resource property Firmware Update Service has detected errors of type 'No Matching Devices'.",
        args,
        "Critical",
        "Verify the FW package has devices that are listed in the Redfish FW Inventory",
    )


def _image_for(box: BoxModel, part: Part, package: Package, targets: tuple[str, ...]) -> Image | None:
    if part.bundle is None or part.identifier is None or part.mirrors or not _addressed(box, part, targets):
        return None
    bundle = box.bundles[part.bundle]
    if (bundle.iana, bundle.sku) not in package.devices:
        return None
    return next((image for image in package.images if image.identifier == part.identifier), None)


def _addressed(box: BoxModel, part: Part, targets: tuple[str, ...]) -> bool:
    if not targets:
        return box.update.default_bundle in {None, part.bundle}
    for target in targets:
        bundle = _bundle_of(box, target)
        if bundle is not None:
            if part.bundle == bundle.name:
                return True
        elif re.search(rf"(?:/|__){re.escape(part.item)}$", target):
            return True
    return False


def _bundle_of(box: BoxModel, target: str) -> Bundle | None:
    return next((bundle for bundle in box.bundles.values() if target in bundle.targets), None)


def _rank(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order of versions as the device sees it: tokens by value, hexadecimal where they are (96.10.4A > 96.10.35)."""
    tokens = re.findall(r"[0-9A-Za-z]+", version)
    return tuple(
        (1, int(token, 16), "") if re.fullmatch(r"[0-9A-Fa-f]{1,12}", token) else (0, 0, token) for token in tokens
    )
