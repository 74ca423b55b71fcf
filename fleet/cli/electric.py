"""Power at the composition root: the desk that gives it away while a rollout runs, and what a plan says of it before."""

from collections.abc import Sequence

from rich.console import Console

from fleet.cli.compose import Sources
from fleet.clock import Clock
from fleet.context import Recorder
from fleet.edges import Edges
from fleet.gate import Gate
from fleet.plan import Plan
from fleet.policy.power.ledger import PowerLedger
from fleet.policy.power.proof import PlanFacts, ProofRow, Verdict, power_proof, unwatched
from fleet.policy.power.spec import PowerSpec
from fleet.power_desk import PowerDesk
from fleet.recipe import ACTIVATE
from fleet.state import RolloutState
from fleet.step import StepSpec
from fleet.words import plural
from inventory.baseline import Activation
from inventory.power import Stage
from playbooks.burnin.profile import profile_named
from playbooks.steps.burnin import READS

_IMAGE = "os.image"
_BURN_INS = frozenset({"burnin.run", "burnin.baseline"})
_STARTS = frozenset({Activation.WARM_RESET, Activation.DC_CYCLE, Activation.AC_CYCLE})


def power_desk(
    sources: Sources, plan: Plan, state: RolloutState, *, recorder: Recorder, clock: Clock, gate: Gate, edges: Edges
) -> PowerDesk | None:
    """The desk of this process, its ledger rebuilt from the journal; None where the inventory does not say what feeds the nodes.

    The breakers are those of the inventory as it is now: one that was rated too high when the plan was made must not stay so.
    """
    tree = sources.inventory.power
    if tree is None:
        return None
    nodes = {str(node.id): node for node in sources.inventory.nodes}
    models = {name: node.model for name, node in nodes.items()}
    ledger = PowerLedger(tree, models, PowerSpec.from_json(plan.power))
    nodes |= {str(node.id): node for node in sources.nodes}
    desk = PowerDesk(ledger=ledger, recorder=recorder, clock=clock, gate=gate, edges=edges, nodes=nodes)
    desk.take_over(state)
    return desk


def proof(sources: Sources, plan: Plan) -> tuple[ProofRow, ...]:
    """What the plan can do to each breaker at the worst; empty where the inventory does not say what feeds the nodes."""
    tree = sources.inventory.power
    if tree is None:
        return ()
    stages = {
        name: tuple(stages_of(recipe.steps, recipe.activation))
        for name, recipe in ((name, plan.recipes[plan.nodes[name].recipe]) for name in plan.order)
    }
    models = {str(node.id): node.model for node in sources.inventory.nodes}
    facts = PlanFacts(models=models, stages=stages, max_in_flight=plan.caps.max_in_flight)
    return power_proof(tree, facts, sources.playbook.power)


def stages_of(steps: Sequence[StepSpec], activation: Sequence[Activation]) -> set[str]:
    """The stages that draw more, of a recipe's steps. An activation by steps in between is one of its starts, too."""
    found: set[str] = set()
    for step in steps:
        if step.name == _IMAGE:
            found |= {Stage.START, Stage.INSTALL}
        elif step.name == ACTIVATE and _STARTS.intersection(activation):
            found.add(Stage.START)
        elif step.name in _BURN_INS:
            found |= set(profile_named(str(step.args["profile"])).tests) - READS
    return found


def show_power(sources: Sources, plan: Plan, console: Console) -> None:
    """Say what is reserved for whom, or that nothing is."""
    loose = unwatched(sources.inventory.power, plan.order)
    if loose:
        text = (
            "power: the inventory says nothing of what feeds the nodes: no reservation is made (docs/breakers.md)"
            if sources.inventory.power is None
            else f"power: {plural(len(loose), 'node')} ({loose[0]} first) on no declared power domain: no reservation is made there"
        )
        console.print(text, markup=False, soft_wrap=True)
    never = [row for row in proof(sources, plan) if row.verdict is Verdict.NEVER]
    for row in never:
        console.print(
            f"power: {row.domain} can bear {row.limit_w / 1000:.1f} kW and {row.base_w / 1000:.1f} kW are spoken for before anything"
            " starts: its nodes would wait for ever; see rollout.power.others in docs/breakers.md",
            markup=False,
            soft_wrap=True,
        )
