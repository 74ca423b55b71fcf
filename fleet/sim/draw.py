"""What a machine draws now, and what its BMC shows of it (fleet.sim.powermodel has the watts)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.host import Power
from fleet.sim.powermodel import Shows

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc


class Draw:
    """Of one machine."""

    def __init__(self, bmc: "Bmc", chassis: str) -> None:
        """`chassis`: path of the Chassis that is the whole machine."""
        self._bmc = bmc
        self._chassis = chassis
        self._busy_until = 0.0
        self._meter = Meter(bmc.faults)
        self.on_change: Callable[[float], None] = lambda _: None
        """Called with the time whenever what it draws may have changed."""
        self.on_start: Callable[[float], None] = lambda _: None
        """Called with the time of every inrush: its host is switched on, or AC returns to its supplies."""
        bmc.host.on_start, bmc.host.on_change = self.started, self.changed

    def changed(self, at: float) -> None:
        """Tell whoever adds up."""
        self.on_change(at)

    def started(self, at: float) -> None:
        """Tell whoever counts."""
        self.on_start(at)

    def watts(self, now: float) -> float:
        """What it draws now, truly."""
        bmc, model = self._bmc, self._bmc.box.power
        if bmc.dark(now):
            return 0.0
        if bmc.host.power in {Power.OFF, Power.POWERING_ON}:
            return model.standby_w
        if bmc.host.posting(now):
            return model.post_w
        return model.load_w if now < self._busy_until else model.idle_w

    def work(self, now: float, until: float) -> None:
        """Its GPUs are busy until then: a burn-in, a tenant."""
        self._busy_until = until
        self.changed(now)
        self._bmc.agenda.add(until, self.changed)

    def rest(self, now: float) -> None:
        """Its GPUs have nothing to do any more."""
        self._busy_until = min(self._busy_until, now)
        self.changed(now)

    def links(self) -> dict[str, Any]:
        """What the chassis links to."""
        shows = self._bmc.box.power.shows
        names = {Shows.CONTROL: "Power", Shows.SENSOR: "Power", Shows.ENVIRONMENT: "EnvironmentMetrics"}
        return (
            {names[shows]: {"@odata.id": f"{self._chassis}/{names[shows]}"}} if self._chassis and shows in names else {}
        )

    def get(self, path: str, now: float) -> dict[str, Any] | None:
        """The resource at `path`, if it is one of these."""
        model = self._bmc.box.power
        if not self._chassis or path not in {f"{self._chassis}/{name}" for name in self.links()}:
            return None
        if model.shows is Shows.ENVIRONMENT:
            shown = self.shown(now)
            return {
                "@odata.id": path,
                "@odata.type": "#EnvironmentMetrics.v1_3_0.EnvironmentMetrics",
                "Id": "EnvironmentMetrics",
                "Name": "Chassis Environment Metrics",
                **({} if shown is None else {"PowerWatts": {"Reading": shown}}),
            }
        shown = self.shown(now) if model.shows is Shows.CONTROL else None
        control = {"@odata.id": f"{path}#/PowerControl/0", "MemberId": "0", "Name": "System Power Control"}
        return {
            "@odata.id": path,
            "@odata.type": "#Power.v1_7_1.Power",
            "Id": "Power",
            "Name": "Power",
            "PowerControl": [control | ({} if shown is None else {"PowerConsumedWatts": shown})],
        }

    def sensor(self, now: float) -> tuple[str, float | None] | None:
        """(Id, reading) of the sensor that shows it; None where the box has none such."""
        model = self._bmc.box.power
        return (model.sensor, self.shown(now)) if model.shows is Shows.SENSOR else None

    def shown(self, now: float) -> float | None:
        """What the BMC says that it draws."""
        return self._meter.shown(self.watts(now))


class Meter:
    """Between what is drawn and what is shown: what a fault makes of it."""

    def __init__(self, faults: NodeFaults) -> None:
        self._faults = faults
        self._frozen: float | None = None

    def shown(self, watts: float) -> float | None:
        """The reading for `watts`; None: there is none."""
        if self._faults.peek(Effect.POWER_MISSING):
            return None
        if lying := self._faults.peek(Effect.POWER_LIES):
            watts *= lying.number("factor", 0.5)
        if self._faults.peek(Effect.POWER_STALE):
            watts = self._frozen = watts if self._frozen is None else self._frozen
        return float(round(watts))
