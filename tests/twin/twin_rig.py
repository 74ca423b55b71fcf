"""Scenes for a twin: the demo's own files, with whatever faults a test wants, and one BMC alone."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import yaml
from yarl import URL

from fleet.cli import compose, demo
from fleet.drivers.redfish.transport import HttpResponse, HttpTransport
from fleet.limits import Limits
from fleet.plan import Plan, Survey
from fleet.sim.bmc import Bmc
from fleet.sim.faults import read_faults
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec
from fleet.twin.life import Scene
from inventory.model import Bmc as DeclaredBmc
from inventory.model import CredentialId, FeedId, Node, NodeId, RackId
from playbooks.registry import make

Result = TypeVar("Result")
ADDRESS = "192.0.2.1"


def scene_of(sources: compose.Sources, rules: str = "") -> Scene:
    """The scene of a playbook that was read, on boxes as they come."""
    playbook = sources.playbook

    def planned(surveys: list[Survey]) -> Plan:
        return compose.make_plan(sources, surveys, baseline=playbook.baseline, steps=playbook.steps)

    return Scene(
        playbook=playbook.name,
        nodes=sources.nodes,
        planned=planned,
        steps=make,
        faults=read_faults({"faults": "test", "rules": yaml.safe_load(f"[{rules}]")}, "test"),
    )


def demo_scene(directory: Path, nodes: int, rules: str = "") -> Scene:
    """So many nodes of the demo."""
    playbook = demo.write_demo(directory, nodes, budget="100%", pace=demo.IN_WAVES)
    return scene_of(compose.read_sources(directory / "inventory.yaml", playbook, None), rules)


class Alone:
    """One DGX H100 of a hall in memory, and a transport to it."""

    def __init__(self, rules: str = "") -> None:
        self.clock = VirtualClock()
        self.began = self.clock.now()
        declared = DeclaredBmc(address=ADDRESS, credential=CredentialId("c"))
        node = Node(id=NodeId("n1"), model="DGXH100", rack=RackId("r1"), slot=1, feeds=(FeedId("A"),), bmc=declared)
        book = read_faults({"faults": "test", "rules": yaml.safe_load(f"[{rules}]")}, "test")
        self._hall = TwinHall(TwinSpec(nodes=(node,), clock=self.clock, faults=book))
        self._way = self._hall.transports(Limits())
        self.transport: HttpTransport = self._way(declared)

    @property
    def bmc(self) -> Bmc:
        """The BMC itself."""
        return self._hall.bmcs["n1"]

    def elsewhere(self, address: str) -> HttpTransport:
        """A transport to an address of this hall's network."""
        return self._way(DeclaredBmc(address=address, credential=CredentialId("c")))

    def passed_s(self) -> float:
        """Field seconds so far."""
        return self.clock.now() - self.began

    def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """On the virtual clock."""
        return self.clock.run(work())

    async def get(self, path: str, timeout_s: float = 60.0, token: str = "") -> tuple[int, bytes]:
        """GET; (status, body)."""
        return await _asked(self.transport, "GET", path, timeout_s, {"X-Auth-Token": token} if token else {})

    async def log_in(self) -> str:
        """The token of a new session."""
        answer = self.transport.request(
            "POST",
            url("/redfish/v1/SessionService/Sessions"),
            headers={},
            json={"UserName": "admin", "Password": "rehearsal"},
        )
        async with answer as response:
            await response.read()
            return response.headers["X-Auth-Token"]


def url(path: str) -> URL:
    return URL(f"https://{ADDRESS}:443{path}")


class _Timeout:
    def __init__(self, total: float) -> None:
        self.total = total


async def _asked(
    transport: HttpTransport, method: str, path: str, timeout_s: float, headers: dict[str, str]
) -> tuple[int, bytes]:
    response: HttpResponse
    async with transport.request(method, url(path), headers=headers, timeout=_Timeout(timeout_s)) as response:
        return response.status, await response.read()
