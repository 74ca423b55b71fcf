"""Bring NetBox to what the inventory says: kind by kind, each read, compared and, with consent, written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from inventory.exporters.exporter import Consent, Destination, Exporter, ExportError, Outcome
from inventory.exporters.exporter import Kind as ExporterKind
from inventory.exporters.netbox.difference import Conflict, Creation, Index, Update
from inventory.exporters.netbox.objects import Kind, Wanted
from inventory.exporters.netbox.service import BATCH, Service
from inventory.exporters.netbox.wanted import wanted
from inventory.exporters.snapshot import Snapshot
from inventory.secrets import resolve

Change = Creation | Update | Conflict


def queries(kind: Kind, items: Sequence[Wanted], index: Index) -> Iterator[Mapping[str, Any]]:
    """What to ask NetBox for, to learn all that these objects could be or collide with. Pure."""
    keys = [item.key for item in items]
    match kind:
        case Kind.TAG | Kind.SITE | Kind.MANUFACTURER | Kind.DEVICE_ROLE | Kind.ITEM_ROLE:
            yield from ({"slug": part} for part in _parts(key[0] for key in keys))
        case Kind.DEVICE_TYPE:
            yield from ({"model__ie": part} for part in _parts(key[0] for key in keys))
        case Kind.LOCATION | Kind.RACK | Kind.DEVICE:
            sites = index.numbers(Kind.SITE, ((key[0],) for key in keys))
            asked = "slug" if kind is Kind.LOCATION else "name__ie"
            if sites:
                yield from ({"site_id": sites, asked: part} for part in _parts(key[1] for key in keys))
        case Kind.ADDRESS:
            yield from ({"address": part, "vrf_id": None} for part in _parts(key[0] for key in keys))
        case Kind.INTERFACE | Kind.ITEM:
            yield from ({"device_id": part} for part in _parts(index.numbers(Kind.DEVICE, (key[:2] for key in keys))))
        case Kind.CABLE:
            ends = (end for key in keys for end in (key[:2], key[3:5]))
            yield from ({"device_id": part} for part in _parts(index.numbers(Kind.DEVICE, ends)))


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    known = sorted(set(values))
    return (known[start : start + BATCH] for start in range(0, len(known), BATCH))


def synchronise(items: Sequence[Wanted], service: Service, consent: Consent) -> Iterator[Change]:
    """What differs, while it is being written if that is agreed to. `items` are in the order of Kind."""
    index = Index()
    for kind, group in groupby(items, lambda item: item.kind):
        same = list(group)
        index.learn(kind, service.read(kind, queries(kind, same, index)))
        changes = [change for item in same if (change := index.compare(item, item.keep))]
        if consent is Consent.APPLY:
            _write(kind, changes, service, index)
        yield from changes
    for kind, group in groupby((item for item in items if item.later), lambda item: item.kind):
        same = list(group)
        later = [change for item in same if isinstance(change := index.compare(item, item.later), Update | Conflict)]
        if consent is Consent.APPLY:
            _write(kind, later, service, index)
        yield from later


def _write(kind: Kind, changes: Sequence[Change], service: Service, index: Index) -> None:
    new = [index.resolved({**each.wanted.first, **each.wanted.keep}) for each in changes if isinstance(each, Creation)]
    index.learn(kind, service.create(kind, new))
    changed = [{"id": each.number, **index.resolved(each.fields)} for each in changes if isinstance(each, Update)]
    index.learn(kind, service.update(kind, changed))


def _export(snapshot: Snapshot, destination: Destination) -> Outcome:
    if not destination.url or destination.token is None:
        raise ExportError("NetBox needs --url https://HOST and --token env:NAME (where its token is kept)")
    items = wanted(snapshot)
    service = Service(destination, resolve(destination.token))
    service.require_version()
    changes = list(synchronise(items, service, destination.consent))
    return Outcome(
        text="".join(f"{line}\n" for line in (*changes, _summary(changes, destination.consent))),
        conflicts=sum(isinstance(change, Conflict) for change in changes),
    )


def _summary(changes: Sequence[Change], consent: Consent) -> str:
    new, changed, conflicts = (sum(isinstance(each, kind) for each in changes) for kind in (Creation, Update, Conflict))
    counts = f"{new} created, {changed} changed, {conflicts} left as they are"
    return counts if consent is Consent.APPLY else f"dry run: {counts}; add --yes to do it"


EXPORTER = Exporter(
    summary="devices, interfaces, cables and firmware in NetBox 4.x", kind=ExporterKind.SYSTEM, export=_export
)
