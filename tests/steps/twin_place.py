"""One machine of the simulated hall in memory, the real driver and context, and a journal that outlives processes."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from support.imaging import Memory, NoLedger
from support.rollout import node
from yarl import URL

from fleet.context import Context
from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.edges import Edges
from fleet.gate import Gate
from fleet.limits import Limits
from fleet.plan import PlannedNode
from fleet.policy.rules import Domains
from fleet.recipe import KEEP
from fleet.sim.faults import FaultBook
from fleet.step import StepSpec
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, credential, in_twin
from fleet.vendors import profile_named
from inventory.model import Bmc, Node
from playbooks.registry import make


@dataclass(slots=True)
class Place:
    """A machine in memory, and what a journal remembers of it."""

    directory: Path
    faults: FaultBook = field(default_factory=FaultBook)
    clock: VirtualClock = field(default_factory=VirtualClock)
    memory: Memory = field(default_factory=Memory)
    patches: list[str] = field(default_factory=list)
    hall: TwinHall = field(init=False)
    node: Node = field(init=False)

    def __post_init__(self) -> None:
        (self.node,) = in_twin([replace(node("gpu0001"), model="DGXH100")])
        self.hall = TwinHall(TwinSpec(nodes=(self.node,), clock=self.clock, faults=self.faults))

    @contextmanager
    def process(
        self, steps: Sequence[tuple[str, StepSpec]] = ((KEEP, StepSpec(KEEP)),)
    ) -> Iterator[tuple[Context, RedfishBmc]]:
        """Nothing in it is older than itself. The context speaks for the last of `steps`."""
        limits = Limits()
        way = self.hall.transports(limits)

        def counted(bmc: Bmc) -> Any:
            return _Counting(way(bmc), self.patches)

        driver = RedfishDriver([credential(self.directory)], clock=self.clock, limits=limits, transport=counted)
        bmc = driver.bmc(self.node, profile_named("dgx-h100"), NoLedger())
        planned = PlannedNode(
            wave=0,
            recipe="r",
            profile="p",
            domains=Domains(rack="r1", feeds=()),
            serial="",
            uuid="",
            model="M",
            before={},
        )
        ctx = Context(
            node=self.node,
            planned=planned,
            targets={},
            bmc=bmc,
            clock=self.clock,
            gate=Gate(),
            recorder=self.memory,
            edges=cast("Edges", None),
            make=make,
        )
        ctx.enter(steps, steps[-1][0])
        yield ctx, bmc

    def restart(self) -> None:
        """The BMC, as new firmware would."""
        self.hall.bmcs["gpu0001"].restart(self.clock.now() - self.hall._origin, "flash")


@dataclass(slots=True)
class _Counting:
    """A transport that counts what it changes."""

    transport: Any
    patches: list[str]

    def request(self, method: str, url: URL, **options: Any) -> Any:
        if method == "PATCH":
            self.patches.append(str(url))
        return self.transport.request(method, url, **options)

    async def drop(self) -> None:
        await self.transport.drop()

    async def close(self) -> None:
        await self.transport.close()


def run(place: Place, work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return place.clock.run(main())
