"""The time line of a replay: where it is, whether it plays, how fast. Pure; moved by wall seconds that somebody else counts."""

from dataclasses import dataclass
from enum import StrEnum

SPEEDS = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 3_600.0, 7_200.0, 36_000.0)
"""Field seconds per wall second."""
_WHOLE_S = 90.0
"""Unless somebody says otherwise a replay takes about that long on the wall."""
_JUMP = 0.02
"""A key moves by this part of the whole."""


class Motion(StrEnum):
    """Whether time runs."""

    PLAYING = "playing"
    HELD = "held"


@dataclass(slots=True, kw_only=True)
class Timeline:
    """From `start` to `end`, in field time."""

    start: float
    end: float
    at: float
    speed: float
    motion: Motion = Motion.PLAYING

    @classmethod
    def over(cls, start: float, end: float, speed: float | None = None) -> "Timeline":
        """From the beginning, playing; without a speed the whole takes one to two minutes."""
        wanted = (end - start) / _WHOLE_S
        return cls(start=start, end=end, at=start, speed=speed or min(SPEEDS, key=lambda each: abs(each - wanted)))

    def advance(self, wall_s: float) -> None:
        """Time passes; at the end it stops."""
        if self.motion is Motion.PLAYING:
            self.seek(self.at + wall_s * self.speed)
            if self.at >= self.end:
                self.motion = Motion.HELD

    def toggle(self) -> None:
        """Play or hold; playing at the end begins anew."""
        if self.motion is Motion.PLAYING:
            self.motion = Motion.HELD
        else:
            self.at = self.start if self.at >= self.end else self.at
            self.motion = Motion.PLAYING

    def seek(self, at: float) -> None:
        """To this time, or the nearest end."""
        self.at = min(max(self.start, at), self.end)

    def jump(self, parts: int) -> None:
        """So many fiftieths forward or back."""
        self.seek(self.at + parts * _JUMP * (self.end - self.start))

    def faster(self) -> None:
        """The next speed."""
        self.speed = min((each for each in SPEEDS if each > self.speed), default=self.speed)

    def slower(self) -> None:
        """The speed before."""
        self.speed = max((each for each in SPEEDS if each < self.speed), default=self.speed)

    @property
    def part(self) -> float:
        """How much of the whole has passed, 0 to 1."""
        return (self.at - self.start) / (self.end - self.start) if self.end > self.start else 1.0
