"""The cockpit: wires a feed to its screens. It decides nothing; control goes through `tui.control` and `tui.desk`."""

import sqlite3

from textual import work
from textual.app import App

from fleet.clock import Clock
from fleet.errors import FleetError
from fleet.eventcodec import UnknownEvent
from fleet.state import IllegalTransition
from tui.desk import Desk
from tui.feed import Feed
from tui.overview_screen import OverviewScreen
from tui.palette import THEME
from tui.snapshot import Snapshot
from tui.watching import Watching


class Cockpit(App[Exception | None]):
    """Watches one rollout. Ends with None, or with the error because of which the journal could not be followed."""

    TITLE = "Fleetwave"
    CSS_PATH = "cockpit.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 (Textual declares it so; mypy forbids a ClassVar here)

    def __init__(self, feed: Feed, desk: Desk, wall: Clock, *, beat_s: float) -> None:
        """`wall` counts the operator's seconds; a snapshot is painted each `beat_s` of them at most."""
        super().__init__()
        self._feed = feed
        self._desk = desk
        self._wall = wall
        self._beat_s = beat_s

    def on_mount(self) -> None:
        """Begin to watch."""
        self.register_theme(THEME)
        self.theme = THEME.name
        self.push_screen(OverviewScreen(self._feed, self._desk))
        self._watch()

    async def on_unmount(self) -> None:
        """Let the journal go."""
        await self._feed.close()

    @work(name="watch")
    async def _watch(self) -> None:
        before = self._wall.now()
        while True:
            now = self._wall.now()
            try:
                seen = await self._feed.poll(now - before)
            except (FleetError, UnknownEvent, IllegalTransition, sqlite3.Error) as error:
                self.exit(error)
                return
            before = now
            if seen is not None:
                self.show(seen)
            await self._wall.sleep_wall(self._beat_s)

    def show(self, seen: Snapshot) -> None:
        """To every screen of the stack that draws: the hall under a dialog goes on too."""
        for screen in self.screen_stack:
            if isinstance(screen, Watching):
                screen.show(seen)
