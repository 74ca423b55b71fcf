"""What only the order of events shows: peaks, holds, effects that were settled or tried again. Pure, one pass."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fleet import events as ev
from fleet.events import Recorded
from fleet.words import target_of

_HOLDS = (ev.RolloutPaused, ev.RolloutHalted, ev.ApprovalNeeded)
_GOES_ON = (ev.RolloutContinued, ev.WaveApproved, ev.RolloutAborting, ev.RolloutEnded)
_ENDINGS = (ev.NodeConfirmed, ev.NodeRolledBack, ev.NodeQuarantined)


@dataclass(slots=True, kw_only=True)
class Trace:
    """Counts over a rollout's events so far. Advance it with `follow`."""

    last_at: float = 0.0
    """Field time of the newest event."""
    in_flight_peak: int = 0
    wave_opened_at: dict[int, float] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)
    """Target -> images handed over."""
    uncertain: int = 0
    found_done: int = 0
    found_absent: int = 0
    retried: int = 0
    power_retried: int = 0
    processes: int = 0
    unsettled: set[tuple[str, str]] = field(default_factory=set)
    """(node, effect) whose outcome is not known."""
    _held_s: float = 0.0
    _held_since: float | None = None
    _out: set[str] = field(default_factory=set)
    _absent: set[tuple[str, str]] = field(default_factory=set)

    @property
    def held_s(self) -> float:
        """Field seconds during which the rollout was paused, halted or waiting for a person."""
        return self._held_s + (self.last_at - self._held_since if self._held_since is not None else 0.0)

    def follow(self, recorded: Recorded) -> None:
        """Take in one event."""
        event, self.last_at = recorded.event, recorded.at
        if isinstance(event, ev.NodeEvent):
            self._node(event)
            return
        if isinstance(event, _HOLDS):
            self._held_since = recorded.at if self._held_since is None else self._held_since
        elif isinstance(event, _GOES_ON) and self._held_since is not None:
            self._held_s, self._held_since = self._held_s + recorded.at - self._held_since, None
        elif isinstance(event, ev.WaveOpened):
            self.wave_opened_at.setdefault(event.wave, recorded.at)
        elif isinstance(event, ev.RolloutClaimed):
            self.processes += 1

    def _node(self, event: ev.NodeEvent) -> None:
        if isinstance(event, ev.NodeAdmitted):
            self._out.add(event.node)
            self.in_flight_peak = max(self.in_flight_peak, len(self._out))
        elif isinstance(event, _ENDINGS):
            self._out.discard(event.node)
        elif isinstance(event, ev.IntentRecorded):
            self._intended((event.node, event.effect))
        elif isinstance(event, ev.NodeUncertain):
            # A second crash while the same effect is being read makes it uncertain again, not twice uncertain.
            self.uncertain += (event.node, event.effect) not in self.unsettled
            self.unsettled.add((event.node, event.effect))
        elif isinstance(event, ev.EffectRecorded):
            self._happened(event)
        elif isinstance(event, ev.EffectAbsent):
            self.found_absent += self._settled(event.node, event.effect)
            self._absent.add((event.node, event.effect))

    def _intended(self, key: tuple[str, str]) -> None:
        if key in self._absent:
            self._absent.discard(key)
            self.retried += 1
            self.power_retried += not key[1].endswith("/submit")

    def _happened(self, event: ev.EffectRecorded) -> None:
        self.found_done += self._settled(event.node, event.effect)
        step, _, name = event.effect.rpartition("/")
        if name == "submit":
            self.submitted[target_of(step) or step] += 1

    def _settled(self, node: str, effect: str) -> bool:
        known = (node, effect) in self.unsettled
        self.unsettled.discard((node, effect))
        return known


def trace(recorded: Iterable[Recorded]) -> Trace:
    """The trace of these events."""
    found = Trace()
    for item in recorded:
        found.follow(item)
    return found
