"""Every event as a sentence; only the lines that are on the screen are ever made."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Footer

from tui import paint
from tui.history import Sieve
from tui.panels import Panel
from tui.snapshot import Snapshot

_NEXT = {Sieve.NOTABLE: Sieve.ACTIONS, Sieve.ACTIONS: Sieve.ALL, Sieve.ALL: Sieve.NOTABLE}


class EventLines(ScrollView, can_focus=True):
    """The events of a history that pass a sieve; stays at the end while it stands there."""

    def __init__(self) -> None:
        super().__init__(id="lines")
        self._seen: Snapshot | None = None
        self.sieve = Sieve.ACTIONS

    def show(self, seen: Snapshot) -> None:
        """Take in a snapshot."""
        at_end = self._seen is None or self.is_vertical_scroll_end
        self._seen = seen
        count = seen.history.count(self.sieve, seen.upto)
        grew = count != self.virtual_size.height
        self.virtual_size = Size(self.size.width, count)
        self.border_title = f"{self.sieve} events"
        self.border_subtitle = str(count)
        if grew:
            if at_end:
                self.scroll_end(animate=False, immediate=True)
            self.refresh()

    def sift(self) -> None:
        """Show more, or less."""
        self.sieve = _NEXT[self.sieve]
        seen, self._seen = self._seen, None
        if seen is not None:
            self.show(seen)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One event."""
        width = self.size.width
        number = y + self.scroll_offset.y
        seen = self._seen
        if seen is None or number >= seen.history.count(self.sieve, seen.upto):
            return Strip.blank(width, self.rich_style)
        (item,) = seen.history.slice(self.sieve, number, number + 1)
        text = paint.event_line(item, width)
        segments = [Segment(part.text, part.style or Style()) for part in text.render(self.app.console) if part.text]
        return Strip(segments).extend_cell_length(width).apply_style(self.rich_style)


class LogScreen(Screen[None]):
    """See the module."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,l,backspace", "leave", "back", key_display="esc"),
        Binding("f", "sift", "show more / less"),
        Binding("home", "edge('home')", "first"),
        Binding("end", "edge('end')", "newest"),
        Binding("q", "app.quit", "quit"),
    ]

    def compose(self) -> ComposeResult:
        """The rollout, and its events."""
        yield Panel(paint.head, id="head")
        yield EventLines()
        yield Footer(compact=True, show_command_palette=False)

    def show(self, seen: Snapshot) -> None:
        """Draw a snapshot."""
        self.query_one(Panel).show(seen)
        self.query_one(EventLines).show(seen)

    def action_sift(self) -> None:
        """The next sieve."""
        self.query_one(EventLines).sift()

    def action_edge(self, which: str) -> None:
        """To the first or the newest."""
        lines = self.query_one(EventLines)
        if which == "home":
            lines.scroll_home(animate=False)
        else:
            lines.scroll_end(animate=False)

    def action_leave(self) -> None:
        """Back to the hall."""
        self.dismiss(None)
