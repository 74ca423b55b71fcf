"""A power state is believed when it was seen twice, also when the BMC answers late or not every time."""

from dataclasses import dataclass, field
from typing import cast

import pytest
from support.clock import VirtualClock

from fleet.errors import Transient
from fleet.ports import PowerState
from fleet.step import NodeContext
from playbooks.steps.waiting import power_reaches

LIMIT_S = 60.0


@dataclass(slots=True, kw_only=True)
class Late:
    """A BMC that takes `answers_s` for each look, and says in turn what it sees; the last for ever. None: no answer."""

    clock: VirtualClock
    answers_s: float
    says: list[PowerState | None] = field(default_factory=list)

    @property
    def bmc(self) -> "Late":
        """Itself: the part of a NodeContext that is asked."""
        return self

    async def power_state(self) -> PowerState:
        """See fleet.ports.Bmc."""
        await self.clock.sleep(self.answers_s)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if said is None:
            raise Transient("no answer")
        return said


@pytest.mark.parametrize(
    ("answers_s", "says", "off"),
    [
        (0.1, [PowerState.OFF], True),
        (70.0, [PowerState.OFF], True),
        (0.1, [None, PowerState.OFF], True),
        (0.1, [PowerState.ON], False),
        (70.0, [PowerState.ON], False),
        (70.0, [PowerState.OFF, PowerState.ON], False),
        (0.1, [None], False),
    ],
    ids=["at once", "late", "once silent", "on", "on, late", "off and on again", "silent"],
)
def test_a_late_answer_is_an_answer(answers_s: float, says: list[PowerState | None], *, off: bool) -> None:
    clock = VirtualClock()
    machine = Late(clock=clock, answers_s=answers_s, says=says)
    assert clock.run(power_reaches(cast("NodeContext", machine), PowerState.OFF, LIMIT_S)) is off
