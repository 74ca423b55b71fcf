"""The first screen: the hall, the waves, what bounds the rollout, and what happened last."""

from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Footer

from fleet.errors import FleetError
from fleet.journal import Verb
from fleet.words import tell
from tui import paint
from tui.confirm_screen import ConfirmScreen
from tui.control import Ask, Proposal, answered, offers, propose
from tui.desk import Desk
from tui.feed import Feed, ReplayFeed
from tui.find_screen import FindScreen
from tui.hall_map import HallMap
from tui.help_screen import HelpScreen
from tui.log_screen import LogScreen
from tui.node_screen import NodeScreen
from tui.panels import Panel
from tui.snapshot import Mode, Snapshot
from tui.timeline import Timeline

_SEEK = Binding.Group("seek", compact=True)
_EVENT = Binding.Group("event", compact=True)
_PATIENCE_SNAPSHOTS = 40
"""Snapshots after a request without its answer before a person is told; the engine looks five times a second."""


class OverviewScreen(Screen[None]):
    """See the module."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "log"),
        Binding("slash", "find", "find", key_display="/"),
        Binding("space", "timeline('toggle')", "play"),
        Binding("comma", "jump(-1)", "back", key_display=",", group=_SEEK),
        Binding("full_stop", "jump(1)", "on", key_display=".", group=_SEEK),
        Binding("less_than_sign", "beside(-1)", "event before", key_display="<", group=_EVENT),
        Binding("greater_than_sign", "beside(1)", "event after", key_display=">", group=_EVENT),
        Binding("minus", "timeline('slower')", "slower", show=False),
        Binding("plus,equals_sign", "timeline('faster')", "faster", show=False),
        Binding("home", "jump(-100)", show=False),
        Binding("end", "jump(100)", show=False),
        Binding("p", "ask('pause')", "pause"),
        Binding("r", "ask('resume')", "resume"),
        Binding("a", "ask('approve')", "approve"),
        Binding("A", "ask('abort')", "abort"),
        Binding("b", "ask('rollback')", "roll back"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "app.quit", "quit"),
    ]

    def __init__(self, feed: Feed, desk: Desk) -> None:
        super().__init__()
        self._feed = feed
        self._desk = desk
        self._seen: Snapshot | None = None
        self._asked: tuple[Verb, int, int] | None = None
        """A request without its answer: what, events at that time, snapshots since."""

    def compose(self) -> ComposeResult:
        """Panels, from the top."""
        yield Panel(paint.head, id="head")
        with Container(id="body"):
            with Container(id="main"):
                yield HallMap(id="map")
                yield Panel(paint.legend, id="legend")
                yield Panel(paint.recent, id="recent", title="events")
            with Container(id="side"):
                yield Panel(paint.waves, id="waves", title="waves")
                with Container(id="numbers"):
                    yield Panel(paint.limits, id="limits", title="limits")
                    yield Panel(paint.census, id="census", title="nodes")
                    yield Panel(paint.doing, id="doing", title="steps in progress", most=8)
                    yield Panel(paint.trouble, id="trouble", title="not there, and why")
        yield Panel(paint.time_line, id="time")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """The map has the keys."""
        self.query_one(HallMap).focus()
        self.query_one("#time").display = self._feed.mode is Mode.REPLAY

    def show(self, seen: Snapshot) -> None:
        """Draw a snapshot."""
        old, self._seen = self._seen, seen
        self.query_one(HallMap).show(seen)
        for panel in self.query(Panel):
            panel.show(seen)
        if old is None or offers(old) != offers(seen):
            self.refresh_bindings()
        self._hear(seen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only keys that make sense now are shown, and work."""
        if action in {"timeline", "jump", "beside"}:
            return self._feed.mode is Mode.REPLAY
        if action == "ask":
            return self._seen is not None and parameters[0] in offers(self._seen)
        return True

    def action_timeline(self, move: str) -> None:
        """Play, hold, faster, slower."""
        moves: dict[str, Callable[[Timeline], None]] = {
            "toggle": Timeline.toggle,
            "faster": Timeline.faster,
            "slower": Timeline.slower,
        }
        if isinstance(self._feed, ReplayFeed) and self._feed.timeline is not None:
            moves[move](self._feed.timeline)

    def action_jump(self, parts: int) -> None:
        """Fiftieths of the whole, forward or back."""
        if isinstance(self._feed, ReplayFeed) and self._feed.timeline is not None:
            self._feed.timeline.jump(parts)

    def action_beside(self, direction: int) -> None:
        """To the next or the previous notable event."""
        if isinstance(self._feed, ReplayFeed):
            self._feed.beside(direction)

    def action_log(self) -> None:
        """All events."""
        self.app.push_screen(LogScreen(), lambda _: None)
        self._again()

    def action_help(self) -> None:
        """Keys and marks."""
        self.app.push_screen(HelpScreen(self._feed.mode))

    def action_find(self) -> None:
        """Go to a node by its name."""
        if self._seen is not None:
            self.app.push_screen(FindScreen(self._seen.hall.nodes), self._found)

    def _found(self, node: str | None) -> None:
        position = self._seen.hall.position(node) if self._seen is not None and node else None
        if position is not None:
            self.query_one(HallMap).choose(position)

    def on_hall_map_opened(self, message: HallMap.Opened) -> None:
        """One node, whole."""
        self.app.push_screen(NodeScreen(message.node, self._feed))
        self._again()

    def _again(self) -> None:
        """A screen that was just pushed draws what is known, without waiting for the next event."""
        if self._seen is not None:
            self.app.call_next(self._push, self._seen)

    def _push(self, seen: Snapshot) -> None:
        if isinstance(self.app.screen, NodeScreen | LogScreen):
            self.app.screen.show(seen)

    def action_ask(self, ask: str) -> None:
        """Say what will happen, and do it if the person agrees."""
        self._propose(Ask(ask))

    @work(exclusive=True, group="ask")
    async def _propose(self, ask: Ask) -> None:
        proposal = propose(ask, await self._feed.brief(), self._desk.journal)
        if await self.app.push_screen_wait(ConfirmScreen(proposal)) is not None:
            await self._request(proposal)

    async def _request(self, proposal: Proposal) -> None:
        if proposal.verb is None or self._seen is None:
            return
        after = self._seen.upto
        try:
            await self._desk.ask(proposal.verb)
        except FleetError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._asked = (proposal.verb, after, 0)
        self.notify(f"asked to {proposal.verb}", markup=False)

    def _hear(self, seen: Snapshot) -> None:
        """Tell of the answer to a request, or that there is none."""
        if self._asked is None:
            return
        verb, after, waited = self._asked
        answer = answered(verb, seen, after)
        self._asked = (verb, after, waited + 1)
        if answer is not None:
            self._asked = None
            self.notify(tell(answer), markup=False)
        elif waited == _PATIENCE_SNAPSHOTS:
            self.notify(
                f"no answer yet to the request to {verb}; {seen.owner} may be gone", severity="warning", markup=False
            )
