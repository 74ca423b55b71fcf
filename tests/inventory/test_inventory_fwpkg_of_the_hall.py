"""The hall builds packages, the product reads them. They share no code, so that they can disagree."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleet.sim.package import Component, Device, build_package
from inventory.baseline import Activation, Baseline, ComponentBaseline, Descriptor, Fits
from inventory.baseline_check import verify_images
from inventory.fwpkg import read_package

IMAGES = (
    Component(identifier=0x0010, version="HGX-22.10-1-rc57", activation=0b000010, size_bytes=4096),
    Component(identifier=0x0020, version="96.00.6D.00.01", activation=0b110100, size_bytes=8192),
    Component(identifier=0xFF00, version="", activation=0b100000, size_bytes=33),
)


def test_the_product_reads_what_the_hall_builds(tmp_path: Path) -> None:
    file = tmp_path / "hall.fwpkg"
    build_package(file, components=IMAGES, devices=[Device(iana=5703, sku="P2312")], version="1.1.3")

    package = read_package(file)

    assert package.version == "1.1.3"
    assert [(each.identifier, each.version, each.size) for each in package.components] == [
        (image.identifier, image.version, image.size_bytes) for image in IMAGES
    ]
    assert package.components[1].activation == {Activation.MEDIUM_RESET, Activation.DC_CYCLE, Activation.AC_CYCLE}
    assert [device.components for device in package.devices] == [(0, 1, 2)]
    content = file.read_bytes()
    for component in package.components:  # every payload ends with the digest of the rest: the offsets are right
        payload = content[component.offset : component.offset + component.size]
        assert payload[-32:] == hashlib.sha256(payload[:-32]).digest()


def test_a_package_of_the_hall_fits_by_its_sku(tmp_path: Path) -> None:
    file = tmp_path / "hall.fwpkg"
    sha256 = build_package(file, components=IMAGES, devices=[Device(iana=5703, sku="P2312")], version="1")

    def problems(sku: str) -> int:
        wanted = (Descriptor(kind="iana", value="5703"), Descriptor(kind="APSKU", value=sku))
        component = ComponentBaseline(
            key="hgx",
            version="1",
            image=file,
            sha256=sha256,
            fits=Fits(models=("DGXH100",), descriptors=wanted),
            activation=frozenset({Activation.AC_CYCLE}),
        )
        return len(verify_images(Baseline(name="b", models=("DGXH100",), components={"hgx": component})))

    assert problems("P2312") == 0
    assert problems(b"P2312".hex()) == 0
    assert problems("P2313") == 1
