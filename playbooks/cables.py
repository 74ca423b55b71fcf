"""The inventory's cables against what LLDP hears. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.edges import Neighbour
from inventory.model import Link

_SHORT = re.compile(r"(?i)(?:eth?|ethernet)(?=\d)")
_MAC = re.compile(r"(?i)(?:[0-9a-f]{2}[:.-]?){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}")
"""A port id of subtype MAC address (IEEE 802.1AB 8.5.3): it names no port that an inventory knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One cable of a node to a switch, as declared."""

    node: str
    interface: str
    switch: str
    port: str


def cables_of(node: str, links: Iterable[Link]) -> tuple[Cable, ...]:
    """The node's cables, seen from the node."""
    found = []
    for link in links:
        near, far = (link.a, link.b) if link.a.device == node else (link.b, link.a)
        if near.device == node and far.device != node:
            found.append(Cable(node=node, interface=near.port, switch=str(far.device), port=far.port))
    return tuple(found)


def same_port(one: str, other: str) -> bool:
    """`Et17` and `Ethernet17` are one port."""
    return _SHORT.sub("ethernet", one).casefold() == _SHORT.sub("ethernet", other).casefold()


def wrong(cables: Iterable[Cable], heard: Mapping[str, Iterable[Neighbour]]) -> tuple[str, ...]:
    """A sentence for each cable that is elsewhere. `heard`: switch -> its LLDP table.

    Silence is no evidence: a host that is off or runs no LLDP is heard nowhere.
    """
    return tuple(sentence for cable in cables if (sentence := _sentence(cable, heard)))


def silent(cables: Iterable[Cable], heard: Mapping[str, Iterable[Neighbour]]) -> tuple[str, ...]:
    """`leaf01:p17` of each cable whose port hears nobody."""
    return tuple(
        f"{cable.switch}:{cable.port}"
        for cable in cables
        if not any(same_port(each.port, cable.port) for each in heard[cable.switch])
    )


def _sentence(cable: Cable, heard: Mapping[str, Iterable[Neighbour]]) -> str:
    said = f"the inventory says {cable.switch}:{cable.port}"
    here = [each for each in heard[cable.switch] if same_port(each.port, cable.port)]
    if any(_is(cable, each) for each in here):
        return ""
    for switch, table in heard.items():
        for each in table:
            if not _MAC.fullmatch(each.remote_port) and _is(cable, each):
                return f"{cable.node} {cable.interface} is cabled to {switch}:{each.port}, {said}"
    if here:
        other = here[0]
        return (
            f"{cable.switch}:{cable.port} is cabled to {other.system} {other.remote_port}, the inventory says"
            f" {cable.node} {cable.interface}"
        )
    return ""


def _is(cable: Cable, heard: Neighbour) -> bool:
    """Whether this neighbour is the node's end of the cable."""
    system, node = heard.system.casefold(), cable.node.casefold()
    if system != node and system.partition(".")[0] != node:
        return False
    return bool(_MAC.fullmatch(heard.remote_port)) or same_port(heard.remote_port, cable.interface)
