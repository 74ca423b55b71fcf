"""The `power` section of an inventory -> `PowerTree`, and the models' figures that ship with the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from inventory.document import Value, read_document
from inventory.hall import Hall
from inventory.model import Node
from inventory.placing import read_ids
from inventory.power import DERATE, DomainId, DomainKind, ModelPower, PowerDomain, PowerTree, Stage
from inventory.ranges import expand
from inventory.reader import MappingReader
from inventory.registry import Registry
from inventory.text import InputError, nearest

FIGURES = Path(__file__).parent / "library" / "power.yaml"
"""What ships with the package."""

_Finder = Callable[[str, Value], Sequence[str]]
"""A name of the file, and where it stands -> ids; InputError where nothing is called so."""


def read_power(hall: Hall, section: MappingReader) -> PowerTree:
    """Read the section, once nodes and PDUs are known.

    Raises:
        InputError: anything that cannot be used, with file and line.
    """
    models = {**shipped(), **_models(section.mapping("models"))}
    domains: Registry[PowerDomain] = Registry("power domain")
    on: dict[str, list[DomainId]] = {}
    standing: dict[str, list[str]] = {}
    for node in hall.nodes.values():
        standing.setdefault(str(node.rack), []).append(str(node.id))
    for entry in section.mappings("domains", what="power domain"):
        hangs = _domains(hall, entry, domains, standing)
        for name, domain in hangs:
            _require_figures(hall.nodes[name], models, entry)
            on.setdefault(name, []).append(domain)
    section.finish()
    if not domains.values():
        raise section.error("power needs at least one domain", hint="domains: [{id: r01, kind: rack, rating_w: ...}]")
    return PowerTree(
        domains={domain.id: domain for domain in domains.values()},
        on={name: tuple(dict.fromkeys(domain)) for name, domain in on.items()},
        models=models,
    )


@cache
def shipped() -> Mapping[str, ModelPower]:
    """Model -> figures of the package, with their sources."""
    return _models(MappingReader(read_document(FIGURES), what="power figures"))


def _models(reader: MappingReader) -> dict[str, ModelPower]:
    return {name: _figures(name, value) for name, value in reader.items()}


def _figures(name: str, value: Value) -> ModelPower:
    entry = MappingReader(value, what=f"power figures of {name!r}")
    nameplate_w = entry.integer("nameplate_w", minimum=1)
    peaks = entry.mapping("peak_w")
    figures = ModelPower(
        nameplate_w=nameplate_w,
        idle_w=entry.integer("idle_w", minimum=1, maximum=nameplate_w),
        peak_w={_stage(key, said): said.integer(minimum=1, maximum=nameplate_w) for key, said in peaks.items()},
        steady=frozenset(each.choice(Stage) for each in entry.sequence("steady")),
        source=entry.text("source", default=""),
    )
    entry.finish()
    return figures


def _stage(name: str, value: Value) -> Stage:
    try:
        return Stage(name)
    except ValueError:
        raise value.error(f"{name!r} is no stage", hint=nearest(name, list(Stage)) or ", ".join(Stage)) from None


def _domains(
    hall: Hall, entry: MappingReader, domains: Registry[PowerDomain], standing: Mapping[str, Sequence[str]]
) -> Iterable[tuple[str, DomainId]]:
    """Declare the domains of one entry; which node hangs on which of them."""
    ids = read_ids(entry.required("id"))
    kind = entry.choice("kind", DomainKind)
    ratings_w = tuple(each.integer(minimum=1) for each in _each(entry.required("rating_w")))
    derate = entry.number("derate", minimum=0.1, maximum=1.0, default=DERATE)
    ramp_w_per_s = entry.integer("ramp_w_per_s", minimum=1, default=None)
    parents = _parents(entry, ids, domains)
    meters = _dealt(entry, "meters", ids, lambda name, value: [hall.pdus.get(name, value).id])
    racks = _dealt(entry, "racks", ids, lambda name, value: list(standing.get(hall.racks.get(name, value).id, ())))
    nodes = _dealt(entry, "nodes", ids, lambda name, value: [hall.nodes.get(name, value).id])
    entry.finish()
    for index, name in enumerate(ids):
        domain = PowerDomain(
            id=name,
            kind=kind,
            ratings_w=ratings_w,
            derate=derate,
            parent=parents[index],
            meters=tuple(meters[index]),
            ramp_w_per_s=ramp_w_per_s,
        )
        domains.add(name, domain, entry.place)
    return [(node, name) for at, name in enumerate(ids) for node in (*racks[at], *nodes[at])]


def _each(value: Value) -> Sequence[Value]:
    """A list, or one figure for a list of one."""
    return value.sequence() if value.kind == "sequence" else (value,)


def _parents(entry: MappingReader, ids: Sequence[str], domains: Registry[PowerDomain]) -> list[DomainId | None]:
    """The domain above each; None: nothing is said to be above."""
    said = entry.value("parent")
    if said is None:
        return [None] * len(ids)
    names = [domains.get(name, said).id for name in said.parsed(expand)]
    per, rest = divmod(len(ids), len(names))
    if rest:
        raise said.error(f"{len(ids)} domains cannot be divided evenly over {len(names)} in 'parent'")
    return [names[position // per] for position in range(len(ids))]


def _dealt(entry: MappingReader, key: str, ids: Sequence[str], found: _Finder) -> list[list[str]]:
    """What a key names, dealt out to the domains of the entry one after the other, the same number to each."""
    said = entry.value(key)
    if said is None:
        return [[] for _ in ids]
    names = said.parsed(expand)
    per, rest = divmod(len(names), len(ids))
    if rest:
        raise said.error(f"{len(names)} in {key!r} cannot be dealt out evenly to {len(ids)} domains")
    return [[each for name in names[at * per : (at + 1) * per] for each in found(name, said)] for at in range(len(ids))]


def _require_figures(node: Node, models: Mapping[str, ModelPower], entry: MappingReader) -> None:
    if node.model not in models:
        raise InputError.at(
            entry.place,
            f"{node.id} hangs on it, and nobody says what a {node.model} draws",
            hint=f"power: {{models: {{{node.model}: {{nameplate_w: ..., idle_w: ...}}}}}}",
        )
