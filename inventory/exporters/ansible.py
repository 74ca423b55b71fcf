"""The inventory as an Ansible dynamic inventory: what a script prints for `--list` and for `--host NAME`.

Group names: `rack_`, `pod_`, `model_`, `profile_`, `status_` and the value, with `_` for what Ansible allows in no group name.
Variables begin with `fleet_`. No credential is among them.

Ansible takes every text of an inventory script for a template. Texts here may come from a BMC, so none is ever handed over as
one: each that holds a brace is marked unsafe in the form that Ansible itself writes (`{"__ansible_unsafe": ...}`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from typing import Any

from inventory.exporters.exporter import Destination, Exporter, ExportError, Kind, Outcome
from inventory.exporters.snapshot import Entry, Snapshot, timestamp
from inventory.text import nearest

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
_TEMPLATE = re.compile(r"[{}]")
_OWN = frozenset({"all", "ungrouped", "_meta"})
"""Names with a meaning of their own: no group is called so, and no node may be."""


def listing(snapshot: Snapshot) -> dict[str, Any]:
    """What `--list` prints; with `_meta`, so that Ansible does not ask for each host."""
    groups = groups_of(snapshot)
    return {
        "_meta": {"hostvars": {entry.node.id: variables(entry) for entry in snapshot.entries}},
        "all": {"children": ["ungrouped", *groups]},
        **{name: {"hosts": hosts} for name, hosts in groups.items()},
    }


def host(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """What `--host NAME` prints. Raises ExportError for a node that is not there."""
    for entry in snapshot.entries:
        if entry.node.id == name:
            return variables(entry)
    known = nearest(name, (entry.node.id for entry in snapshot.entries))
    raise ExportError(f"no node {name!r} is selected; {known or 'see --list'}")


def groups_of(snapshot: Snapshot) -> dict[str, list[str]]:
    """Group -> nodes, in the order of the inventory."""
    members: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in snapshot.entries:
        for kind, value in (
            ("rack", entry.node.rack),
            ("pod", entry.pod),
            ("model", entry.node.model),
            ("profile", entry.profile),
            ("status", entry.status),
        ):
            if value:
                members[kind, value].append(entry.node.id)
    plain = {group: _NOT_IN_A_NAME.sub("_", "_".join(group)) for group in members}
    taken = Counter(plain.values())
    nodes = {entry.node.id for entry in snapshot.entries}
    return {
        name if taken[name] == 1 and name not in nodes else f"{name}_{_mark(group)}": members[group]
        for group, name in plain.items()
    }


def _mark(group: tuple[str, str]) -> str:
    """Tells racks `a-1` and `a_1` apart, the same at each run."""
    return hashlib.sha256("\0".join(group).encode()).hexdigest()[:6]


def variables(entry: Entry) -> dict[str, Any]:
    """The variables of one host."""
    node, seen = entry.node, entry.seen
    found: dict[str, Any] = {
        "fleet_site": entry.site,
        "fleet_pod": entry.pod,
        "fleet_rack": node.rack,
        "fleet_slot": node.slot,
        "fleet_model": node.model,
        "fleet_profile": entry.profile,
        "fleet_tenant": node.tenant,
        "fleet_bmc_address": node.bmc.address,
        "fleet_bmc_port": node.bmc.port,
        "fleet_serial": node.serial or (seen.serial if seen else ""),
        "fleet_labels": dict(node.labels),
        "fleet_status": entry.status,
    }
    if seen:
        found |= {
            "fleet_reason": seen.reason,
            "fleet_versions": dict(seen.versions),
            "fleet_reading": seen.reading.value,
            "fleet_observed_at": None if seen.read_at is None else timestamp(seen.read_at),
            "fleet_origin": seen.origin.value,
            "fleet_rollout": seen.rollout,
        }
    return {name: _inert(value) for name, value in found.items()}


def _inert(value: Any) -> Any:
    """The value with nothing in it that Ansible would run."""
    if isinstance(value, dict):
        return {_TEMPLATE.sub("_", key): _inert(item) for key, item in value.items()}
    if isinstance(value, str) and _TEMPLATE.search(value):
        return {"__ansible_unsafe": value}
    return value


def text(data: dict[str, Any]) -> str:
    """As a script prints it."""
    return json.dumps(data, indent=2) + "\n"


def _export(snapshot: Snapshot, _: Destination) -> Outcome:
    odd = [entry.node.id for entry in snapshot.entries if entry.node.id in _OWN]
    if odd:
        raise ExportError(
            f"a node is called {odd[0]!r}, which has a meaning of its own in Ansible; leave it out by --select"
        )
    return Outcome(text=text(listing(snapshot)))


EXPORTER = Exporter(summary="an Ansible dynamic inventory, as --list prints it", kind=Kind.DOCUMENT, export=_export)
