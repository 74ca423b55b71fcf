"""Are the images what the baseline says? Asked before anything is touched; reads files and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from inventory.baseline import Baseline, ComponentBaseline, Fits, OsBaseline
from inventory.fwpkg import HEADER_UUID, Package, PackageError, read_package
from inventory.text import InputError, Place

_ZIP_MAGIC = b"PK\x03\x04"
"""HPE's .fwpkg files are zip archives, not PLDM packages."""
_ISO = ".iso"
"""Some BMCs mount nothing that is called otherwise (field guide 3.2)."""


def verify_images(baseline: Baseline) -> tuple[InputError, ...]:
    """Every problem with the images of a baseline, those of stepping stones, rollbacks and operating systems among them.

    Streams each image once: seconds for a bundle of gigabytes. Call it off the event loop.
    """
    components = (_refused(component, baseline.models) for component in baseline.components.values())
    systems = (_unmountable(system) for system in baseline.systems.values())
    return tuple(problem for of_one in chain(components, systems) for problem in of_one)


def _refused(component: ComponentBaseline, models: tuple[str, ...]) -> Iterator[InputError]:
    place = component.place or Place(file=str(component.image), line=0)
    for model in models:
        if not component.fits.model(model):
            fitting = ", ".join(component.fits.models)
            yield _problem(place, f"component {component.key!r}", f"fits {fitting}, the baseline is also for {model}")
    goals = (component, *component.requires, *((component.previous,) if component.previous else ()))
    for goal in goals:
        fault = _image_fault(goal.image, goal.sha256, component.fits)
        if fault:
            yield _problem(goal.place or place, f"component {component.key!r}", f"image {goal.image} {fault}")


def _unmountable(system: OsBaseline) -> Iterator[InputError]:
    """An ISO carries no header that would say for what machine it is: its name and its digest are all there is."""
    place, whose = system.place or Place(file=str(system.image), line=0), f"os {system.key!r}"
    if system.image.suffix != _ISO:
        yield _problem(place, whose, f"image {system.image} does not end in {_ISO}; some BMCs mount nothing else")
    try:
        fault = _file_fault(system.image, system.sha256)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    if fault:
        yield _problem(place, whose, f"image {system.image} {fault}")


def _problem(place: Place, whose: str, message: str) -> InputError:
    return InputError.at(place, f"{whose}: {message}", hint="refused before anything is touched")


def _image_fault(image: Path, sha256: str, fits: Fits) -> str | None:
    """What is wrong with an image, as the end of a sentence; None when nothing is."""
    try:
        return _file_fault(image, sha256) or _misfit(_package(image), fits)
    except PackageError as error:
        return f"is no usable package: {error}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _file_fault(image: Path, sha256: str) -> str | None:
    """What is wrong with the file, whatever is in it."""
    if not image.exists():
        return "is missing"
    if not image.is_file():
        return "is not a file"
    if not image.stat().st_size:
        return "is empty"
    with image.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if digest == sha256 else f"has the SHA-256 {digest}, the baseline says {sha256}"


def _package(image: Path) -> Package | None:
    """The PLDM header; None for vendors' own formats, which carry none that could be checked."""
    with image.open("rb") as stream:
        magic = stream.read(len(HEADER_UUID.bytes))
    own_format = image.suffix != ".fwpkg" or magic.startswith(_ZIP_MAGIC)
    return None if own_format and magic != HEADER_UUID.bytes else read_package(image)


def _misfit(package: Package | None, fits: Fits) -> str | None:
    """Whether one device record of the package carries every wanted descriptor."""
    if not fits.descriptors:
        return None
    if package is None:
        return "has no PLDM header in which the descriptors of 'fits' could be found"
    wanted = {(want.kind.casefold(), want.value.casefold()) for want in fits.descriptors}
    carried = [[spelling for each in device.descriptors for spelling in each.spellings()] for device in package.devices]
    if any(wanted <= {(kind.casefold(), value.casefold()) for kind, value in of_one} for of_one in carried):
        return None
    seen = "; ".join(", ".join(f"{kind} {value}" for kind, value in of_one) for of_one in carried)
    return f"is for another device: it names {seen}"
