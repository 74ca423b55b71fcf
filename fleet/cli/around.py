"""The edges that steps ask for, opened for as long as a process looks at a hall or works on it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fleet.cli.compose import Sources
from fleet.cli.whereabouts import IMAGE, whereabouts
from fleet.clock import Clock
from fleet.drivers.edges import HallEdges
from fleet.drivers.exports import Exports
from fleet.drivers.images import ImageServer
from fleet.drivers.installs import ImageInstalls
from fleet.drivers.kubeapi import KubeApi, KubeAt
from fleet.drivers.kubernetes import KubernetesScheduler
from fleet.drivers.slurm import NoScheduler, PartScheduler, SlurmScheduler
from fleet.edges import Installs, Scheduler
from fleet.errors import UsageError
from fleet.events import RolloutId
from fleet.limits import Transfers
from fleet.step import StepSpec
from inventory.model import KubernetesAccess, Provisioning, SchedulerAccess

_LOOPBACK = Provisioning(address="127.0.0.1")


def workplace(journal: Path, rollout: RolloutId) -> Path:
    """Where a rollout keeps what outlives its processes beside the journal: accepted phone-homes, the documents it hands on."""
    return journal.parent / f"{journal.stem}.d" / rollout


@asynccontextmanager
async def looking(sources: Sources, clock: Clock) -> AsyncIterator[HallEdges]:
    """Edges for a survey: nothing is served, nothing handed on."""
    edges = HallEdges(
        whereabouts(sources), scheduler=_scheduler(sources, clock), installs=None, exports=None, clock=clock
    )
    try:
        yield edges
    finally:
        await edges.close()


@asynccontextmanager
async def working(
    sources: Sources, clock: Clock, place: Path, steps: Iterable[StepSpec], transfers: Transfers
) -> AsyncIterator[HallEdges]:
    """Edges for a rollout. Images are served only if a step installs one, within what `transfers` allows.

    Raises:
        UsageError: the address or port for images cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        installs = None
        if any(step.name == IMAGE for step in steps):
            server, installs = await _served(sources, clock, place / "installs", transfers)
            stack.push_async_callback(server.close)
        edges = HallEdges(
            whereabouts(sources),
            scheduler=_scheduler(sources, clock),
            installs=installs,
            # What a simulated machine runs is nothing for a real CMDB.
            exports=Exports(
                replace(sources.inventory, exports={}) if sources.hall else sources.inventory, place / "nodes"
            ),
            clock=clock,
        )
        stack.push_async_callback(edges.close)
        yield edges


async def _served(
    sources: Sources, clock: Clock, directory: Path, transfers: Transfers
) -> tuple[ImageServer, Installs]:
    """The image server, at the port that it had in earlier processes of this rollout: installers call back there."""
    said = sources.inventory.provisioning if sources.hall is None else _LOOPBACK
    if said is None:
        raise UsageError(
            f"{sources.inventory_path}: {IMAGE} needs `provisioning: {{address: ...}}`, this machine's address as BMCs reach it"
        )
    kept = directory / "port"
    port = said.port or await asyncio.to_thread(_kept_port, kept)
    server = ImageServer(host=said.address, port=port, transfers=transfers)
    installs = ImageInstalls(server, clock, directory=directory)
    try:
        await server.start()
    except OSError as taken:
        raise UsageError(
            f"images cannot be served at {said.address} port {port or 'any'}: {taken.strerror or taken}; see"
            f" `provisioning` in {sources.inventory_path}, and whether another rollout serves there"
        ) from taken
    if port != server.port:
        await asyncio.to_thread(_keep_port, kept, server.port)
    return server, installs


def _kept_port(kept: Path) -> int:
    """The port of earlier processes; 0: there was none."""
    try:
        return int(kept.read_text())
    except FileNotFoundError:
        return 0
    except ValueError:
        raise UsageError(
            f"{kept} is not as we wrote it: it holds no port; installers call back at the one it held"
        ) from None


def _keep_port(kept: Path, port: int) -> None:
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = kept.with_suffix(".draft")
    draft.write_text(str(port))
    draft.rename(kept)


def _scheduler(sources: Sources, clock: Clock) -> Scheduler:
    """None against a simulated hall, unless it was asked for: a rehearsal must not drain the real nodes of these names."""
    said = sources.inventory.scheduler
    if said is None or (sources.hall is not None and not sources.real_scheduler):
        return NoScheduler()
    outside = frozenset(str(node.id) for node in sources.nodes if node.labels.get("scheduler") == "none")
    inner = _kubernetes(said, clock) if isinstance(said, KubernetesAccess) else _slurm(said, clock)
    return PartScheduler(inner=inner, outside=outside) if outside else inner


def _slurm(said: SchedulerAccess, clock: Clock) -> Scheduler:
    return SlurmScheduler(clock=clock, scontrol=said.scontrol, conf=str(said.conf or ""))


def _kubernetes(said: KubernetesAccess, clock: Clock) -> Scheduler:
    api = KubeApi(at=KubeAt(server=said.server, ca=said.ca, token=said.token), clock=clock)
    return KubernetesScheduler(api=api, clock=clock, evicted=frozenset(said.evict))
