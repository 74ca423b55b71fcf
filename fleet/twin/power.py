"""The PDUs of a twin: the product's own outlets, with the simulated PDU of a hall at the end of the wire."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets, SnmpMeter, SnmpOutlet
from fleet.drivers.snmp import Endpoint, Oid, Snmp, SnmpUser
from fleet.edges import Outlet, PduMeter
from fleet.errors import NodeFault, Reason
from fleet.sim.bmc import Bmc
from fleet.sim.faults import FaultBook
from fleet.sim.grid import PowerGrid
from fleet.sim.layout import PduSpec
from fleet.twin.clock import VirtualClock
from inventory.model import Node, NodeId, Pdu
from inventory.secrets import Secret

_REPLY_S = 0.05
"""A PDU's controller answers in milliseconds [inf]."""
_USER = SnmpUser(name="twin", auth_key=Secret("rehearsal"), priv_key=Secret("rehearsal"))
"""Nobody listens: it opens nothing."""


class TwinPower:
    """What feeds the nodes of a twin, as far as the inventory says that it can be switched."""

    def __init__(
        self,
        pdus: Iterable[Pdu],
        bmcs: Mapping[str, Bmc],
        faults: FaultBook,
        clock: VirtualClock,
        *,
        origin: float,
        touch: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Outlets of nodes that are not in `bmcs` stay as they are.

        Args:
            pdus: as declared.
            bmcs: by node.
            faults: of the hall.
            clock: of the twin.
            origin: field time at which the hall's own time is 0.
            touch: `touch(node)`, its power changed.
        """
        fed = [(pdu, _fed(pdu, bmcs)) for pdu in pdus if pdu.mib]
        found = [(pdu, outlets) for pdu, outlets in fed if outlets]
        specs = tuple(
            PduSpec(
                name=str(pdu.id),
                rack=str(pdu.rack),
                feed=str(pdu.feed),
                model=str(pdu.mib),
                address=pdu.address,
                outlets={number: str(node) for number, node in outlets.items()},
            )
            for pdu, outlets in found
        )
        grid = PowerGrid(specs, bmcs, faults, touch=touch)
        self._wire = _Wire(grid, clock, origin)
        self._grid = grid
        self._map = OutletMap(
            (
                PduOutlets(
                    id=pdu.id,
                    feed=pdu.feed,
                    mib=MIBS[str(pdu.mib)],
                    at=Endpoint(device=str(pdu.id), address=pdu.address, port=pdu.port, user=_USER),
                    outlets=outlets,
                )
                for pdu, outlets in found
            ),
            clock=clock,
            mates={NodeId(name): tuple(NodeId(mate.spec.name) for mate in bmc.mates) for name, bmc in bmcs.items()},
        )

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """As fleet.drivers.pdu.OutletMap."""
        found = self._map.outlets(node)
        return tuple(replace(each, snmp=self._wire) for each in found if isinstance(each, SnmpOutlet))

    def meters(self) -> tuple[PduMeter, ...]:
        """As fleet.drivers.pdu.OutletMap."""
        return tuple(replace(each, snmp=self._wire) for each in self._map.meters() if isinstance(each, SnmpMeter))

    def truth(self) -> dict[str, Any]:
        """The ground truth of every PDU."""
        return {name: pdu.truth() for name, pdu in self._grid.pdus.items()}


def _fed(pdu: Pdu, bmcs: Mapping[str, Bmc]) -> dict[int, NodeId]:
    return {number: node for number, node in pdu.outlets.items() if node in bmcs}


class _Wire(Snmp):
    """GET and SET without a network."""

    def __init__(self, grid: PowerGrid, clock: VirtualClock, origin: float) -> None:
        super().__init__(clock)
        self._grid = grid
        self._time = clock
        self._origin = origin

    async def get(self, where: Endpoint, oid: Oid) -> int | str | None:
        """The value at `oid`; None: there is none."""
        await self._time.sleep(_REPLY_S)
        return self._grid.pdus[where.device].get(oid, self._time.now() - self._origin)

    async def put(self, where: Endpoint, oid: Oid, number: int) -> None:
        """SET. NO_EDGE where the PDU refuses."""
        await self._time.sleep(_REPLY_S)
        refused = self._grid.pdus[where.device].put(oid, number, self._time.now() - self._origin)
        if refused:
            raise NodeFault(Reason.NO_EDGE, f"{where.device}: {refused}")
