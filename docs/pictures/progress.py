"""Draws docs/pictures/progress.svg from a journal: the live display as it was when half of the nodes had ended.

python docs/pictures/progress.py .fleet/demo/journal.db docs/pictures/progress.svg
"""

import io
import sys
from collections import deque
from pathlib import Path

from rich.console import Console

from fleet import events as ev
from fleet.cli.screen import look, paint
from fleet.journal.reading import look as open_journal
from fleet.state import TERMINAL, RolloutState, fold
from fleet.tally import Tally
from fleet.words import NOTABLE, tell

SPEED = 600.0
RECENT = 6


def main(journal: Path, picture: Path) -> None:
    """Replay up to the middle, paint once, save."""
    view = open_journal(journal)
    row = next(row for row in view.rollouts() if row.ended == "completed")
    state = RolloutState(rollout=row.id)
    tally = Tally(state)
    recent: deque[tuple[float, str]] = deque(maxlen=RECENT)
    now = 0.0
    for recorded in view.read(row.id):
        fold(state, recorded)
        tally.follow(recorded)
        event, now = recorded.event, recorded.at
        if isinstance(event, NOTABLE):
            about = f"{event.node} " if isinstance(event, ev.NodeEvent) else ""
            recent.append((recorded.at, about + tell(event)))
        if state.nodes and sum(node.status in TERMINAL for node in state.nodes.values()) * 2 > len(state.nodes):
            break
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    console.print(paint(state, tally, recent, look(now, SPEED, "utf-8")))
    picture.write_text(console.export_svg(title="fleet demo"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
