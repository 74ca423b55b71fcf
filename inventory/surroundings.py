"""What an inventory says of what is around the hall: VLANs, SSH keys, the scheduler, this machine, and other systems."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from inventory.document import Value
from inventory.exporters.exporter import registered
from inventory.model import (
    RESTARTED,
    ExportTarget,
    KubernetesAccess,
    Provisioning,
    SchedulerAccess,
    Ssh,
    TransferLimits,
)
from inventory.particulars import PORT_LIMIT
from inventory.reader import MappingReader
from inventory.references import read_file, read_secret
from inventory.text import nearest

SURROUNDINGS = ("vlans", "ssh", "scheduler", "provisioning", "transfers", "exports")
"""The keys of the file that are read here."""

VLAN_LIMIT = 4094
"""VLAN ids 0 and 4095 are reserved (IEEE 802.1Q, table 9-2)."""
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}", re.ASCII)
_VLAN_NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """As in `inventory.model.Inventory`."""

    vlans: Mapping[str, int] = field(default_factory=dict)
    ssh: Ssh = field(default_factory=Ssh)
    scheduler: SchedulerAccess | KubernetesAccess | None = None
    provisioning: Provisioning | None = None
    transfers: TransferLimits = field(default_factory=TransferLimits)
    exports: Mapping[str, ExportTarget] = field(default_factory=dict)


def read_surroundings(reader: MappingReader) -> Surroundings:
    """Read the sections named in `SURROUNDINGS`; what is absent keeps its default."""
    return Surroundings(
        vlans=_vlans(reader.mapping("vlans")),
        ssh=_ssh(reader.mapping("ssh")),
        scheduler=reader.read("scheduler", _scheduler, default=None),
        provisioning=reader.read("provisioning", _provisioning, default=None),
        transfers=reader.read("transfers", _transfers, default=TransferLimits()),
        exports=_exports(reader.mapping("exports")),
    )


def _vlans(reader: MappingReader) -> dict[str, int]:
    vlans: dict[str, int] = {}
    for name, value in reader.items():
        if not _VLAN_NAME.fullmatch(name):
            raise reader.error(
                f"the VLAN name {name!r} is not usable", key=name, hint="a to z first, then a to z, digits and -"
            )
        value.what = f"VLAN {name!r}"
        vlans[name] = value.integer(minimum=1, maximum=VLAN_LIMIT)
    return vlans


def _ssh(reader: MappingReader) -> Ssh:
    ssh = Ssh(
        user=reader.text("user", default=Ssh().user),
        key=reader.read("key", read_file, default=None),
        known_hosts=reader.read("known_hosts", read_file, default=None),
    )
    reader.finish()
    return ssh


def _scheduler(value: Value) -> SchedulerAccess | KubernetesAccess:
    kinds = MappingReader(value, what="scheduler")
    kinds.expect("slurm", "kubernetes")
    kinds.finish()
    if len(kinds.keys()) != 1:
        names = "two kinds" if kinds.keys() else "no kind"
        raise value.error(
            f"scheduler names {names}",
            hint="write scheduler: {slurm: {}} or scheduler: {kubernetes: {...}}, or leave it out where there is none",
        )
    return _slurm(kinds.mapping("slurm")) if "slurm" in kinds else _kubernetes(kinds.mapping("kubernetes"))


def _slurm(slurm: MappingReader) -> SchedulerAccess:
    access = SchedulerAccess(
        scontrol=slurm.read("scontrol", lambda said: said.parsed(_program), default=SchedulerAccess().scontrol),
        conf=slurm.read("conf", read_file, default=None),
    )
    slurm.finish()
    return access


def _kubernetes(kubernetes: MappingReader) -> KubernetesAccess:
    server = kubernetes.required("server")
    url = _url(server)
    if urlsplit(url).scheme != "https" or urlsplit(url).path not in {"", "/"}:
        raise server.error(
            "the API server is not reached by https alone", hint="write https://HOST:PORT, without a path"
        )
    access = KubernetesAccess(
        server=url.rstrip("/"),
        ca=kubernetes.read("ca", read_file),
        token=read_secret(kubernetes.required("token"), of="the scheduler"),
        evict=kubernetes.read("evict", _controllers, default=RESTARTED),
    )
    kubernetes.finish()
    return access


def _controllers(value: Value) -> tuple[str, ...]:
    """Kinds of controllers; none may be of those that a drain leaves alone whatever is said."""
    kinds = value.texts()
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise value.error(f"{kind!r} is no kind of a controller", hint="such as ReplicaSet, StatefulSet, Job")
        if kind == "DaemonSet":
            raise value.error("pods of a DaemonSet belong to their node and are left alone", hint="leave it out")
    return kinds


def _program(text: str) -> str:
    """A name that PATH finds, or an absolute path: a relative one would depend on where the engine was started."""
    if "/" in text and not Path(text).is_absolute():
        raise ValueError("is neither the name of a program nor an absolute path")
    return text


def _provisioning(value: Value) -> Provisioning:
    reader = MappingReader(value, what="provisioning")
    provisioning = Provisioning(
        address=reader.required("address").parsed(_reachable_ip),
        port=reader.integer("port", minimum=0, maximum=PORT_LIMIT, default=0),
    )
    reader.finish()
    return provisioning


def _transfers(value: Value) -> TransferLimits:
    reader = MappingReader(value, what="transfers")
    limits = TransferLimits(
        megabytes_per_s=reader.integer(
            "megabytes_per_s", minimum=1, maximum=100_000, default=TransferLimits().megabytes_per_s
        )
    )
    reader.finish()
    return limits


def _reachable_ip(text: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling, that others can connect to."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("is not an IP address (no name, no port: many BMCs have no DNS)") from None
    if address.is_unspecified or address.is_multicast:
        raise ValueError("is no address of one machine (BMCs and installers connect to it)")
    return str(address)


def _exports(reader: MappingReader) -> dict[str, ExportTarget]:
    exports: dict[str, ExportTarget] = {}
    for name, value in reader.items():
        if name not in registered():
            raise reader.error(f"unknown exporter {name!r}", key=name, hint=nearest(name, registered()))
        entry = MappingReader(value, what=f"export {name!r}")
        exports[name] = ExportTarget(
            url=_url(entry.required("url")),
            token=read_secret(entry.required("token"), of=f"export {name!r}"),
            ca=entry.read("ca", read_file, default=None),
        )
        entry.finish()
    return exports


def _url(value: Value) -> str:
    """An address on the web, not repeated where it is wrong: a password may stand in it."""
    text = value.text()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # malformed brackets, or a port that is no number
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or set(text) & set(" ?#"):
        raise value.error(f"{value.what} is no address on the web", hint="write https://HOST or https://HOST:PORT/PATH")
    if "@" in parts.netloc:
        raise value.error(f"{value.what} names a user", hint="a secret never stands in this file; the key is 'token'")
    return text
