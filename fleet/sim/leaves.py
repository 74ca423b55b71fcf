"""The leaf switches of a hall and what hangs on them: who is heard at a port, and whose phone-home arrives."""

from collections.abc import Callable, Mapping

from fleet.sim.bmc import Bmc
from fleet.sim.cabling import Cabling
from fleet.sim.faults import Effect, FaultBook
from fleet.sim.host import Power
from fleet.sim.layout import Layout
from fleet.sim.switch import Switch


class Leaves:
    """All switches, and the cables between them and the boxes."""

    def __init__(
        self,
        layout: Layout,
        bmcs: Mapping[str, Bmc],
        faults: FaultBook,
        *,
        secret: str,
        look: Callable[[str], None],
    ) -> None:
        """`secret`: of every switch. `look(node)`: let time pass for its box, up to now."""
        self._bmcs = bmcs
        self._look = look
        self._cabling = Cabling(layout, self._wrongly_cabled)
        self.switches = {
            spec.name: Switch(
                spec,
                self._cabling,
                faults.of_node(node=spec.name, model=spec.platform, rack=spec.rack),
                secret=secret,
                heard=self._heard,
            )
            for spec in layout.switches
        }
        self._introduce()

    def _wrongly_cabled(self, node: str) -> bool:
        bmc = self._bmcs.get(node)
        return bmc is not None and any(rule.effect is Effect.WRONG_CABLE for rule in bmc.faults.rules)

    def _heard(self, device: str) -> bool:
        bmc = self._bmcs.get(device)
        if bmc is None:
            return True  # another switch
        self._look(device)
        return bmc.host.power is not Power.OFF

    def _introduce(self) -> None:
        """Tell each box who a confused installer would take it for, and whether its phone-home arrives."""
        every = list(self._bmcs.values())
        for bmc, other in zip(every, [*every[1:], *every[:1]], strict=True):
            if len(every) > 1:
                bmc.neighbour_identity = (other.spec.serial, other.spec.uuid)
            bmc.reaches_home = lambda name=bmc.spec.name: self._reaches_home(name)  # type: ignore[misc]  # mypy infers no default arguments

    def _reaches_home(self, node: str) -> bool:
        ports = [(self.switches[name], port) for name, port in self._cabling.switch_ports_of(node)]
        guarded = [(switch, port) for switch, port in ports if switch.spec.provisioning_vlan]
        return not guarded or any(switch.vlan_of(port) == switch.spec.provisioning_vlan for switch, port in guarded)
