"""Counts that a screen needs, kept up to date at constant cost per event: 50,000 events must not cost 50,000 walks over the nodes."""

from dataclasses import dataclass
from itertools import pairwise

from fleet import events as ev
from fleet.events import Event, Recorded
from fleet.plan import Plan
from fleet.state import ACTIVE, FAILED, TERMINAL, NodeStatus, RolloutState


@dataclass(slots=True, kw_only=True)
class WaveTally:
    """One wave so far."""

    size: int
    done: int = 0
    """Nodes in a terminal state."""
    failed: int = 0
    """Nodes that failed, those on the way back included."""


class Tally:
    """Follows a RolloutState that somebody else folds: `follow` is called after each fold."""

    def __init__(self, state: RolloutState) -> None:
        self._state = state
        self._take()

    def follow(self, event: Recorded | Event) -> None:
        """Take in one event, already folded into the state."""
        fact = event.event if isinstance(event, Recorded) else event
        if isinstance(fact, ev.NodeEvent):
            self._move(fact.node)
        elif isinstance(fact, ev.RolloutPlanned):
            self._take()

    def _take(self) -> None:
        """Begin anew from the state: once at the start, once when the plan arrives."""
        plan = Plan.from_json(self._state.plan) if self._state.plan else None
        starts = (0, *plan.caps.waves) if plan else ()
        self.counts = dict.fromkeys(NodeStatus, 0)
        self.waves = [WaveTally(size=full - start) for start, full in pairwise(starts)]
        self.cap = plan.caps.max_in_flight if plan else 0
        self.budget = plan.caps.failure_budget if plan else 0
        self.bake_s = plan.caps.bake_s if plan else 0
        self._expected = (
            {name: plan.recipes[item.recipe].expected_s for name, item in plan.nodes.items() if item.recipe}
            if plan
            else {}
        )
        self._mean_s = sum(self._expected.values()) / len(self._expected) if self._expected else 0.0
        self._known: dict[str, NodeStatus] = {}
        self._out_since = 0.0
        self._took_s = self._should_take_s = 0.0
        for name in self._state.nodes:
            self.counts[NodeStatus.PENDING] += 1
            self._move(name)

    def _move(self, name: str) -> None:
        new = self._state.nodes.get(name)
        if new is None:
            return
        old = self._known.get(name, NodeStatus.PENDING)
        if new.status is old:
            return
        self._known[name] = new.status
        self.counts[old] -= 1
        self.counts[new.status] += 1
        since = new.admitted_at or 0.0
        self._out_since += since * ((new.status in ACTIVE) - (old in ACTIVE))
        if new.status is NodeStatus.CONFIRMED and new.effects and new.ended_at is not None:
            self._took_s += new.ended_at - since
            self._should_take_s += self._expected.get(name, 0.0)
        if 0 <= new.wave < len(self.waves):
            wave = self.waves[new.wave]
            wave.done += (new.status in TERMINAL) - (old in TERMINAL)
            wave.failed += (new.status in FAILED) - (old in FAILED)

    @property
    def in_flight(self) -> int:
        """Nodes that are out now."""
        return sum(self.counts[status] for status in ACTIVE)

    @property
    def done(self) -> int:
        """Nodes in a terminal state, refused ones not counted."""
        return sum(self.counts[status] for status in TERMINAL if status is not NodeStatus.REFUSED)

    @property
    def total(self) -> int:
        """Nodes that the rollout may touch."""
        return sum(wave.size for wave in self.waves)

    def left_s(self, now: float) -> float | None:
        """Field seconds to the end: the plan's durations at the pace seen so far; None before the first wave opens."""
        if not self._expected or self._state.wave < 0 or not self.cap:
            return None
        pace = self._took_s / self._should_take_s if self._should_take_s else 1.0
        node_s = self._mean_s * pace
        wave = self.waves[self._state.wave]
        out = self.in_flight
        pending = max(0, wave.size - wave.done - out)
        rest = max(0.0, out * node_s - (out * now - self._out_since))
        here = (pending * node_s + rest) / max(1, min(self.cap, pending + out))
        later = self.waves[self._state.wave + 1 :]
        return max(here, node_s if pending else 0.0) + sum(
            -(-each.size // self.cap) * node_s + self.bake_s for each in later
        )
