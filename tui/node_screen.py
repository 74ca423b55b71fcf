"""One node, whole: its steps, versions, what happened to it, and what can be done next. Follows the rollout."""

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from tui import node_text
from tui.feed import Feed
from tui.snapshot import NodeView, Snapshot


class NodeScreen(Screen[None]):
    """See the module."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,enter", "leave", "back", key_display="esc"),
        Binding("left_square_bracket,left", "beside(-1)", "previous", key_display="←"),
        Binding("right_square_bracket,right", "beside(1)", "next node", key_display="→"),
        Binding("tab", "app.focus_next", "panel"),
        Binding("q", "app.quit", "quit"),
    ]

    def __init__(self, node: str, feed: Feed) -> None:
        super().__init__()
        self._node = node
        self._feed = feed
        self._seen: Snapshot | None = None
        self._shown: tuple[str, NodeView] | None = None

    def compose(self) -> ComposeResult:
        """Summary above, steps and versions beside the trail."""
        yield Static("", id="node-title", markup=False)
        with VerticalScroll(id="node-summary", can_focus=False):
            yield Static("", id="node-why", markup=False)
        with Container(id="node-body"):
            with Container(id="node-left"):
                steps = Static("", id="node-steps", markup=False)
                steps.border_title = "steps"
                yield steps
                table: DataTable[Text] = DataTable(id="node-versions", cursor_type="none", zebra_stripes=False)
                table.border_title = "versions"
                yield table
            with VerticalScroll(id="node-trail") as trail:
                trail.border_title = "what happened"
                yield Static("", id="node-trail-text", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """The long part scrolls first."""
        table = self.query_one(DataTable)
        table.add_columns("component", "before", "after")
        self.query_one("#node-trail").focus()

    def show(self, seen: Snapshot) -> None:
        """Ask for the node again, if it may have changed."""
        self._seen = seen
        self._ask_again()

    @work(exclusive=True)
    async def _ask_again(self) -> None:
        view = await self._feed.node(self._node)
        if view is not None and (self._node, view) != self._shown:
            self._shown = (self._node, view)
            self._draw(view)

    def _draw(self, view: NodeView) -> None:
        self.query_one("#node-title", Static).update(node_text.title(view))
        self.query_one("#node-why", Static).update(node_text.summary(view))
        self.query_one("#node-steps", Static).update(node_text.steps(view))
        table: DataTable[Text] = self.query_one(DataTable)
        table.clear()
        for row in node_text.version_rows(view):
            table.add_row(*row)
        trail = self.query_one("#node-trail", VerticalScroll)
        at_end = trail.is_vertical_scroll_end
        self.query_one("#node-trail-text", Static).update(node_text.trail(view))
        if at_end:
            trail.scroll_end(animate=False)

    def action_beside(self, direction: int) -> None:
        """The neighbour in the rack, and beyond."""
        nodes = self._seen.hall.nodes if self._seen is not None else ()
        if self._node in nodes and self._seen is not None:
            self._node = nodes[(nodes.index(self._node) + direction) % len(nodes)]
            self.show(self._seen)

    def action_leave(self) -> None:
        """Back to the hall."""
        self.dismiss(None)
