"""How outlets, breakers and nodes hang together: a node is dark when every way by which power reaches it is gone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fleet.sim.bmc import Bmc
from fleet.sim.breakers import BreakerSpec, Panel, Supply
from fleet.sim.faults import FaultBook
from fleet.sim.layout import PduSpec
from fleet.sim.pdu import Outlet, OutletState, Pdu


class PowerGrid:
    """All PDUs and breakers of the hall, and what they feed."""

    def __init__(
        self,
        specs: tuple[PduSpec, ...],
        bmcs: Mapping[str, Bmc],
        faults: FaultBook,
        *,
        touch: Callable[[str], None],
        breakers: tuple[BreakerSpec, ...] = (),
        wake: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`touch(node)`: its power changed, let its face follow. `wake(at)`: call `settle` at this time, or as soon as it is past."""
        self._bmcs = bmcs
        self._touch = touch
        self._wake = wake
        self.pdus = {
            spec.name: Pdu(
                spec,
                faults.of_node(node=spec.name, model=spec.model, rack=spec.rack),
                watts=self._watts,
                on_switch=self._switched,
            )
            for spec in specs
        }
        self._mates = introduce(bmcs.values())
        self.panel = Panel(breakers, self._supplies(), changed=self._fed_anew)
        for name, bmc in bmcs.items() if breakers else ():
            bmc.fittings.draw.on_change = lambda at, name=name: self._told(name, at, starts=False)  # type: ignore[misc]  # mypy infers no default arguments
            bmc.fittings.draw.on_start = lambda at, name=name: self._told(name, at, starts=True)  # type: ignore[misc]  # as above
            self.panel.tell(name, bmc.fittings.draw.watts(0.0), 0.0)
        self.settle(0.0)

    def settle(self, now: float) -> None:
        """Let every breaker see what was drawn until `now`."""
        if not self.panel.breakers:
            return
        for bmc in self._bmcs.values():
            bmc.agenda.advance(now)
        self.panel.settle(now)
        dead = self.panel.dead_pdus()
        for name, pdu in self.pdus.items():
            pdu.dark = name in dead
        due = self.panel.due()
        if due is not None:
            self._wake(due)

    def close(self, breaker: str, now: float) -> None:
        """Somebody closes a breaker that tripped. KeyError: there is none of this name."""
        self.settle(now)
        self.panel.close(breaker, now)
        self.settle(now)

    def truth(self, now: float) -> dict[str, Any]:
        """What flowed, and what tripped."""
        self.settle(now)
        return self.panel.truth(now)

    def _supplies(self) -> Iterable[Supply]:
        fed: dict[str, list[Supply]] = {}
        for pdu in self.pdus.values():
            for outlet in pdu.outlets.values():
                for node in self._mates[outlet.node]:
                    fed.setdefault(node, []).append(self._supply(node, pdu, outlet))
        for name, bmc in self._bmcs.items():
            feeds = bmc.spec.feeds or ("",)
            yield from fed.get(name) or [Supply(node=name, rack=bmc.spec.rack, feed=feed) for feed in feeds]

    def _supply(self, node: str, pdu: Pdu, outlet: Outlet) -> Supply:
        spec = pdu.spec
        return Supply(node=node, rack=self._bmcs[node].spec.rack, feed=spec.feed, pdu=spec.name, outlet=outlet.number)

    def _switched(self, pdu: Pdu, outlet: Outlet, now: float) -> None:
        for node in self._mates[outlet.node]:
            self.panel.switched(self._supply(node, pdu, outlet), now, on=outlet.state is OutletState.ON)
            self._fed_anew(node, now)

    def _fed_anew(self, node: str, now: float) -> None:
        bmc = self._bmcs[node]
        if self.panel.live(node):
            bmc.feeds_back(now)
        else:
            bmc.feeds_lost(now)
        self._touch(node)

    def _told(self, node: str, at: float, *, starts: bool) -> None:
        self.panel.tell(node, self._bmcs[node].fittings.draw.watts(at), at, starts=starts)
        self._wake(at)

    def _watts(self, node: str, now: float) -> float:
        """What one live outlet delivers: to the node, and to the others of its chassis."""
        total = 0.0
        for name in self._mates[node]:
            bmc = self._bmcs[name]
            bmc.agenda.advance(now)
            total += bmc.fittings.draw.watts(now) / max(1, len(self.panel.live(name)))
        return total


def introduce(bmcs: Iterable[Bmc]) -> dict[str, tuple[str, ...]]:
    """Tell the boxes of each chassis of one another; node -> the nodes of its chassis, itself first."""
    shared: dict[str, list[Bmc]] = {}
    alone = []
    for bmc in bmcs:
        shared.setdefault(bmc.spec.chassis, []).append(bmc) if bmc.spec.chassis else alone.append(bmc)
    found: dict[str, tuple[str, ...]] = {bmc.spec.name: (bmc.spec.name,) for bmc in alone}
    for members in shared.values():
        for bmc in members:
            bmc.mates = tuple(other for other in members if other is not bmc)
            found[bmc.spec.name] = (bmc.spec.name, *(mate.spec.name for mate in bmc.mates))
    return found
