"""An inventory while it is being read: what has been declared so far, and what is already taken."""

from __future__ import annotations

from dataclasses import dataclass, field

from inventory.addresses import Spot, fill
from inventory.document import Value
from inventory.model import (
    Bmc,
    Credential,
    Feed,
    FeedId,
    Host,
    Inventory,
    Link,
    Node,
    NodeId,
    Pdu,
    Pod,
    Rack,
    Site,
    Switch,
    Tls,
)
from inventory.particulars import BmcParticulars, HostParticulars, Particulars
from inventory.power import PowerTree
from inventory.registry import Claims, Registry
from inventory.surroundings import Surroundings
from inventory.text import InputError, Place

DEFAULT_PORT = 443
"""HTTPS (DSP0266 section 7.1: Redfish is served over HTTPS)."""
SSH_PORT = 22
"""Where hosts and the command lines of switches answer (RFC 4253)."""


@dataclass(slots=True, kw_only=True)
class Hall:
    """The sections read so far. A later section refers to what stands in an earlier one."""

    name: str
    around: Surroundings
    credentials: Registry[Credential] = field(default_factory=lambda: Registry("credential"))
    feeds: Registry[Feed] = field(default_factory=lambda: Registry("feed"))
    sites: Registry[Site] = field(default_factory=lambda: Registry("site"))
    pods: Registry[Pod] = field(default_factory=lambda: Registry("pod"))
    racks: Registry[Rack] = field(default_factory=lambda: Registry("rack"))
    nodes: Registry[Node] = field(default_factory=lambda: Registry("node"))
    switches: Registry[Switch] = field(default_factory=lambda: Registry("switch"))
    pdus: Registry[Pdu] = field(default_factory=lambda: Registry("pdu"))
    links: list[Link] = field(default_factory=list)
    power: PowerTree | None = None
    overrides: dict[NodeId, tuple[Value, Particulars]] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)

    def feeds_named(self, value: Value) -> tuple[FeedId, ...]:
        """The feeds that a list names, each once."""
        names = value.texts()
        if not names or len(set(names)) < len(names):
            raise value.error("feeds must name at least one feed, and each once")
        return tuple(self.feeds.get(name, value).id for name in names)

    def address(self, pattern: Value, spot: Spot, *, port: str, owner: str = "") -> str:
        """The address of one device, at which nothing else of the hall has that port.

        Args:
            pattern: as `inventory.addresses` reads it.
            spot: the device.
            port: `22`, or `161/udp` where it is not one of TCP.
            owner: what answers there, where it is not the device's only address.
        """
        address = pattern.parsed(lambda text: fill(text, spot))
        self.claims.claim(owner or spot.id, ("address", address, "port", port), pattern.place)
        return address

    def bmc(self, said: BmcParticulars, spot: Spot, place: Place) -> Bmc:
        """The BMC of one device."""
        if said.address is None or said.credential is None:
            lacking = "address" if said.address is None else "credential"
            raise InputError.at(
                place, f"the BMC of {spot.id} lacks the key {lacking!r}", hint=f"add bmc: {{{lacking}: ...}}"
            )
        port = said.port or DEFAULT_PORT
        return Bmc(
            address=self.address(said.address, spot, port=str(port)),
            port=port,
            credential=self.credentials.get(said.credential.text(), said.credential).id,
            tls=Tls(ca=said.ca, fingerprint=said.fingerprint),
        )

    def host(self, said: HostParticulars, spot: Spot, place: Place) -> Host | None:
        """The operating system of one node; None where nothing is said of it."""
        if said.address is None:
            if said.port is not None:
                raise InputError.at(
                    place, f"the host of {spot.id} lacks the key 'address'", hint="add host: {address: ...}"
                )
            return None
        port = said.port or SSH_PORT
        address = self.address(said.address, spot, port=str(port), owner=f"the host of {spot.id}")
        return Host(address=address, port=port)

    def inventory(self) -> Inventory:
        """The finished inventory."""
        return Inventory(
            name=self.name,
            sites=self.sites.values(),
            pods=self.pods.values(),
            racks=self.racks.values(),
            nodes=self.nodes.values(),
            switches=self.switches.values(),
            pdus=self.pdus.values(),
            feeds=self.feeds.values(),
            links=tuple(self.links),
            power=self.power,
            credentials=self.credentials.values(),
            vlans=self.around.vlans,
            ssh=self.around.ssh,
            scheduler=self.around.scheduler,
            provisioning=self.around.provisioning,
            transfers=self.around.transfers,
            exports=self.around.exports,
        )
