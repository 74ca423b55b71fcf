"""The host's power: a state machine with lags (field guide 2.1). The BMC's belief is the truth here."""

from collections.abc import Callable
from enum import StrEnum

from fleet.sim.agenda import Agenda, Due
from fleet.sim.boxmodel import Cause, HostModel
from fleet.sim.ledger import Ledger


class Power(StrEnum):
    """ComputerSystem.PowerState."""

    ON = "On"
    OFF = "Off"
    POWERING_ON = "PoweringOn"
    POWERING_OFF = "PoweringOff"


_OFF_PAUSE_S = 10.0
"""How long a PowerCycle leaves the host off."""


class Host:
    """One host's power."""

    def __init__(
        self,
        model: HostModel,
        agenda: Agenda,
        ledger: Ledger,
        *,
        post_s: float,
        on_loss: Callable[[float], None],
        on_boot: Callable[[float, frozenset[Cause]], None],
    ) -> None:
        """`on_loss(now)`: main power goes or the host is reset; `on_boot(now, causes)`: it starts again."""
        self._model = model
        self._agenda = agenda
        self._ledger = ledger
        self._on_loss = on_loss
        self._on_boot = on_boot
        self._next: Due | None = None
        self.on_start: Callable[[float], None] = lambda _: None
        """Called when its power comes on: supplies and fans draw their inrush."""
        self.on_change: Callable[[float], None] = lambda _: None
        """Called when it went off, was reset, came on, or ended its POST."""
        self.post_s = post_s
        self.power = Power.ON
        self.post_until = 0.0
        self.last_reset = 0.0

    def reset(self, kind: str, now: float) -> None:
        """Do what ResetType `kind` means, starting now; unknown kinds were refused before."""
        if kind in {"On", "ForceOn"}:
            if self.power in {Power.OFF, Power.POWERING_OFF}:
                self._later(self._model.on_lag_s, now, self._on, Power.POWERING_ON)
        elif kind in {"ForceOff", "GracefulShutdown", "PushPowerButton"}:
            if self.power is Power.ON or self.power is Power.POWERING_ON:
                lag = self._model.off_lag_s if kind == "ForceOff" else self._model.graceful_s
                self._later(lag, now, self._off, Power.POWERING_OFF)
            elif self.power is Power.OFF and kind == "PushPowerButton":
                self._later(self._model.on_lag_s, now, self._on, Power.POWERING_ON)
        elif kind in {"PowerCycle", "FullPowerCycle"}:
            self._later(self._model.off_lag_s, now, self._cycle_off, Power.POWERING_OFF)
        elif kind in {"ForceRestart", "GracefulRestart"} and self.power is Power.ON:
            lag = 1.0 if kind == "ForceRestart" else self._model.graceful_s
            self._later(lag, now, self._warm, Power.ON)
        elif kind == "ForceRestart" and self.power is Power.OFF:  # "shut down ... and restart": DSP2046, ResetType
            self._later(self._model.on_lag_s, now, self._on, Power.POWERING_ON)

    def lose(self, now: float) -> bool:
        """Main power is gone at once; returns whether the host was on or coming on."""
        was_on = self.power in {Power.ON, Power.POWERING_ON}
        if self._next is not None:
            self._next.cancel()
        if self.power is not Power.OFF:
            self._off(now)
        return was_on

    def posting(self, now: float) -> bool:
        """Whether the host is in POST."""
        return self.power is Power.ON and now < self.post_until

    def _later(self, lag_s: float, now: float, action: Callable[[float], None], meanwhile: Power) -> None:
        if self._next is not None:
            self._next.cancel()
        self.power = meanwhile
        self._next = self._agenda.add(now + lag_s, action, wakes=True)  # it may start an installer that nobody asks for

    def _off(self, now: float) -> None:
        if now < self.post_until:
            self._ledger.interrupted_posts += 1
        self.post_until = 0.0
        self.power = Power.OFF
        self._on_loss(now)
        self.on_change(now)

    def _cycle_off(self, now: float) -> None:
        self._off(now)
        self._next = self._agenda.add(now + _OFF_PAUSE_S, lambda at: self.reset("On", at), wakes=True)

    def _on(self, now: float) -> None:
        self.power = Power.ON
        self.on_start(now)
        self._boot(now, frozenset({Cause.WARM, Cause.DC}))

    def _warm(self, now: float) -> None:
        if now < self.post_until:
            self._ledger.interrupted_posts += 1
        self._on_loss(now)
        self._boot(now, frozenset({Cause.WARM}))

    def _boot(self, now: float, causes: frozenset[Cause]) -> None:
        self.last_reset = now
        self.post_until = now + self.post_s
        self._on_boot(now, causes)
        self.on_change(now)
        self._agenda.add(self.post_until, self.on_change)
