"""The plan, for people: what will be done, in which waves, what can be undone, and who was refused and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from fleet.condense import condense
from fleet.plan import Plan
from fleet.words import clean, plural, tolerance
from playbooks.registry import steps as known_steps

_MESSAGES = 12
"""Different sentences that are shown of one reason."""


def show_plan(plan: Plan, console: Console) -> None:
    """Print it to `console`."""
    caps = plan.caps
    title = f"[bold]{plan.playbook}[/]" + (f" to baseline [bold]{plan.baseline}[/]" if plan.baseline else "")
    if plan.order:
        pace = f"at most {caps.risk} broken at once" if caps.risk else f"in waves of {_sizes(caps.waves)}"
        console.print(
            f"{title}: {plural(len(plan.order), 'node')}, {pace}, at most {caps.max_in_flight} in flight, failures:"
            f" {tolerance(caps.failure_budget, len(plan.order))}; digest {plan.digest()[:12]}"
        )
        _recipes(plan, console)
    else:
        console.print(f"{title}: no node can be planned")
    if plan.refused:
        _refused(plan, console)
    if any(node.notes for node in plan.nodes.values()):
        _notes(plan, console)


def _sizes(waves: tuple[int, ...]) -> str:
    return " + ".join(str(full - start) for start, full in zip((0, *waves), waves, strict=False))


def _recipes(plan: Plan, console: Console) -> None:
    table = Table(
        "profile", "nodes", "steps", "then", "can it go back?", title="What is done to a node", title_justify="left"
    )
    users = Counter(node.recipe for node in plan.nodes.values() if node.recipe)
    for name, count in users.most_common():
        recipe = plan.recipes[name]
        steps = [step.key for step in recipe.steps if step.name != "firmware.activate"]
        profile = next(node.profile for node in plan.nodes.values() if node.recipe == name)
        others = {step.name: known_steps()[step.name].undo for step in recipe.steps}
        back = "\n".join(
            [
                *(f"{way.component}: {way.why}" for way in recipe.ways_back),
                *(f"{name}: {undo}" for name, undo in others.items() if undo),
            ]
        )
        then = " + ".join(recipe.activation) or "nothing: all at baseline"
        table.add_row(profile, str(count), "\n".join(steps), then, back)
    console.print(table)


def _refused(plan: Plan, console: Console) -> None:
    console.print("Refused: nothing will be done to these", style="italic")
    _grouped(((node.reason, node.message, name) for name, node in plan.refused.items()), console)


def _notes(plan: Plan, console: Console) -> None:
    console.print("To know: nobody is refused for these", style="italic")
    _grouped(((note.topic, note.text, name) for name, node in plan.nodes.items() for note in node.notes), console)


def _grouped(told: Iterable[tuple[str, str, str]], console: Console) -> None:
    """(reason, sentence, node) by reason, every node named. No table: a log on a narrow screen keeps the sentence whole.

    Messages hold what BMCs said. Where a reason has very many different ones, the rest are named after the first.
    """
    reasons: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for reason, message, name in told:
        reasons[reason][message].append(name)
    for reason, said in sorted(reasons.items(), key=lambda each: -sum(map(len, each[1].values()))):
        everybody = {name for names in said.values() for name in names}
        console.print(f"  {reason}: {plural(len(everybody), 'node')}", markup=False)
        messages = sorted(said.items(), key=lambda each: -len(each[1]))
        for message, names in messages[:_MESSAGES]:
            console.print(f"    {condense(names)}: {clean(message)}", markup=False, soft_wrap=True)
        rest = dict.fromkeys(name for _, names in messages[_MESSAGES:] for name in names)
        if rest:
            console.print(f"    {condense(rest)}: each with such a message of its own", markup=False, soft_wrap=True)
