"""Type a name, go to the node."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

_SHOWN = 6


class FindScreen(ModalScreen[str | None]):
    """Answers the first node whose name holds what was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave it")]

    def __init__(self, nodes: tuple[str, ...]) -> None:
        super().__init__()
        self._names = nodes

    def compose(self) -> ComposeResult:
        """A field, and what it means so far."""
        with Vertical(id="finder"):
            yield Input(placeholder="node's name, or a part of it")
            yield Static("", id="matches", markup=False)

    def matches(self, text: str) -> list[str]:
        """Nodes with this text in their names; those that end with it first."""
        found = [node for node in self._names if text in node]
        return sorted(found, key=lambda node: not node.endswith(text))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what would be found."""
        found = self.matches(event.value) if event.value else []
        more = f"  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        said = "  ".join(found[:_SHOWN]) + more
        self.query_one("#matches", Static).update(said or ("no such node" if event.value else ""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go there."""
        found = self.matches(event.value) if event.value else []
        self.dismiss(found[0] if found else None)

    def action_leave(self) -> None:
        """Stay."""
        self.dismiss(None)
