"""PLDM package headers: what is right is read, what is wrong is refused, and nothing else ever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pldm_builder import APSKU, IANA_NVIDIA, Image, Record, build, tlv, with_right_crc

from inventory.baseline import Activation
from inventory.fwpkg import Package, PackageError, parse_package, read_package


def parse(package: bytes) -> Package:
    return parse_package(package[:65535], size_bytes=len(package))


def test_a_bundle_is_read_to_the_last_field(tmp_path: Path) -> None:
    file = tmp_path / "hgx.fwpkg"
    images = [
        Image(identifier=0x0010, version="HGX-22.10-1-rc57", payload=b"1" * 100, activation=0b010000),
        Image(identifier=0xFF00, version="00.02.0134.0000_n00", payload=b"2" * 50, activation=0b100000, stamp=7),
        Image(identifier=0x0020, version="96.00.6D.00.01", payload=b"3" * 25, activation=0b110100),
    ]
    records = [
        Record(applies=0b011, descriptors=[IANA_NVIDIA, APSKU], version="set-a"),
        Record(applies=0b100, descriptors=[tlv(0x0000, b"\xde\x10"), tlv(0x0100, b"\x30\x23")], package_data=b"xyz"),
    ]
    file.write_bytes(build(images=images, records=records))

    package = read_package(file)

    assert [component.identifier for component in package.components] == [0x0010, 0xFF00, 0x0020]
    assert [component.version for component in package.components] == [image.version for image in images]
    assert [component.size for component in package.components] == [100, 50, 25]
    assert package.components[0].offset == package.header_bytes
    assert package.components[1].comparison_stamp == 7
    assert package.components[0].activation == {Activation.DC_CYCLE}
    assert package.components[2].activation == {Activation.MEDIUM_RESET, Activation.DC_CYCLE, Activation.AC_CYCLE}
    assert [device.components for device in package.devices] == [(0, 1), (2,)]
    assert [each.describe() for each in package.devices[0].descriptors] == [("iana", "5703"), ("APSKU", "4b000055")]
    assert [each.describe() for each in package.devices[1].descriptors] == [
        ("pci-vendor", "0x10de"),
        ("pci-device", "0x2330"),
    ]
    assert package.devices[0].version == "set-a"


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (b"", "needs 16 bytes"),
        (build(uuid=bytes(16)), "no PLDM firmware package"),
        (build(header_error=60_000), "the header claims"),
        (build(header_error=-1), "checksum"),
        (build(crc_error=1), "the file is damaged"),
        (build(spare=b"x"), "the header has 1 bytes too many"),
        (build(records=[Record(length_error=1)]), "device record"),
        (build(records=[Record(length_error=-1)]), "package data|descriptor"),
        (build(records=[Record(descriptors=[])]), "no descriptor"),
        (build(records=[Record(applies=0b10)]), "beyond the 1"),
        (build(records=[Record(applies=0)]), "names no component"),
        (build(records=[]), "for no device"),
        (build(images=[], records=[Record(applies=0)]), "no component"),
        (build(images=[Image(offset=20)]), "inside the header"),
        (build(images=[Image(size=65)]), "the file has"),
        (build(images=[Image(size=0)]), "0 bytes"),
        (build(images=[Image(offset=0xFFFFFFFF, size=0xFFFFFFFF)]), "the file has"),
        (build(records=[Record(descriptors=[tlv(0xFFFF, b"\x01\xff")])]), "descriptor title"),
    ],
)
def test_a_wrong_header_is_refused_with_the_rule_it_breaks(package: bytes, words: str) -> None:
    with pytest.raises(PackageError, match=words):
        parse(package)


def test_a_package_cut_at_any_byte_is_refused() -> None:
    package = build(images=[Image(), Image(identifier=2)], records=[Record(applies=0b11)])
    for length in range(len(package)):
        with pytest.raises(PackageError):
            parse(package[:length])
    assert len(parse(package).components) == 2


@given(st.data())
def test_a_mutated_header_is_refused_or_stays_within_the_file(data: st.DataObject) -> None:
    """With the checksum made right again, so that the checks behind it are reached."""
    package = bytearray(build(images=[Image(), Image(identifier=2)], records=[Record(applies=0b11), Record()]))
    header_size = int.from_bytes(package[17:19], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        package[data.draw(st.integers(19, header_size - 5))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse(with_right_crc(bytes(package), header_size))
    except PackageError:
        return
    for component in parsed.components:
        assert header_size <= component.offset < component.offset + component.size <= len(package)
    assert all(index < len(parsed.components) for device in parsed.devices for index in device.components)


@given(st.binary(max_size=400))
def test_noise_behind_the_identifier_is_refused(noise: bytes) -> None:
    with pytest.raises(PackageError):
        parse(build()[:16] + noise)


def test_the_payload_is_not_read(tmp_path: Path) -> None:
    """A sparse file of 3 GB would not fit the memory of this test's machine twice."""
    size = 3 * 2**30
    header = build(images=[Image(payload=b"", size=size)])
    file = tmp_path / "large.fwpkg"
    with file.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + size)
    assert read_package(file).components[0].size == size
