"""Everything around the nodes of a hall (fleet.edges.Edges), over SSH, Netmiko, SNMP, Slurm, Kubernetes and HTTP.

Made from plain facts. Nothing is connected, and no slow library imported, before somebody asks.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.clock import Clock
from fleet.drivers.exports import Exports
from fleet.edges import HostShell, Installs, Outlet, PduMeter, Scheduler, SwitchCli
from fleet.errors import NodeFault, Reason, UsageError
from inventory.exporters.snapshot import Sighting
from inventory.model import FeedId, Node, NodeId, PduId, SecretRef
from inventory.secrets import resolve

if TYPE_CHECKING:
    from fleet.drivers.pdu import OutletMap
    from fleet.drivers.ssh import SshShell
    from fleet.drivers.switch import SwitchDriver


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAt:
    """Where the OS of a node answers SSH."""

    address: str
    port: int
    user: str
    host_key: str = ""
    """Public key line, where somebody else installed it and its key is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAt:
    """Where a switch's command line answers."""

    name: str
    platform: str
    address: str
    port: int
    user: str
    password: SecretRef
    host_key: str
    pair: str = ""
    """Name of the leaf pair that it is one of; empty: of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PduAt:
    """Where a PDU answers SNMPv3, and what hangs on it."""

    id: PduId
    feed: FeedId
    mib: str
    address: str
    port: int
    user: str
    auth_key: SecretRef
    priv_key: SecretRef
    outlets: Mapping[int, NodeId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """What is around the nodes, and how it is reached."""

    hosts: Mapping[str, HostAt] = field(default_factory=dict)
    client_key: Path | None = None
    """Our private key for hosts."""
    switches: tuple[SwitchAt, ...] = ()
    pdus: tuple[PduAt, ...] = ()
    mates: Mapping[NodeId, tuple[NodeId, ...]] = field(default_factory=dict)
    """Node -> the others of its chassis."""


class HallEdges:
    """See the module. `close` when done."""

    def __init__(
        self,
        where: Whereabouts,
        *,
        scheduler: Scheduler,
        installs: Installs | None,
        exports: Exports | None,
        clock: Clock,
    ) -> None:
        """`installs`, `exports`: None where this process only looks. Raises SecretError where a key of a PDU cannot be had."""
        self._where = where
        self._scheduler = scheduler
        self._installs = installs
        self._exports = exports
        self._clock = clock
        self._shells: dict[NodeId, tuple[str, SshShell]] = {}
        self._switches: SwitchDriver | None = None
        self._outlets = _outlet_map(where, clock) if where.pdus else None

    @property
    def scheduler(self) -> Scheduler:
        """See fleet.edges.Edges."""
        return self._scheduler

    @property
    def installs(self) -> Installs:
        """See fleet.edges.Edges. NO_EDGE: nobody said where BMCs reach this machine."""
        if self._installs is None:
            raise NodeFault(
                Reason.NO_EDGE, "no image server runs: declare `provisioning: {address: ...}` in the inventory"
            )
        return self._installs

    async def shell(self, node: Node, host_key: str) -> HostShell:
        """See fleet.edges.Edges."""
        from fleet.drivers.ssh import SshAddress, SshShell, read_client_key  # noqa: PLC0415 (asyncssh takes 0.3 s)

        known = self._shells.get(node.id)
        if known is not None and known[0] == host_key:
            return known[1]
        at = self._where.hosts.get(node.id)
        if at is None or self._where.client_key is None:
            lack = "no `host` of the node" if at is None else "no `ssh: {key: ...}`"
            raise NodeFault(Reason.NO_EDGE, f"its OS cannot be reached: the inventory declares {lack}")
        await self.leave(node)  # an OS that was installed anew has another key
        address = SshAddress(host=at.address, port=at.port, user=at.user)
        try:
            key = await asyncio.to_thread(read_client_key, self._where.client_key)
        except UsageError as lost:  # found when a node needs it: this node's fault, not the end of the rollout
            raise NodeFault(Reason.NO_EDGE, f"its OS cannot be reached: {lost}") from lost
        shell = SshShell(address=address, host_key=host_key, client_key=key, clock=self._clock)
        self._shells[node.id] = (host_key, shell)
        return shell

    def host_key(self, node: Node) -> str:
        """See fleet.edges.Edges."""
        at = self._where.hosts.get(node.id)
        return at.host_key if at is not None else ""

    async def switch(self, switch: str) -> SwitchCli:
        """See fleet.edges.Edges."""
        if all(at.name != switch for at in self._where.switches):
            raise NodeFault(
                Reason.NO_EDGE,
                f"switch {switch} cannot be configured: the inventory needs its platform, address, credential and host key",
            )
        if self._switches is None:
            self._switches = _switch_driver(self._where.switches, self._clock)
        return self._switches.switch(switch)

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """See fleet.edges.Edges."""
        return self._outlets.outlets(node) if self._outlets is not None else ()

    def meters(self) -> tuple[PduMeter, ...]:
        """See fleet.edges.MetersFeeds."""
        return self._outlets.meters() if self._outlets is not None else ()

    async def publish(self, exporter: str, sighting: Sighting) -> str:
        """See fleet.edges.Edges."""
        if self._exports is None:
            raise NodeFault(Reason.NO_EDGE, "this process hands nothing on")
        return await self._exports.publish(exporter, sighting)

    async def leave(self, node: Node) -> None:
        """See fleet.edges.Edges."""
        known = self._shells.pop(node.id, None)
        if known is not None:
            await known[1].close()

    async def close(self) -> None:
        """Close every connection."""
        shells, self._shells = self._shells, {}
        await asyncio.gather(*(shell.close() for _, shell in shells.values()), self._scheduler.close())
        if self._switches is not None:
            await self._switches.close()
        if self._outlets is not None:
            self._outlets.close()


def _switch_driver(switches: Iterable[SwitchAt], clock: Clock) -> "SwitchDriver":
    from fleet.drivers.switch import SwitchAccess, SwitchDriver  # noqa: PLC0415 (Netmiko takes a second to import)

    accesses = [
        SwitchAccess(
            name=at.name,
            platform=at.platform,
            address=at.address,
            port=at.port,
            user=at.user,
            password=at.password,
            host_key=at.host_key,
            pair=at.pair,
        )
        for at in switches
    ]
    return SwitchDriver(accesses, clock=clock)


def _outlet_map(where: Whereabouts, clock: Clock) -> "OutletMap":
    from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets  # noqa: PLC0415 (pysnmp takes 0.4 s to import)
    from fleet.drivers.snmp import Endpoint, SnmpUser  # noqa: PLC0415 (as above)

    users: dict[tuple[str, SecretRef, SecretRef], SnmpUser] = {}

    def user(at: PduAt) -> SnmpUser:
        key = (at.user, at.auth_key, at.priv_key)
        if key not in users:
            users[key] = SnmpUser(name=at.user, auth_key=resolve(at.auth_key), priv_key=resolve(at.priv_key))
        return users[key]

    return OutletMap(
        [
            PduOutlets(
                id=at.id,
                feed=at.feed,
                mib=MIBS[at.mib],
                at=Endpoint(device=at.id, address=at.address, port=at.port, user=user(at)),
                outlets=at.outlets,
            )
            for at in where.pdus
        ],
        clock=clock,
        mates=where.mates,
    )
