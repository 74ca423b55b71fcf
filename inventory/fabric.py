"""How nodes are cabled to leaf switches, and which leaves are a pair. Pure."""

from collections.abc import Iterable, Mapping

from inventory.model import Inventory, Link, Node, SwitchRole

_PAIR = 2


def leaf_links(inventory: Inventory, nodes: Iterable[Node]) -> dict[str, tuple[Link, ...]]:
    """Node -> its cables to leaf switches: the only ports that a node's tenant and its imaging decide over."""
    leaves = _leaves(inventory)
    return {
        str(node.id): tuple(
            link for link in inventory.links_of(node.id) if link.a.device in leaves or link.b.device in leaves
        )
        for node in nodes
    }


def attachments(node: Node, links: Iterable[Link]) -> dict[str, str]:
    """Port of the node -> leaf at its other end, of `leaf_links`."""
    ends = ((link.a, link.b) if link.a.device == node.id else (link.b, link.a) for link in links)
    return {own.port: str(far.device) for own, far in ends}


def leaf_pairs(inventory: Inventory) -> Mapping[str, str]:
    """Leaf -> name of its pair: two leaves of which one carries the traffic while the other is worked on. Others are missing.

    A pair is two leaves with a cable between them (the peer link of MLAG), or two that end all the cables of the same nodes.
    """
    leaves = _leaves(inventory)
    pairs = {
        frozenset((str(link.a.device), str(link.b.device)))
        for link in inventory.links
        if link.a.device in leaves and link.b.device in leaves and link.a.device != link.b.device
    }
    taken = {leaf for pair in pairs for leaf in pair}
    ends: dict[str, set[str]] = {}
    links = leaf_links(inventory, inventory.nodes)
    for node in inventory.nodes:
        ends[str(node.id)] = set(attachments(node, links[str(node.id)]).values())
    alike = {frozenset(found) for found in ends.values() if len(found) == _PAIR}
    others = {frozenset(found) for found in ends.values() if len(found) != _PAIR}
    for pair in sorted(alike, key=sorted):
        alone = all(not pair & other or pair == other for other in (*alike, *others))
        if alone and not pair & taken:
            pairs.add(pair)
    return {leaf: "+".join(sorted(pair)) for pair in pairs for leaf in pair}


def _leaves(inventory: Inventory) -> set[str]:
    return {switch.id for switch in inventory.switches if switch.role is SwitchRole.LEAF}
