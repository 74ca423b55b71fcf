"""What will be done to each node: surveyed, planned, and as the journal holds it. Pure data; fleet.planning makes one.

A resume never plans again: the plan is frozen into the journal.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from fleet.errors import Reason, UsageError
from fleet.events import Json
from fleet.policy.risk import rounds as rounds_of
from fleet.policy.rules import Domains, Rules
from fleet.policy.spec import Caps
from fleet.ports import Condition, UpdateReadiness
from fleet.profile import Profile
from fleet.slots import SlotReading
from fleet.step import StepSpec
from fleet.target import Target
from inventory.baseline import Activation
from inventory.model import Node
from inventory.observed import Observation

PLAN_VERSION = 3
_READABLE = frozenset({1, 2, PLAN_VERSION})
"""Versions that can be shown. Version 1 froze nothing around the nodes, so that it is not carried on (fleet.cli.apply)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the precheck learned of one node, read only."""

    node: Node
    profile: Profile | None = None
    observation: Observation | None = None
    offers: frozenset[Activation] = frozenset()
    readiness: UpdateReadiness | None = None
    """Whether it would take an image now; None if that could not be read."""
    slots: SlotReading | None = None
    """Its roots of trust and both slots, as far as it shows them; None if they could not be read."""
    condition: Condition | None = None
    """Parts, clock, media, power supplies; None if that could not be read."""
    reason: Reason | None = None
    """Why the node cannot be planned, if the reading itself failed."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """How one component of one recipe goes back, as shown before the start."""

    component: str
    capability: str
    """slot-swap, reflash or none (fleet.profile.Rollback)."""
    target: str
    """Target that brings it back; empty if nothing does."""
    why: str
    """One sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is done to every node of one kind."""

    name: str
    steps: tuple[StepSpec, ...]
    ways_back: tuple[WayBack, ...]
    activation: tuple[Activation, ...]
    """Power actions of the last block of updates: the most disturbing part."""
    expected_s: float
    """From admission to confirmed, if nothing goes wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something to know of a node that refuses it nothing."""

    topic: str
    """What the plan groups by (fleet.notes.Topic)."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """One node of the plan."""

    wave: int
    recipe: str
    """Empty if refused."""
    profile: str
    domains: Domains
    serial: str
    uuid: str
    model: str
    before: Mapping[str, str]
    """Inventory item -> version, of the items that the targets name."""
    stratum: str = ""
    """Nodes of one stratum are alike: model, firmware before, BMC version, feeds, recipe. What one shows is evidence for the next."""
    unit: str = ""
    """The unit that is begun and ended whole, such as an NVLink domain; empty: the node alone."""
    stage: int = 0
    """Its place in the order of the unit."""
    chassis: str = ""
    """The chassis that it shares with others; empty: its supplies are its own."""
    mates: tuple[str, ...] = ()
    """The other nodes of that chassis, planned or not: its AC cycle is theirs."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Part -> serial number, as far as they could be read: the next plan compares with them (F58)."""
    notes: tuple[Note, ...] = ()
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of it. `to_json` is what the journal holds and what the digest covers."""

    playbook: str
    baseline: str
    order: tuple[str, ...]
    """Nodes that are not refused, in the order of admission."""
    nodes: Mapping[str, PlannedNode]
    recipes: Mapping[str, Recipe]
    targets: Mapping[str, Target]
    caps: Caps
    strata: Mapping[str, str] = field(default_factory=dict)
    """Stratum -> what its nodes have in common, for people."""
    frozen: Mapping[str, str] = field(default_factory=dict)
    """What the plan relies on beyond itself -> digest: "outlets of gpu0001", "burn-in profile hgx-8gpu-quick"."""

    power: Json = field(default_factory=dict)
    """How power is reserved (fleet.policy.power.spec.PowerSpec); empty where nobody said what feeds the nodes."""

    @property
    def refused(self) -> Mapping[str, PlannedNode]:
        """Nodes that will not be touched, with reasons."""
        return {name: node for name, node in self.nodes.items() if node.reason}

    def steps(self) -> tuple[StepSpec, ...]:
        """Every step of every recipe, in the recipes' order."""
        return tuple(step for recipe in self.recipes.values() for step in recipe.steps)

    def rules(self) -> Rules:
        """What admission is bound by."""
        planned = {name: self.nodes[name] for name in self.order}
        return Rules(
            order=self.order,
            domains={name: node.domains for name, node in self.nodes.items()},
            caps=self.caps,
            strata={name: node.stratum for name, node in planned.items()},
            signs={
                name: f"{node.model} {self.strata.get(node.stratum, node.stratum)}" for name, node in planned.items()
            },
            expected_s={name: self.recipes[node.recipe].expected_s for name, node in planned.items()},
            units={name: node.unit for name, node in planned.items() if node.unit},
            stages={name: node.stage for name, node in planned.items() if node.stage},
        )

    def expected_s(self) -> float:
        """Field seconds from the first admission to the last confirmation: the ramp of the risk budget, or waves one after the other."""
        if self.caps.risk and self.order:
            times = [self.recipes[self.nodes[node].recipe].expected_s for node in self.order]
            ramp = rounds_of(len(times), min(self.caps.max_in_flight, len(times)), self.caps.risk)
            return max(*times, sum(times) / len(times) * ramp) if len(times) > 1 else times[0]
        total, done = 0.0, 0
        for full in self.caps.waves:
            members = [self.recipes[self.nodes[node].recipe].expected_s for node in self.order[done:full]]
            rounds = -(-len(members) // self.caps.max_in_flight)
            total += sum(members) / len(members) * rounds if members else 0.0
            done = full
        return total + self.caps.bake_s * max(0, len(self.caps.waves) - 1)

    def to_json(self) -> Json:
        """JSON's own types only."""
        return {
            "version": PLAN_VERSION,
            "playbook": self.playbook,
            "baseline": self.baseline,
            "order": list(self.order),
            "nodes": {name: _node_json(node) for name, node in self.nodes.items()},
            "recipes": {name: _recipe_json(recipe) for name, recipe in self.recipes.items()},
            "targets": {name: target.to_json() for name, target in self.targets.items()},
            "caps": self.caps.to_json(),
            "strata": dict(self.strata),
            "frozen": dict(self.frozen),
            "power": dict(self.power),
        }

    def digest(self) -> str:
        """SHA-256 of the plan: what an approval refers to."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, data: Json) -> "Plan":
        """From the journal. Raises UsageError for a plan of a version that is not known."""
        if data["version"] not in _READABLE:
            raise UsageError(
                f"the plan in the journal is of version {data['version']}, this Fleetwave reads {PLAN_VERSION}"
            )
        return cls(
            playbook=data["playbook"],
            baseline=data["baseline"],
            order=tuple(data["order"]),
            nodes={name: _node_from(item) for name, item in data["nodes"].items()},
            recipes={name: _recipe_from(item) for name, item in data["recipes"].items()},
            targets={name: Target.from_json(item) for name, item in data["targets"].items()},
            caps=Caps.from_json(data["caps"]),
            strata=data.get("strata", {}),
            frozen=data.get("frozen", {}),
            power=data.get("power", {}),
        )


def _node_json(node: PlannedNode) -> Json:
    return {
        "wave": node.wave,
        "recipe": node.recipe,
        "profile": node.profile,
        "stratum": node.stratum,
        "rack": node.domains.rack,
        "feeds": list(node.domains.feeds),
        "leaves": list(node.domains.leaves),
        "rails": list(node.domains.rails),
        "tenant": node.domains.tenant,
        "nvlink_domain": node.domains.nvlink_domain,
        "unit": node.unit,
        "stage": node.stage,
        "chassis": node.chassis,
        "mates": list(node.mates),
        "serial": node.serial,
        "uuid": node.uuid,
        "model": node.model,
        "before": dict(node.before),
        "parts": dict(node.parts),
        "notes": [[note.topic, note.text] for note in node.notes],
        "reason": node.reason,
        "message": node.message,
    }


def _node_from(data: Json) -> PlannedNode:
    domains = Domains(
        data["rack"],
        tuple(data["feeds"]),
        leaves=tuple(data.get("leaves", ())),
        rails=tuple(data.get("rails", ())),
        tenant=data.get("tenant", ""),
        nvlink_domain=data.get("nvlink_domain", ""),
    )
    rest = {key: value for key, value in data.items() if key not in {"notes", *(item.name for item in fields(Domains))}}
    notes = tuple(Note(topic=topic, text=text) for topic, text in data.get("notes", ()))
    return PlannedNode(domains=domains, notes=notes, **rest | {"mates": tuple(data.get("mates", ()))})


def _recipe_json(recipe: Recipe) -> Json:
    return {
        "name": recipe.name,
        "steps": [[step.name, dict(step.args)] for step in recipe.steps],
        "ways_back": [[way.component, way.capability, way.target, way.why] for way in recipe.ways_back],
        "activation": list(recipe.activation),
        "expected_s": recipe.expected_s,
    }


def _recipe_from(data: Json) -> Recipe:
    return Recipe(
        name=data["name"],
        steps=tuple(StepSpec(name, args) for name, args in data["steps"]),
        ways_back=tuple(
            WayBack(component=component, capability=capability, target=target, why=why)
            for component, capability, target, why in data["ways_back"]
        ),
        activation=tuple(Activation(item) for item in data["activation"]),
        expected_s=data["expected_s"],
    )


class CannotPlan(Exception):
    """This node is refused."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def recipe_targets(recipe: Recipe) -> tuple[str, ...]:
    """Names of the targets that the recipe's updates flash, in order."""
    return tuple(str(step.args["target"]) for step in recipe.steps if step.name == "firmware.update")


def image_paths(plan: Plan) -> dict[Path, str]:
    """Every image that the plan may flash or install, with its digest: verified again before a resume."""
    images = {target.image: target.sha256 for target in plan.targets.values()}
    installed = [step.args for step in plan.steps() if "image" in step.args]
    return images | {Path(str(args["image"])): str(args["sha256"]) for args in installed}
