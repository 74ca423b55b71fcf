"""What a state looks like: a colour of Okabe and Ito, which colour-blind people tell apart, and a character of its own.

No state is told by colour alone: with NO_COLOR, on a monochrome terminal and on paper the map still reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.theme import Theme

from fleet.state import NodeStatus, RolloutStatus

SKY, GREEN, YELLOW, ORANGE, VERMILLION, PINK = "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#CC79A7"
"""Okabe and Ito, Color Universal Design (2008); bluish green is lightened below where it is text on black."""
MINT = "#2DBE93"
INK, GREY, FAINT, DARK = "#0E1116", "#8B949E", "#4D5660", "#10151C"
"""Shades of the background: text on a bright field, quiet text, empty cells, panels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a node of one state is drawn."""

    glyph: str
    """One character, one cell wide in every terminal: none has an emoji form."""
    style: Style
    word: str
    """What the legend says."""


def _mark(glyph: str, colour: str, word: str, *, field: str | None = None) -> Mark:
    return Mark(glyph=glyph, style=Style(color=colour, bgcolor=field, bold=field is not None), word=word)


MARKS: Mapping[NodeStatus, Mark] = {
    NodeStatus.PENDING: _mark("·", GREY, "pending"),
    NodeStatus.RUNNING: _mark("◆", SKY, "running"),
    NodeStatus.UNCERTAIN: _mark("?", INK, "uncertain", field=YELLOW),
    NodeStatus.PARKED: _mark("=", GREY, "parked"),
    NodeStatus.ROLLING_BACK: _mark("«", ORANGE, "rolling back"),
    NodeStatus.CONFIRMED: _mark("■", GREEN, "confirmed"),
    NodeStatus.ROLLED_BACK: _mark("<", ORANGE, "rolled back"),
    NodeStatus.QUARANTINED: _mark("X", INK, "quarantined", field=VERMILLION),
    NodeStatus.REFUSED: _mark("/", PINK, "refused"),
}
"""In the order of the legend: as a node goes, then as it fails."""

ROLLOUT_COLOURS: Mapping[RolloutStatus, str] = {
    RolloutStatus.SURVEYING: SKY,
    RolloutStatus.PLANNED: SKY,
    RolloutStatus.RUNNING: SKY,
    RolloutStatus.WAITING_APPROVAL: YELLOW,
    RolloutStatus.PAUSED: YELLOW,
    RolloutStatus.HALTED: VERMILLION,
    RolloutStatus.ABORTING: VERMILLION,
    RolloutStatus.ABORTED: VERMILLION,
    RolloutStatus.COMPLETED: MINT,
    RolloutStatus.DRY_RUN: GREY,
    RolloutStatus.REFUSED: PINK,
}

THEME = Theme(
    name="fleetwave",
    primary=SKY,
    secondary=GREEN,
    accent=SKY,
    warning=ORANGE,
    error=VERMILLION,
    success=GREEN,
    foreground="#D5DAE0",
    background=INK,
    surface=DARK,
    panel="#2B333D",
    dark=True,
    variables={"footer-key-foreground": SKY, "footer-background": DARK, "border-blurred": "#2B333D"},
)
