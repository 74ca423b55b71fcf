"""Keys and marks on one page."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import paint
from tui.palette import GREY, MARKS, SKY
from tui.snapshot import Mode

_LOOK = (
    ("← ↑ ↓ →", "choose a node"),
    ("enter", "all about it"),
    ("n  N", "next, previous node in trouble"),
    ("/", "find a node by name"),
    ("l", "log; f changes what it shows"),
    ("esc", "back"),
    ("q", "quit: the rollout goes on"),
)
_LIVE = (
    ("p", "pause"),
    ("r", "resume"),
    ("a", "approve the wave that waits"),
    ("A", "abort"),
    ("b", "roll back, once it has ended"),
)
_REPLAY = (
    ("space", "play, hold"),
    (", .", "back, forward by 2 %"),
    ("< >", "previous, next notable event"),
    ("- +", "slower, faster"),
    ("home end", "to the beginning, the end"),
)


class HelpScreen(ModalScreen[None]):
    """See the module."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "leave", "back")]

    def __init__(self, mode: Mode) -> None:
        super().__init__()
        self._mode = mode

    def compose(self) -> ComposeResult:
        """Two columns."""
        own = ("time line", _REPLAY) if self._mode is Mode.REPLAY else ("control, each asks first", _LIVE)
        with VerticalScroll(id="help", can_focus=False) as box:
            box.border_title = "keys and marks"
            box.border_subtitle = "esc"
            with Horizontal():
                yield Static(Text("\n").join([*_keys("look", _LOOK), Text(""), *_keys(*own)]), id="keys")
                yield Static(Text("\n").join([Text("marks", "bold"), *_marks()]), id="marks")

    def action_leave(self) -> None:
        """Back."""
        self.dismiss(None)


def _keys(title: str, keys: tuple[tuple[str, str], ...]) -> list[Text]:
    return [
        Text(title, "bold"),
        *(Text("  ").append(f"{key:<9}", SKY).append(f" {meaning}") for key, meaning in keys),
    ]


def _marks() -> list[Text]:
    nodes = [Text("  ").append(mark.glyph, mark.style).append(f"  {mark.word}") for mark in MARKS.values()]
    bars = (
        (paint.DONE, "ended, confirmed"),
        (paint.OUT, "in flight"),
        (paint.FAILED, "failed"),
        (paint.EMPTY, "not yet"),
    )
    return [
        *nodes,
        Text(""),
        Text("bars", "bold"),
        *(Text("  ").append(glyph, GREY).append(f"  {word}") for glyph, word in bars),
    ]
