"""Events -> the shared `fold` -> snapshots. No I/O, no clock: the feed's thread drives it, forward, and back in a replay."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from fleet import events as ev
from fleet.events import Recorded, RolloutId
from fleet.explain import explain
from fleet.overview import Process
from fleet.plan import Plan
from fleet.report import groups, standing
from fleet.state import ACTIVE, NodeState, RolloutState, RolloutStatus, fold
from fleet.tally import Tally
from fleet.words import clean
from tui.hall import Hall, hall_of
from tui.history import History, Sieve
from tui.node_steps import step_views
from tui.snapshot import Brief, Mode, NodeView, Playing, Snapshot

_RECENT = 50
"""Notable events that a snapshot carries: more than any panel shows."""
_CHECKPOINT = 2_000
"""Events between two states that are kept for seeking back: 60 ms of folding at most."""
_EMPTY = NodeState()
_FAILURES = (ev.NodeRollingBack, ev.NodeQuarantined, ev.RolloutHalted, ev.RolloutAborting)


class Follower:
    """One rollout at a position in its history."""

    def __init__(self, rollout: RolloutId, *, mode: Mode, speed: float = 1.0) -> None:
        """`speed`: field seconds per wall second of a simulated hall."""
        self.history = History()
        self.upto = 0
        self._mode = mode
        self._speed = speed
        self._state = RolloutState(rollout=rollout)
        self._tally = Tally(self._state)
        self._hall = Hall()
        self._plan: Plan | None = None
        self._kept: list[tuple[int, RolloutState]] = [(0, RolloutState(rollout=rollout))]

    @property
    def status(self) -> RolloutStatus:
        """Where the rollout is."""
        return self._state.status

    @property
    def last_at(self) -> float:
        """Field time of the newest event that has happened."""
        return self.history.events[self.upto - 1].at if self.upto else 0.0

    def learn(self, recorded: Iterable[Recorded]) -> int:
        """Append to the history without moving; how many there were."""
        before = len(self.history.events)
        for item in recorded:
            self.history.append(item)
        return len(self.history.events) - before

    def move(self, upto: int) -> None:
        """To the moment after the first `upto` events."""
        if upto < self.upto:
            self._back(upto)
        for item in self.history.events[self.upto : upto]:
            fold(self._state, item)
            self._tally.follow(item)
            self.upto += 1
            if isinstance(item.event, ev.RolloutPlanned):
                self._planned()
            if self._mode is Mode.REPLAY and self.upto >= self._kept[-1][0] + _CHECKPOINT:
                self._kept.append((self.upto, _copy(self._state)))

    def _back(self, upto: int) -> None:
        at = bisect_right(self._kept, upto, key=lambda each: each[0]) - 1
        self.upto, kept = self._kept[at]
        self._state = _copy(kept)
        self._tally = Tally(self._state)
        self._planned()

    def _planned(self) -> None:
        self._hall = hall_of(self._state.plan)
        self._plan = Plan.from_json(self._state.plan) if self._state.plan else None

    def snapshot(self, now: float, process: Process, *, playing: Playing | None = None, trouble: str = "") -> Snapshot:
        """This moment."""
        state, tally = self._state, self._tally
        nodes = [state.nodes.get(name, _EMPTY) for name in self._hall.nodes]
        doing = Counter(node.step for node in nodes if node.status in ACTIVE)
        seen = self.history.count(Sieve.NOTABLE, self.upto)
        return Snapshot(
            rollout=state.rollout,
            mode=self._mode,
            playbook=state.playbook,
            status=state.status,
            cause=state.cause,
            message=clean(state.message),
            process=process,
            owner=state.owner,
            now=now,
            started_at=state.started_at,
            ended_at=state.ended_at,
            speed=self._speed,
            hall=self._hall,
            statuses=tuple(node.status for node in nodes),
            steps=tuple(node.step for node in nodes),
            counts=dict(tally.counts),
            doing=tuple(doing.most_common()),
            waves=tuple(replace(wave) for wave in tally.waves),
            wave=state.wave,
            in_flight=tally.in_flight,
            cap=tally.cap,
            failures=state.failures - state.accepted_failures,
            accepted=state.accepted_failures,
            budget=tally.budget,
            left_s=tally.left_s(now) if state.status is RolloutStatus.RUNNING else None,
            trouble_groups=groups(state.nodes),
            history=self.history,
            upto=self.upto,
            recent=tuple(self.history.slice(Sieve.NOTABLE, max(0, seen - _RECENT), seen)),
            playing=playing,
            trouble=trouble,
        )

    def node(self, name: str) -> NodeView | None:
        """One node, whole; None if the rollout has no such node, or no plan yet."""
        state = self._state.nodes.get(name)
        if state is None or self._plan is None:
            return None
        planned = self._plan.nodes[name]
        trail = self.history.of(name, self.upto)
        before = {**planned.before, **state.before}
        return NodeView(
            name=name,
            state=state,
            rack=planned.domains.rack,
            feeds=planned.domains.feeds,
            model=planned.model,
            serial=planned.serial,
            profile=planned.profile,
            steps=step_views(self._plan.recipes.get(planned.recipe), state, trail, self.last_at),
            versions=tuple(
                (item, before.get(item, ""), state.after.get(item, "")) for item in {**before, **state.after}
            ),
            lines=explain(self._state, trail, name),
        )

    def brief(self, snapshot: Snapshot) -> Brief:
        """With what costs more than a snapshot may."""
        return Brief(snapshot=snapshot, standing=standing(self._state, self._plan))

    def marks(self, start: float, end: float) -> tuple[float, ...]:
        """Parts of the time from `start` to `end` at which something failed or was stopped."""
        whole = max(1e-9, end - start)
        notable = self.history.slice(Sieve.NOTABLE, 0, self.history.count(Sieve.NOTABLE, len(self.history.events)))
        return tuple((item.at - start) / whole for item in notable if isinstance(item.event, _FAILURES))

    def notable_beside(self, at: float, direction: int) -> float | None:
        """Field time of the next (1) or the previous (-1) notable event seen from `at`."""
        notable = self.history.slice(Sieve.NOTABLE, 0, self.history.count(Sieve.NOTABLE, len(self.history.events)))
        if direction > 0:
            return next((item.at for item in notable if item.at > at), None)
        return next((item.at for item in reversed(notable) if item.at < at), None)


def _copy(state: RolloutState) -> RolloutState:
    """Nodes are immutable: a copy of their table is a copy of all."""
    return replace(state, nodes=dict(state.nodes))
