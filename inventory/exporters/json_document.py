"""The inventory as one JSON document, in a form that is published and versioned: inventory/schema/inventory-1.schema.json.

A version does not change once it was released: another key, or another meaning of one, is the next version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inventory.exporters.exporter import Destination, Exporter, Kind, Outcome
from inventory.exporters.snapshot import Entry, Sighting, Snapshot, timestamp
from inventory.model import End, Switch

VERSION = 1
SCHEMA = Path(__file__).parent.parent / "schema" / f"inventory-{VERSION}.schema.json"


def document(snapshot: Snapshot) -> dict[str, Any]:
    """The document. Credentials are not in it, not even by name."""
    return {
        "version": VERSION,
        "inventory": snapshot.inventory.name,
        "nodes": [_node(entry) for entry in snapshot.entries],
        "switches": [_switch(switch) for switch in snapshot.switches()],
        "links": [{"a": _end(link.a), "b": _end(link.b)} for link in snapshot.links()],
    }


def _node(entry: Entry) -> dict[str, Any]:
    node = entry.node
    return {
        "id": node.id,
        "site": entry.site,
        "pod": entry.pod,
        "rack": node.rack,
        "slot": node.slot,
        "feeds": list(node.feeds),
        "model": node.model,
        "profile": node.profile,
        "tenant": node.tenant,
        "nvlink_domain": node.nvlink_domain,
        "chassis": node.chassis,
        "serial": node.serial,
        "uuid": node.uuid,
        "labels": dict(node.labels),
        "bmc": {"address": node.bmc.address, "port": node.bmc.port},
        "observed": _seen(entry.seen) if entry.seen else None,
    }


def _seen(seen: Sighting) -> dict[str, Any]:
    return {
        "rollout": seen.rollout,
        "playbook": seen.playbook,
        "status": seen.status,
        "reason": seen.reason,
        "message": seen.message,
        "origin": seen.origin.value,
        "reading": seen.reading.value,
        "observed_at": None if seen.read_at is None else timestamp(seen.read_at),
        "model": seen.model,
        "serial": seen.serial,
        "uuid": seen.uuid,
        "profile": seen.profile,
        "versions": dict(seen.versions),
    }


def _switch(switch: Switch) -> dict[str, Any]:
    return {
        "id": switch.id,
        "model": switch.model,
        "role": switch.role.value,
        "rack": switch.rack,
        "slot": switch.slot,
        "address": switch.address,
        "bmc": {"address": switch.bmc.address, "port": switch.bmc.port} if switch.bmc else None,
    }


def _end(end: End) -> dict[str, str]:
    return {"device": end.device, "port": end.port}


def _export(snapshot: Snapshot, _: Destination) -> Outcome:
    return Outcome(text=json.dumps(document(snapshot), indent=2) + "\n")


EXPORTER = Exporter(summary="one JSON document, by a published schema", kind=Kind.DOCUMENT, export=_export)
