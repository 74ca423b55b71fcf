"""The cockpit's placeholder: it says what to use until the cockpit itself is built."""

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.widgets import Footer, Static

TEXT = (
    "The cockpit is not built yet.\n\n"
    "Watch a rollout with   fleet status, fleet events --follow\n"
    "Ask for reasons with   fleet why ROLLOUT [NODE]\n"
    "Stop it with           fleet pause, fleet abort\n"
)


class Cockpit(App[None]):
    """One screen, one key."""

    TITLE = "Fleetwave"
    BINDINGS: ClassVar = [("q", "quit", "Quit")]

    def compose(self) -> ComposeResult:
        """A text and the keys."""
        yield Static(TEXT)
        yield Footer()
