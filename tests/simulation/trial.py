"""One seed: drawn, lived through, judged."""

from dataclasses import dataclass, replace

from fleet import events as ev
from simulation.checks import alike, violations
from simulation.drawn import draw
from simulation.history import History, play


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a seed came to."""

    seed: int
    digest: str
    violations: tuple[str, ...]
    histories: int
    deaths: int
    spoiled: int
    field_s: float
    nodes: int
    processes: int
    effects: int
    unanswered: int
    """Images that came, whose process died or heard nothing, and of which no task told."""


def tried(seed: int) -> Result:
    """Live through the history of this seed; of a steady one also without its deaths (I13)."""
    history, found, histories = judged(seed)
    return Result(
        seed=seed,
        digest=history.digest(),
        violations=tuple(found),
        histories=histories,
        deaths=history.deaths,
        spoiled=history.spoiled,
        field_s=history.field_s,
        nodes=len(history.drawing.nodes),
        processes=len(history.ends),
        effects=len(history.witness.done),
        unanswered=unanswered(history),
    )


def unanswered(history: History) -> int:
    """Images that came, whose answer nobody heard, and that no task told of: log, versions or a person had to decide."""
    came = {(done.node, done.announced) for done in history.witness.done if done.what == "submit"}
    open_intents: dict[tuple[str, str], int] = {}
    doubted: set[tuple[str, int]] = set()
    for item in history.recorded:
        match item.event:
            case ev.IntentRecorded(node=node, effect=effect):
                open_intents[node, effect] = item.seq
            case ev.NodeUncertain(node=node, effect=effect):
                doubted.add((node, open_intents[node, effect]))
            case ev.EffectRecorded(node=node, effect=effect, result=result) if result.get("task"):
                doubted.discard((node, open_intents[node, effect]))
            case _:
                pass
    return len(came & doubted)


def judged(seed: int) -> tuple[History, list[str], int]:
    """The history, what is wrong with it, and how many were lived through to know."""
    drawing = draw(seed)
    history = play(drawing)
    found = violations(history)
    if found or not drawing.steady or not history.deaths:
        return history, found, 1
    calm = play(replace(drawing, deaths=()))
    found = [f"without its deaths: {text}" for text in violations(calm)]
    return history, [*found, *alike(history, calm)], 2
