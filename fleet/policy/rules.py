"""What admission is bound by: the order, where each node stands, what it is alike to, the caps. Pure; frozen with the plan."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fleet.policy.spec import Caps

Key = tuple[str, str]
"""One domain: its kind (fleet.policy.spec.DOMAINS) and its name."""


@dataclass(frozen=True, slots=True)
class Domains:
    """Where a node stands: what fails together with it."""

    rack: str
    feeds: tuple[str, ...]
    leaves: tuple[str, ...] = ()
    """Leaf switches that its cables end at."""
    rails: tuple[str, ...] = ()
    """Rails of the fabric that it has a port on: the same port of every node goes to the same rail."""
    tenant: str = ""
    nvlink_domain: str = ""

    def groups(self) -> list[Key]:
        """Every domain that the node is part of."""
        single = (("rack", self.rack), ("tenant", self.tenant), ("nvlink_domain", self.nvlink_domain))
        several = (("feed", self.feeds), ("leaf", self.leaves), ("rail", self.rails))
        return [
            *((kind, name) for kind, name in single if name),
            *((kind, name) for kind, names in several for name in names),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What `decide` needs to know beside the state; the same for the whole life of a rollout."""

    order: tuple[str, ...]
    """Nodes in the order of admission; a wave is a prefix of it."""
    domains: Mapping[str, Domains]
    caps: Caps
    strata: Mapping[str, str] = field(default_factory=dict)
    """Node -> stratum: nodes of one kind, so that what one shows is evidence for the next. Missing: all alike."""
    signs: Mapping[str, str] = field(default_factory=dict)
    """Node -> what its failures have in common with those of others beside the message: model and firmware. For signatures."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Node -> the unit that is admitted whole, such as an NVLink domain. Missing: the node alone."""
    expected_s: Mapping[str, float] = field(default_factory=dict)
    """Node -> seconds from its admission to its end, if nothing goes wrong."""
    stages: Mapping[str, int] = field(default_factory=dict)
    """Node -> its place in the order of its unit: stage 1 starts when all of stage 0 are confirmed. Missing: 0."""

    def stratum(self, node: str) -> str:
        """The stratum of a node."""
        return self.strata.get(node, "")

    def members(self) -> Mapping[str, Sequence[str]]:
        """Unit -> its nodes, in the order of admission; only units of more than one node."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for node in self.order:
            if node in self.units:
                found[self.units[node]].append(node)
        return found
