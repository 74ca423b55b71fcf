"""Where each node stands on the map, for a given room. Pure: the widget only looks it up."""

from dataclasses import dataclass

from tui.hall import Hall, Rack

_LABEL_CELLS = 10
"""Longest rack name that is written whole; of a longer one the end is shown, where the number stands."""
_GAP = 2
_WIDEST_GAP = 8
"""Racks move apart where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run of one rack's nodes on one line."""

    rack: int
    x: int
    """First cell of its label."""
    label: str
    first: int
    """Number of its first node in the hall."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """The whole map."""

    lines: tuple[tuple[Place, ...], ...] = ()
    label_cells: int = 0
    """Cells of a label with the space after it."""
    node_cells: int = 1
    spots: tuple[tuple[int, int], ...] = ()
    """Node number -> (x, y)."""

    @property
    def height(self) -> int:
        """Lines."""
        return len(self.lines)

    def at(self, x: int, y: int) -> int | None:
        """The node at this cell, if there is one."""
        if not 0 <= y < len(self.lines):
            return None
        for place in self.lines[y]:
            offset = x - place.x - self.label_cells
            if 0 <= offset < place.count * self.node_cells:
                return place.first + offset // self.node_cells
        return None

    def step(self, node: int, lines: int) -> int:
        """The node so many lines further down (or up) that is nearest in x; the same node at the edge."""
        x, y = self.spots[node]
        y = min(max(0, y + lines), self.height - 1)
        candidates = [place.first + index for place in self.lines[y] for index in range(place.count)]
        return min(candidates, key=lambda other: abs(self.spots[other][0] - x), default=node)


def place(hall: Hall, width: int, height: int) -> Placing:
    """The roomiest placing that needs no scrolling; if none does, the densest that still names its racks."""
    if not hall.racks or width < 1:
        return Placing()
    for node_cells, names in ((3, "named"), (2, "named"), (1, "named"), (1, "")):
        found = _place(hall, width, node_cells, names)
        if found.height <= height:
            return found
    return _place(hall, width, 1, "named")


def _label(name: str) -> str:
    return name if len(name) <= _LABEL_CELLS else "…" + name[1 - _LABEL_CELLS :]


def _place(hall: Hall, width: int, node_cells: int, names: str) -> Placing:
    label_cells = max(len(_label(rack.name)) for rack in hall.racks) + 1 if names else 0
    room = max(1, (width - label_cells) // node_cells)
    per_line = min(max(len(rack.nodes) for rack in hall.racks), room)
    block = label_cells + per_line * node_cells
    columns = max(1, (width + _GAP) // (block + _GAP)) if per_line < room else 1
    pitch = min(block + _WIDEST_GAP, max(block + _GAP, (width + _GAP) // columns))
    lines: list[tuple[Place, ...]] = []
    for start in range(0, len(hall.racks), columns):
        racks = list(enumerate(hall.racks))[start : start + columns]
        lines += _band(racks, per_line, pitch, names)
    spots = [(0, 0)] * len(hall.nodes)
    for y, line in enumerate(lines):
        for item in line:
            for index in range(item.count):
                spots[item.first + index] = (item.x + label_cells + index * node_cells, y)
    return Placing(lines=tuple(lines), label_cells=label_cells, node_cells=node_cells, spots=tuple(spots))


def _band(racks: list[tuple[int, Rack]], per_line: int, pitch: int, names: str) -> list[tuple[Place, ...]]:
    """The lines of the racks, with their numbers, that stand beside each other."""
    depth = max(-(-len(rack.nodes) // per_line) for _, rack in racks)
    return [
        tuple(
            Place(
                rack=number,
                x=column * pitch,
                label=_label(rack.name) if names and not line else "",
                first=rack.first + line * per_line,
                count=min(per_line, len(rack.nodes) - line * per_line),
            )
            for column, (number, rack) in enumerate(racks)
            if line * per_line < len(rack.nodes)
        )
        for line in range(depth)
    ]
