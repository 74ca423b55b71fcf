"""Builds valid PLDM firmware packages (DSP0267 1.0; field guide 1.12) with filler payloads, for demos and tests."""

import hashlib
import random
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.sim.boxmodel import BoxModel, Cause, load_box
from fleet.sim.fwpkg import DESCRIPTOR_IANA, DESCRIPTOR_VENDOR, PACKAGE_UUID, SEAL_BYTES

CLASS_FIRMWARE = 0x000A
"""ComponentClassification "Firmware" (DSP0267 table 33)."""
ACTIVATION_BIT = {
    Cause.AUTOMATIC: 1 << 0,
    Cause.BMC: 1 << 1,  # self-contained: the component's own controller restarts itself
    Cause.HMC: 1 << 1,
    Cause.MEDIUM: 1 << 2,
    Cause.WARM: 1 << 3,
    Cause.DC: 1 << 4,
    Cause.AC: 1 << 5,
}
NO_STAMP = 0xFFFFFFFF
"""ComponentComparisonStamp of a component that has none (DSP0267 table 5)."""
_ASCII = 1  # version string type


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component image to put into a package."""

    identifier: int
    version: str
    activation: int = 0
    """ActivationMethod bits: 0 automatic, 1 self-contained, 2 medium, 3 system reboot, 4 DC cycle, 5 AC cycle."""
    size_bytes: int = 4096
    """Length of the payload, its 32-byte seal included."""
    classification: int = CLASS_FIRMWARE
    comparison_stamp: int = NO_STAMP


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that the package fits."""

    iana: int
    """IANA enterprise number of the maker (5703 NVIDIA, 10876 Supermicro, 674 Dell)."""
    sku: str
    """Vendor-defined descriptor "APSKU"."""


def build_package(
    path: Path, *, components: Sequence[Component], devices: Sequence[Device], version: str, seed: int = 0
) -> str:
    """Write a package to `path` and return the sha256 of the file. The same arguments give the same bytes."""
    data = package_bytes(components=components, devices=devices, version=version, seed=seed)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def build_box_package(
    path: Path,
    *,
    model: str,
    bundle: str,
    versions: Mapping[str, str],
    version: str,
    size_bytes: int = 4096,
    comparison_stamp: int = NO_STAMP,
) -> str:
    """Write a package that fits `bundle` of the box `model`; returns its sha256.

    `versions` maps a family of parts (``HGX_FW_GPU_SXM``, ``HostBMC``) to its version. The activation bits are those of
    the family. `size_bytes` is the size of each payload. `comparison_stamp` is the security version that the hall takes each image for.
    """
    box = load_box(model)
    plain = [_component(box, bundle, family, text, size_bytes) for family, text in versions.items()]
    components = [replace(component, comparison_stamp=comparison_stamp) for component in plain]
    fits = box.bundles[bundle]
    devices = [Device(iana=fits.iana, sku=fits.sku)]
    return build_package(path, components=components, devices=devices, version=version)


def package_bytes(*, components: Sequence[Component], devices: Sequence[Device], version: str, seed: int = 0) -> bytes:
    """The bytes of a package."""
    payloads = [_payload(component, seed) for component in components]
    bitmap_bits = max(8, -(-len(components) // 8) * 8)
    records = b"".join(_record(device, len(components), bitmap_bits, version) for device in devices)
    head_bytes = 16 + 1 + 2 + 13 + 2 + 2 + len(version) + 1 + len(records) + 2
    head_bytes += sum(22 + len(component.version) for component in components) + 4
    table, offset = b"", head_bytes
    for component, payload in zip(components, payloads, strict=True):
        table += _entry(component, offset, len(payload))
        offset += len(payload)
    head = PACKAGE_UUID + struct.pack("<BH", 1, head_bytes) + bytes(13) + struct.pack("<H", bitmap_bits)
    head += _string(version) + bytes([len(devices)]) + records + struct.pack("<H", len(components)) + table
    return head + struct.pack("<I", zlib.crc32(head)) + b"".join(payloads)


def _component(box: BoxModel, bundle: str, family: str, version: str, size_bytes: int) -> Component:
    for part in box.parts:
        if part.family == family and part.bundle == bundle and part.identifier is not None:
            bits = 0
            for cause in part.activates_on:
                bits |= ACTIVATION_BIT[cause]
            return Component(identifier=part.identifier, version=version, activation=bits, size_bytes=size_bytes)
    known = sorted({part.family for part in box.parts if part.bundle == bundle})
    raise ValueError(f"{box.model} has no family {family!r} in bundle {bundle!r}; it has {', '.join(known)}")


def _string(text: str) -> bytes:
    return bytes([_ASCII, len(text)]) + text.encode("ascii")


def _record(device: Device, count: int, bitmap_bits: int, version: str) -> bytes:
    title, sku = b"APSKU", device.sku.encode("ascii")
    vendor = bytes([_ASCII, len(title)]) + title + sku
    descriptors = struct.pack("<HHI", DESCRIPTOR_IANA, 4, device.iana)
    descriptors += struct.pack("<HH", DESCRIPTOR_VENDOR, len(vendor)) + vendor
    bitmap = ((1 << count) - 1).to_bytes(bitmap_bits // 8, "little")
    body = struct.pack("<BIBBH", 2, 0, _ASCII, len(version), 0) + bitmap + version.encode("ascii") + descriptors
    return struct.pack("<H", len(body) + 2) + body


def _entry(component: Component, offset: int, size: int) -> bytes:
    fixed = struct.pack(
        "<HHIHHII",
        component.classification,
        component.identifier,
        component.comparison_stamp,
        0,
        component.activation,
        offset,
        size,
    )
    return fixed + _string(component.version)


def _payload(component: Component, seed: int) -> bytes:
    filler = random.Random(f"{seed}/{component.identifier}/{component.version}")
    block = filler.randbytes(min(65536, max(0, component.size_bytes - SEAL_BYTES)))
    repeats = -(-(component.size_bytes - SEAL_BYTES) // len(block)) if block else 0
    body = (block * repeats)[: max(0, component.size_bytes - SEAL_BYTES)]
    return body + hashlib.sha256(body).digest()
