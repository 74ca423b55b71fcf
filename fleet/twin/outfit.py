"""What a twin wears at the start: firmware versions, and images that its simulated BMCs can read.

Versions: what a journal last saw of the node; where it saw nothing, the baseline's `previous`; where there is none, the box's own.
Images: a simulated BMC checks a seal where a real one checks a vendor's signature, so a vendor's package means nothing to it. In
its place stands a small package with the same versions for the same parts, under the same plan.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from fleet.profile import Profile
from fleet.sim.bmc import Bmc, BoxSpec
from fleet.sim.boxmodel import BoxModel, Part, Slot, load_box
from fleet.sim.fwpkg import PackageError, parse
from fleet.sim.inventory import entries
from fleet.sim.osimage import OsImageError, build_os_image, read_os_image
from fleet.sim.package import ACTIVATION_BIT, Component, Device, build_package
from inventory.baseline import Baseline, ComponentBaseline, ItemWant, PreviousImage, SteppingStone, wants

_READ_BYTES = 64 * 1024 * 1024
"""A larger image is not tried: it is none of a simulated hall."""
_HEAD_BYTES = 4096
"""What an OS image of a hall says of itself stands within these (docs/hall.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One model, with the profile that the product chose for its box."""

    model: str
    profile: Profile

    def parts(self, key: str, wanted: Sequence[ItemWant]) -> dict[str, tuple[Part, str]]:
        """Item -> (part, version) of every part that `wanted` speaks of, within component `key`."""
        known = self.profile.components.get(key)
        globs = known.items if known is not None else ()
        found = {}
        for item, part in _shown(self.model):
            want = next((want for want in wanted if fnmatchcase(item, want.pattern)), None)
            if want is not None and any(fnmatchcase(item, glob) for glob in globs):
                found[part.item] = (part, want.version)
        return found


def _shown(model: str) -> list[tuple[str, Part]]:
    """(Id, part) as the inventory of a box shows them, for what can be flashed."""
    box = load_box(model)
    bmc = Bmc(BoxSpec(name=model, model=model), box, user="", password="")
    listed = entries(box, bmc.firmware, stubs=False)
    return [
        (entry.item, entry.part)
        for entry in listed
        if entry.part.slot is Slot.ACTIVE and not entry.part.mirrors and entry.part.identifier is not None
    ]


def before(baseline: Baseline, kind: Kind, seen: Mapping[str, str]) -> dict[str, str]:
    """Part -> version at the start.

    Args:
        baseline: the goal, with its `previous`.
        kind: the node's model.
        seen: inventory item -> version, as a journal last saw it; empty where it saw nothing.
    """
    found: dict[str, str] = {}
    for key, component in baseline.components.items():
        if component.previous is not None and component.fits.model(kind.model):
            for item, (_, version) in kind.parts(key, _of_previous(component.previous)).items():
                found[item] = version
    parts = {item: part.item for item, part in _shown(kind.model)}
    return found | {parts[item]: version for item, version in seen.items() if item in parts}


def _of_previous(previous: PreviousImage) -> tuple[ItemWant, ...]:
    return previous.items or (ItemWant(pattern="*", version=previous.version),)


def fitted(baseline: Baseline, kinds: Iterable[Kind], directory: Path) -> tuple[Baseline, tuple[str, ...]]:
    """The baseline with images that simulated BMCs can read, and the names of the images that had to be stood in for.

    Args:
        baseline: as the operator wrote it.
        kinds: the models that are rehearsed.
        directory: where stand-ins are written.
    """
    tailor = _Tailor(tuple(kinds), directory)
    components = {key: tailor.component(component) for key, component in baseline.components.items()}
    return replace(baseline, components=components), tuple(tailor.stood_in)


def fitted_system(image: Path, release: str, directory: Path) -> tuple[Path, str] | None:
    """An OS image that a simulated host can install, in place of one that it cannot: (path, sha256). None: it can read it.

    Args:
        image: as the baseline has it.
        release: what it installs.
        directory: where the stand-in is written.
    """
    size_bytes = image.stat().st_size
    try:
        with image.open("rb") as stream:
            read_os_image(stream.read(_HEAD_BYTES))
    except OsImageError:
        pass
    else:
        if size_bytes <= _READ_BYTES:
            return None
    path = directory / f"{hashlib.sha256(str(image).encode()).hexdigest()[:16]}.iso"
    return path, build_os_image(path, version_id=release, stands_for_bytes=size_bytes)


class _Tailor:
    """Makes stand-ins, each once."""

    def __init__(self, kinds: tuple[Kind, ...], directory: Path) -> None:
        self._kinds = kinds
        self._directory = directory
        self.stood_in: dict[str, None] = {}

    def component(self, component: ComponentBaseline) -> ComponentBaseline:
        """With every image of it readable."""
        kinds = [kind for kind in self._kinds if component.fits.model(kind.model)]
        path, digest = self._image(component.key, component, wants(component), kinds)
        requires = tuple(self._stone(component, stone, kinds) for stone in component.requires)
        previous = component.previous
        if previous is not None:
            image, sha256 = self._image(component.key, previous, _of_previous(previous), kinds)
            previous = replace(previous, image=image, sha256=sha256)
        return replace(component, image=path, sha256=digest, requires=requires, previous=previous)

    def _stone(self, component: ComponentBaseline, stone: SteppingStone, kinds: Sequence[Kind]) -> SteppingStone:
        path, digest = self._image(component.key, stone, wants(component.stage(stone)), kinds)
        return replace(stone, image=path, sha256=digest)

    def _image(
        self,
        key: str,
        declared: ComponentBaseline | PreviousImage | SteppingStone,
        wanted: Sequence[ItemWant],
        kinds: Sequence[Kind],
    ) -> tuple[Path, str]:
        image, sha256 = declared.image, declared.sha256
        if _readable(image):
            return image, sha256
        found = [(load_box(kind.model), kind.parts(key, wanted)) for kind in kinds]
        made = _stand_in(found, self._directory / f"{hashlib.sha256(str(image).encode()).hexdigest()[:16]}.fwpkg", key)
        if made is None:  # it fits nothing here; the plan says so
            return image, sha256
        self.stood_in[image.name] = None
        return made


def _readable(image: Path) -> bool:
    try:
        if image.stat().st_size > _READ_BYTES:
            return False
        parse(image.read_bytes())
    except (OSError, PackageError):
        return False
    return True


def _stand_in(
    found: Sequence[tuple[BoxModel, Mapping[str, tuple[Part, str]]]], path: Path, version: str
) -> tuple[Path, str] | None:
    """A package that brings these parts to these versions. None: there is no such part."""
    images: dict[int, Component] = {}
    devices: dict[tuple[int, str], Device] = {}
    for box, parts in found:
        for part, wanted in parts.values():
            bundle = box.bundles.get(part.bundle or "")
            if part.identifier is None or bundle is None:
                continue
            bits = sum({ACTIVATION_BIT[cause] for cause in part.activates_on})
            images[part.identifier] = Component(identifier=part.identifier, version=wanted, activation=bits)
            devices[bundle.iana, bundle.sku] = Device(iana=bundle.iana, sku=bundle.sku)
    if not images:
        return None
    digest = build_package(path, components=list(images.values()), devices=list(devices.values()), version=version)
    return path, digest
