"""Imaging one node of a hall: a journal in memory, processes that end when a test says so, edges over real protocols."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Context
from fleet.drivers.images import ImageServer
from fleet.drivers.installs import ImageInstalls
from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.drivers.ssh import SshAddress, SshShell, read_client_key
from fleet.edges import HostShell, Installs, Outlet, Scheduler, SwitchCli
from fleet.gate import Gate
from fleet.plan import PlannedNode
from fleet.policy.rules import Domains
from fleet.profile import Profile
from fleet.state import NodeState, NodeStatus, fold_node
from fleet.step import StepSpec
from inventory.model import Credential, Node
from support.machine import Crash

KEY = "os.image ubuntu"


@dataclass(slots=True)
class Memory:
    """A journal that outlives processes. Fulfils fleet.context.Recorder."""

    events: list[ev.Event] = field(default_factory=list)
    dies: Callable[[ev.Event, int], str] = lambda _event, _number: ""
    """Whether the process dies `before` an event is on the disk, `after` it, or not at all."""
    state: NodeState = field(default_factory=lambda: NodeState(status=NodeStatus.RUNNING, wave=0))

    async def record(self, *events: ev.Event) -> None:
        """Durable, and folded; or the process is dead."""
        for event in events:
            death = self.dies(event, len(self.events))
            if death == "before":
                raise Crash
            self.events.append(event)
            assert isinstance(event, ev.NodeEvent)
            self.state = fold_node(self.state, event, 0.0)
            if death == "after":
                raise Crash

    def node_state(self, node: str) -> NodeState:
        """There is one node."""
        del node
        return self.state

    def show(self, event: ev.Event) -> None:
        """Nobody watches."""

    def live(self) -> None:
        """From now on no process dies."""
        self.dies = lambda _event, _number: ""


@dataclass(slots=True, kw_only=True)
class HallEdges:
    """Shells and images of a hall. Fulfils fleet.edges.Edges as far as imaging goes."""

    hall: dict[str, Any]
    clock: Clock
    installs: Installs
    shells: list[SshShell] = field(default_factory=list)
    addresses: dict[str, SshAddress] = field(default_factory=dict)

    @property
    def scheduler(self) -> Scheduler:
        """None here."""
        raise NotImplementedError

    async def shell(self, node: Node, host_key: str) -> HostShell:
        """SSH to the node's OS."""
        shell = SshShell(
            address=self.addresses[str(node.id)],
            host_key=host_key,
            client_key=read_client_key(Path(self.hall["host_client_key"])),
            clock=self.clock,
        )
        self.shells.append(shell)
        return shell

    async def switch(self, switch: str) -> SwitchCli:
        """None here."""
        raise NotImplementedError

    def host_key(self, node: Node) -> str:
        """Of what was installed when the hall started."""
        return str(self.hall["hosts"][str(node.id)]["host_key"])

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """None here."""
        del node
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What outlives the processes that image one node."""

    hall: dict[str, Any]
    clock: Clock
    node: Node
    ssh: SshAddress
    profile: Profile
    credential: Credential
    identity: tuple[str, str]
    directory: Path
    """Of kept phone-homes."""
    port: int
    """Of the image server: late phone-homes come to the same one."""
    memory: Memory = field(default_factory=Memory)


class NoLedger:
    """Sessions are closed by the test."""

    async def opening(self, context: str) -> None:
        """See fleet.ports.SessionLedger."""

    async def opened(self, uri: str, context: str) -> None:
        """See fleet.ports.SessionLedger."""

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""

    async def absent(self, context: str) -> None:
        """See fleet.ports.SessionLedger."""

    async def closed(self, uri: str) -> None:
        """See fleet.ports.SessionLedger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process."""

    ctx: Context
    bmc: RedfishBmc
    installs: ImageInstalls
    server: ImageServer


@asynccontextmanager
async def process(place: Place, gate: Gate | None = None) -> AsyncIterator[Life]:
    """A process that images the node of a place: nothing in it is older than itself, but the journal and the disk."""
    server = ImageServer(host="127.0.0.1", port=place.port)
    installs = ImageInstalls(server, place.clock, directory=place.directory)
    await server.start()
    driver = RedfishDriver([place.credential], clock=place.clock)
    bmc = driver.bmc(place.node, place.profile, NoLedger())
    edges = HallEdges(hall=place.hall, clock=place.clock, installs=installs, addresses={str(place.node.id): place.ssh})
    serial, uuid = place.identity
    planned = PlannedNode(
        wave=0,
        recipe="r",
        profile=place.profile.name,
        domains=Domains(rack="r1", feeds=()),
        serial=serial,
        uuid=uuid,
        model=place.node.model,
        before={},
    )
    ctx = Context(
        node=place.node,
        planned=planned,
        targets={},
        bmc=bmc,
        clock=place.clock,
        gate=gate or Gate(),
        recorder=place.memory,
        edges=edges,
    )
    ctx.enter([(KEY, StepSpec("os.image"))], KEY)
    try:
        yield Life(ctx=ctx, bmc=bmc, installs=installs, server=server)
    finally:
        await (
            server.close()
        )  # first: a host that starts in no time at this speed may not find what a dead process would not serve
        for shell in edges.shells:
            await shell.close()
        await bmc.close()
        await driver.close()
