"""Which outlet of a PDU feeds which node. A wrong answer takes the power from a machine that nobody meant."""

from __future__ import annotations

from collections.abc import Sequence

from inventory.document import Value
from inventory.hall import Hall
from inventory.model import Credential, FeedId, Node, NodeId, PduMib, Rack
from inventory.reader import MappingReader
from inventory.text import nearest

BY_SLOT = "by-slot"
"""Outlet n feeds the node in slot n."""


def read_outlets(entry: MappingReader, credential: Credential | None, *, pdus: int) -> Value | None:
    """The key `outlets` of an entry of `pdus`; None where it is absent.

    Args:
        entry: what is said of the PDUs; `mib` has been read from it.
        credential: whose user switches the outlets.
        pdus: how many PDUs the entry stands for.

    Raises:
        InputError: something is lacking without which no outlet can be switched, or the form is unknown.
    """
    value = entry.value("outlets")
    if value is None:
        return None
    if "mib" not in entry:
        raise value.error("outlets need the key 'mib'", hint=f"add mib: {' or '.join(PduMib)}")
    if credential is None:
        raise value.error("outlets need the key 'credential'", hint="name one that has user, password and privacy")
    if credential.privacy is None:
        raise value.error(
            f"outlets need SNMPv3 with privacy, and credential {credential.id!r} has none",
            hint=f"add privacy: env:NAME to credential {credential.id!r}",
        )
    if value.kind == "mapping":
        if pdus > 1:
            raise value.error(
                f"outlets of named nodes belong to one PDU, not to {pdus}",
                hint=f"write {BY_SLOT}, or an entry for each",
            )
    elif value.text() != BY_SLOT:
        raise value.error(
            f"outlets: unknown {value.text()!r}",
            hint=f"{nearest(value.text(), [BY_SLOT])}, or write {{1: NODE, 2: NODE}}",
        )
    return value


def fed_by(said: Value, hall: Hall, rack: Rack, feed: FeedId, standing: Sequence[Node]) -> dict[int, NodeId]:
    """Outlet -> node of one PDU.

    Args:
        said: what `read_outlets` gave.
        hall: with its nodes.
        rack: where the PDU is.
        feed: what the PDU is on.
        standing: the nodes of that rack.

    Raises:
        InputError: an outlet is no number from 1, is named twice, or cannot feed the node that it names.
    """
    if said.kind != "mapping":
        return {node.slot: node.id for node in standing if feed in node.feeds}
    outlets: dict[int, NodeId] = {}
    reader = MappingReader(said, what="outlets")
    for text, value in reader.items():
        key = Value(text, file=value.file, line=value.line)
        key.what = "outlet"
        number = key.integer(minimum=1)
        if number in outlets:
            raise reader.error(f"outlet {number} is named twice", key=text)
        node = hall.nodes.get(value.text(), value)
        if node.rack != rack.id:
            raise value.error(f"outlet {number}: {node.id} stands in rack {node.rack}, and the PDU in {rack.id}")
        if feed not in node.feeds:
            raise value.error(
                f"outlet {number}: {node.id} is not on feed {feed} of the PDU", hint=f"it is on {', '.join(node.feeds)}"
            )
        outlets[number] = node.id
    return outlets
