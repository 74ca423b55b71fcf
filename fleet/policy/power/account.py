"""One node's account: what it may draw at this moment, at the most, by what it does and by what was measured of it. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean

from fleet.policy.power.spec import PowerSpec
from fleet.watts import PowerReading
from inventory.power import ModelPower

STALE_PERIODS = 2
"""rollout-science 3.2: telemetry that is older counts as none."""
AGREE = 0.05
"""How far two meters of one node may differ before neither is believed: BMC and PDU are each good to 1 or 2 % [inf]."""
WINDOW_S = 60.0
DEVIATIONS = 3
LEAST_SETTLED = 0.85
"""A steady stage never counts with less than this share of its peak: it may have been measured while it drew breath."""
CAP_ERROR = 0.05
"""By how much a machine may exceed a cap that was read back [inf]."""
_TWO = 2


class Standing(StrEnum):
    """Who may load the node while no stage of ours runs on it."""

    FOREIGN = "foreign"
    """Somebody else, at any moment: it counts with its nameplate."""
    OURS = "ours"
    """Nobody: it idles."""


@dataclass(slots=True, kw_only=True)
class Load:
    """One stage that power is reserved for."""

    stage: str
    peak_w: int
    since: float
    ends_at: float | None = None
    """When it is over by itself (a POST), if that is known."""
    ended_at: float | None = None
    """Seen to be over; what was reserved is given back when a meter has looked since."""
    told_at: float | None = None
    """When it was told to end, if it was."""


@dataclass(slots=True, kw_only=True)
class Account:
    """See the module. Watts are whole, rounded up."""

    figures: ModelPower
    spec: PowerSpec
    standing: Standing = Standing.FOREIGN
    loads: dict[str, Load] = field(default_factory=dict)
    meters: dict[str, PowerReading] = field(default_factory=dict)
    """Source (`pdu`, `bmc`) -> its latest reading."""
    cap_w: int | None = None
    """A limit that was set and read back."""
    believed_w: int | None = None
    """The most that a steady stage was measured at since it settled; None: not believed (yet, or any more)."""
    doubted: str = ""
    """Why less than the peak is not believed for the rest of the stage."""
    _window: deque[tuple[float, float]] = field(default_factory=deque)

    def fresh(self, now: float) -> list[PowerReading]:
        """Readings that still count."""
        oldest = now - STALE_PERIODS * self.spec.period_s
        return [reading for reading in self.meters.values() if reading.at >= oldest]

    def seen_w(self, now: float) -> int | None:
        """What it draws by the meter that says most; None: nobody knows. A meter that says too little is outvoted by one that does not."""
        oldest, most = now - STALE_PERIODS * self.spec.period_s, -1.0
        for reading in self.meters.values():
            if reading.at >= oldest and reading.watts > most:
                most = reading.watts
        return math.ceil(most) if most >= 0 else None

    @property
    def ceiling_w(self) -> int:
        """Nameplate, or the cap where one was read back."""
        plate = self.figures.nameplate_w
        return plate if self.cap_w is None else min(plate, math.ceil(self.cap_w * (1 + CAP_ERROR)))

    def reserved_w(self, now: float) -> int:
        """What has to be kept free for it."""
        seen_w = self.seen_w(now)
        if seen_w is None:
            return self.ceiling_w
        return max(self._claimed_w(seen_w), seen_w)

    def _claimed_w(self, seen_w: int) -> int:
        if self.standing is Standing.FOREIGN:
            return self.ceiling_w
        if not self.loads:
            return max(self.figures.idle_w, seen_w)
        peak_w = min(self.ceiling_w, max(load.peak_w for load in self.loads.values()))
        return peak_w if self.believed_w is None else min(peak_w, self.believed_w)

    def wanted_w(self, stage: str, now: float) -> int:
        """What has to be kept free for it once this stage runs as well."""
        return max(self.reserved_w(now), min(self.ceiling_w, self.figures.peak(stage)))

    def covers(self, stage: str) -> bool:
        """Whether what is kept free for it is enough for this stage already: then the stage raises nothing."""
        peak_w = min(self.ceiling_w, self.figures.peak(stage))
        return any(
            load.ended_at is None and load.told_at is None and load.peak_w >= peak_w for load in self.loads.values()
        )

    def begin(self, stage: str, now: float, *, ends_at: float | None = None) -> None:
        """Reserve the stage's peak; until `ends_at`, or until it is seen to be over. Of a stage that is held only its end changes."""
        held = self.loads.get(stage)
        if held is not None and held.ended_at is None:
            held.ends_at, held.told_at = ends_at, None
            return
        self.loads[stage] = Load(stage=stage, peak_w=self.figures.peak(stage), since=now, ends_at=ends_at)
        self._forget()

    def end(self, stage: str, now: float) -> None:
        """The stage was seen to be over."""
        load = self.loads.get(stage)
        if load is not None and load.ended_at is None:
            load.ended_at = now
            self._forget()

    def read(self, source: str, reading: PowerReading, now: float) -> None:
        """A meter was read. Gives back what ended before, and believes or doubts what is steady."""
        self.meters[source] = reading
        self.pass_time(now)
        for load in list(self.loads.values()):
            if load.ended_at is not None and self._looked_since(load.ended_at, now):
                del self.loads[load.stage]
        self._believe(now)

    def pass_time(self, now: float) -> None:
        """End what is over by itself."""
        for load in self.loads.values():
            if load.ended_at is None and load.ends_at is not None and load.ends_at <= now:
                load.ended_at = load.ends_at

    def doubt(self, why: str) -> None:
        """Count the stage that runs with its peak, to its end."""
        if self.loads:
            self.doubted, self.believed_w = why, None

    def _looked_since(self, ended_at: float, now: float) -> bool:
        """A meter keeps its last word for up to a period: what it says is of after the end only when that has passed."""
        fresh = self.fresh(now)
        return bool(fresh) and all(reading.at >= ended_at + self.spec.period_s for reading in fresh)

    def _forget(self) -> None:
        self.doubted, self.believed_w = "", None
        self._window.clear()

    def _believe(self, now: float) -> None:
        """Less than the peak is believed of one steady stage that has settled, and of which two meters say the same."""
        running = list(self.loads.values())
        if len(running) != 1 or self.doubted or running[0].ended_at is not None:
            return
        load = running[0]
        if load.stage not in self.figures.steady or now < load.since + self.spec.settle_s:
            return
        watts = [reading.watts for reading in self.fresh(now)]
        if len(watts) < _TWO:
            self._window.clear()
            return
        if max(watts) > min(watts) * (1 + AGREE):
            self.doubt(f"its meters say {min(watts):.0f} and {max(watts):.0f} W")
            return
        self._window.append((now, max(watts)))
        while self._window[0][0] < now - WINDOW_S:
            self._window.popleft()
        if now - self._window[0][0] < WINDOW_S - self.spec.period_s:
            return
        values = [each for _, each in self._window]
        mean = fmean(values)
        # statistics.pstdev is exact, in fractions: a hundred times slower, for digits that no meter has.
        deviation = math.sqrt(fmean((each - mean) ** 2 for each in values))
        most_w = math.ceil(mean + DEVIATIONS * deviation)
        self.believed_w = max(self.believed_w or 0, most_w, math.ceil(load.peak_w * LEAST_SETTLED))
