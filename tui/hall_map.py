"""The map: one widget that draws every rack and node as strips, and repaints only lines on which a node changed.

Why so: 5,000 nodes painted by one widget took 8.7 % of a core, 1,000 in a DataTable 47 % (measurements.md); tests/bench/tui_bench.py
measures the whole cockpit.
"""

from collections.abc import Iterator
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fleet.state import NodeStatus
from tui import paint
from tui.palette import FAINT, GREY, INK, MARKS
from tui.placing import Place, Placing, place
from tui.snapshot import Snapshot

NEEDS_EYES = frozenset(
    {NodeStatus.QUARANTINED, NodeStatus.UNCERTAIN, NodeStatus.ROLLING_BACK, NodeStatus.ROLLED_BACK, NodeStatus.REFUSED}
)
"""Where the key for the next node in trouble goes."""
_LABEL = Style(color=GREY)
_HERE = Style(color="#D5DAE0", bold=True)
_GAP = Style(color=FAINT)
_CURSOR = Style(color=INK, bgcolor="#FFFFFF", bold=True)
_CURSOR_AWAY = Style(underline=True, bold=True)


class HallMap(ScrollView, can_focus=True):
    """Racks and nodes by state, with a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "node", key_display="⏎"),
        Binding("left", "go(-1)", show=False),
        Binding("right", "go(1)", show=False),
        Binding("up", "climb(-1)", show=False),
        Binding("down", "climb(1)", show=False),
        Binding("pageup", "climb(-10)", show=False),
        Binding("pagedown", "climb(10)", show=False),
        Binding("n", "next_in_trouble(1)", "trouble"),
        Binding("N", "next_in_trouble(-1)", show=False),
    ]

    class Opened(Message):
        """A person wants to see this node."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 (Textual's own name)
        super().__init__(id=id)
        self._seen: Snapshot | None = None
        self._placing = Placing()
        self.cursor = 0
        """Number of the chosen node in the hall."""

    @property
    def chosen(self) -> str | None:
        """The node under the cursor."""
        nodes = self._seen.hall.nodes if self._seen else ()
        return nodes[self.cursor] if self.cursor < len(nodes) else None

    def show(self, seen: Snapshot) -> None:
        """Take in a snapshot: repaint the lines that changed."""
        old, self._seen = self._seen, seen
        if old is None or old.hall.nodes != seen.hall.nodes:
            self.cursor = 0
            self._lay()
        else:
            for y in self._changed(old, seen):
                self._dirty(y)
        self._caption()

    def _changed(self, old: Snapshot, seen: Snapshot) -> set[int]:
        spots = self._placing.spots
        pairs = enumerate(zip(old.statuses, seen.statuses, strict=True))
        return {spots[number][1] for number, (before, after) in pairs if before is not after}

    def on_resize(self, event: Resize) -> None:
        """Place everything anew."""
        del event
        self._lay()

    def _lay(self) -> None:
        if self._seen is None:
            return
        room = self.scrollable_content_region.size
        self._placing = place(self._seen.hall, room.width, room.height)
        self.virtual_size = Size(room.width, self._placing.height)
        self.refresh()
        self._follow()

    def _caption(self) -> None:
        if self._seen is not None:
            self.border_title = paint.hall_title(self._seen)
            self.border_subtitle = paint.node_words(self._seen, self.cursor) if self.chosen else ""

    def _dirty(self, y: int) -> None:
        on_screen = y - self.scroll_offset.y
        if 0 <= on_screen < self.size.height:
            self.refresh_line(y)

    def choose(self, number: int) -> None:
        """Put the cursor on this node, and bring it into sight."""
        if self._seen is None or not 0 <= number < len(self._seen.hall.nodes):
            return
        spots, old = self._placing.spots, self.cursor
        self.cursor = number
        if old < len(spots):
            self._dirty(spots[old][1])
        self._dirty(spots[number][1])
        self._follow()
        self._caption()

    def _follow(self) -> None:
        if self.cursor < len(self._placing.spots):
            x, y = self._placing.spots[self.cursor]
            self.scroll_to_region(Region(x, y, 1, 1), animate=False)

    def action_go(self, nodes: int) -> None:
        """So many nodes on."""
        self.choose(self.cursor + nodes)

    def action_climb(self, lines: int) -> None:
        """So many lines down."""
        if self._placing.spots:
            self.choose(self._placing.step(self.cursor, lines))

    def action_next_in_trouble(self, direction: int) -> None:
        """To the next node that failed or is not certain."""
        if self._seen is None:
            return
        statuses = self._seen.statuses
        for distance in range(1, len(statuses) + 1):
            number = (self.cursor + direction * distance) % len(statuses)
            if statuses[number] in NEEDS_EYES:
                self.choose(number)
                return
        self.notify("no node failed, and none is uncertain")

    def action_open(self) -> None:
        """Show the chosen node."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def on_click(self, event: Click) -> None:
        """A click chooses, a second one opens."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        number = self._placing.at(offset.x + self.scroll_offset.x, offset.y + self.scroll_offset.y)
        if number is None:
            return
        if number == self.cursor:
            self.action_open()
        self.choose(number)

    def render_line(self, y: int) -> Strip:
        """One line of the map."""
        y += self.scroll_offset.y
        if self._seen is None or y >= self._placing.height:
            return Strip.blank(self.size.width, self.rich_style)
        segments: list[Segment] = []
        x = 0
        for item in self._placing.lines[y]:
            segments += self._rack(item, x, self._seen)
            x = item.x + self._placing.label_cells + item.count * self._placing.node_cells
        return Strip(segments).extend_cell_length(self.size.width, self.rich_style).apply_style(self.rich_style)

    def _rack(self, item: Place, x: int, seen: Snapshot) -> Iterator[Segment]:
        here = item.first <= self.cursor < item.first + item.count
        if item.x > x:
            yield Segment(" " * (item.x - x), _GAP)
        yield Segment(item.label.ljust(self._placing.label_cells), _HERE if here else _LABEL)
        yield from self._cells(item, seen)

    def _cells(self, item: Place, seen: Snapshot) -> Iterator[Segment]:
        """Neighbours of one state become one segment."""
        pad = " " * (self._placing.node_cells - 1)
        run, count = None, 0
        for number in range(item.first, item.first + item.count):
            status = seen.statuses[number]
            if number == self.cursor or status is not run or pad:
                yield from _run(run, count)
                run, count = status, 0
            if number == self.cursor:
                style = MARKS[status].style + (_CURSOR if self.has_focus else _CURSOR_AWAY)
                yield Segment(MARKS[status].glyph, style)
            else:
                count += 1
            if pad:
                yield from _run(run, count)
                yield Segment(pad)
                count = 0
        yield from _run(run, count)


def _run(status: NodeStatus | None, count: int) -> Iterator[Segment]:
    if status is not None and count:
        mark = MARKS[status]
        yield Segment(mark.glyph * count, mark.style)
