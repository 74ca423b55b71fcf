"""Which cable really goes where, and who is heard at its other end."""

from collections.abc import Callable, Iterable, Mapping

from fleet.sim.layout import Layout, LinkSpec

End = tuple[str, str]
"""(device, port)."""


class Cabling:
    """All cables as they lie, wrong ones among them."""

    def __init__(self, layout: Layout, wrong: Callable[[str], bool]) -> None:
        """`wrong(node)`: whether the first cable of this node was swapped with the next one of its switch."""
        switches = {each.name for each in layout.switches}
        pairs = [_switch_first(link, switches) for link in layout.links]
        self._planned = list(pairs)
        self._far = dict(_both_ways(_swapped(pairs, wrong)))

    def far_end(self, device: str, port: str) -> End | None:
        """What the cable in this port leads to; None: no cable."""
        return self._far.get((device, port))

    def ports_of(self, switch: str) -> tuple[str, ...]:
        """The ports of a switch that links name, in their order."""
        mine = (end[1] for pair in self._planned for end in pair if end[0] == switch)
        return tuple(dict.fromkeys(mine))

    def switch_ports_of(self, node: str) -> tuple[End, ...]:
        """The switch ports that this node is really cabled to."""
        return tuple(far for (device, _), far in self._far.items() if device == node)


def _switch_first(link: LinkSpec, switches: set[str]) -> tuple[End, End]:
    return (link.a, link.b) if link.a[0] in switches else (link.b, link.a)


def _both_ways(pairs: Iterable[tuple[End, End]]) -> Iterable[tuple[End, End]]:
    for near, far in pairs:
        yield near, far
        yield far, near


def _swapped(pairs: list[tuple[End, End]], wrong: Callable[[str], bool]) -> list[tuple[End, End]]:
    """Swap the node's end of its first cable with that of the next cable of the same switch."""
    found = list(pairs)
    touched: set[int] = set()
    first_of: Mapping[str, int] = {far[0]: number for number, (_, far) in reversed(list(enumerate(pairs)))}
    for node, number in sorted(first_of.items(), key=lambda each: each[1]):
        if number in touched or not wrong(node):
            continue
        switch = pairs[number][0][0]
        ring = [*range(number + 1, len(pairs)), *range(number)]
        other = next(
            (n for n in ring if pairs[n][0][0] == switch and pairs[n][1][0] != node and n not in touched), None
        )
        if other is None:
            continue
        touched |= {number, other}
        found[number] = (pairs[number][0], pairs[other][1])
        found[other] = (pairs[other][0], pairs[number][1])
    return found
