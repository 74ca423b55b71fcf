"""A rollout that is simulated before it is started: how long, how many nodes lost, whether it halts. Pure; luck is passed in.

Discrete events over whatever paces it (`Pacing`): an admission costs one draw, an end one entry of a heap. Nothing here knows Redfish:
it is a model of pacing, not of hardware (`fleet rehearse` runs the real code over the simulated hall).
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from random import Random
from typing import Protocol

from fleet.policy.bounds import Job, Supply
from fleet.policy.rules import Key

BAD_BUNDLE: Mapping[str, float] = {"the new image does not come up": 1.0}
"""All failures look alike."""
AMBIENT: Mapping[str, float] = {
    "faulty GPU": 148,
    "GPU HBM memory": 72,
    "switch or cable": 35,
    "host maintenance": 32,
    "silent data corruption": 6,
    "power supply": 3,
    "other hardware": 61,
    "other software": 62,
}
"""Failures that come without any rollout. The first six are counted (Llama 3 405B: interruptions of 54 days, rollout-science 1.1); the
rest of the 419 is halved here between two."""


class Pacing(Protocol):
    """Decides who starts. The simulation asks after every change; answers must cost what has changed, not what there is."""

    def start(self, now: float) -> Collection[str]:
        """Nodes that start now."""

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """A node's work is over. `failure`: what its failure looks like; empty: it ended well."""

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """A node that had ended well has failed after all."""

    def wake(self) -> float | None:
        """When to ask again although nothing ended; None if only an end helps."""

    def halted(self) -> str:
        """Why the rollout halted; empty while it has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """What chance may do. Assumptions, stated: they compare ways of pacing, they do not predict a site (rollout-science 5)."""

    failure: float = 0.0
    """Probability that a node fails."""
    causes: Mapping[str, float] = field(default_factory=lambda: BAD_BUNDLE)
    """What failures look like -> how often, relative to each other."""
    sigma: float = 0.35
    """Of the logarithm of a node's duration; its mean is what is expected (rollout-science 1.2)."""
    straggler_share: float = 0.02
    straggler_factor: float = 2.5
    estimate_error: float = 0.15
    """Sigma of the logarithm of what is known of a duration beforehand, for an order of admission (rollout-science 1.2)."""
    latent_share: float = 0.0
    """Of the failures, those that show only after the node was given back (rollout-science 1.4)."""
    lag_s: float = 3600.0
    """Mean of the exponential time until such a failure shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One possible course of events."""

    jobs: Mapping[str, Job]
    """As they were expected."""
    seconds: Mapping[str, float]
    """What they really take, apart from their images."""
    estimates: Mapping[str, float]
    """What could be known of those seconds before."""
    failing: Mapping[str, str]
    """Nodes that will fail if they are touched, and what that will look like."""
    latent: Mapping[str, float]
    """Of these, the ones that end well and show their failure so many seconds later."""

    def lived(self) -> list[Job]:
        """The jobs with the seconds that they really take: what a lower bound of this course rests on."""
        return [replace(job, seconds=self.seconds[node]) for node, job in self.jobs.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one course of events came to."""

    makespan_s: float
    """From the first admission to the last end."""
    ended: int
    """Nodes whose work was over, well or badly."""
    failed: int
    halted: str
    peak_in_flight: int
    peak_out: Mapping[Key, int]
    """Most nodes of each domain that were out at once: in flight or failed."""
    peak_watts: Mapping[Key, float] = field(default_factory=dict)
    """Most that was reserved at once in each domain."""


def draw(jobs: Iterable[Job], odds: Odds, random: Random) -> Draw:
    """One course of events. The same generator state gives the same one."""
    centre = -(odds.sigma**2) / 2
    lasting: dict[str, float] = {}
    estimates: dict[str, float] = {}
    failing: dict[str, str] = {}
    causes, weights = list(odds.causes), list(odds.causes.values())
    latent: dict[str, float] = {}
    for job in jobs:
        seconds = job.seconds * random.lognormvariate(centre, odds.sigma)
        if random.random() < odds.straggler_share:
            seconds *= odds.straggler_factor
        lasting[job.node] = seconds
        estimates[job.node] = seconds * random.lognormvariate(0.0, odds.estimate_error)
        if random.random() < odds.failure:
            failing[job.node] = random.choices(causes, weights)[0]
            if random.random() < odds.latent_share:
                latent[job.node] = random.expovariate(1.0 / odds.lag_s)
    return Draw(
        jobs={job.node: job for job in jobs}, seconds=lasting, estimates=estimates, failing=failing, latent=latent
    )


def simulate(drawn: Draw, supply: Supply, pacing: Pacing, *, beat_s: float = 0.0) -> Run:
    """Let it run until nothing more happens: all ended, or halted and what was in flight has ended.

    Args:
        drawn: what chance has decided.
        supply: what the nodes share.
        pacing: who decides the rest; fresh.
        beat_s: the pacing is asked no more often than that. Coarser is faster, and starts nodes later, never sooner.
    """
    return _Simulation(drawn, supply, pacing, beat_s).run()


class _Pipe:
    """The image server: everybody who loads shares its rate equally, each at most at a node's own (processor sharing).

    `_served` is what each of them would have got since the beginning; a transfer ends when that has grown by its size.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._served = 0.0
        self._at = 0.0
        self._open: list[tuple[float, str]] = []

    def _rate(self) -> float:
        shared = self._supply.server_bytes_per_s / len(self._open)
        return min(shared, self._supply.node_bytes_per_s)

    def _move(self, now: float) -> None:
        if self._open:
            self._served += self._rate() * (now - self._at)
        self._at = now

    def begin(self, node: str, size_bytes: float, now: float) -> None:
        """One more loads."""
        self._move(now)
        heappush(self._open, (self._served + size_bytes, node))

    def next_end(self) -> float:
        """When the first of them has its image, if nobody joins before."""
        if not self._open:
            return math.inf
        return self._at + max(0.0, self._open[0][0] - self._served) / self._rate()

    def end(self, now: float) -> str:
        """The one that has it."""
        self._move(now)
        due, node = heappop(self._open)
        self._served = max(self._served, due)
        return node


class _Simulation:
    """One run: a heap of ends, a pipe of images, and counts."""

    def __init__(self, drawn: Draw, supply: Supply, pacing: Pacing, beat_s: float) -> None:
        self._drawn = drawn
        self._pacing = pacing
        self._beat_s = beat_s
        self._piped = math.isfinite(min(supply.server_bytes_per_s, supply.node_bytes_per_s))
        self._pipe = _Pipe(supply)
        self._heap: list[tuple[float, str]] = []
        self._back: set[str] = set()
        """Nodes that ended well; the next thing that the heap holds of them is that their failure shows."""
        self._out: defaultdict[Key, int] = defaultdict(int)
        self._peak_out: dict[Key, int] = {}
        self._watts: defaultdict[Key, float] = defaultdict(float)
        self._peak_watts: dict[Key, float] = {}
        self._in_flight = self._peak = self._ended = self._failed = 0
        self._last = 0.0

    def run(self) -> Run:
        """Ask, wait for what happens next, ask again."""
        now = 0.0
        while True:
            for node in self._pacing.start(now):
                self._begin(node, now)
            following = self._next()
            wake = self._pacing.wake()
            if wake is not None and now < wake < following:
                now = wake
                continue
            if following == math.inf:
                break
            now = max(following, now + self._beat_s)
            self._advance(now)
        return Run(
            makespan_s=self._last,
            ended=self._ended,
            failed=self._failed,
            halted=self._pacing.halted(),
            peak_in_flight=self._peak,
            peak_out=self._peak_out,
            peak_watts=self._peak_watts,
        )

    def _next(self) -> float:
        return min(self._heap[0][0] if self._heap else math.inf, self._pipe.next_end())

    def _advance(self, now: float) -> None:
        """Everything that happens until now, in its order."""
        while (at := self._next()) <= now:
            if self._pipe.next_end() <= at:
                node = self._pipe.end(at)
                heappush(self._heap, (at + self._drawn.seconds[node], node))
                continue
            _, node = heappop(self._heap)
            if node in self._back:
                self._show(node, at)
            else:
                self._end(node, at)

    def _begin(self, node: str, now: float) -> None:
        job = self._drawn.jobs[node]
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        self._take(job)
        if job.image_bytes and self._piped:
            self._pipe.begin(node, job.image_bytes, now)
        else:
            heappush(self._heap, (now + self._drawn.seconds[node], node))

    def _take(self, job: Job) -> None:
        for key in job.domains:
            self._out[key] += 1
            if self._out[key] > self._peak_out.get(key, 0):
                self._peak_out[key] = self._out[key]
            if job.watts:
                self._watts[key] += job.watts
                self._peak_watts[key] = max(self._peak_watts.get(key, 0.0), self._watts[key])

    def _end(self, node: str, now: float) -> None:
        job = self._drawn.jobs[node]
        late = self._drawn.latent.get(node)
        failure = "" if late is not None else self._drawn.failing.get(node, "")
        self._in_flight -= 1
        self._ended += 1
        self._failed += bool(failure)
        self._last = now
        for key in job.domains:
            self._watts[key] -= job.watts
            if not failure:
                self._out[key] -= 1
        if late is not None:
            self._back.add(node)
            heappush(self._heap, (now + late, node))
        self._pacing.ended(node, failure=failure, at=now)

    def _show(self, node: str, now: float) -> None:
        self._failed += 1
        for key in self._drawn.jobs[node].domains:
            self._out[key] += 1
            self._peak_out[key] = max(self._peak_out.get(key, 0), self._out[key])
        self._pacing.showed(node, failure=self._drawn.failing[node], at=now)
