"""PDU outlets over SNMPv3 (fleet.edges.Outlet). Where makers keep them stands below as data; only ON and OFF are ever sent."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fleet.clock import Clock
from fleet.drivers.snmp import Endpoint, Oid, Snmp
from fleet.edges import Outlet, OutletState, PduMeter
from fleet.errors import NodeFault, Reason
from fleet.limits import retrying
from fleet.watts import PowerReading, reading
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
    inlet: Oid
    """Active power of the whole PDU."""
    inlet_unit_w: int = 1
    """Watts that 1 means there."""


_RARITAN: Oid = (1, 3, 6, 1, 4, 1, 13742, 6)
_APC: Oid = (1, 3, 6, 1, 4, 1, 318, 1, 1, 26, 9, 2)

MIBS: Mapping[str, OutletMib] = {
    # PDU2-MIB (Raritan PX2, PX3, PX4; Legrand, Server Technology PRO4X): outletSwitchingState and switchingOperation of PDU 1, and
    # measurementsOutletSensorValue of sensor 5, activePower, in watts; measurementsInletSensorValue of inlet 1, the same sensor. The
    # command is also MAAS's driver's (field guide 2.5).
    "raritan-px": OutletMib(
        title="Raritan PX",
        state=(*_RARITAN, 4, 1, 2, 1, 3, 1),
        states={7: OutletState.ON, 8: OutletState.OFF},
        command=(*_RARITAN, 4, 1, 2, 1, 2, 1),
        commands={OutletState.OFF: 0, OutletState.ON: 1},
        power_w=(*_RARITAN, 5, 4, 3, 1, 4, 1),
        power_suffix=(5,),
        inlet=(*_RARITAN, 5, 2, 3, 1, 4, 1, 1, 5),
    ),
    # PowerNet-MIB (APC rPDU2, AP8xxx): rPDU2OutletSwitchedStatusState, rPDU2OutletSwitchedControlCommand (immediateOn, immediateOff)
    # and rPDU2OutletMeteredStatusPower, in watts; rPDU2DeviceStatusPower, in hundredths of kW. The older sPDUOutletCtl of field
    # guide 2.5 commands the same outlets.
    "apc-rpdu2": OutletMib(
        title="APC Rack PDU 2G",
        state=(*_APC, 3, 1, 5),
        states={1: OutletState.ON, 2: OutletState.OFF},
        command=(*_APC, 4, 1, 5),
        commands={OutletState.ON: 1, OutletState.OFF: 2},
        power_w=(*_APC[:-1], 4, 3, 1, 7),
        inlet=(*_APC[:-2], 4, 3, 1, 5, 1),
        inlet_unit_w=10,
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

    async def reading(self) -> PowerReading | None:
        """See `fleet.edges.Outlet.reading`."""
        mib = self.pdu.mib
        found = await self._read((*mib.power_w, self.number, *mib.power_suffix))
        return reading(found, self.clock.now())

    async def switch(self, wanted: OutletState) -> None:
        """Send ON or OFF, once. `OutcomeUnknown` if no answer came."""
        mib = self.pdu.mib
        if wanted not in mib.commands:
            raise ValueError(f"an outlet cannot be switched {wanted}")
        await self.snmp.put(self.pdu.at, (*mib.command, self.number), mib.commands[wanted])

    async def _read(self, oid: Oid) -> int | str | None:
        return await retrying(lambda: self.snmp.get(self.pdu.at, oid), clock=self.clock, attempts=_READS)


@dataclass(frozen=True, slots=True)
class SnmpMeter:
    """The inlet of one PDU (fleet.edges.PduMeter)."""

    of: PduOutlets
    snmp: Snmp
    clock: Clock

    @property
    def pdu(self) -> PduId:
        """`pdu-r01-A`."""
        return self.of.id

    async def reading(self) -> PowerReading | None:
        """See `fleet.edges.PduMeter.reading`."""
        mib = self.of.mib
        found = await retrying(lambda: self.snmp.get(self.of.at, mib.inlet), clock=self.clock, attempts=_READS)
        return reading(found * mib.inlet_unit_w, self.clock.now()) if isinstance(found, int) else None


class OutletMap:
    """Which outlets feed which node, over all PDUs of the hall."""

    def __init__(
        self,
        pdus: Iterable[PduOutlets],
        *,
        clock: Clock,
        mates: Mapping[NodeId, Collection[NodeId]] = MappingProxyType({}),
    ) -> None:
        """`mates`: node -> the others of its chassis: what feeds one of them feeds them all."""
        self._snmp = Snmp(clock)
        self._of: dict[NodeId, list[SnmpOutlet]] = {}
        self._meters: dict[PduId, SnmpMeter] = {}
        for pdu in pdus:
            self._meters[pdu.id] = SnmpMeter(pdu, self._snmp, clock)
            for number, declared in sorted(pdu.outlets.items()):
                for node in (declared, *mates.get(declared, ())):
                    self._of.setdefault(node, []).append(SnmpOutlet(pdu, number, self._snmp, clock))

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """Every outlet of the node, feed by feed; none at all unless each of its feeds has one.

        A node of which one feed cannot be switched never loses its power: then its outlets are of no use to us.
        """
        found = sorted(self._of.get(node.id, ()), key=lambda outlet: (outlet.pdu.feed, outlet.pdu.id, outlet.number))
        covered = {outlet.pdu.feed for outlet in found}
        return tuple(found) if node.feeds and covered.issuperset(node.feeds) else ()

    def meters(self) -> tuple[PduMeter, ...]:
        """See `fleet.edges.MetersFeeds.meters`."""
        return tuple(meter for _, meter in sorted(self._meters.items()))

    def close(self) -> None:
        """Close the sockets."""
        self._snmp.close()
