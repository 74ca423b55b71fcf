"""What stands around the nodes of a twin: the ports of `fleet.edges`, fulfilled by the hall's own models, on the virtual clock."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from fleet.drivers.edges import HallEdges, Whereabouts
from fleet.drivers.exports import Exports
from fleet.drivers.images import ImageServer
from fleet.drivers.installs import ImageInstalls
from fleet.drivers.slurm import NoScheduler
from fleet.edges import HostShell, Installs, Outlet, PduMeter, Scheduler, SwitchCli
from fleet.errors import NodeFault, Reason
from fleet.sim.courier import HttpCourier
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall
from fleet.twin.scheduler import TwinScheduler
from fleet.twin.shell import TwinShell
from inventory.exporters.exporter import Kind, find
from inventory.exporters.snapshot import Sighting
from inventory.model import Inventory, Link, Node, NodeId, Switch

if TYPE_CHECKING:
    from fleet.drivers.switch import SwitchDriver

_HERE, _PORT = "192.0.2.1", 8090
"""Where images are served: an address of nobody (RFC 5737), on the network of the twin's loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the inventory declares around the selected nodes."""

    inventory: Inventory | None = None
    """For documents that are handed on; None: nothing is."""
    switches: tuple[Switch, ...] = ()
    """Those that the nodes are cabled to and whose command line is known."""
    cables: tuple[Link, ...] = ()
    """Between the nodes and these switches."""
    leaf_links: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    """Node -> its cables to leaf switches."""
    pairs: Mapping[str, str] = field(default_factory=dict)
    """Leaf -> name of its pair."""
    provisioning_vlan: int = 0
    """The VLAN in which a phone-home arrives; 0: any."""
    longest_job_s: float | None = None
    """How long work may still run on a node when it is drained. None: no scheduler is declared, and nobody's work runs."""
    outside: frozenset[str] = frozenset()
    """Nodes that the inventory says are in no scheduler."""


@asynccontextmanager
async def around_hall(
    hall: TwinHall, around: Around, clock: VirtualClock, directory: Path, *, seed: int
) -> AsyncIterator["TwinEdges"]:
    """Edges for one life. `directory`: for what the product keeps on a disk."""
    async with AsyncExitStack() as stack:
        edges = TwinEdges(
            hall,
            clock,
            scheduler=_scheduler(around, clock, seed),
            installs=await _served(stack, hall, clock, directory / "installs"),
            exports=_exports(around, directory / "nodes"),
            switches=lambda: _leaves(hall, around.pairs, clock, directory),
        )
        stack.push_async_callback(edges.close)
        yield edges


def _scheduler(around: Around, clock: VirtualClock, seed: int) -> Scheduler:
    if around.longest_job_s is None:
        return NoScheduler()
    return TwinScheduler(clock=clock, seed=seed, longest_job_s=around.longest_job_s, outside=around.outside)


def _leaves(hall: TwinHall, pairs: Mapping[str, str], clock: VirtualClock, directory: Path) -> "SwitchDriver":
    from fleet.twin.terminal import switch_driver  # noqa: PLC0415 (Netmiko takes a second to import)

    return switch_driver(hall.switches, pairs, clock, directory)


def _exports(around: Around, directory: Path) -> Exports | None:
    # What a simulated machine runs is nothing for a real CMDB.
    return None if around.inventory is None else Exports(replace(around.inventory, exports={}), directory)


async def _served(stack: AsyncExitStack, hall: TwinHall, clock: VirtualClock, directory: Path) -> Installs:
    """The product's image server and what hears phone-homes, and the hall's own client: both speak HTTP over the loop's network."""
    server = ImageServer(host=_HERE, port=_PORT)
    installs = ImageInstalls(server, clock, directory=directory)
    await server.start()
    stack.push_async_callback(server.close)
    connector = aiohttp.UnixConnector(path=f"{_HERE}:{_PORT}", limit=0, force_close=True)
    client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
    for attendant in hall.attendants.values():
        attendant.courier = HttpCourier(client)
    return installs


class TwinEdges(HallEdges):
    """See fleet.edges.Edges. Nothing of it leaves this process, but for documents in a folder that is thrown away."""

    def __init__(
        self,
        hall: TwinHall,
        clock: VirtualClock,
        *,
        scheduler: Scheduler,
        installs: Installs,
        exports: Exports | None,
        switches: "Callable[[], SwitchDriver]",
    ) -> None:
        """`switches()`: their driver; asked for once, when a step needs it."""
        super().__init__(Whereabouts(), scheduler=scheduler, installs=installs, exports=exports, clock=clock)
        self._hall = hall
        self._time = clock
        self._switch_driver = switches
        self._known_hosts = {name: bmc.disk.host_key_line for name, bmc in hall.bmcs.items()}
        """Of what was installed at the start."""
        self._sessions: dict[NodeId, tuple[str, TwinShell]] = {}
        self._leaves: SwitchDriver | None = None

    async def shell(self, node: Node, host_key: str) -> HostShell:
        """See fleet.edges.Edges."""
        known = self._sessions.get(node.id)
        if known is not None and known[0] == host_key:
            return known[1]
        await self.leave(node)  # an OS that was installed anew has another key
        shell = TwinShell(self._hall.attendants[str(node.id)], host_key, self._time)
        self._sessions[node.id] = (host_key, shell)
        return shell

    def meters(self) -> tuple[PduMeter, ...]:
        """See fleet.edges.MetersFeeds."""
        return self._hall.meters()

    def host_key(self, node: Node) -> str:
        """See fleet.edges.Edges."""
        return self._known_hosts[str(node.id)]

    async def switch(self, switch: str) -> SwitchCli:
        """See fleet.edges.Edges."""
        if switch not in self._hall.switches:
            raise NodeFault(Reason.NO_EDGE, f"switch {switch} cannot be configured: the inventory gives it no platform")
        if self._leaves is None:
            self._leaves = self._switch_driver()
        return self._leaves.switch(switch)

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """See fleet.edges.Edges."""
        return self._hall.outlets(node)

    async def publish(self, exporter: str, sighting: Sighting) -> str:
        """See fleet.edges.Edges. A system is told nothing; a document is made, and thrown away with the life."""
        if find(exporter).kind is Kind.SYSTEM:
            return f"{exporter}: not handed on, this is a rehearsal"
        await super().publish(exporter, sighting)
        return f"{exporter}: made, and thrown away with the rehearsal"

    async def leave(self, node: Node) -> None:
        """See fleet.edges.Edges."""
        known = self._sessions.pop(node.id, None)
        if known is not None:
            await known[1].close()

    async def close(self) -> None:
        """Close every connection."""
        if self._leaves is not None:
            await self._leaves.close()
        await super().close()
