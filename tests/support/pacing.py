"""Ways of pacing for tests of the forecast: one that only keeps the caps, and the product's rules over bare jobs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from random import Random

from fleet.policy.bounds import Job, Supply
from fleet.policy.rules import Domains, Key, Rules
from fleet.policy.spec import RolloutSpec, resolve
from inventory.scalar import Percent


def luck(seed: int) -> Random:
    """Chance that repeats itself."""
    return Random(seed)  # noqa: S311 (luck of a simulation, no secret)


def domains_of(number: int, racks: int = 8) -> tuple[Key, ...]:
    """A rack and a feed."""
    return (("rack", f"r{number % racks}"), ("feed", f"f{number % 2}"))


def rules_of(
    jobs: Sequence[Job],
    supply: Supply,
    *,
    waves: tuple[Percent | int, ...] = (),
    risk: int = 6,
    bake_s: int = 0,
    budget: int | None = None,
    strata: Mapping[str, str] | None = None,
) -> Rules:
    """The product's rules for these jobs, in their order."""
    members: dict[str, Counter[str]] = {}
    for job in jobs:
        for kind, name in job.domains:
            members.setdefault(kind, Counter())[name] += 1
    rack = max((cap for (kind, _), cap in supply.caps.items() if kind == "rack"), default=None)
    spec = RolloutSpec(
        waves=waves, risk=risk, max_in_flight=supply.slots, rack=rack, bake_s=bake_s, failure_budget=budget
    )
    return Rules(
        order=tuple(job.node for job in jobs),
        domains={job.node: _place(job) for job in jobs},
        caps=resolve(spec, len(jobs), members),
        strata=strata or {job.node: job.stratum for job in jobs},
    )


def _place(job: Job) -> Domains:
    named: dict[str, list[str]] = {}
    for kind, name in job.domains:
        named.setdefault(kind, []).append(name)
    return Domains(named.get("rack", [""])[0], tuple(named.get("feed", ())))


class Free:
    """Work-conserving within slots and caps, in the jobs' order; nothing else holds it back, nothing halts it."""

    def __init__(self, jobs: Sequence[Job], supply: Supply) -> None:
        self._waiting = {job.node: job.domains for job in jobs}
        self._domains = dict(self._waiting)
        self._supply = supply
        self._out: Counter[Key] = Counter()
        self._free = supply.slots

    def start(self, now: float) -> Collection[str]:
        """Whoever fits."""
        started = []
        for node, keys in self._waiting.items():
            if len(started) == self._free:
                break
            if all(self._out[key] < self._supply.caps.get(key, 1 << 30) for key in keys):
                started.append(node)
                self._out.update(keys)
        for node in started:
            del self._waiting[node]
        self._free -= len(started)
        return started

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """Its slot is free, and its place unless it failed."""
        self._free += 1
        if not failure:
            self._out.subtract(self._domains[node])

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """Out again."""
        self._out.update(self._domains[node])

    def wake(self) -> float | None:
        """Only ends help."""
        return None

    def halted(self) -> str:
        """Never."""
        return ""
