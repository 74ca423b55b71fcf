"""Packages that we build are packages that a BMC accepts, and nothing less is."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.sim.fwpkg import PackageError, parse
from fleet.sim.package import Component, Device, build_box_package, build_package, package_bytes

DEVICE = Device(iana=5703, sku="0x49353681")
COMPONENTS = [
    Component(identifier=0x0020, version="96.00.99.00.01", activation=0b110100, size_bytes=5000),
    Component(identifier=0xFF00, version="00.02.0182.0000_n02", activation=0b100000, size_bytes=64),
]


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.fwpkg"
    digest = build_package(path, components=COMPONENTS, devices=[DEVICE], version="HGX-1.2", seed=3)
    package = parse(path.read_bytes())
    assert package.sha256 == digest
    assert package.version == "HGX-1.2"
    assert package.devices == {(5703, "0x49353681")}
    assert [(each.identifier, each.version, each.activation, each.size_bytes) for each in package.images] == [
        (0x0020, "96.00.99.00.01", 0b110100, 5000),
        (0xFF00, "00.02.0182.0000_n02", 0b100000, 64),
    ]


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    first = build_package(tmp_path / "a", components=COMPONENTS, devices=[DEVICE], version="1", seed=1)
    again = build_package(tmp_path / "b", components=COMPONENTS, devices=[DEVICE], version="1", seed=1)
    other = build_package(tmp_path / "c", components=COMPONENTS, devices=[DEVICE], version="1", seed=2)
    assert first == again != other


def test_every_truncation_is_refused() -> None:
    data = package_bytes(components=COMPONENTS[1:], devices=[DEVICE], version="1")
    for end in range(len(data)):
        with pytest.raises(PackageError):
            parse(data[:end])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    package = bytearray(package_bytes(components=COMPONENTS[1:], devices=[DEVICE], version="1"))
    at = data.draw(st.integers(0, len(package) - 1))
    package[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PackageError):
        parse(bytes(package))


@given(st.binary(max_size=300))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(PackageError):
        parse(data)


def test_unknown_family_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"HGX_FW_GPU_SXM.*"):
        build_box_package(tmp_path / "a", model="DGXH100", bundle="gpu", versions={"GPU": "1"}, version="1")
