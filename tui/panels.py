"""A panel: text that is made of a snapshot and of the room there is, repainted only if it differs."""

from collections.abc import Callable

from rich.text import Text
from textual.events import Resize
from textual.widgets import Static

from tui.snapshot import Snapshot

Painter = Callable[[Snapshot, int, int], Text]
"""(snapshot, width, height) -> text."""


class Panel(Static):
    """One of tui.paint's functions on the screen."""

    def __init__(self, painter: Painter, *, id: str, title: str = "", most: int = 12) -> None:  # noqa: A002 (Textual's own name)
        """`most`: lines that a panel may take whose height follows its text."""
        super().__init__("", id=id, markup=False)
        self._painter = painter
        self._most = most
        self._seen: Snapshot | None = None
        self._shown = Text()
        self.border_title = title

    def show(self, seen: Snapshot) -> None:
        """Take in a snapshot."""
        self._seen = seen
        self._paint()

    def on_resize(self, event: Resize) -> None:
        """The room changed."""
        del event
        self._paint()

    def _paint(self) -> None:
        if self._seen is None or not self.display:
            return
        height = self._most if self.styles.is_auto_height else self.content_size.height
        text = self._painter(self._seen, self.content_size.width, height)
        if text != self._shown or text.spans != self._shown.spans:
            self._shown = text
            self.update(text, layout=self.styles.is_auto_height)
