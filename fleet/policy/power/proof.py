"""What a plan can do to each breaker at the worst, and why that is not too much. Pure; for people, before the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleet.policy.power.spec import Others, PowerSpec
from inventory.power import PowerDomain, PowerTree


class Verdict(StrEnum):
    """What becomes of the plan in one domain."""

    AT_ONCE = "all at once"
    """Nobody ever waits here."""
    IN_TURN = "in turn"
    NEVER = "never"
    """Not one node could do its hungriest stage: the rollout would wait for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRow:
    """One power domain."""

    domain: str
    """`row row1`."""
    budget_w: int
    """What it may carry for hours, with its largest supply lost."""
    limit_w: int
    """What the ledger gives away of it."""
    base_w: int
    """Spoken for before the first node starts."""
    demand_w: int
    """If every planned node below it did its hungriest stage at once."""
    worst_w: int
    """The most that the ledger will ever have spoken for: the demand, or the limit if that is less."""
    nodes: int
    """Planned ones below it."""
    at_once: int
    """How many of them may do so at once."""
    verdict: Verdict

    @property
    def headroom_w(self) -> int:
        """Of the budget, at the worst."""
        return self.budget_w - self.worst_w


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """What has to be known of a plan."""

    models: Mapping[str, str]
    """Node -> model, of every node of the inventory."""
    stages: Mapping[str, Sequence[str]]
    """Planned node -> the stages that it goes through."""
    max_in_flight: int


def power_proof(tree: PowerTree, facts: PlanFacts, spec: PowerSpec) -> tuple[ProofRow, ...]:
    """One row a domain that a planned node hangs on, in the order of the file.

    Nodes that may idle are counted so only where the playbook vouches for it: the ledger itself starts from the nameplate of whatever
    no meter has spoken of.
    """
    return tuple(row for domain in tree.domains.values() if (row := _row(tree, domain, facts, spec)) is not None)


def unwatched(tree: PowerTree | None, nodes: Sequence[str]) -> tuple[str, ...]:
    """The nodes that hang on no declared domain: no reservation is made for them."""
    return tuple(node for node in nodes if tree is None or node not in tree.on)


def _row(tree: PowerTree, domain: PowerDomain, facts: PlanFacts, spec: PowerSpec) -> ProofRow | None:
    below = [node for node in map(str, tree.on) if any(each.id == domain.id for each in tree.above(node))]
    planned = [node for node in below if facts.stages.get(node)]
    if not planned:
        return None
    rest_w = {node: _rest_w(tree, node, facts, spec) for node in below if node in facts.models}
    base_w = sum(rest_w.values())
    more = sorted((max(0, _peak_w(tree, node, facts) - rest_w[node]) for node in planned), reverse=True)
    together = more[: facts.max_in_flight]
    limit_w, demand_w = spec.limit_w(domain.budget_w), base_w + sum(together)
    at_once, room_w = 0, limit_w - base_w
    for each in together:
        room_w -= each
        if room_w < 0:
            break
        at_once += 1
    verdict = Verdict.AT_ONCE if demand_w <= limit_w else Verdict.IN_TURN if at_once else Verdict.NEVER
    return ProofRow(
        domain=f"{domain.kind} {domain.id}",
        budget_w=domain.budget_w,
        limit_w=limit_w,
        base_w=base_w,
        demand_w=demand_w,
        worst_w=max(base_w, min(demand_w, limit_w)),
        nodes=len(planned),
        at_once=at_once,
        verdict=verdict,
    )


def _rest_w(tree: PowerTree, node: str, facts: PlanFacts, spec: PowerSpec) -> int:
    figures = tree.models[facts.models[node]]
    return figures.idle_w if spec.others is Others.MEASURED else figures.nameplate_w


def _peak_w(tree: PowerTree, node: str, facts: PlanFacts) -> int:
    figures = tree.models[facts.models[node]]
    return max(figures.peak(stage) for stage in facts.stages[node])
