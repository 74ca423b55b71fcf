"""The hall's own reader of PLDM firmware packages (DSP0267 1.0; field guide 1.12).

Every length is checked before it is used: a package comes from outside.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

PACKAGE_UUID = bytes.fromhex("f018878ccb7d49439800a02f059aca02")
"""PackageHeaderIdentifier of DSP0267 1.0.x."""
DESCRIPTOR_IANA = 0x0001
DESCRIPTOR_VENDOR = 0xFFFF
SEAL_BYTES = 32
"""Every payload of a simulated image ends with the sha256 of the rest: it stands for the vendor's signature."""


class PackageError(ValueError):
    """The file is not a package that a BMC would accept; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One component image of a package."""

    classification: int
    identifier: int
    comparison_stamp: int
    activation: int
    """ActivationMethod bits: 0 automatic, 1 self-contained, 2 medium, 3 system reboot, 4 DC cycle, 5 AC cycle."""
    version: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a package says about itself."""

    version: str
    devices: frozenset[tuple[int, str]]
    """(IANA enterprise number, SKU) of each device record."""
    images: tuple[Image, ...]
    size_bytes: int
    sha256: str


class _Cursor:
    """Reads forward through the header and never past its end."""

    def __init__(self, data: bytes, end: int) -> None:
        self.data = data
        self.at = 0
        self.end = end

    def take(self, count: int, what: str) -> bytes:
        if count > self.end - self.at:
            raise PackageError(f"header ends inside {what} at byte {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int, what: str) -> int:
        return int.from_bytes(self.take(count, what), "little")

    def text(self, count: int, what: str) -> str:
        try:
            return self.take(count, what).rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError as cause:
            raise PackageError(f"{what} is not ASCII") from cause


def parse(data: bytes) -> Package:
    """Read a package.

    Raises:
        PackageError: truncated, foreign, or a checksum or a payload's seal does not fit.
    """
    if len(data) < 19 or data[:16] != PACKAGE_UUID:  # noqa: PLR2004  UUID, revision and header size
        raise PackageError("not a PLDM firmware package (header UUID)")
    (header_bytes,) = struct.unpack_from("<H", data, 17)
    if header_bytes > len(data) or header_bytes < 40:  # noqa: PLR2004  fixed fields and the checksum
        raise PackageError(f"header size {header_bytes} does not fit a file of {len(data)} bytes")
    (crc,) = struct.unpack_from("<I", data, header_bytes - 4)
    if crc != zlib.crc32(data[: header_bytes - 4]):
        raise PackageError("header checksum does not match")
    cursor = _Cursor(data, header_bytes - 4)
    cursor.take(16 + 1 + 2 + 13, "fixed fields")
    bitmap_bits = cursor.number(2, "component bitmap length")
    cursor.take(1, "version string type")
    version = cursor.text(cursor.number(1, "version length"), "package version")
    records = cursor.number(1, "device record count")
    devices = frozenset(_device(cursor, bitmap_bits) for _ in range(records))
    images = tuple(_image(cursor, data) for _ in range(cursor.number(2, "component count")))
    if not images:
        raise PackageError("package holds no component image")
    digest = hashlib.sha256(data).hexdigest()
    return Package(version=version, devices=devices, images=images, size_bytes=len(data), sha256=digest)


def _device(cursor: _Cursor, bitmap_bits: int) -> tuple[int, str]:
    start = cursor.at
    length = cursor.number(2, "device record length")
    descriptors = cursor.number(1, "descriptor count")
    cursor.take(4 + 1, "update option flags")
    text_bytes = cursor.number(1, "set version length")
    data_bytes = cursor.number(2, "package data length")
    cursor.take((bitmap_bits + 7) // 8 + text_bytes, "applicable components")
    iana, sku = 0, ""
    for _ in range(descriptors):
        kind = cursor.number(2, "descriptor type")
        body = cursor.take(cursor.number(2, "descriptor length"), "descriptor")
        if kind == DESCRIPTOR_IANA:
            iana = int.from_bytes(body, "little")
        elif kind == DESCRIPTOR_VENDOR and len(body) > 2:  # noqa: PLR2004  title type and length
            sku = body[2 + body[1] :].decode("ascii", "replace")
    cursor.take(data_bytes, "package data")
    if cursor.at - start != length:
        raise PackageError(f"device record says {length} bytes and holds {cursor.at - start}")
    return iana, sku


def _image(cursor: _Cursor, data: bytes) -> Image:
    classification, identifier = cursor.number(2, "classification"), cursor.number(2, "identifier")
    stamp = cursor.number(4, "comparison stamp")
    cursor.take(2, "component options")
    activation = cursor.number(2, "activation method")
    offset, size = cursor.number(4, "offset"), cursor.number(4, "size")
    cursor.take(1, "version string type")
    version = cursor.text(cursor.number(1, "version length"), "component version")
    if offset + size > len(data):
        raise PackageError(f"image {identifier:#06x} ends at byte {offset + size} of {len(data)}: file is cut short")
    payload = memoryview(data)[offset : offset + size]
    if size < SEAL_BYTES or hashlib.sha256(payload[:-SEAL_BYTES]).digest() != bytes(payload[-SEAL_BYTES:]):
        raise PackageError(f"image {identifier:#06x}: signature does not match")
    return Image(
        classification=classification,
        identifier=identifier,
        comparison_stamp=stamp,
        activation=activation,
        version=version,
        offset=offset,
        size_bytes=size,
    )
