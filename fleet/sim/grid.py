"""How outlets and nodes hang together: a node is dark when every outlet that feeds it is off."""

from collections.abc import Callable, Mapping

from fleet.sim.bmc import Bmc
from fleet.sim.faults import FaultBook
from fleet.sim.host import Power
from fleet.sim.layout import PduSpec
from fleet.sim.pdu import Outlet, OutletState, Pdu

_STANDBY_W, _ON_W = 140.0, 3900.0
"""Engineering values for a node with eight idle GPUs; about 10 kW under load (field guide 2.4)."""


class PowerGrid:
    """All PDUs of the hall, and what they feed."""

    def __init__(
        self, specs: tuple[PduSpec, ...], bmcs: Mapping[str, Bmc], faults: FaultBook, *, touch: Callable[[str], None]
    ) -> None:
        """`touch(node)`: its power changed, let its face follow."""
        self._bmcs = bmcs
        self._touch = touch
        self.pdus = {
            spec.name: Pdu(
                spec,
                faults.of_node(node=spec.name, model=spec.model, rack=spec.rack),
                watts=self._watts,
                on_switch=self._switched,
            )
            for spec in specs
        }
        self._outlets: dict[str, list[Outlet]] = {}
        for pdu in self.pdus.values():
            for outlet in pdu.outlets.values():
                self._outlets.setdefault(outlet.node, []).append(outlet)

    def _live(self, node: str) -> int:
        return sum(outlet.state is OutletState.ON for outlet in self._outlets[node])

    def _switched(self, node: str, now: float) -> None:
        bmc = self._bmcs[node]
        if self._live(node):
            bmc.feeds_back(now)
        else:
            bmc.feeds_lost(now)
        self._touch(node)

    def _watts(self, node: str, now: float) -> float:
        bmc = self._bmcs[node]
        bmc.agenda.advance(now)
        total = _STANDBY_W if bmc.host.power is Power.OFF else _ON_W
        return total / max(1, self._live(node))
