"""Builds PLDM packages (DSP0267 1.0) for tests, field by field, so that a test can get any of them wrong.

Shares no code with `inventory.fwpkg`: a wrong belief about the format must not be able to agree with itself.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

UUID_1_0 = bytes.fromhex("f018878ccb7d49439800a02f059aca02")
RELEASED = bytes(13)


def tlv(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def vendor_defined(title: str, data: bytes) -> bytes:
    return tlv(0xFFFF, bytes([1, len(title)]) + title.encode() + data)


IANA_NVIDIA = tlv(0x0001, struct.pack("<I", 5703))
APSKU = vendor_defined("APSKU", bytes.fromhex("4b000055"))


@dataclass(kw_only=True)
class Image:
    """A component image and what the header says of it."""

    payload: bytes = b"\xaa" * 64
    identifier: int = 0x0010
    classification: int = 10
    stamp: int = 0xFFFFFFFF
    activation: int = 0b10000
    version: str = "24.09.17"
    offset: int | None = None
    size: int | None = None


@dataclass(kw_only=True)
class Record:
    """A firmware device identification record."""

    descriptors: list[bytes] = field(default_factory=lambda: [IANA_NVIDIA, APSKU])
    applies: int = 0b1
    version: str = "set-1"
    package_data: bytes = b""
    length_error: int = 0


def build(
    *,
    images: list[Image] | None = None,
    records: list[Record] | None = None,
    uuid: bytes = UUID_1_0,
    header_error: int = 0,
    crc_error: int = 0,
    spare: bytes = b"",
) -> bytes:
    """A package. The `_error` arguments are added to the value that would be right; `spare` stands before the CRC."""
    images = [Image()] if images is None else images
    records = [Record()] if records is None else records
    bits = -(-max(len(images), 1) // 8) * 8
    body = b"".join(_record(record, bits) for record in records)
    described = sum(22 + len(image.version) for image in images)
    version = b"package-1"
    header_size = 36 + len(version) + 1 + len(body) + 2 + described + len(spare) + 4
    parts = [uuid, b"\x01", struct.pack("<H", header_size + header_error), RELEASED, struct.pack("<H", bits)]
    parts += [bytes([1, len(version)]), version, bytes([len(records)]), body, struct.pack("<H", len(images))]
    at = header_size
    for image in images:
        offset = at if image.offset is None else image.offset
        size = len(image.payload) if image.size is None else image.size
        at += len(image.payload)
        parts.append(struct.pack("<HHIHH", image.classification, image.identifier, image.stamp, 0, image.activation))
        parts.append(struct.pack("<II", offset, size) + bytes([1, len(image.version)]) + image.version.encode())
    header = b"".join(parts) + spare
    crc = (zlib.crc32(header) + crc_error) & 0xFFFFFFFF
    return header + struct.pack("<I", crc) + b"".join(image.payload for image in images)


def with_right_crc(package: bytes, header_size: int) -> bytes:
    """The package with its checksum made right again, to reach the checks behind it."""
    crc = struct.pack("<I", zlib.crc32(package[: header_size - 4]))
    return package[: header_size - 4] + crc + package[header_size:]


def _record(record: Record, bits: int) -> bytes:
    rest = record.applies.to_bytes(bits // 8, "little") + record.version.encode()
    rest += b"".join(record.descriptors) + record.package_data
    head = struct.pack("<BIBBH", len(record.descriptors), 0, 1, len(record.version), len(record.package_data))
    return struct.pack("<H", 2 + len(head) + len(rest) + record.length_error) + head + rest
