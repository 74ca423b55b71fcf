"""Which profile the product chooses for each simulated box: found by asking one of each, as a survey does."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from fleet.drivers.redfish import RedfishDriver
from fleet.engine import Ledger
from fleet.errors import UsageError
from fleet.events import RolloutId
from fleet.limits import Limits
from fleet.plan import Survey
from fleet.state import RolloutState
from fleet.survey import survey
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, credential, in_twin
from fleet.twin.journal import MemoryJournal
from fleet.twin.outfit import Kind
from inventory.model import Node


def kinds_of(nodes: Iterable[Node]) -> tuple[Kind, ...]:
    """One Kind a model. Raises UsageError for a model that has no box, or that no profile knows."""
    first = in_twin({node.model: node for node in nodes}.values())
    clock = VirtualClock()
    hall = TwinHall(TwinSpec(nodes=first, clock=clock))
    with tempfile.TemporaryDirectory(prefix="fleet-twin-") as directory:
        surveys = clock.run(_looked(first, hall, clock, Path(directory)))
    found = []
    for seen in surveys:
        if seen.profile is None:
            raise UsageError(f"model {seen.node.model}: the simulated box was not recognised: {seen.message}")
        found.append(Kind(model=seen.node.model, profile=seen.profile))
    return tuple(found)


async def _looked(nodes: tuple[Node, ...], hall: TwinHall, clock: VirtualClock, directory: Path) -> list[Survey]:
    limits = Limits()
    driver = RedfishDriver([credential(directory)], clock=clock, limits=limits, transport=hall.transports(limits))
    ledger = Ledger(MemoryJournal(clock), RolloutState(rollout=RolloutId("look")))
    try:
        return await survey(nodes, driver, clock, ledger, leftovers={})
    finally:
        await driver.close()
