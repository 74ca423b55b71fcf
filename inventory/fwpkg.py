"""The header of a PLDM firmware package (`.fwpkg`): what is in it, for which devices, and what activates it.

Source: DMTF DSP0267 (PLDM for Firmware Update) 1.0.1, section 7; field guide 1.12. Every length is checked before it is
believed, the header's CRC-32 is verified, and the payload is never read: a package of a gigabyte costs its header.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from inventory.baseline import Activation

HEADER_UUID = UUID("f018878c-cb7d-4943-9800-a02f059aca02")
"""PackageHeaderIdentifier of DSP0267 1.0.x, table 3. Later revisions have others and another layout."""
HEADER_LIMIT_BYTES = 65_535
"""PackageHeaderSize is a uint16."""
_FIXED = struct.Struct("<16sBH13sHBB")
_RECORD = struct.Struct("<HBIBBH")
_COMPONENT = struct.Struct("<HHIHHIIBB")
_VENDOR_DEFINED = 0xFFFF
_UUID_BYTES = 16
_CRC_BYTES = 4

_ENCODINGS: Mapping[int, str] = {1: "ascii", 2: "utf-8", 3: "utf-16", 4: "utf-16-le", 5: "utf-16-be"}
"""String types of DSP0267 table 20; 0 is unknown and read as ASCII with escapes."""

_ACTIVATIONS: Mapping[int, Activation] = {
    0: Activation.AUTOMATIC,
    1: Activation.SELF_CONTAINED,
    2: Activation.MEDIUM_RESET,
    3: Activation.WARM_RESET,
    4: Activation.DC_CYCLE,
    5: Activation.AC_CYCLE,
}
"""Bits of RequestedComponentActivationMethod, DSP0267 table 5."""

_KINDS: Mapping[int, str] = {
    0x0000: "pci-vendor",
    0x0001: "iana",
    0x0002: "uuid",
    0x0003: "pnp-vendor",
    0x0004: "acpi-vendor",
    0x0100: "pci-device",
    0x0101: "pci-subsystem-vendor",
    0x0102: "pci-subsystem",
    0x0103: "pci-revision",
    0x0104: "pnp-product",
    0x0105: "acpi-product",
}
"""Descriptor types of DSP0267 table 7."""


class PackageError(ValueError):
    """The file is no PLDM package that can be trusted. The text says which rule it breaks and at which byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """One thing that a device must say of itself."""

    type: int
    data: bytes
    title: str = ""
    """Only of vendor-defined descriptors, such as NVIDIA's APSKU and ECSKU."""

    def describe(self) -> tuple[str, str]:
        """Kind and value in words, as a baseline's `fits` writes them: ("pci-vendor", "0x10de").

        Numbers are little-endian and in hex, an IANA number in decimal, a UUID in its usual form, vendor-defined data
        as hex digits in the order of the bytes, under the title.
        """
        if self.type == _VENDOR_DEFINED:
            return self.title, self.data.hex()
        kind = _KINDS.get(self.type, f"0x{self.type:04x}")
        if kind == "uuid" and len(self.data) == _UUID_BYTES:
            return kind, str(UUID(bytes=self.data))
        if kind == "iana":
            return kind, str(int.from_bytes(self.data, "little"))
        return kind, "0x" + self.data[::-1].hex()

    def spellings(self) -> tuple[tuple[str, str], ...]:
        """`describe`, and for vendor-defined data that is printable ASCII also the text itself."""
        plain = self.data.decode("ascii", "replace")
        if self.type == _VENDOR_DEFINED and plain.isascii() and plain.isprintable():
            return self.describe(), (self.title, plain)
        return (self.describe(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A firmware device identification record: which devices, and which components are for them."""

    descriptors: tuple[Descriptor, ...]
    """A device must show all of them."""
    components: tuple[int, ...]
    """Positions in `Package.components`."""
    options: int
    """DeviceUpdateOptionFlags."""
    version: str
    """Of the set of components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One image in the package."""

    classification: int
    identifier: int
    """Lines up with an inventory item's SoftwareId, but is not unique on a node (field guide 1.12)."""
    comparison_stamp: int
    options: int
    activation: frozenset[Activation]
    """Any one of these activates it; empty where the package asks for none."""
    offset: int
    """First byte of the image, counted from the start of the file."""
    size: int
    """Bytes of the image."""
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a package's header says."""

    uuid: UUID
    version: str
    devices: tuple[Device, ...]
    components: tuple[Component, ...]
    header_bytes: int


class _Cursor:
    """Bytes that are taken from the front and never beyond the end."""

    def __init__(self, data: bytes, *, start: int = 0, end: int | None = None) -> None:
        self.at = start
        self._data = data
        self._end = len(data) if end is None else end

    def take(self, count: int, what: str) -> bytes:
        if count > self._end - self.at:
            raise PackageError(f"{what} at byte {self.at} needs {count} bytes, {self._end - self.at} are left")
        self.at += count
        return self._data[self.at - count : self.at]

    def unpack(self, layout: struct.Struct, what: str) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size, what))

    def text(self, kind: int, length: int, what: str) -> str:
        raw = self.take(length, what)
        if kind not in {0, *_ENCODINGS}:
            raise PackageError(f"{what} before byte {self.at} has the unknown string type {kind}")
        try:
            return raw.decode("ascii", "backslashreplace") if not kind else raw.decode(_ENCODINGS[kind])
        except UnicodeDecodeError:
            raise PackageError(f"{what} before byte {self.at} is not {_ENCODINGS[kind]} text") from None

    def part(self, count: int, what: str) -> _Cursor:
        """The next `count` bytes on their own."""
        start = self.at
        self.take(count, what)
        return _Cursor(self._data, start=start, end=self.at)

    def finish(self, what: str) -> None:
        if self.at != self._end:
            raise PackageError(f"{what} has {self._end - self.at} bytes too many at byte {self.at}")


def read_package(path: Path) -> Package:
    """Parse the header of a package file.

    Raises:
        PackageError: the header is no valid one, or names bytes that the file does not have.
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(HEADER_LIMIT_BYTES)
        size_bytes = stream.seek(0, 2)
    return parse_package(head, size_bytes=size_bytes)


def parse_package(head: bytes, *, size_bytes: int) -> Package:
    """Parse a header.

    Args:
        head: the beginning of the file, at least as long as the header.
        size_bytes: the size of the whole file.

    Raises:
        PackageError: as `read_package`.
    """
    start = _Cursor(head)
    identifier = UUID(bytes=start.take(_UUID_BYTES, "package header identifier"))
    if identifier != HEADER_UUID:
        raise PackageError(f"is no PLDM firmware package of DSP0267 1.0: it begins with {identifier}")
    header_bytes = int.from_bytes(head[17:19], "little")
    if header_bytes > len(head) or header_bytes < _FIXED.size + _CRC_BYTES:
        raise PackageError(f"the header claims {header_bytes} bytes, the file has {size_bytes}")
    _check_crc(head[:header_bytes])
    cursor = _Cursor(head, end=header_bytes - _CRC_BYTES)
    *_, bitmap_bits, kind, length = _FIXED.unpack(cursor.take(_FIXED.size, "package header"))
    version = cursor.text(kind, length, "package version")
    devices = tuple(_device(cursor, bitmap_bits) for _ in range(cursor.take(1, "device record count")[0]))
    count = int.from_bytes(cursor.take(2, "component count"), "little")
    components = tuple(_component(cursor) for _ in range(count))
    cursor.finish("the header")
    if not components or not devices:
        raise PackageError("the package holds no component or is for no device")
    _check_layout(devices, components, header_bytes=header_bytes, size_bytes=size_bytes)
    return Package(uuid=identifier, version=version, devices=devices, components=components, header_bytes=header_bytes)


def _check_crc(header: bytes) -> None:
    """CRC-32 of IEEE 802.3 over everything before it (DSP0267 table 3, PackageHeaderChecksum)."""
    stated = int.from_bytes(header[-_CRC_BYTES:], "little")
    computed = zlib.crc32(header[:-_CRC_BYTES])
    if stated != computed:
        raise PackageError(f"the header's checksum is {computed:08x}, it should be {stated:08x}: the file is damaged")


def _device(cursor: _Cursor, bitmap_bits: int) -> Device:
    """One firmware device identification record (DSP0267 table 4)."""
    length = int.from_bytes(cursor.take(2, "device record length"), "little")
    cursor.at -= 2
    record = cursor.part(length, "device record")
    _, count, options, kind, text_length, data_length = record.unpack(_RECORD, "device record")
    bitmap = int.from_bytes(record.take((bitmap_bits + 7) // 8, "applicable components"), "little")
    version = record.text(kind, text_length, "component set version")
    descriptors = tuple(_descriptor(record) for _ in range(count))
    record.take(data_length, "package data")
    record.finish("the device record")
    if not descriptors:
        raise PackageError(f"the device record before byte {record.at} has no descriptor: it would fit every device")
    applicable = tuple(bit for bit in range(bitmap.bit_length()) if bitmap >> bit & 1)
    return Device(descriptors=descriptors, components=applicable, options=options, version=version)


def _descriptor(record: _Cursor) -> Descriptor:
    """One descriptor, type-length-value (DSP0267 tables 6 to 8)."""
    kind = int.from_bytes(record.take(2, "descriptor type"), "little")
    length = int.from_bytes(record.take(2, "descriptor length"), "little")
    data = record.part(length, "descriptor")
    if kind != _VENDOR_DEFINED:
        return Descriptor(type=kind, data=data.take(length, "descriptor"))
    title_kind, title_length = data.take(2, "descriptor title")
    title = data.text(title_kind, title_length, "descriptor title")
    return Descriptor(type=kind, title=title, data=data.take(length - 2 - title_length, "descriptor data"))


def _component(cursor: _Cursor) -> Component:
    """One component image information (DSP0267 table 5)."""
    classification, identifier, stamp, options, activation, offset, size, kind, length = cursor.unpack(
        _COMPONENT, "component"
    )
    return Component(
        classification=classification,
        identifier=identifier,
        comparison_stamp=stamp,
        options=options,
        activation=frozenset(means for bit, means in _ACTIVATIONS.items() if activation >> bit & 1),
        offset=offset,
        size=size,
        version=cursor.text(kind, length, "component version"),
    )


def _check_layout(
    devices: tuple[Device, ...], components: tuple[Component, ...], *, header_bytes: int, size_bytes: int
) -> None:
    """Images lie behind the header and inside the file; device records name images that exist."""
    for component in components:
        what, end = f"the image of component 0x{component.identifier:04x}", component.offset + component.size
        if component.offset < header_bytes:
            raise PackageError(f"{what} begins at byte {component.offset}, inside the header of {header_bytes} bytes")
        if not component.size or end > size_bytes:
            raise PackageError(f"{what} is {component.size} bytes up to byte {end}; the file has {size_bytes}")
    for device in devices:
        if not device.components or device.components[-1] >= len(components):
            raise PackageError(f"a device record names no component, or one beyond the {len(components)} there are")
