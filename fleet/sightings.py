"""What a rollout's events say about nodes, in the inventory's own type: the joint between journal and exporters. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.events import NodeObserved, Recorded, RolloutId, RolloutPlanned
from fleet.plan import Plan, PlannedNode
from fleet.state import RolloutState, fold
from inventory.exporters.snapshot import Origin, Reading, Sighting
from inventory.model import NodeId


@dataclass(frozen=True, slots=True)
class _Read:
    """The newest reading of a node."""

    reading: Reading
    at: float | None
    versions: Mapping[str, str]


def sightings(rollout: RolloutId, recorded: Iterable[Recorded]) -> dict[NodeId, Sighting]:
    """Every node of the rollout's plan: where it is, who it said it was, and what it last said it ran.

    Args:
        rollout: its id.
        recorded: its events, all of them, in order.
    """
    state = RolloutState(rollout=rollout)
    planned: Mapping[str, PlannedNode] = {}
    readings: dict[str, _Read] = {}
    for item in recorded:
        fold(state, item)
        event = item.event
        if isinstance(event, RolloutPlanned):
            planned = Plan.from_json(event.plan).nodes
            readings = {name: _survey(node, item.at) for name, node in planned.items()}
        elif isinstance(event, NodeObserved) and event.node in planned:
            reading = Reading.BEFORE if event.when == "before" else Reading.AFTER
            readings[event.node] = _Read(reading, item.at, event.versions)
    return {NodeId(name): _sighting(state, name, node, readings[name]) for name, node in planned.items()}


def _survey(node: PlannedNode, at: float) -> _Read:
    """A node that could not be read was not observed, whatever time it was."""
    answered = bool(node.serial or node.uuid or node.before)
    return _Read(Reading.PLANNED, at, node.before) if answered else _Read(Reading.NONE, None, {})


def _sighting(state: RolloutState, name: str, node: PlannedNode, read: _Read) -> Sighting:
    now = state.nodes[name]
    return Sighting(
        node=NodeId(name),
        rollout=state.rollout,
        playbook=state.playbook,
        # A refusal stands in the plan before, or without, any event of its own.
        status="refused" if node.reason else now.status.value,
        reason=now.reason or node.reason,
        message=now.message or node.message,
        reading=read.reading,
        read_at=read.at,
        origin=Origin.SIMULATED_HALL if state.sources.get("hall") else Origin.HARDWARE,
        model=node.model if read.reading is not Reading.NONE else "",
        serial=node.serial,
        uuid=node.uuid,
        profile=node.profile,
        versions=read.versions,
    )
