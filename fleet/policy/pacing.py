"""Which of the nodes that wait may start: in-flight limit, caps of domains, and the risk that is left to take. Pure; work-conserving.

Explicit waves know only the first two. With a risk budget b, every exposed node costs U of its stratum, and all of them together at most b:
for one stratum that is in-flight <= b / U (rollout-science 1.3), for several the budget is the fleet's, not each stratum's own. Until
the first success of all one unit is out, and until the first of a stratum one of that stratum.
"""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import floor

from fleet.policy.evidence import bound_of
from fleet.policy.rules import Key, Rules
from fleet.policy.standing import Standing

_LOOK_AGAIN = 20
"""While evidence ripens, admission looks again every so many-th part of the bake time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """These may start."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Nobody may start now. `until` is the field time at which that may change by itself, if it is known."""

    why: str
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Nobody can start, and nothing under way will change that."""

    message: str


Answer = Start | Hold | Stuck


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Who waits."""

    nodes: Sequence[str]
    """In the order of admission."""
    ended: AbstractSet[str] = field(default_factory=frozenset)
    """Nodes of units that have ended: the next stage of a unit starts when all of the one before are in here."""


@dataclass(slots=True)
class _Choice:
    """What would be out if those chosen so far started."""

    found: Standing
    rules: Rules
    now: float
    out: Counter[Key]
    in_flight: int
    nodes: list[str] = field(default_factory=list)
    spent: float = 0.0
    """Of the risk budget."""
    exposed: Counter[str] = field(default_factory=Counter)
    bounds: dict[str, float] = field(default_factory=dict)
    why: str = ""
    """Why the first unit that could not start did not."""

    def bound(self, stratum: str) -> float:
        """U of a stratum now."""
        if stratum not in self.bounds:
            self.bounds[stratum] = bound_of(self.found, stratum, self.now)
        return self.bounds[stratum]

    def take(self, unit: Sequence[str]) -> None:
        """The unit starts."""
        self.nodes += unit
        self.reserve(unit)

    def reserve(self, unit: Sequence[str]) -> None:
        """The unit is out, or will be as a part of one that has begun."""
        self.in_flight += len(unit)
        for node in unit:
            self.out.update(self.rules.domains[node].groups())
            if self.rules.caps.risk:
                stratum = self.rules.stratum(node)
                self.exposed[stratum] += 1
                self.spent += self.bound(stratum)


def admit(pending: Pending, found: Standing, now: float) -> Answer:
    """Who starts.

    Args:
        pending: who waits.
        found: what was seen so far.
        now: field time.
    """
    rules = found.rules
    choice = _Choice(found=found, rules=rules, now=now, out=Counter(found.out), in_flight=found.in_flight)
    if rules.caps.risk:
        for name, item in found.strata.items():
            exposed = item.exposed(now, rules.caps.bake_s)
            if exposed:
                choice.spent += exposed * choice.bound(name)
                choice.exposed[name] += floor(exposed + 0.999)
    rest = pending.nodes
    if rules.units:
        held = _go_on(pending, choice)
        if isinstance(held, Stuck):
            return held
        rest = [node for node in pending.nodes if not found.begun[rules.units.get(node, "")]]
    _begin(rest, choice)
    if choice.nodes:
        return Start(nodes=tuple(choice.nodes))
    return _nobody(pending, rest, choice)


def _go_on(pending: Pending, choice: _Choice) -> Stuck | None:
    """Later stages of units that have begun: they are out already, so that nothing but their turn holds them."""
    rules, found = choice.rules, choice.found
    members = found.members
    waiting = set(pending.nodes)
    for unit, begun in found.begun.items():
        left = [node for node in members[unit] if node in waiting] if begun else []
        if not left:
            continue
        if unit in found.broken:
            return Stuck(
                message=f"{found.broken[unit]} of {unit} failed, and {len(left)} nodes of it were not begun: {unit} is mixed until a"
                " person decides; nothing else of it is touched"
            )
        stage = min(rules.stages.get(node, 0) for node in left)
        before = [node for node in members[unit] if rules.stages.get(node, 0) < stage]
        choice.reserve(left)
        if all(node in pending.ended for node in before):
            choice.nodes += [node for node in left if rules.stages.get(node, 0) == stage]
    return None


def _begin(rest: Sequence[str], choice: _Choice) -> None:
    """Nodes, and whole units, that have not begun."""
    rules = choice.rules
    members = choice.found.members
    seen: set[str] = set()
    blocked: set[str] = set()
    for node in rest:
        if choice.in_flight >= rules.caps.max_in_flight:
            choice.why = choice.why or f"{choice.in_flight} in flight of at most {rules.caps.max_in_flight}"
            break
        name = rules.units.get(node, "")
        if name in seen or rules.stratum(node) in blocked:
            continue
        unit: Sequence[str] = members[name] if name else (node,)
        if name:
            seen.add(name)
        if choice.in_flight and choice.in_flight + len(unit) > rules.caps.max_in_flight:
            choice.why = choice.why or f"{name} has {len(unit)} nodes, {choice.in_flight} are in flight already"
            continue
        full = _full(unit, choice)
        if full is not None:
            choice.why = choice.why or full
            continue
        risky = _risky(unit, choice) if rules.caps.risk else ""
        if risky:
            choice.why = choice.why or risky
            blocked.add(rules.stratum(node))
            if len(blocked) >= choice.found.kinds:
                break
            continue
        first = min(rules.stages.get(each, 0) for each in unit)
        starting = [each for each in unit if rules.stages.get(each, 0) == first]
        choice.take(starting)
        choice.reserve([each for each in unit if each not in starting])


def _full(unit: Sequence[str], choice: _Choice) -> str | None:
    """The domain that has no room for the unit."""
    adds: Counter[Key] = Counter()
    for node in unit:
        adds.update(choice.rules.domains[node].groups())
    for key, count in adds.items():
        cap = choice.rules.caps.cap(key)
        if choice.out[key] + count > cap:
            return f"{key[0]} {key[1]} has {choice.out[key]} nodes out, its cap is {cap}: {unit[0]} cannot start"
    return None


def _risky(unit: Sequence[str], choice: _Choice) -> str:
    """Why the unit would be a risk too many; empty: it is not."""
    rules, found = choice.rules, choice.found
    exposed = sum(choice.exposed.values())
    if not exposed:
        return ""
    if not any(item.clean for item in found.strata.values()):
        return f"no node has succeeded yet, {exposed} out: the next starts after the first success"
    for stratum in {rules.stratum(node) for node in unit}:
        if choice.exposed[stratum] and not found.stratum(stratum).clean:
            return f"no node of {stratum or 'this kind'} has succeeded yet, {choice.exposed[stratum]} out"
    cost = sum(choice.bound(rules.stratum(node)) for node in unit)
    if choice.spent + cost > rules.caps.risk:
        return f"{exposed} nodes at risk could mean {choice.spent:.1f} broken, and {rules.caps.risk} may be: more start as nodes succeed"
    return ""


def _nobody(pending: Pending, rest: Sequence[str], choice: _Choice) -> Answer:
    rules, found = choice.rules, choice.found
    if found.in_flight:
        return Hold(why=choice.why or "a unit waits for its stage before")
    bake_s = rules.caps.bake_s
    if rules.caps.risk and bake_s and any(item.unproven(choice.now, bake_s) > 0 for item in found.strata.values()):
        full = _full((rest[0],), choice) if rest else None
        if full is None:
            return Hold(why=f"{choice.why}; evidence ripens", until=choice.now + bake_s / _LOOK_AGAIN)
    node = rest[0] if rest else pending.nodes[0]
    return Stuck(message=f"{choice.why or f'{node} cannot start'} until a quarantined one is repaired")
