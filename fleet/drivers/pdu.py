"""PDU outlets over SNMPv3 (fleet.edges.Outlet). Where makers keep them stands below as data; only ON and OFF are ever sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.clock import Clock
from fleet.drivers.snmp import Endpoint, Oid, Snmp
from fleet.edges import Outlet, OutletState
from fleet.errors import NodeFault, Reason
from fleet.limits import retrying
from inventory.model import FeedId, Node, NodeId, PduId

_READS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletMib:
    """Where a maker keeps the outlets of a PDU, and its numbers. The outlet's number follows each OID."""

    title: str
    state: Oid
    states: Mapping[int, OutletState]
    command: Oid
    commands: Mapping[OutletState, int]
    power_w: Oid
    power_suffix: Oid = ()
    """Follows the outlet's number."""


_RARITAN: Oid = (1, 3, 6, 1, 4, 1, 13742, 6)
_APC: Oid = (1, 3, 6, 1, 4, 1, 318, 1, 1, 26, 9, 2)

MIBS: Mapping[str, OutletMib] = {
    # PDU2-MIB (Raritan PX2, PX3, PX4; Legrand, Server Technology PRO4X): outletSwitchingState and switchingOperation of PDU 1, and
    # measurementsOutletSensorValue of sensor 5, activePower, in watts. The command is also MAAS's driver's (field guide 2.5).
    "raritan-px": OutletMib(
        title="Raritan PX",
        state=(*_RARITAN, 4, 1, 2, 1, 3, 1),
        states={7: OutletState.ON, 8: OutletState.OFF},
        command=(*_RARITAN, 4, 1, 2, 1, 2, 1),
        commands={OutletState.OFF: 0, OutletState.ON: 1},
        power_w=(*_RARITAN, 5, 4, 3, 1, 4, 1),
        power_suffix=(5,),
    ),
    # PowerNet-MIB (APC rPDU2, AP8xxx): rPDU2OutletSwitchedStatusState, rPDU2OutletSwitchedControlCommand (immediateOn, immediateOff)
    # and rPDU2OutletMeteredStatusPower, in watts. The older sPDUOutletCtl of field guide 2.5 commands the same outlets.
    "apc-rpdu2": OutletMib(
        title="APC Rack PDU 2G",
        state=(*_APC, 3, 1, 5),
        states={1: OutletState.ON, 2: OutletState.OFF},
        command=(*_APC, 4, 1, 5),
        commands={OutletState.ON: 1, OutletState.OFF: 2},
        power_w=(*_APC[:-1], 4, 3, 1, 7),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PduOutlets:
    """One PDU and what hangs on it."""

    id: PduId
    feed: FeedId
    mib: OutletMib
    at: Endpoint
    outlets: Mapping[int, NodeId]
    """Outlet number, from 1 -> the node that it feeds."""


@dataclass(frozen=True, slots=True)
class SnmpOutlet:
    """One outlet (fleet.edges.Outlet)."""

    pdu: PduOutlets
    number: int
    snmp: Snmp
    clock: Clock

    @property
    def name(self) -> str:
        """`pdu-r01-A/3`."""
        return f"{self.pdu.id}/{self.number}"

    async def state(self) -> OutletState:
        """Read now. NO_EDGE if the PDU has no such outlet."""
        mib = self.pdu.mib
        found = await self._read((*mib.state, self.number))
        if found is None:
            message = (
                f"{self.name}: the PDU shows no such outlet; check outlet and model ({mib.title}) in the inventory"
            )
            raise NodeFault(Reason.NO_EDGE, message)
        return mib.states.get(found, OutletState.UNKNOWN) if isinstance(found, int) else OutletState.UNKNOWN

    async def power_w(self) -> float | None:
        """Watts drawn; None where the PDU does not measure outlets."""
        mib = self.pdu.mib
        found = await self._read((*mib.power_w, self.number, *mib.power_suffix))
        return float(found) if isinstance(found, int) else None

    async def switch(self, wanted: OutletState) -> None:
        """Send ON or OFF, once. `OutcomeUnknown` if no answer came."""
        mib = self.pdu.mib
        if wanted not in mib.commands:
            raise ValueError(f"an outlet cannot be switched {wanted}")
        await self.snmp.put(self.pdu.at, (*mib.command, self.number), mib.commands[wanted])

    async def _read(self, oid: Oid) -> int | str | None:
        return await retrying(lambda: self.snmp.get(self.pdu.at, oid), clock=self.clock, attempts=_READS)


class OutletMap:
    """Which outlets feed which node, over all PDUs of the hall."""

    def __init__(self, pdus: Iterable[PduOutlets], *, clock: Clock) -> None:
        self._snmp = Snmp(clock)
        self._of: dict[NodeId, list[SnmpOutlet]] = {}
        for pdu in pdus:
            for number, node in sorted(pdu.outlets.items()):
                self._of.setdefault(node, []).append(SnmpOutlet(pdu, number, self._snmp, clock))

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """Every outlet of the node, feed by feed; none at all unless each of its feeds has one.

        A node of which one feed cannot be switched never loses its power: then its outlets are of no use to us.
        """
        found = sorted(self._of.get(node.id, ()), key=lambda outlet: (outlet.pdu.feed, outlet.pdu.id, outlet.number))
        covered = {outlet.pdu.feed for outlet in found}
        return tuple(found) if node.feeds and covered.issuperset(node.feeds) else ()

    def close(self) -> None:
        """Close the sockets."""
        self._snmp.close()
