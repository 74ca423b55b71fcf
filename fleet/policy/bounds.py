"""How long a rollout must take, whoever paces it: lower bounds on its makespan, term by term. Pure.

Every term but one is a theorem: no schedule that keeps the caps ends sooner with these durations. `risk_model` is a model of the
ramp that a risk budget forces (rollout-science 1.2, `LB_safe`), the denominator of the headline ratio; `ramp` is the theorem beside it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fleet.policy.rules import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one node takes and where it stands."""

    node: str
    seconds: float
    """From admission to its end, apart from the transfer of its image: drawn, measured or expected."""
    domains: tuple[Key, ...] = ()
    """What fails together with it."""
    image_bytes: float = 0.0
    """From the shared image server, at the beginning."""
    watts: float = 0.0
    """Reserved for it in each of its domains while it is out."""
    stratum: str = ""
    """Nodes whose failures speak for each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What the nodes share, and how much there is of it."""

    slots: int
    """Nodes in flight at once, at most."""
    caps: Mapping[Key, int] = field(default_factory=dict)
    """Nodes of one domain out at once, at most."""
    server_bytes_per_s: float = math.inf
    """What the image server sends to all nodes together."""
    node_bytes_per_s: float = math.inf
    """What one node can receive."""
    watts: Mapping[Key, float] = field(default_factory=dict)
    """What may be reserved in one domain at once."""

    def slot_s(self, job: Job) -> float:
        """Seconds for which the job holds its slot if nobody disturbs it."""
        return job.seconds + self.transfer_s(job)

    def transfer_s(self, job: Job) -> float:
        """Seconds that its image takes if nobody shares the server."""
        return job.image_bytes / min(self.server_bytes_per_s, self.node_bytes_per_s) if job.image_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One job's use of one resource."""

    head: float
    """Seconds of the job before it uses the resource."""
    work: float
    """Capacity times seconds."""
    tail: float
    """Seconds of the job after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One reason why the rollout cannot be faster."""

    name: str
    """slots, image server, rack, feed, longest node, ramp ..."""
    seconds: float
    why: str
    """One sentence for people."""

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """All terms, and what follows."""

    terms: tuple[Term, ...]
    """The longest first."""
    risk_model_s: float
    """LB_safe of rollout-science 1.2: a model, not a theorem. 0 without a risk budget."""

    @property
    def seconds(self) -> float:
        """The proven bound: no schedule under these caps ends sooner."""
        return self.terms[0].seconds if self.terms else 0.0

    @property
    def safe_s(self) -> float:
        """The denominator of the headline ratio: the larger of model and theorem."""
        return max(self.seconds, self.risk_model_s)

    def to_json(self) -> dict[str, Any]:
        """JSON's own types."""
        terms = [term.to_json() for term in self.terms]
        return {"terms": terms, "seconds": self.seconds, "risk_model_s": self.risk_model_s, "safe_s": self.safe_s}


Pace = Callable[[str, int], int]
"""(stratum, clean nodes) -> most nodes of the stratum that may be in flight. Never falls as clean nodes are added."""


def bounds(
    jobs: Sequence[Job], supply: Supply, *, risk: float = 0.0, pace: Pace | None = None, more: Iterable[Term] = ()
) -> Bounds:
    """Every term for these jobs.

    Args:
        jobs: nodes that will be worked on.
        supply: what they share.
        risk: nodes that may be broken at once (`b`); 0: no risk budget, no model of its ramp.
        pace: what the risk budget lets through; None: no ramp.
        more: terms of the caller's, such as `waves`.
    """
    if not jobs:
        return Bounds(terms=(), risk_model_s=0.0)
    terms = [_slots(jobs, supply), _longest(jobs, supply), *_domains(jobs, supply), *_watts(jobs, supply), *more]
    if any(job.image_bytes for job in jobs) and math.isfinite(supply.server_bytes_per_s):
        terms.append(_image(jobs, supply))
    if pace is not None:
        terms.append(_ramp(jobs, supply, pace))
    mean_s = sum(supply.slot_s(job) for job in jobs) / len(jobs)
    model_s = risk_model(len(jobs), supply.slots, mean_s=mean_s, risk=risk) if risk else 0.0
    return Bounds(terms=tuple(sorted(terms, key=lambda term: -term.seconds)), risk_model_s=model_s)


def area(uses: Iterable[Use], capacity: float) -> float:
    """Seconds that a shared resource needs for all of them: least head, all work at full capacity, least tail (Carlier 1982)."""
    found = list(uses)
    work = sum(use.work for use in found)
    return min(use.head for use in found) + work / capacity + min(use.tail for use in found)


def risk_model(nodes: int, slots: int, *, mean_s: float, risk: float) -> float:
    """`D [log_{1+b/3}(3C/b + 1) + max(0, N - 3C/b)/C]`: seconds that a risk budget of `b` nodes makes of N (rollout-science 1.2).

    With n clean nodes the upper bound of the failure rate is about 3/(n+1), so that b/U grows by the factor 1 + b/3 in each round
    until C slots are open. It takes the mean for every duration: with spread durations the early ends open the next slots sooner,
    so a run may fall below it. Of fewer than 3C/b nodes only the ramp to N counts.
    """
    full = min(3.0 * slots / risk, float(nodes))
    rounds = math.log(full + 1.0) / math.log(1.0 + risk / 3.0)
    return mean_s * (rounds + (nodes - full) / slots)


def ramp(seconds: Iterable[float], slots: Callable[[int], int]) -> float:
    """Seconds that jobs need if only `slots(n)` may be in flight after n of them have ended.

    A theorem. Until the k-th end the work done is at least that of the k shortest jobs, and between the (k-1)-th end and the k-th it
    grows at most by `slots(k-1)` a second; as `slots` never falls, the least total is reached where every such bound is tight.
    """
    return sum(each / slots(ended) for ended, each in enumerate(sorted(seconds)))


def _slots(jobs: Sequence[Job], supply: Supply) -> Term:
    uses = (Use(head=0.0, work=supply.slot_s(job), tail=0.0) for job in jobs)
    why = f"{len(jobs)} nodes through {supply.slots} slots"
    return Term(name="slots", seconds=area(uses, supply.slots), why=why)


def _longest(jobs: Sequence[Job], supply: Supply) -> Term:
    longest = max(jobs, key=supply.slot_s)
    return Term(name="longest node", seconds=supply.slot_s(longest), why=f"{longest.node} alone")


def _image(jobs: Sequence[Job], supply: Supply) -> Term:
    uses = [Use(head=0.0, work=job.image_bytes, tail=job.seconds) for job in jobs if job.image_bytes]
    total_gb = sum(use.work for use in uses) / 1e9
    why = f"{total_gb:.0f} GB at {supply.server_bytes_per_s * 8 / 1e9:g} Gb/s, then the shortest node's work"
    return Term(name="image server", seconds=area(uses, supply.server_bytes_per_s), why=why)


def _domains(jobs: Sequence[Job], supply: Supply) -> list[Term]:
    """The tightest domain of each kind."""
    terms: dict[str, Term] = {}
    for (kind, name), members in _members(jobs).items():
        cap = supply.caps.get((kind, name))
        if cap is None:
            continue
        uses = (Use(head=0.0, work=supply.slot_s(job), tail=0.0) for job in members)
        found = Term(name=kind, seconds=area(uses, cap), why=f"{len(members)} nodes of {kind} {name}, {cap} at once")
        terms[kind] = max(terms.get(kind, found), found, key=lambda term: term.seconds)
    return list(terms.values())


def _watts(jobs: Sequence[Job], supply: Supply) -> list[Term]:
    """The tightest power budget of each kind."""
    terms: dict[str, Term] = {}
    for (kind, name), members in _members(jobs).items():
        watts = supply.watts.get((kind, name))
        if watts is None:
            continue
        uses = (Use(head=0.0, work=job.watts * supply.slot_s(job), tail=0.0) for job in members)
        why = f"{len(members)} nodes of {kind} {name} within {watts / 1000:g} kW"
        found = Term(name=f"power of {kind}", seconds=area(uses, watts), why=why)
        terms[kind] = max(terms.get(kind, found), found, key=lambda term: term.seconds)
    return list(terms.values())


def _ramp(jobs: Sequence[Job], supply: Supply, pace: Pace) -> Term:
    """The slowest stratum."""
    strata: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        strata[job.stratum].append(job)

    def needs(stratum: str) -> float:
        seconds = (supply.slot_s(job) for job in strata[stratum])
        return ramp(seconds, lambda clean: max(1, min(supply.slots, pace(stratum, clean))))

    slowest = max(strata, key=needs)
    why = f"{len(strata[slowest])} nodes of one kind, no faster than clean ones prove it safe"
    return Term(name="ramp", seconds=needs(slowest), why=why)


def _members(jobs: Sequence[Job]) -> dict[Key, list[Job]]:
    found: defaultdict[Key, list[Job]] = defaultdict(list)
    for job in jobs:
        for key in job.domains:
            found[key].append(job)
    return found


def waves(groups: Sequence[Sequence[Job]], supply: Supply, *, bake_s: float = 0.0) -> Term:
    """Waves with barriers: each needs what its own nodes need, and the next begins `bake_s` after its last node ended."""
    total = sum(bounds(group, supply).seconds for group in groups) + bake_s * (len(groups) - 1)
    baked = f", {bake_s:g} s between them" if bake_s else ""
    return Term(name="waves", seconds=total, why=f"{len(groups)} waves, one after the other{baked}")
