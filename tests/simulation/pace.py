"""I3: never more in flight than any cap allows; waves or risk, bake, approval, canary and budget as the playbook says.

Counted from the journal and the drawing alone: neither our fold nor our policy is asked.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet import events as ev
from fleet.events import Recorded
from inventory.model import Node
from simulation.history import History
from simulation.risk import Risk

_ACTIVE, _OUT, _ENDED = "active", "quarantined", "ended"


def paced(history: History) -> Iterator[str]:
    """See the module."""
    for item in history.recorded:
        if isinstance(item.event, ev.RolloutPlanned):
            yield from _Pace(history, item.event.plan).read()


class _Pace:
    """What the journal says so far."""

    def __init__(self, history: History, plan: dict[str, Any]) -> None:
        order = list(plan["order"])
        self._history = history
        self._spec = history.drawing.spec
        self._risk = Risk(self._spec, plan) if not self._spec.waves else None
        self._order = order
        self._waves = _sizes(self._spec.waves, len(order), ending=True)
        # Where waves fall together, what a person must let through is the next nodes.
        self._approve = {len(_sizes(self._spec.waves[: number - 1], len(order))) for number in self._spec.approve}
        self._status: dict[str, str] = {}
        self._failed: set[str] = set()
        self._accepted = 0
        self._wave = -1
        self._approved: set[int] = set()
        self._ended_at: dict[str, float] = {}

    def read(self) -> Iterator[str]:
        """All events."""
        reads: Mapping[type[ev.Event], Callable[[Recorded, Any], Iterator[str]]] = {
            ev.WaveOpened: self._opened,
            ev.NodeAdmitted: self._admitted,
        }
        for item in self._history.recorded:
            if self._risk is not None:
                self._risk.note(item)
            if reading := reads.get(type(item.event)):
                yield from reading(item, item.event)
            else:
                self._counted(item)

    def _counted(self, item: Recorded) -> None:
        match item.event:
            case ev.WaveApproved(wave=wave):
                self._approved.add(wave)
            case ev.NodeRollingBack(node=node):
                self._failed.add(node)
            case ev.NodeQuarantined(node=node) | ev.NodeRelapsed(node=node):
                self._failed.add(node)
                self._status[node], self._ended_at[node] = _OUT, item.at
            case ev.NodeConfirmed(node=node) | ev.NodeRolledBack(node=node):
                self._status[node], self._ended_at[node] = _ENDED, item.at
            case ev.RolloutContinued(accepted_failures=accepted):
                self._accepted = accepted
            case _:
                pass

    def _opened(self, item: Recorded, event: ev.WaveOpened) -> Iterator[str]:
        wave = event.wave
        before = self._order[: self._waves[wave - 1]] if wave else []
        unfinished = [node for node in before if self._status.get(node) in {None, _ACTIVE}]
        if unfinished or wave != self._wave + 1:
            yield f"wave {wave} opened at {item.seq} after wave {self._wave}, with {unfinished} unfinished"
        if wave in self._approve and wave not in self._approved:
            yield f"wave {wave} opened at {item.seq} without approval"
        baked = max((self._ended_at.get(node, 0.0) for node in before), default=0.0) + self._spec.bake_s
        if item.at < baked:
            yield f"wave {wave} opened at {item.seq}, {baked - item.at:.0f} s too early"
        yield from (f"wave {wave} opened at {item.seq} although {why}" for why in self._halts())
        self._wave = wave

    def _admitted(self, item: Recorded, event: ev.NodeAdmitted) -> Iterator[str]:
        node = event.node
        fresh = node not in self._status
        self._status[node] = _ACTIVE
        if self._wave < 0 or node not in self._order[: self._waves[self._wave]]:
            yield f"{node} was admitted at {item.seq} in wave {self._wave}, to which it does not belong"
        if fresh:  # a parked one goes on
            risks = self._risk.broken(node, item.at) if self._risk is not None else ()
            yield from (
                f"{node} was admitted at {item.seq} although {why}" for why in (*self._halts(), *self._caps(), *risks)
            )

    def _halts(self) -> Iterator[str]:
        """Why nothing new may start: failures that no person has accepted."""
        new = len(self._failed) - self._accepted
        if self._accepted > len(self._failed):
            yield f"{self._accepted} failures are accepted of {len(self._failed)}"
        canary = self._failed & set(self._order[: self._waves[0]])
        if new > 0 and len(self._waves) > 1 and self._wave == 0 and canary:
            yield f"the canary failed ({sorted(canary)}), and {self._accepted} failures are accepted"
        if self._spec.failure_budget is not None and new > int(str(self._spec.failure_budget)):
            yield f"{new} failures are above the budget of {self._spec.failure_budget}"

    def _caps(self) -> Iterator[str]:
        spec = self._spec
        active = sum(status == _ACTIVE for status in self._status.values())
        if active > int(str(spec.max_in_flight)):
            yield f"{active} are in flight then, at most {spec.max_in_flight} may be"
        out = [node for node in self._history.drawing.nodes if self._status.get(str(node.id)) in {_ACTIVE, _OUT}]
        for cap, of in ((spec.rack, _racks), (spec.feed, _feeds)):
            for domain in sorted({name for node in out for name in of(node)}) if cap is not None else ():
                here = sum(domain in of(node) for node in out)
                if here > int(str(cap)):
                    yield f"{here} nodes of {domain} are out then, at most {cap} may be"


def _racks(node: Node) -> set[str]:
    return {str(node.rack)}


def _feeds(node: Node) -> set[str]:
    return set(map(str, node.feeds))


def _sizes(amounts: tuple[object, ...], count: int, *, ending: bool = False) -> list[int]:
    """Cumulative sizes of the waves that `amounts` nodes make of `count`; `ending`: and all the rest."""
    sizes: list[int] = []
    for amount in (*amounts, count) if ending else amounts:
        size = min(int(str(amount)), count)
        if size > (sizes[-1] if sizes else 0):
            sizes.append(size)
    return sizes
