"""What can be said of a plan before it starts: how fast it can be at best and is likely to be, and what it can break. Pure.

Bounds are theorems about the expected durations of the recipes (fleet.policy.bounds); the outlook is a simulation of the plan's own policy
(fleet.policy.outlook) whose chance is seeded by the plan's digest: the same plan has the same proof.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.plan import Plan
from fleet.policy.bounds import Bounds, Job, Pace, Supply, Term, bounds, waves
from fleet.policy.forecast import Draw, Odds
from fleet.policy.outlook import Outlook, outlook
from fleet.policy.paced import Paced
from fleet.policy.power.proof import ProofRow
from fleet.policy.risk import PSEUDO_NODES, Seen, allowed, upper_bound
from fleet.policy.rules import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainProof:
    """What one domain can lose at once."""

    kind: str
    name: str
    nodes: int
    """Of the plan."""
    cap: int | None
    """None: no cap of its own."""
    most_out: int
    """No more than this can be out at once, whatever happens: the least of cap, slots and nodes."""
    seen_out: int
    """Most that were out at once in the simulated rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What a plan does that it cannot undo."""

    what: str
    """A component or a step."""
    nodes: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All of it. `to_json` is what `fleet plan --json` prints."""

    digest: str
    nodes: int
    risk: int
    """Nodes that may be broken at once, with 95 % certainty; 0: explicit waves."""
    slots: int
    bounds: Bounds
    outlook: Outlook
    domains: tuple[DomainProof, ...]
    power: tuple[ProofRow, ...]
    """Peak of each power domain that a planned node hangs on; empty where the inventory does not say what feeds the nodes."""
    lasting: tuple[Lasting, ...]
    assumptions: tuple[str, ...]
    """What the figures rest on, for people."""

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        seen = self.outlook
        return {
            "digest": self.digest,
            "nodes": self.nodes,
            "risk": self.risk,
            "slots": self.slots,
            "bounds": self.bounds.to_json(),
            "makespan": {"p50_s": seen.makespan_p50_s, "p95_s": seen.makespan_p95_s, "runs": seen.makespan_runs},
            "damage": [each.to_json() for each in seen.damage],
            "peak_in_flight": seen.peak_in_flight,
            "domains": [asdict(each) for each in self.domains],
            "power": [asdict(each) | {"headroom_w": each.headroom_w} for each in self.power],
            "cannot_be_undone": [asdict(each) for each in self.lasting],
            "assumptions": list(self.assumptions),
        }


Told = Callable[[int, int], None]


def prove(
    plan: Plan,
    *,
    undo: Mapping[str, str] | None = None,
    power: Sequence[ProofRow] = (),
    server_bytes_per_s: float = math.inf,
    told: Told = lambda _done, _all: None,
) -> Proof:
    """The proof of a plan with at least one node that is not refused.

    Args:
        plan: as it would be carried out.
        undo: step -> what can be undone of it, of steps that a plan does not know the way back of (playbooks.registry); those that
            begin with "no" cannot be undone.
        power: what it can do to each breaker (fleet.policy.power.proof).
        server_bytes_per_s: what the image server sends to all nodes together; infinite: not known.
        told: called after each simulated rollout with the number of those done and of all.
    """
    caps, rules = plan.caps, plan.rules()
    jobs = jobs_of(plan)
    limits = {(kind, name): cap for kind, named in caps.domains.items() for name, cap in named.items()}
    supply = Supply(slots=caps.max_in_flight, caps=limits, server_bytes_per_s=server_bytes_per_s)
    odds = Odds(latent_share=1.0, lag_s=caps.bake_s) if caps.risk and caps.bake_s else Odds()

    def pacing(_drawn: Draw) -> Paced:
        return Paced(rules)

    digest = plan.digest()
    seen = outlook(jobs, supply, pacing, seed=digest, odds=odds, told=told)
    pace = _pace(plan) if caps.risk and not rules.units else None
    return Proof(
        digest=digest,
        nodes=len(jobs),
        risk=caps.risk,
        slots=caps.max_in_flight,
        bounds=bounds(jobs, supply, risk=caps.risk, pace=pace, more=_waves(plan, jobs, supply)),
        outlook=seen,
        domains=_domains(jobs, supply, seen),
        power=tuple(power),
        lasting=_lasting(plan, undo or {}),
        assumptions=_assumptions(plan, odds, server_bytes_per_s),
    )


def jobs_of(plan: Plan) -> tuple[Job, ...]:
    """The plan's nodes, in the order of admission, with the seconds that their recipes expect."""
    sizes = {
        name: sum(
            plan.targets[str(step.args["target"])].size_bytes for step in recipe.steps if step.name == "firmware.update"
        )
        for name, recipe in plan.recipes.items()
    }
    found = []
    for name in plan.order:
        node = plan.nodes[name]
        found.append(
            Job(
                node=name,
                seconds=plan.recipes[node.recipe].expected_s,
                domains=tuple(node.domains.groups()),
                image_bytes=sizes[node.recipe],
                stratum=node.stratum,
            )
        )
    return tuple(found)


def _pace(plan: Plan) -> Pace:
    """The most that the risk budget can ever let through: other strata may be spotless."""
    others = PSEUDO_NODES if len(set(plan.rules().strata.values())) > 1 else 0.0
    risk = plan.caps.risk

    def pace(_stratum: str, clean: int) -> int:
        return allowed(risk, upper_bound(Seen(clean=clean + others))) if clean else 1

    return pace


def _waves(plan: Plan, jobs: tuple[Job, ...], supply: Supply) -> list[Term]:
    caps = plan.caps
    if len(caps.waves) == 1:
        return []
    groups = [jobs[start:full] for start, full in zip((0, *caps.waves), caps.waves, strict=False)]
    return [waves(groups, supply, bake_s=caps.bake_s)]


def _domains(jobs: tuple[Job, ...], supply: Supply, seen: Outlook) -> tuple[DomainProof, ...]:
    members: Counter[Key] = Counter(key for job in jobs for key in job.domains)
    return tuple(
        DomainProof(
            kind=kind,
            name=name,
            nodes=count,
            cap=supply.caps.get((kind, name)),
            most_out=_most_out(count, supply.caps.get((kind, name))),
            seen_out=seen.peak_out.get((kind, name), 0),
        )
        for (kind, name), count in sorted(members.items())
    )


def _most_out(nodes: int, cap: int | None) -> int:
    # Nodes that failed stay out and free their slots: without a cap of its own a domain can lose all of its nodes.
    return nodes if cap is None else min(nodes, cap)


def _lasting(plan: Plan, undo: Mapping[str, str]) -> tuple[Lasting, ...]:
    users = Counter(node.recipe for node in plan.nodes.values() if node.recipe)
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for name, count in users.items():
        recipe = plan.recipes[name]
        for way in recipe.ways_back:
            if not way.target:
                found[way.component, way.why] += count
        for step in {step.name for step in recipe.steps if undo.get(step.name, "").startswith("no")}:
            found[step, undo[step]] += count
    return tuple(Lasting(what=what, nodes=count, why=why) for (what, why), count in sorted(found.items()))


def _assumptions(plan: Plan, odds: Odds, server_bytes_per_s: float) -> tuple[str, ...]:
    caps = plan.caps
    said = [
        f"a node takes what its recipe expects on average (lognormal, sigma {odds.sigma:g})",
        f"{odds.straggler_share:.0%} of the nodes take {odds.straggler_factor:g} times as long",
        "a bad bundle fails on each node by itself, looks the same every time, and shows at the end of the node's work",
        "a node that fails stays out until a person has been there",
    ]
    if odds.latent_share:
        said.append(f"failures show only after the node is back in service, on average {odds.lag_s:g} s later (bake)")
    if not math.isfinite(server_bytes_per_s):
        said.append("the image server is no bottleneck: its rate is not known")
    if caps.window is not None:
        said.append(f"working time only: the hours outside the window ({caps.window}) come on top")
    if caps.approve:
        said.append("approvals come at once")
    return tuple(said)
