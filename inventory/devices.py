"""What stands in racks: nodes, switches, PDUs, and the cables between them."""

from __future__ import annotations

from collections.abc import Iterable

from inventory.addresses import Spot
from inventory.document import Value
from inventory.hall import SSH_PORT, Hall
from inventory.model import (
    End,
    Link,
    Node,
    NodeId,
    NvlinkDomainId,
    Pdu,
    PduId,
    PduMib,
    RackId,
    Switch,
    SwitchId,
    SwitchPlatform,
    SwitchRole,
)
from inventory.outlets import fed_by, read_outlets
from inventory.particulars import PORT_LIMIT, Particulars, overridden, read_bmc, read_particulars
from inventory.placing import place_in_racks, read_ids
from inventory.ranges import expand
from inventory.reader import MappingReader
from inventory.text import InputError, Place, nearest

SNMP_PORT = 161
"""Where a PDU answers (RFC 3411)."""


def add_nodes(hall: Hall, entries: Iterable[MappingReader]) -> None:
    """Declare the nodes of the `nodes` section, each with what `overrides` says of it."""
    for entry in entries:
        general = read_particulars(entry)
        spots = place_in_racks(entry, hall.racks)
        entry.finish()
        for alone in ("serial", "uuid"):
            if len(spots) > 1 and getattr(general, alone) is not None:
                raise entry.error(f"{alone} belongs to one node, not to {len(spots)}", key=alone, hint="use overrides")
        for spot in spots:
            override = hall.overrides.get(NodeId(spot.id))
            said = overridden(general, override[1]) if override else general
            _add_node(hall, said, spot, entry.place)


def _add_node(hall: Hall, said: Particulars, spot: Spot, place: Place) -> None:
    if said.model is None:
        raise InputError.at(place, f"node {spot.id} lacks the key 'model'")
    rack = hall.racks[spot.rack]
    domain = NvlinkDomainId(said.nvlink_domain) if said.nvlink_domain else rack.nvlink_domain
    node = Node(
        id=NodeId(spot.id),
        model=said.model,
        rack=rack.id,
        slot=spot.slot,
        feeds=hall.feeds_named(said.feeds) if said.feeds else rack.feeds,
        bmc=hall.bmc(said.bmc, spot, place),
        host=hall.host(said.host, spot, place),
        serial=said.serial,
        uuid=said.uuid,
        tenant=said.tenant,
        nvlink_domain=domain,
        chassis=said.chassis.replace("{rack}", rack.id) if said.chassis else None,
        profile=said.profile,
        labels=said.labels or {},
    )
    hall.nodes.add(spot.id, node, place)
    hall.claims.claim(spot.id, ("slot", str(spot.slot), f"of rack {spot.rack}"), place)
    for kind, identity in (("serial", said.serial), ("uuid", said.uuid)):
        if identity:
            hall.claims.claim(spot.id, (kind, identity), place)


def add_switches(hall: Hall, entries: Iterable[MappingReader]) -> None:
    """Declare the switches of the `switches` section."""
    for entry in entries:
        model, role = entry.text("model"), entry.choice("role", SwitchRole)
        address, credential, feeds = entry.value("address"), entry.value("credential"), entry.value("feeds")
        domain = entry.text("nvlink_domain", default=None)
        platform = entry.choice("platform", SwitchPlatform, default=None)
        port = entry.integer("port", minimum=1, maximum=PORT_LIMIT, default=SSH_PORT)
        bmc = read_bmc(entry.mapping("bmc")) if "bmc" in entry else None
        spots = place_in_racks(entry, hall.racks)
        entry.finish()
        if "port" in entry and address is None:
            raise entry.error("a switch with a port needs the key 'address'", key="port")
        for spot in spots:
            rack = hall.racks[spot.rack]
            inherited = rack.nvlink_domain if role is SwitchRole.NVLINK else None
            switch = Switch(
                id=SwitchId(spot.id),
                model=model,
                role=role,
                rack=rack.id,
                slot=spot.slot,
                feeds=hall.feeds_named(feeds) if feeds else rack.feeds,
                address=hall.address(address, spot, port=str(port)) if address else None,
                port=port,
                credential=hall.credentials.get(credential.text(), credential).id if credential else None,
                platform=platform,
                bmc=hall.bmc(bmc, spot, entry.place) if bmc else None,
                nvlink_domain=NvlinkDomainId(domain) if domain else inherited,
            )
            if spot.id in hall.nodes:
                raise entry.error(f"{spot.id!r} is a node already", key="id")
            hall.switches.add(spot.id, switch, entry.place)
            hall.claims.claim(spot.id, ("slot", str(spot.slot), f"of rack {spot.rack}"), entry.place)


def add_pdus(hall: Hall, entries: Iterable[MappingReader]) -> None:
    """Declare the PDUs and power shelves of the `pdus` section: the same number on each feed of each rack."""
    standing: dict[RackId, list[Node]] = {}
    for node in hall.nodes.values():
        standing.setdefault(node.rack, []).append(node)
    for entry in entries:
        ids = read_ids(entry.required("id"))
        model, address, named = entry.text("model"), entry.required("address"), entry.value("credential")
        port = entry.integer("port", minimum=1, maximum=PORT_LIMIT, default=SNMP_PORT)
        mib = entry.choice("mib", PduMib, default=None)
        entry.expect("outlets")
        wanted, fed = entry.required("rack"), entry.required("feeds")
        racks = [hall.racks.get(name, wanted) for name in wanted.parsed(expand)]
        feeds = hall.feeds_named(fed)
        entry.finish()
        credential = hall.credentials.get(named.text(), named) if named else None
        said = read_outlets(entry, credential, pdus=len(ids))
        per_feed, rest = divmod(len(ids), len(racks) * len(feeds))
        if rest:
            raise entry.error(
                f"{len(ids)} ids cannot be divided over {len(racks)} racks x {len(feeds)} feeds", key="id"
            )
        per_rack = per_feed * len(feeds)
        feeding = 0
        for index, name in enumerate(ids):
            rack, position = racks[index // per_rack], index % per_rack
            feed = feeds[position // per_feed]
            spot = Spot(id=name, index=index, slot=position + 1, rack=rack.id, pod=rack.pod)
            pdu = Pdu(
                id=PduId(name),
                model=model,
                rack=RackId(rack.id),
                feed=feed,
                address=hall.address(address, spot, port=f"{port}/udp"),
                port=port,
                credential=credential.id if credential else None,
                mib=mib,
                outlets=fed_by(said, hall, rack, feed, standing.get(rack.id, ())) if said else {},
            )
            hall.pdus.add(name, pdu, entry.place)
            feeding += len(pdu.outlets)
        if said and not feeding:
            raise said.error("outlets feed no node", hint="no node of these racks is on the feed of a PDU here")


def add_links(hall: Hall, entries: Iterable[MappingReader]) -> None:
    """Declare the cables of the `links` section: `a` and `b` are expanded and joined pair by pair."""
    for entry in entries:
        a, b = entry.required("a"), entry.required("b")
        entry.finish()
        ends = [_ends(hall, value) for value in (a, b)]
        if len(ends[0]) != len(ends[1]):
            raise entry.error(f"a stands for {len(ends[0]):,} ends and b for {len(ends[1]):,}", hint="check the ranges")
        for one, other in zip(*ends, strict=True):
            if one.device not in hall.switches and other.device not in hall.switches:
                raise entry.error(f"the link from {one.device} to {other.device} ends at no switch")
            for end in (one, other):
                cable = f"{one.device}:{one.port} - {other.device}:{other.port}"
                hall.claims.claim(f"the link {cable}", ("port", f"{end.device}:{end.port}"), entry.place)
            hall.links.append(Link(a=one, b=other))


def _ends(hall: Hall, value: Value) -> list[End]:
    """The ends that `gpu[001-016]:rail1` stands for."""
    ends: list[End] = []
    for text in value.parsed(expand):
        device, colon, port = text.partition(":")
        if not (colon and port):
            raise value.error(f"{value.what} {text!r} names no port", hint="write device:port")
        if device in hall.nodes:
            ends.append(End(device=NodeId(device), port=port))
        elif device in hall.switches:
            ends.append(End(device=SwitchId(device), port=port))
        else:
            known = (*hall.nodes.names(), *hall.switches.names())
            raise value.error(f"unknown node or switch {device!r}", hint=nearest(device, known))
    return ends
