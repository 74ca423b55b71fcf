"""A baseline in YAML -> `Baseline`. The form of the file stands in docs/baselines.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from inventory.baseline import (
    Activation,
    Baseline,
    ComponentBaseline,
    Descriptor,
    Fits,
    ItemWant,
    OsBaseline,
    PreviousImage,
    SteppingStone,
)
from inventory.document import Value, read_document
from inventory.reader import MappingReader
from inventory.text import nearest

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)


def load_baseline(path: Path) -> Baseline:
    """Read a baseline. The images are not opened: see `inventory.baseline_check.verify_images`.

    Raises:
        InputError: anything that cannot be used, with file and line.
    """
    reader = MappingReader(read_document(path), what="baseline")
    name, models = reader.text("baseline"), _some(reader.required("models"))
    components = {
        key: _component(key, entry, models) for key, entry in _keyed(reader.mapping("components"), what="component")
    }
    systems = {key: _system(key, entry) for key, entry in _keyed(reader.mapping("os"), what="os")}
    mixes = tuple(_mix(value, components) for value in reader.sequence("compatibility"))
    reader.finish()
    if not (components or systems):
        raise reader.error(f"baseline {name!r} names no component and no os", hint="add components: or os:")
    return Baseline(
        name=name, models=models, components=components, systems=systems, compatibility=mixes, place=reader.place
    )


def _mix(value: Value, components: Mapping[str, ComponentBaseline]) -> Mapping[str, frozenset[str]]:
    """`{bmc: ["23.11.21", "24.09.17"], bios: "01.05.03"}`: versions that were tested with one another."""
    row = MappingReader(value, what="row of compatibility")
    for key in row.keys():  # noqa: SIM118 (a reader is no mapping)
        if key not in components:
            raise row.error(f"no component {key!r} in this baseline", key=key, hint=nearest(key, components))
    found = {key: frozenset(_some(versions)) for key, versions in row.items()}
    if not found:
        raise value.error("a row of compatibility names no component", hint='{bmc: "24.09.17", bios: ["01.01.03"]}')
    return found


def _keyed(section: MappingReader, *, what: str) -> Iterator[tuple[str, MappingReader]]:
    """The entries of a section by the keys that playbooks name them by."""
    for key, value in section.items():
        if not _KEY.fullmatch(key):
            raise value.error(f"{what} {key!r} is not usable as a key", hint="lower-case letters, digits and . _ -")
        yield key, MappingReader(value, what=f"{what} {key!r}")


def _system(key: str, reader: MappingReader) -> OsBaseline:
    system = OsBaseline(
        key=key,
        release=reader.text("release"),
        image=_image(reader),
        sha256=_sha256(reader),
        place=reader.place,
    )
    reader.finish()
    return system


def _component(key: str, reader: MappingReader, models: tuple[str, ...]) -> ComponentBaseline:
    component = ComponentBaseline(
        key=key,
        version=reader.text("version"),
        accepts=_accepts(reader),
        items=_items(reader),
        image=_image(reader),
        sha256=_sha256(reader),
        fits=_fits(reader.mapping("fits"), models),
        activation=_activation(reader.required("activation")),
        requires=tuple(_stone(stone) for stone in reader.mappings("requires", what="stepping stone")),
        previous=_previous(reader.mapping("previous", what="previous image")) if "previous" in reader else None,
        security_version=_security_version(reader),
        place=reader.place,
    )
    reader.finish()
    for goal in (*component.requires, component.previous):
        if goal and goal.place and component.items and not goal.items:
            raise reader.error(
                f"component {key!r} lists items, its image in line {goal.place.line} does not",
                hint="without items every part of the bundle would have to show that one version",
            )
    return component


def _previous(reader: MappingReader) -> PreviousImage:
    previous = PreviousImage(
        version=reader.text("version"),
        accepts=_accepts(reader),
        items=_items(reader),
        image=_image(reader),
        sha256=_sha256(reader),
        security_version=_security_version(reader),
        place=reader.place,
    )
    reader.finish()
    return previous


def _security_version(reader: MappingReader) -> int | None:
    return reader.integer("security_version", minimum=0, default=None)


def _stone(reader: MappingReader) -> SteppingStone:
    stone = SteppingStone(
        from_versions=_some(reader.required("from")),
        via=reader.text("via"),
        accepts=_accepts(reader),
        items=_items(reader),
        image=_image(reader),
        sha256=_sha256(reader),
        place=reader.place,
    )
    reader.finish()
    if stone.needed(stone.via):
        raise reader.error(
            f"the stepping stone {stone.via!r} would be needed on the way from itself",
            key="from",
            hint="narrow the versions in 'from'",
        )
    return stone


def _fits(reader: MappingReader, models: tuple[str, ...]) -> Fits:
    """What the image fits; the models of the baseline unless it says otherwise."""
    wanted = reader.mapping("descriptors")
    fits = Fits(
        models=reader.read("models", _some, default=models),
        descriptors=tuple(Descriptor(kind=kind, value=value.text()) for kind, value in wanted.items()),
    )
    reader.finish()
    return fits


def _items(reader: MappingReader) -> tuple[ItemWant, ...]:
    """`{HostBMC_0: "24.09.17"}` or `{HostBMC_0: {version: "24.09.17", accepts: [...]}}`."""
    wants: list[ItemWant] = []
    for pattern, value in reader.mapping("items").items():
        if value.kind == "text":
            wants.append(ItemWant(pattern=pattern, version=value.text()))
            continue
        entry = MappingReader(value, what=f"item {pattern!r}")
        wants.append(ItemWant(pattern=pattern, version=entry.text("version"), accepts=_accepts(entry)))
        entry.finish()
    return tuple(wants)


def _accepts(reader: MappingReader) -> frozenset[str]:
    return frozenset(reader.texts("accepts", default=()))


def _image(reader: MappingReader) -> Path:
    """The image's path, which the file gives relative to itself."""
    value = reader.required("image")
    return (Path(value.file).parent / value.text()).absolute()


def _sha256(reader: MappingReader) -> str:
    return reader.required("sha256").parsed(_digest)


def _digest(text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise ValueError("is no SHA-256 digest (64 hex digits; run: sha256sum IMAGE)")
    return text.lower()


def _activation(value: Value) -> frozenset[Activation]:
    if value.kind == "text":
        return frozenset({value.choice(Activation)})
    activations = frozenset(element.choice(Activation) for element in value.sequence())
    if not activations:
        raise value.error("activation names no way to activate the image", hint=f"known: {', '.join(Activation)}")
    return activations


def _some(value: Value) -> tuple[str, ...]:
    """A list of texts that is not empty."""
    texts = value.texts()
    if not texts:
        raise value.error(f"{value.what} is empty", hint="name at least one")
    return texts
