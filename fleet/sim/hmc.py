"""The baseboard's own BMC (HMC) behind the host's: it restarts on its own, and the host's BMC shows in its own way that it is gone.

Field guide 1.8: "If HMC is down, proxy members vanish, turn 404/500/503, or go stale." Which of these a box does is data (`strain` of its
file); the fault `hmc-restarts` may say otherwise.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fleet.sim.boxmodel import Cause
from fleet.sim.faults import Effect
from fleet.sim.message import Answer, error
from fleet.sim.strain import WhileDown

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_STATUS = {WhileDown.VANISH: 404, WhileDown.MISSING: 404, WhileDown.ERROR: 500, WhileDown.UNAVAILABLE: 503}
_SAYS = {
    404: ("ResourceMissingAtURI", "The resource was not found."),
    500: ("InternalError", "The request failed due to an internal service error."),
    503: ("ServiceTemporarilyUnavailable", "The service of the baseboard is temporarily unavailable."),
}


class Hmc:
    """Of one box; a box without a baseboard never asks."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        self._ready_at = 0.0
        self._answers = WhileDown.VANISH
        self.frozen: Mapping[str, str] = {}
        """Item -> version that is still shown, while it is stale."""

    def restart(self, now: float, kind: str, *, answers: WhileDown | None = None, down_s: float | None = None) -> None:
        """It alone restarts, and its new firmware comes up. None: as its box does."""
        strain = self._bmc.box.strain
        self._bmc.ledger.reset(now, "hmc", kind)
        self._answers = answers or strain.hmc_while_down
        firmware = self._bmc.firmware
        shown = {part.item: firmware.shown(part) for part in self._bmc.box.parts}
        self.frozen = shown if self._answers is WhileDown.STALE else {}
        self._ready_at = now + (self._bmc.box.bmc.hmc_ready_s if down_s is None else down_s)
        firmware.activate(frozenset({Cause.HMC}))

    def starts_with_bmc(self, ready_at: float) -> None:
        """The host's BMC restarts: until the HMC is found again its resources are not there."""
        self._ready_at, self._answers, self.frozen = ready_at, WhileDown.VANISH, {}
        if rule := self._bmc.faults.take(Effect.HMC_RESTARTS):
            answers = WhileDown(rule.text("answers", self._bmc.box.strain.hmc_while_down))
            down_s = rule.number("down_s", 180.0)
            again: Callable[[float], None] = lambda at: self.restart(at, "self", answers=answers, down_s=down_s)  # noqa: E731
            self._bmc.agenda.add(ready_at + rule.number("after_s", 60.0), again)

    def ready(self, now: float) -> bool:
        """Whether it serves."""
        return now >= self._ready_at

    def vanished(self, now: float) -> bool:
        """Whether its members are missing from collections."""
        return not self.ready(now) and self._answers is WhileDown.VANISH

    def stale(self, now: float) -> Mapping[str, str]:
        """Versions that are shown although they are no longer so; empty: none."""
        return {} if self.ready(now) else self.frozen

    def refusal(self, now: float) -> Answer | None:
        """What a GET of one of its resources gets while it is down; None: it is served, or was kept."""
        if self.ready(now) or self._answers is WhileDown.STALE:
            return None
        status = _STATUS[self._answers]
        name, text = _SAYS[status]
        return error(status, f"{self._bmc.box.registry}.{name}", text)
