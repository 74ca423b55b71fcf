"""Puts the pieces together: files -> inventory, playbook, plan; journal, driver, engine on one event loop."""

import asyncio
import gc
import os
import pwd
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fleet.alike import once_each
from fleet.cli.hall import RunningHall, read_hall
from fleet.clock import Clock, SystemClock
from fleet.drivers.redfish import RedfishDriver
from fleet.errors import UsageError
from fleet.events import RolloutId
from fleet.grouping import standing_place
from fleet.journal import Journal, held_elsewhere
from fleet.limits import Transfers
from fleet.plan import Plan, Survey
from fleet.planning import build
from fleet.policy.rules import Domains
from fleet.recipe import RecipeBook
from fleet.sharing import chassis_of
from fleet.step import StepSpec
from fleet.survey import open_leftovers
from inventory.baseline import Baseline
from inventory.baseline_check import verify_images
from inventory.fabric import attachments, leaf_links
from inventory.load import load
from inventory.model import Inventory, Node
from inventory.select import SelectorError, parse_selector
from playbooks.names import with_gates, with_vlans
from playbooks.registry import steps as known_steps
from playbooks.schema import Playbook, load_playbook

Result = TypeVar("Result")
_YOUNG = 50_000
"""Generation-0 threshold: with `gc.freeze` it halves the client's CPU time (measurements.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a person gave, read and checked; nothing was reached yet."""

    inventory: Inventory
    inventory_path: Path
    playbook: Playbook
    hall: RunningHall | None
    nodes: tuple[Node, ...]
    """Selected by the playbook and by whoever runs it, at the addresses where they answer."""
    baseline: Path | None = None
    """Given beside the playbook, in place of the one that it names."""
    select: str = ""
    """Narrows the playbook's selection."""
    real_scheduler: str = ""
    """Non-empty: ask the inventory's scheduler although the hall is simulated."""

    def clock(self) -> SystemClock:
        """The machine's clock, or the hall's."""
        return self.hall.clock() if self.hall else SystemClock()

    def paths(self) -> dict[str, str]:
        """Absolute, for `fleet resume`."""
        found = {"inventory": str(self.inventory_path.resolve()), "playbook": str(self.playbook.path)}
        found |= {"hall": str(self.hall.directory.resolve())} if self.hall else {}
        found |= {"baseline": str(self.baseline.resolve())} if self.baseline else {}
        found |= {"real_scheduler": self.real_scheduler} if self.real_scheduler else {}
        return found | ({"select": self.select} if self.select else {})


def read_sources(
    inventory_path: Path,
    playbook_path: Path,
    hall_directory: Path | None,
    *,
    baseline: Path | None = None,
    select: str = "",
    real_scheduler: str = "",
) -> Sources:
    """Read and check the files. Raises InputError or UsageError; nothing was touched."""
    inventory = load(inventory_path)
    playbook = load_playbook(playbook_path, baseline=baseline)
    steps = with_vlans(playbook.steps, inventory.vlans, playbook_path)
    playbook = replace(playbook, steps=with_gates(steps, playbook.rollout.gates, playbook.rollout.soak_s))
    found = chosen(inventory, playbook.select, f"{playbook_path}: select")
    if select:
        narrowed = {node.id for node in chosen(inventory, select, "--select")}
        found = tuple(node for node in found if node.id in narrowed)
        if not found:
            raise UsageError(f"--select matches no node that {playbook_path} selects")
    hall = read_hall(hall_directory) if hall_directory else None
    return Sources(
        inventory=inventory,
        inventory_path=inventory_path,
        playbook=playbook,
        hall=hall,
        nodes=hall.overlay(found) if hall else found,
        baseline=baseline,
        select=select,
        real_scheduler=real_scheduler,
    )


def chosen(inventory: Inventory, selector: str | Mapping[str, str], where: str) -> tuple[Node, ...]:
    """The nodes that a selector names. Raises UsageError: it names none, or is none."""
    try:
        found = parse_selector(selector).nodes(inventory)
    except SelectorError as error:
        raise UsageError(f"{where}: {error}") from error
    if not found:
        raise UsageError(f"{where} matches no node of inventory {inventory.name}")
    return found


def check_images(baseline: Baseline) -> None:
    """Every image against digest, package header and models. Raises UsageError with every problem at once."""
    problems = verify_images(baseline)
    if problems:
        raise UsageError("\n".join(str(problem) for problem in problems))


def make_plan(
    sources: Sources, surveys: list[Survey], *, baseline: Baseline, steps: tuple[StepSpec, ...], downgrade: str = ""
) -> Plan:
    """Pure, but for the sizes of the images."""
    takes_s = {name: announced.takes_s for name, announced in known_steps().items()}
    book = RecipeBook(steps=steps, baseline=baseline, sizes=_sizes(baseline), takes_s=takes_s, downgrade=downgrade)
    return build(
        playbook=sources.playbook.name,
        baseline=baseline,
        spec=sources.playbook.rollout,
        surveys=surveys,
        recipe_for=once_each(book),
        place=placer(sources.inventory),
        wholes=Counter(str(node.nvlink_domain) for node in sources.inventory.nodes if node.nvlink_domain),
        chassis=chassis_of(sources.inventory.nodes),
    )


def placer(inventory: Inventory) -> Callable[[Node], Domains]:
    """Where a node stands, its cables included."""

    def place(node: Node) -> Domains:
        ends = attachments(node, leaf_links(inventory, [node])[str(node.id)])
        pod = inventory.rack(node.rack).pod
        rails = tuple(f"{pod}:{port}" for port in ends)
        return replace(standing_place(node), leaves=tuple(dict.fromkeys(ends.values())), rails=rails)

    return place


def _sizes(baseline: Baseline) -> dict[Path, int]:
    images: set[Path] = set()
    for component in baseline.components.values():
        images |= {component.image, *(stone.image for stone in component.requires)}
        images |= {component.previous.image} if component.previous else set()
    return {image: image.stat().st_size for image in images}


def make_transfers(sources: Sources, clock: Clock) -> Transfers:
    """The way on which all images of a rollout leave this machine, pushed and pulled."""
    return Transfers(bytes_per_s=sources.inventory.transfers.megabytes_per_s * 1e6, clock=clock)


def make_driver(sources: Sources, clock: Clock, transfers: Transfers | None = None) -> RedfishDriver:
    """The Redfish driver with the inventory's credentials, or the hall's."""
    credentials = [sources.hall.credential] if sources.hall else sources.inventory.credentials
    return RedfishDriver(credentials, clock=clock, transfers=transfers)


def leftover_sessions(journal: Journal, own: RolloutId) -> dict[str, dict[str, str]]:
    """Sessions that no living process owns: node -> Context -> URI.

    `own`: the rollout whose lease this process holds. What the journal has of it was left by processes before this one.
    """
    rows = journal.open_sessions()
    others = {row.rollout for row in rows} - {own}
    living = {rollout for rollout in others if held_elsewhere(journal.path, rollout)}
    return open_leftovers((row.node, row.context, row.uri) for row in rows if row.rollout not in living)


def who() -> str:
    """user@host, as the journal names whoever asked."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def on_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, on asyncio's own loop.

    Not on uvloop: with TLS connections that die during the handshake, as those of a restarting BMC do, uvloop and aiohttp were
    seen here to close a file descriptor twice (MagicStack/uvloop#653 and #646, open). In a process that holds the journal open,
    a descriptor that may be another's is worse than the memory that uvloop saves; CPU time was the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
    return asyncio.run(main)


async def stoppable(stack: AsyncExitStack, stop: Callable[[str], None]) -> None:
    """First SIGINT or SIGTERM: `stop`, which lets nodes reach a safe point. The second ends the process at once."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    asked: list[int] = []

    def caught(number: int) -> None:
        if asked and main is not None:
            main.cancel()
            return
        asked.append(number)
        print(  # noqa: T201 (words go to stderr)
            "stopping at the next safe points; the journal keeps everything. Once more to leave at once.",
            file=sys.stderr,
        )
        stop(f"the process was asked to stop ({signal.Signals(number).name})")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, caught, number)
        stack.callback(loop.remove_signal_handler, number)
