"""A dialog that says what will happen, in numbers, before anything is asked for."""

from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from tui.control import Ask, Proposal

_LABELS = {Ask.PAUSE: "Pause", Ask.RESUME: "Resume", Ask.APPROVE: "Approve", Ask.ABORT: "Abort", Ask.ROLLBACK: ""}


class ConfirmScreen(ModalScreen[Proposal | None]):
    """Answers the proposal if the person agrees, None if not. The safe button has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", "do it"),
        Binding("escape,n,q", "leave", "leave it"),
        Binding("left,right", "other", show=False),
    ]

    def __init__(self, proposal: Proposal) -> None:
        super().__init__()
        self._proposal = proposal

    def compose(self) -> ComposeResult:
        """Title, sentences, the command if there is one, buttons."""
        proposal = self._proposal
        with Vertical(id="dialog", classes="final" if proposal.ask is Ask.ABORT else ""):
            yield Static(Text(proposal.title, "bold"), id="title")
            with VerticalScroll(id="will", can_focus=False):
                for sentence in proposal.will:
                    yield Static(Text(f"• {sentence}"), classes="sentence")
            if proposal.command:
                yield Static("Nothing is done from here. Run this in a shell:", id="instead")
                yield Static(Text(proposal.command), id="command")
            with Horizontal(id="buttons"):
                if proposal.verb is not None:
                    yield Button(f"{_LABELS[proposal.ask]} (y)", id="agree", variant=self._variant(), compact=True)
                yield Button("Leave it (esc)" if proposal.verb else "Close (esc)", id="leave", compact=True)

    def _variant(self) -> Literal["primary", "error"]:
        return "error" if self._proposal.ask is Ask.ABORT else "primary"

    def on_mount(self) -> None:
        """Enter alone must not do anything."""
        self.query_one("#leave").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """By mouse or Enter."""
        self.dismiss(self._proposal if event.button.id == "agree" else None)

    def action_agree(self) -> None:
        """Yes."""
        if self._proposal.verb is not None:
            self.dismiss(self._proposal)

    def action_leave(self) -> None:
        """No."""
        self.dismiss(None)

    def action_other(self) -> None:
        """The other button."""
        self.focus_next()
