"""The hall as it was declared: sites, racks, nodes, switches, power, and how each BMC is reached.

Everything here is frozen. What was *observed* of a node stands in `inventory.observed`; what it *should* run stands in
`inventory.baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Self

from inventory.power import PowerTree

SiteId = NewType("SiteId", str)
PodId = NewType("PodId", str)
RackId = NewType("RackId", str)
NodeId = NewType("NodeId", str)
SwitchId = NewType("SwitchId", str)
PduId = NewType("PduId", str)
FeedId = NewType("FeedId", str)
CredentialId = NewType("CredentialId", str)
NvlinkDomainId = NewType("NvlinkDomainId", str)


class SecretScheme(StrEnum):
    """Where a secret is kept."""

    ENV = "env"
    """An environment variable of the engine's process."""
    FILE = "file"
    """The first line of a file that only its owner may read."""
    KEYRING = "keyring"
    """The system's keyring, as `service/user`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Where a secret is kept; never the secret. `inventory.secrets.resolve` fetches it at the moment of use."""

    scheme: SecretScheme
    name: str
    """Variable name, absolute path, or `service/user`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `env:NAME`, `file:/path` or `keyring:service/user`.

        Raises:
            ValueError: for anything else. Its text does not repeat the input, which may be a password.
        """
        scheme, colon, name = text.partition(":")
        usable = colon and name == name.strip() and scheme in set(SecretScheme)
        if usable and scheme == SecretScheme.ENV:
            usable = name.isidentifier() and name.isascii()
        elif usable and scheme == SecretScheme.FILE:
            usable = name.startswith("/") and "\0" not in name
        elif usable:
            service, slash, user = name.rpartition("/")
            usable = bool(service and slash and user)
        if not usable:
            raise ValueError("not a reference to a secret (env:NAME, file:/path or keyring:service/user)")
        return cls(scheme=SecretScheme(scheme), name=name)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user of BMCs, switches or PDUs, and where the password is kept."""

    id: CredentialId
    user: str
    password: SecretRef
    """Of an SNMPv3 user: its authentication pass phrase (RFC 3414)."""
    privacy: SecretRef | None = None
    """Of an SNMPv3 user: its privacy pass phrase. Without it no PDU is asked: there is no unencrypted SNMP here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a BMC proves who it is. With neither field the system's trusted authorities decide; there is no "off"."""

    ca: Path | None = None
    """PEM file of the authority that signed the BMC's certificate; absolute."""
    fingerprint: str | None = None
    """`sha256:` and 64 lower-case hex digits: the SHA-256 of the certificate itself (DER), pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmc:
    """The Redfish service of one node (Redfish: Manager)."""

    address: str
    """IPv4 or IPv6 address, or a host name; no scheme, no port, no brackets."""
    port: int = 443
    credential: CredentialId
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The operating system of a node, as SSH reaches it."""

    address: str
    port: int = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A building or campus."""

    id: SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Racks that are built, networked and scheduled together (a scalable unit)."""

    id: PodId
    site: SiteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One independent supply of electric power, such as A and B. Losing it must not be felt twice."""

    id: FeedId
    power_w: int | None = None
    """What the feed may carry, in watts; None is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """One cabinet."""

    id: RackId
    pod: PodId
    feeds: tuple[FeedId, ...]
    power_w: int | None = None
    """What the rack may draw, in watts; None is not known."""
    nvlink_domain: NvlinkDomainId | None = None
    """Set where the whole rack is one NVLink domain (NVL72)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One OS instance (Redfish: ComputerSystem) and its BMC."""

    id: NodeId
    model: str
    """The model as Redfish's System.Model names it, such as DGXH100."""
    rack: RackId
    slot: int
    """Position in the rack, unique among nodes and switches of the rack; 1 is the lowest."""
    feeds: tuple[FeedId, ...]
    bmc: Bmc
    host: Host | None = None
    serial: str | None = None
    """Declared serial number; a machine that answers with another is not this node."""
    uuid: str | None = None
    """Declared System.UUID, lower case."""
    tenant: str | None = None
    nvlink_domain: NvlinkDomainId | None = None
    chassis: str | None = None
    """Nodes of one chassis have their power supplies in common (a twin, a tray, a power shelf): the AC cycle of one is that of all."""
    profile: str | None = None
    """Vendor profile that a person named; None leaves it to discovery, which leaves unknown hardware read-only."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


class SwitchRole(StrEnum):
    """What a switch connects."""

    LEAF = "leaf"
    SPINE = "spine"
    NVLINK = "nvlink"
    """An NVLink switch tray: upgraded as one unit with the compute trays of its domain (field guide 1.8)."""
    STORAGE = "storage"
    OUT_OF_BAND = "out-of-band"


class SwitchPlatform(StrEnum):
    """Command lines that `fleet.drivers.switch` speaks, in Netmiko's words."""

    ARISTA_EOS = "arista_eos"
    CUMULUS_LINUX = "cumulus_linux"


class PduMib(StrEnum):
    """Where makers keep outlets, as `fleet.drivers.pdu` knows it."""

    RARITAN_PX = "raritan-px"
    APC_RPDU2 = "apc-rpdu2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A network switch or an NVLink switch tray."""

    id: SwitchId
    model: str
    role: SwitchRole
    rack: RackId
    slot: int
    feeds: tuple[FeedId, ...]
    address: str | None = None
    """Management address, where its own CLI or API answers."""
    port: int = 22
    """Of the command line, over SSH."""
    credential: CredentialId | None = None
    """For `address`."""
    platform: str | None = None
    """Whose command line it is, a `SwitchPlatform`. None: it is never configured."""
    bmc: Bmc | None = None
    nvlink_domain: NvlinkDomainId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """A power distribution unit or a power shelf of one rack, on one feed."""

    id: PduId
    model: str
    rack: RackId
    feed: FeedId
    address: str
    port: int = 161
    credential: CredentialId | None = None
    mib: str | None = None
    """Where its outlets are kept, a `PduMib`. None: its outlets are never switched."""
    outlets: Mapping[int, NodeId] = field(default_factory=dict, hash=False)
    """Outlet number, from 1 -> the node that it feeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a cable."""

    device: NodeId | SwitchId
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A cable between a node and a switch, or between two switches."""

    a: End
    b: End


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """How hosts and switches prove who they are, and how we prove who we are to hosts."""

    user: str = "root"
    key: Path | None = None
    """Our private key for hosts; absolute, readable by its owner alone, without a passphrase."""
    known_hosts: Path | None = None
    """OpenSSH known_hosts (sshd(8)) with the keys of switches and of hosts that we did not install; absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerAccess:
    """Who places work on the nodes: Slurm, by `scontrol`."""

    scontrol: str = "scontrol"
    conf: Path | None = None
    """slurm.conf; None: Slurm's own default, or SLURM_CONF."""


RESTARTED = ("ReplicaSet", "ReplicationController", "StatefulSet")
"""Controllers of services: they start a pod anew on another node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesAccess:
    """Who places work on the nodes: a Kubernetes cluster, by its API server."""

    server: str
    """https://HOST:PORT."""
    ca: Path
    """Certificates of whoever may vouch for the server, PEM."""
    token: SecretRef
    """Bearer token of a service account."""
    evict: tuple[str, ...] = RESTARTED
    """Kinds of controllers that start a pod anew elsewhere and lose nothing by it: their pods are evicted. All others are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """This machine as BMCs and installers reach it: where OS images are fetched from, and where they phone home."""

    address: str
    """IP address: many BMCs have no DNS."""
    port: int = 0
    """0: any that is free, kept for a rollout's life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """What this machine may send of images, pushed and pulled together."""

    megabytes_per_s: int = 1000
    """80 % of a 10 Gbit/s link (field guide 3.5); 1 MB is 1,000,000 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTarget:
    """A system that `inventory.export` writes to."""

    url: str
    token: SecretRef
    ca: Path | None = None
    """PEM file of the authority that signed the system's certificate; absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """A whole hall. Ids are unique in their kind, every reference resolves: `inventory.load` has seen to it."""

    name: str
    sites: tuple[Site, ...] = ()
    pods: tuple[Pod, ...] = ()
    racks: tuple[Rack, ...] = ()
    nodes: tuple[Node, ...] = ()
    switches: tuple[Switch, ...] = ()
    pdus: tuple[Pdu, ...] = ()
    feeds: tuple[Feed, ...] = ()
    links: tuple[Link, ...] = ()
    power: PowerTree | None = None
    """What feeds the nodes, as far as breakers care; None: nobody said, and no reservation of power is made."""
    credentials: tuple[Credential, ...] = ()
    vlans: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Name -> VLAN id: `provisioning`, `tenant`."""
    ssh: Ssh = field(default_factory=Ssh)
    scheduler: SchedulerAccess | KubernetesAccess | None = None
    """None: no scheduler knows these nodes."""
    provisioning: Provisioning | None = None
    transfers: TransferLimits = field(default_factory=TransferLimits)
    exports: Mapping[str, ExportTarget] = field(default_factory=dict, hash=False)
    """Exporter -> where it writes."""
    _nodes: dict[NodeId, Node] = field(init=False, repr=False, compare=False)
    _racks: dict[RackId, Rack] = field(init=False, repr=False, compare=False)
    _in_rack: dict[RackId, tuple[Node, ...]] = field(init=False, repr=False, compare=False)
    _in_chassis: dict[str, tuple[Node, ...]] = field(init=False, repr=False, compare=False)
    _links: dict[str, tuple[Link, ...]] = field(init=False, repr=False, compare=False)
    _credentials: dict[CredentialId, Credential] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        in_rack: dict[RackId, list[Node]] = {}
        for node in self.nodes:
            in_rack.setdefault(node.rack, []).append(node)
        in_chassis: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.chassis:
                in_chassis.setdefault(node.chassis, []).append(node)
        links: dict[str, list[Link]] = {}
        for link in self.links:
            for device in {link.a.device, link.b.device}:
                links.setdefault(device, []).append(link)
        index = {
            "_nodes": {node.id: node for node in self.nodes},
            "_racks": {rack.id: rack for rack in self.racks},
            "_in_rack": {rack: tuple(nodes) for rack, nodes in in_rack.items()},
            "_in_chassis": {chassis: tuple(nodes) for chassis, nodes in in_chassis.items()},
            "_links": {device: tuple(ends) for device, ends in links.items()},
            "_credentials": {credential.id: credential for credential in self.credentials},
        }
        for name, value in index.items():
            object.__setattr__(self, name, value)  # the only way to fill a cache of a frozen object

    def node(self, node: NodeId) -> Node:
        """The node of this id; KeyError when there is none."""
        return self._nodes[node]

    def rack(self, rack: RackId) -> Rack:
        """The rack of this id; KeyError when there is none."""
        return self._racks[rack]

    def nodes_in(self, rack: RackId) -> tuple[Node, ...]:
        """The nodes of a rack in the order of the file; empty for a rack without nodes."""
        return self._in_rack.get(rack, ())

    def mates(self, node: NodeId) -> tuple[Node, ...]:
        """The other nodes of its chassis, in the order of the file."""
        chassis = self._nodes[node].chassis
        return tuple(other for other in self._in_chassis.get(chassis or "", ()) if other.id != node)

    def links_of(self, device: NodeId | SwitchId) -> tuple[Link, ...]:
        """The cables that end at a node or a switch."""
        return self._links.get(device, ())

    def credential(self, credential: CredentialId) -> Credential:
        """The credential of this id; KeyError when there is none."""
        return self._credentials[credential]
