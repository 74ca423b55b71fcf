"""Where the hours of a life went: node-hours out of service, step by step. Pure, one pass over the journal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet import events as ev
from fleet.events import Recorded

BEFORE = "reading it, and checks that held it"
"""Before a step has begun: the first look at a node, and whatever was found wrong before anything was done."""
BACK = "the way back"
"""All steps after something failed that has a way back."""
HELD = "held for a person"
"""From a node's quarantine to the end of the rollout."""
_BACK_KEY = "back "
HOUR_S = 3600.0


@dataclass(slots=True)
class _Spent:
    """One node."""

    since: float
    """Up to here its time is accounted for."""
    on: str = BEFORE
    by_step: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def until(self, at: float, on: str, then: str = BEFORE) -> None:
        """All since then went to `on`; from here on it goes to `then`."""
        self.by_step[on] += at - self.since
        self.since, self.on = at, then


def step_hours(recorded: Iterable[Recorded], end: float) -> Mapping[str, float]:
    """Step -> node-hours. Together they are the capacity that was lost (fleet.twin.figures).

    Args:
        recorded: a rollout's events.
        end: field time of its end.
    """
    out: dict[str, _Spent] = {}
    ended: list[_Spent] = []
    for item in recorded:
        event = item.event
        if isinstance(event, ev.NodeAdmitted):
            out.setdefault(event.node, _Spent(item.at))
        elif isinstance(event, ev.NodeEvent) and event.node in out:
            spent = out[event.node]
            _account(spent, event, item.at)
            if isinstance(event, ev.NodeConfirmed | ev.NodeRolledBack):
                ended.append(out.pop(event.node))
    for spent in out.values():
        spent.until(end, spent.on)
    found: dict[str, float] = defaultdict(float)
    for spent in (*ended, *out.values()):
        for step, seconds in spent.by_step.items():
            if seconds:
                found[step] += seconds / HOUR_S
    return dict(found)


def _account(spent: _Spent, event: ev.NodeEvent, at: float) -> None:
    match event:
        case ev.StepStarted():
            spent.on = _name(event.step)
        case ev.StepEnded():
            spent.until(at, _name(event.step))
        case ev.NodeRollingBack():
            spent.until(at, spent.on, BACK)
        case ev.NodeQuarantined():
            spent.until(at, spent.on, HELD)
        case ev.NodeConfirmed() | ev.NodeRolledBack():
            spent.until(at, spent.on)
        case _:
            pass


def _name(key: str) -> str:
    """`4 firmware.update bmc` -> `firmware.update bmc`; what is done on the way back is one."""
    number, _, name = key.partition(" ")
    if key.startswith(_BACK_KEY):
        return BACK
    return name if number.isdigit() else key
