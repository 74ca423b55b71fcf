"""The proof of a plan, for people: how fast at best and likely, what a bad bundle breaks, what each domain can lose, what lasts."""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fleet.cli.plan_view import show_plan
from fleet.plan import Plan
from fleet.policy.power.proof import ProofRow
from fleet.proof import DomainProof, Proof, prove
from fleet.words import clean, duration, plural
from playbooks.registry import steps as known_steps

_BREAKERS = 8
"""Power domains that are shown: a hall has one for every rack and PDU."""


def tell(
    plan: Plan,
    console: Console,
    *,
    power: Sequence[ProofRow] = (),
    server_bytes_per_s: float = math.inf,
    document: str = "",
) -> None:
    """The plan and its proof: words on `console`, and one JSON document on stdout if `document` is not empty.

    The document: `plan` as the journal holds it, `proof` (fleet.proof.Proof.to_json), null where no node can be planned.
    `server_bytes_per_s`: what may leave this machine of images.
    """
    show_plan(plan, console)
    proof = proved(plan, console, power=power, server_bytes_per_s=server_bytes_per_s) if plan.order else None
    if proof is not None:
        show_proof(proof, console)
    if document:
        told = {"plan": plan.to_json(), "proof": proof.to_json() if proof else None}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")


def proved(
    plan: Plan, console: Console, *, power: Sequence[ProofRow] = (), server_bytes_per_s: float = math.inf
) -> Proof:
    """The plan's proof; while it is worked out the console says how far it is."""
    undo = {name: announced.undo for name, announced in known_steps().items()}
    with console.status("simulating the plan") as status:

        def told(done: int, total: int) -> None:
            status.update(f"simulating the plan: {done} of {total} rollouts")

        return prove(plan, undo=undo, power=power, server_bytes_per_s=server_bytes_per_s, told=told)


def show_proof(proof: Proof, console: Console) -> None:
    """Print it to `console`."""
    _time(proof, console)
    _damage(proof, console)
    _domains(proof, console)
    _power(proof, console)
    if proof.lasting:
        console.print("What cannot be undone", style="italic")
        for each in proof.lasting:
            sentence = f"  {each.what}: {clean(each.why)} ({plural(each.nodes, 'node')})"
            console.print(sentence, markup=False, soft_wrap=True)
    console.print("All this is simulated, and rests on", style="italic")
    for line in proof.assumptions:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def _time(proof: Proof, console: Console) -> None:
    seen = proof.outlook
    table = Table("no faster than", "because of", "", title="How long it takes", title_justify="left")
    for term in proof.bounds.terms:
        table.add_row(duration(term.seconds), term.name, clean(term.why))
    if proof.risk:
        table.add_row(
            duration(proof.bounds.risk_model_s),
            "risk model",
            f"{plural(proof.nodes, 'node')}, at most {proof.risk} broken at once (a model, no theorem)",
        )
    console.print(table)
    ratio = seen.makespan_p50_s / proof.bounds.safe_s if proof.bounds.safe_s else 1.0
    console.print(
        f"expected: {duration(seen.makespan_p50_s)}, {duration(seen.makespan_p95_s)} at the 95th percentile of"
        f" {plural(seen.makespan_runs, 'simulated rollout')}; {ratio:.2f} times the largest of these; at most"
        f" {seen.peak_in_flight} of {plural(proof.slots, 'slot')} in use",
        soft_wrap=True,
    )


def _damage(proof: Proof, console: Console) -> None:
    table = Table(
        "it fails on",
        "nodes lost, mean",
        "95th percentile",
        "halts",
        "runs",
        title="What a bad bundle breaks",
        title_justify="left",
    )
    for each in proof.outlook.damage:
        table.add_row(
            f"{each.rate:.0%} of nodes",
            f"{each.failed_mean:.1f} of {proof.nodes}",
            str(each.failed_p95),
            f"{each.halts:.0%}",
            str(each.runs),
        )
    console.print(table)


def _domains(proof: Proof, console: Console) -> None:
    kinds: defaultdict[str, list[DomainProof]] = defaultdict(list)
    for domain in proof.domains:
        kinds[domain.kind].append(domain)
    if not kinds:
        return
    table = Table(
        "domain",
        "how many",
        "cap",
        "out at once, at most",
        "simulated",
        title="What fails together",
        title_justify="left",
    )
    for kind, members in kinds.items():
        worst = max(members, key=lambda each: (each.most_out / each.nodes, each.most_out))
        table.add_row(
            kind.replace("_", " "),
            str(len(members)),
            _span([each.cap for each in members]),
            f"{worst.most_out} of {plural(worst.nodes, 'node')} ({clean(worst.name)})",
            str(max(each.seen_out for each in members)),
        )
    console.print(table)


def _power(proof: Proof, console: Console) -> None:
    """The breakers with the least room left, each kW as the ledger of power will ever have spoken for."""
    if not proof.power:
        return
    table = Table(
        "power domain",
        "budget",
        "peak",
        "room left",
        "starts at once",
        title="What breakers bear",
        title_justify="left",
    )
    tight = sorted(proof.power, key=lambda each: each.headroom_w / max(1, each.budget_w))
    for row in tight[:_BREAKERS]:
        figures = (f"{watts / 1000:.1f} kW" for watts in (row.budget_w, row.worst_w, row.headroom_w))
        table.add_row(clean(row.domain), *figures, f"{row.at_once} of {plural(row.nodes, 'node')}: {row.verdict}")
    console.print(table)
    if len(tight) > _BREAKERS:
        console.print(f"  and {len(tight) - _BREAKERS} more with more room; all are in --json", markup=False)


def _span(caps: list[int | None]) -> str:
    known = sorted({cap for cap in caps if cap is not None})
    if not known:
        return "none"
    return str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"
