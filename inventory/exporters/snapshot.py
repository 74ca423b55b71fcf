"""What is exported: what was declared of each node, joined with what was last observed of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from inventory.model import Inventory, Link, Node, NodeId, Switch


class Reading(StrEnum):
    """Which reading of a rollout the versions come from."""

    NONE = "none"
    """The node could not be read; nothing observed stands beside it."""
    PLANNED = "planned"
    """Read for the plan."""
    BEFORE = "before"
    """Read when the node was admitted. Once the node is written to, this is the past."""
    AFTER = "after"
    """Read at the end, to verify."""


class Origin(StrEnum):
    """What was read."""

    HARDWARE = "hardware"
    SIMULATED_HALL = "simulated-hall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one rollout saw of one node, and where it left it."""

    node: NodeId
    rollout: str
    playbook: str
    status: str
    """The node's status in that rollout: confirmed, quarantined ..."""
    reason: str = ""
    """A word for machines where the node was refused, rolled back or quarantined."""
    message: str = ""
    """The same for people. Holds what a BMC said: never trusted."""
    reading: Reading = Reading.NONE
    read_at: float | None = None
    """Field time of the reading, in seconds since 1970; None where there is none."""
    origin: Origin = Origin.HARDWARE
    model: str = ""
    serial: str = ""
    uuid: str = ""
    profile: str = ""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Firmware inventory item -> version as the BMC wrote it, of the items that the rollout's targets name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One node of the export."""

    node: Node
    pod: str
    site: str
    seen: Sighting | None = None
    """None: no rollout of the journal had this node."""

    @property
    def profile(self) -> str:
        """The profile that a person named, else the one that discovery found; empty if neither did."""
        return self.node.profile or (self.seen.profile if self.seen else "")

    @property
    def status(self) -> str:
        """In the words of the rollout; `unseen` where none had the node."""
        return self.seen.status if self.seen else "unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that exporters get. The same input makes the same snapshot: it has no time of its own."""

    inventory: Inventory
    entries: tuple[Entry, ...]
    """The selected nodes, in the order of the inventory."""

    @classmethod
    def of(cls, inventory: Inventory, nodes: Sequence[Node], seen: Mapping[NodeId, Sighting]) -> Self:
        """Join the selected nodes with what was seen of them."""
        sites = {pod.id: pod.site for pod in inventory.pods}
        entries = []
        for node in nodes:
            pod = inventory.rack(node.rack).pod
            entries.append(Entry(node=node, pod=pod, site=sites[pod], seen=seen.get(node.id)))
        return cls(inventory=inventory, entries=tuple(entries))

    def links(self) -> tuple[Link, ...]:
        """The cables with an end at an exported node; with all nodes exported, those between switches too."""
        if len(self.entries) == len(self.inventory.nodes):
            return self.inventory.links
        chosen = {entry.node.id for entry in self.entries}
        return tuple(link for link in self.inventory.links if {link.a.device, link.b.device} & chosen)

    def switches(self) -> tuple[Switch, ...]:
        """The switches at the other ends; with all nodes exported, all of them."""
        if len(self.entries) == len(self.inventory.nodes):
            return self.inventory.switches
        ends = {end.device for link in self.links() for end in (link.a, link.b)}
        return tuple(switch for switch in self.inventory.switches if switch.id in ends)


def timestamp(at: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
