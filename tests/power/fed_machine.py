"""A machine with two feeds, and the PDU outlets that feed it (fleet.edges.Outlet), by the model of tests/support."""

import math
from dataclasses import dataclass, field

from support.machine import AWAY_S, Machine, Process

from fleet.edges import OutletState
from fleet.errors import OutcomeUnknown, Transient
from fleet.ports import PowerState
from fleet.watts import PowerReading
from inventory.baseline import Activation

DRAINED_S = 30.0


@dataclass(slots=True, kw_only=True)
class FedMachine(Machine):
    """Loses AC when its last outlet goes off."""

    live: set[str] = field(default_factory=lambda: {"pdu-A/1", "pdu-B/1"})
    dark_since: float = 0.0
    switched: list[tuple[str, str]] = field(default_factory=list)
    """Ground truth: (outlet, state) of every change."""
    ac_cycles: int = 0
    """Ground truth: times that AC came back after DRAINED_S or more."""
    busy_when_cut: bool = False
    """Ground truth: the host was on when AC went."""

    def feed(self, outlet: str, state: OutletState) -> None:
        """One outlet changes."""
        if (outlet in self.live) is (state is OutletState.ON):
            return
        self.switched.append((outlet, state.value))
        was = bool(self.live)
        self.live ^= {outlet}
        if was and not self.live:
            self.did("ac-off")
            self.busy_when_cut = self.busy_when_cut or self.power is PowerState.ON
            self.power, self.dark_since, self.away_until = PowerState.OFF, self.clock.now(), math.inf
            self.sessions.clear()
            self.tasks.clear()
        elif self.live and not was:
            self.resets += 1
            self.away_until = self.clock.now() + AWAY_S
            if self.clock.now() - self.dark_since >= DRAINED_S:
                self.ac_cycles += 1
                self._activate(Activation.AC_CYCLE)


@dataclass(slots=True)
class ModelOutlet:
    """One outlet, on behalf of one process."""

    name: str
    machine: FedMachine
    process: Process
    elsewhere: bool = False
    """It feeds another machine."""

    async def _pass(self) -> None:
        self.process.must_live()
        await self.machine.clock.sleep(0.1)
        self.process.must_live()
        silent = (
            f"{self.name} silent once the host is off" in self.machine.faults and self.machine.power is PowerState.OFF
        )
        if silent or f"{self.name} unreachable" in self.machine.faults:
            raise Transient(f"{self.name}: no answer")

    async def state(self) -> OutletState:
        """See fleet.edges.Outlet.state."""
        await self._pass()
        return OutletState.ON if self.name in self.machine.live else OutletState.OFF

    async def reading(self) -> PowerReading | None:
        """2 kW with the host on, 60 W without; always 2 kW where it feeds another machine."""
        await self._pass()
        watts = 2000.0 if self.elsewhere or self.machine.power is PowerState.ON else 60.0
        return PowerReading(watts=watts, at=self.machine.clock.now())

    async def switch(self, wanted: OutletState) -> None:
        """See fleet.edges.Outlet.switch."""
        await self._pass()
        fault = f"{self.name} {wanted}"
        if self.machine.fault(f"{fault}:unsent"):
            raise OutcomeUnknown("switch", "no answer")
        if f"{fault}:stuck" in self.machine.faults or self.machine.fault(f"{fault}:stuck-once"):
            return
        self.machine.feed(self.name, wanted)
        if self.machine.fault(f"{fault}:lost"):
            raise OutcomeUnknown("switch", "no answer")
