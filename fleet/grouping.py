"""What nodes have in common: domains that fail together, strata that are alike, units that are begun and ended whole. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from fleet.policy.rules import Domains
from fleet.policy.spec import Caps
from inventory.model import Node
from inventory.observed import Observation


def standing_place(node: Node) -> Domains:
    """Where a node stands, by what the inventory says of itself; its cables are known to the whole inventory alone."""
    return Domains(
        str(node.rack),
        tuple(str(feed) for feed in node.feeds),
        tenant=node.tenant or "",
        nvlink_domain=str(node.nvlink_domain or ""),
    )


def sizes(places: Iterable[Domains]) -> dict[str, Counter[str]]:
    """Kind of domain -> name -> nodes that are part of it."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for domains in places:
        for kind, name in domains.groups():
            found[kind][name] += 1
    return found


def kind_of(node: Node, seen: Observation | None, ran: Mapping[str, Iterable[str]], recipe: str) -> str:
    """What makes nodes alike, in words: model, what they ran, BMC version, feeds and recipe. Nodes of one text are one stratum.

    `ran`: component -> versions of its items.
    """
    model = (seen.model if seen else "") or node.model
    came_from = ", ".join(f"{name} {'/'.join(sorted(set(versions))) or 'unknown'}" for name, versions in ran.items())
    bmc = f"BMC {seen.bmc_version}" if seen and seen.bmc_version else ""
    feeds = f"feeds {'+'.join(map(str, node.feeds))}" if node.feeds else ""
    return " · ".join(part for part in (model, came_from and f"from {came_from}", bmc, feeds, recipe) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One node of a selection, as far as its NVLink domain is concerned."""

    domain: str
    """Empty: in none."""
    changes: bool
    """Whether firmware of it would change."""
    refused: str = ""
    """Why it is refused already; empty: it is not."""


def split(members: Mapping[str, Member], wholes: Mapping[str, int]) -> dict[str, str]:
    """Node -> why it must not be touched: its NVLink domain is one unit, and not all of it can be worked on.

    A rack fabric of mixed versions is broken (field guide F52).

    Args:
        members: nodes of the selection.
        wholes: domain -> how many nodes the inventory has in it.
    """
    here = Counter(member.domain for member in members.values() if not member.refused)
    changing = {member.domain for member in members.values() if member.changes and not member.refused}
    found: dict[str, str] = {}
    for name, member in members.items():
        unit = member.domain
        if member.refused or unit not in changing or here[unit] >= wholes.get(unit, 0):
            continue
        other = next((each for each, of in members.items() if of.domain == unit and of.refused), None)
        why = "the others are not selected" if other is None else f"{other} is refused: {members[other].refused}"
        found[name] = (
            f"NVLink domain {unit} is one unit: {here[unit]} of its {wholes[unit]} nodes could be updated; {why}"
        )
    return found


def roomy(caps: Caps, units: Mapping[str, str], places: Mapping[str, Domains]) -> Caps:
    """Caps that hold at least the largest unit: it can only be out whole."""
    adds = Counter((units[name], key) for name in units for key in places[name].groups())
    domains = {kind: dict(names) for kind, names in caps.domains.items()}
    for (_, (kind, name)), count in adds.items():
        if name in domains.get(kind, {}):
            domains[kind][name] = max(domains[kind][name], count)
    largest = max(Counter(units.values()).values(), default=0)
    return replace(caps, domains=domains, max_in_flight=max(caps.max_in_flight, largest))


def together(order: Sequence[str], units: Mapping[str, str]) -> tuple[str, ...]:
    """The order, the nodes of a unit one after the other where its first one stands."""
    first: dict[str, int] = {}
    for index, name in enumerate(order):
        first.setdefault(units.get(name, name), index)
    return tuple(sorted(order, key=lambda name: first[units.get(name, name)]))


def whole_waves(caps: Caps, order: Sequence[str], units: Mapping[str, str]) -> Caps:
    """Caps whose waves end where a unit ends: each is rounded up."""

    def end(size: int) -> int:
        while (
            0 < size < len(order)
            and units.get(order[size - 1], "")
            and units.get(order[size]) == units[order[size - 1]]
        ):
            size += 1
        return size

    return replace(caps, waves=tuple(dict.fromkeys(end(size) for size in caps.waves)))


def stage_of(model: str, unit_order: Sequence[str]) -> int:
    """The place of a model in the order of its unit; models that no glob names come last."""
    return next((index for index, glob in enumerate(unit_order) if fnmatchcase(model, glob)), len(unit_order))
