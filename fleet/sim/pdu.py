"""One PDU: outlets, and the OIDs by which two makers show and switch them (field guide 2.5)."""

import bisect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.sim.agenda import Agenda
from fleet.sim.draw import Meter
from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.layout import PduSpec

Oid = tuple[int, ...]
_CYCLE_S = 10.0
"""How long a cycle command leaves an outlet off (the makers' default is 5 to 10 s)."""
_SYS_DESCR: Oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
_SYS_NAME: Oid = (1, 3, 6, 1, 2, 1, 1, 5, 0)


class OutletState(StrEnum):
    """Whether an outlet has power."""

    ON = "on"
    OFF = "off"


class Command(StrEnum):
    """What a SET wants."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mib:
    """Where a maker keeps outlets, and its numbers."""

    description: str
    state: Oid
    state_numbers: dict[OutletState, int]
    commands: tuple[Oid, ...]
    """Columns that take a command; reading one shows the state in command numbers."""
    command_numbers: dict[Command, int]
    power: Oid
    power_suffix: Oid = ()
    inlet: Oid
    """Active power of the whole PDU."""
    inlet_unit_w: int = 1


_RARITAN = (1, 3, 6, 1, 4, 1, 13742, 6)
_APC = (1, 3, 6, 1, 4, 1, 318, 1, 1)
MIBS = {
    # PDU2-MIB: switchingOperation, outletSwitchingState, measurementsOutletSensorValue and measurementsInletSensorValue(activePower 5)
    "raritan-px": Mib(
        description="PX3-5466V",
        state=(*_RARITAN, 4, 1, 2, 1, 3, 1),
        state_numbers={OutletState.ON: 7, OutletState.OFF: 8},
        commands=((*_RARITAN, 4, 1, 2, 1, 2, 1),),
        command_numbers={Command.OFF: 0, Command.ON: 1, Command.CYCLE: 2},
        power=(*_RARITAN, 5, 4, 3, 1, 4, 1),
        power_suffix=(5,),
        inlet=(*_RARITAN, 5, 2, 3, 1, 4, 1, 1, 5),
    ),
    # PowerNet-MIB: rPDU2OutletSwitchedStatusState, ...ControlCommand, rPDU2OutletMeteredStatusPower; rPDU2DeviceStatusPower is in
    # hundredths of kW
    "apc-rpdu2": Mib(
        description="APC Web/SNMP Management Card AP8959",
        state=(*_APC, 26, 9, 2, 3, 1, 5),
        state_numbers={OutletState.ON: 1, OutletState.OFF: 2},
        commands=((*_APC, 26, 9, 2, 4, 1, 5), (*_APC, 12, 3, 3, 1, 1, 4)),
        command_numbers={Command.ON: 1, Command.OFF: 2, Command.CYCLE: 3},
        power=(*_APC, 26, 9, 4, 3, 1, 7),
        inlet=(*_APC, 26, 4, 3, 1, 5, 1),
        inlet_unit_w=10,
    ),
}


@dataclass(slots=True, kw_only=True)
class Outlet:
    """One outlet."""

    number: int
    node: str
    state: OutletState = OutletState.ON
    switched: list[dict[str, Any]] = field(default_factory=list)


class Pdu:
    """One PDU, as a function of request, state and clock."""

    def __init__(
        self,
        spec: PduSpec,
        faults: NodeFaults,
        *,
        watts: Callable[[str, float], float],
        on_switch: Callable[["Pdu", Outlet, float], None],
    ) -> None:
        """`watts(node, now)`: what one live outlet of this node delivers; `on_switch(pdu, outlet, now)`: one changed."""
        self.spec = spec
        self.faults = faults
        self.agenda = Agenda()
        self.requests = 0
        self.dark = False
        """The breaker above it tripped: its controller has no power either."""
        self._meters: defaultdict[Oid, Meter] = defaultdict(lambda: Meter(faults))
        self.outlets = {number: Outlet(number=number, node=node) for number, node in sorted(spec.outlets.items())}
        self._mib = MIBS[spec.model]
        self._watts = watts
        self._on_switch = on_switch
        self._oids = sorted(self._table())

    def get(self, oid: Oid, now: float) -> int | str | None:
        """The value at `oid`; None: there is none."""
        self.agenda.advance(now)
        if oid in (_SYS_DESCR, _SYS_NAME):
            return self._mib.description if oid == _SYS_DESCR else self.spec.name
        if oid == self._mib.inlet:
            drawn = sum(self._delivers(each, now) for each in self.outlets.values())
            return self._metered(oid, drawn, self._mib.inlet_unit_w)
        found = self._find(oid)
        if found is None:
            return None
        column, outlet = found
        if column == self._mib.power:
            return self._metered(oid, self._delivers(outlet, now), 1)
        if column == self._mib.state:
            return self._mib.state_numbers[outlet.state]
        return self._mib.command_numbers[Command(outlet.state)]

    def _metered(self, oid: Oid, watts: float, unit_w: int) -> int | None:
        shown = self._meters[oid].shown(watts)
        return None if shown is None else round(shown / unit_w)

    def _delivers(self, outlet: Outlet, now: float) -> float:
        return self._watts(outlet.node, now) if outlet.state is OutletState.ON else 0.0

    def following(self, oid: Oid) -> Oid | None:
        """The first OID after `oid`."""
        at = bisect.bisect_right(self._oids, oid)
        return self._oids[at] if at < len(self._oids) else None

    def put(self, oid: Oid, value: int, now: float) -> str:
        """SET; empty, or the SNMP error: noSuchName's successors notWritable and wrongValue (RFC 3416)."""
        self.agenda.advance(now)
        found = self._find(oid)
        if found is None or found[0] not in self._mib.commands:
            return "notWritable"
        command = next((command for command, number in self._mib.command_numbers.items() if number == value), None)
        if command is None:
            return "wrongValue"
        outlet = found[1]
        stuck = self.faults.peek(Effect.OUTLET_STUCK)
        if stuck is not None and str(stuck.parameters.get("outlet", outlet.number)) == str(outlet.number):
            self.faults.take(Effect.OUTLET_STUCK)
            return ""
        if command is Command.CYCLE:
            self._switch(outlet, OutletState.OFF, now)
            self.agenda.add(now + _CYCLE_S, lambda at: self._switch(outlet, OutletState.ON, at), wakes=True)
        else:
            self._switch(outlet, OutletState(command), now)
        return ""

    def truth(self) -> dict[str, Any]:
        """The ground truth, as plain data."""
        outlets = {
            str(each.number): {"node": each.node, "state": each.state, "switched": each.switched}
            for each in self.outlets.values()
        }
        return {"outlets": outlets, "requests": self.requests, "faults": [rule.name for rule in self.faults.rules]}

    def _switch(self, outlet: Outlet, state: OutletState, now: float) -> None:
        if outlet.state is state:
            return
        outlet.state = state
        outlet.switched.append({"at": round(now, 3), "to": state})
        self._on_switch(self, outlet, now)

    def _table(self) -> list[Oid]:
        columns = (self._mib.state, *self._mib.commands)
        rows = [(*column, number) for column in columns for number in self.outlets]
        power = [(*self._mib.power, number, *self._mib.power_suffix) for number in self.outlets]
        return [_SYS_DESCR, _SYS_NAME, *rows, *power, self._mib.inlet]

    def _find(self, oid: Oid) -> tuple[Oid, Outlet] | None:
        for column, suffix in (
            (self._mib.state, ()),
            *((command, ()) for command in self._mib.commands),
            (self._mib.power, self._mib.power_suffix),
        ):
            length = len(column)
            if oid[:length] == column and len(oid) == length + 1 + len(suffix) and oid[length + 1 :] == suffix:
                outlet = self.outlets.get(oid[length])
                return None if outlet is None else (column, outlet)
        return None
