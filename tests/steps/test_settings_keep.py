"""What a flash reset is put back, whenever the process dies; what it took away holds the node. The BMC is the hall's, in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.machine import Crash
from twin_place import Place, run

from fleet import events as ev
from fleet.errors import NodeFault, Reason
from fleet.sim.faults import Effect, FaultBook, Rule
from fleet.step import Met
from playbooks.steps.settings import SettingsKeep

RESET = FaultBook(name="t", rules=(Rule(name="f", effect=Effect.SETTINGS_RESET),))
ACCOUNTS = "/redfish/v1/AccountService/Accounts"
SETTINGS = ("boot-order", "ntp", "power-restore-policy")


@dataclass(slots=True)
class Flashed(Place):
    """A machine whose settings a flash resets."""

    faults: FaultBook = RESET

    async def flash(self, *, user: str = "") -> None:
        """Note what is there, then restart the BMC, as new firmware would; `user`: one that a person added."""
        with self.process() as (_, bmc):
            await bmc.connect()
            if user:
                wanted = {"UserName": user, "Password": "long-enough-1", "RoleId": "Operator"}
                await bmc._access.send("POST", ACCOUNTS, wanted, effect="add a user")
            settings = dict(await bmc.settings())
            await self.memory.record(ev.SettingsObserved(node="gpu0001", when="before", settings=settings))
            await bmc.close()
        self.restart()
        await self.clock.sleep(1200)

    async def keep(self) -> str:
        """One process does the step as the runner would; what the last check says."""
        with self.process() as (ctx, bmc):
            step = SettingsKeep()
            try:
                await bmc.reconnect()
                if not ctx.state.effects and isinstance(found := await step.check(ctx), Met):
                    return found.detail
                await step.apply(ctx)
                found = await step.check(ctx)
                assert isinstance(found, Met), found
                return found.detail
            finally:
                await bmc.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What is so, whatever anybody says."""
        told: dict[str, Any] = self.hall.truth()["nodes"]["gpu0001"]["settings"]
        return told


def test_what_was_reset_is_put_back(tmp_path: Path) -> None:
    place = Flashed(tmp_path)
    before = place.settings

    async def story() -> str:
        await place.flash()
        assert place.settings != before
        return await place.keep()

    assert "as before" in run(place, story)
    assert place.settings == before
    assert len(place.patches) == 3


@pytest.mark.parametrize("death", ["before", "after"])
@pytest.mark.parametrize("append", range(6))
def test_it_is_put_back_whenever_the_process_dies(append: int, death: str, tmp_path: Path) -> None:
    place = Flashed(tmp_path)
    before = place.settings

    async def story() -> None:
        await place.flash()
        first = len(place.memory.events) + append
        place.memory.dies = lambda _event, number: death if number == first else ""
        with pytest.raises(Crash):
            await place.keep()
        place.memory.live()
        assert "as before" in await place.keep()

    run(place, story)
    assert place.settings == before
    assert all(effect.result is not None for effect in place.memory.state.effects.values())
    intents = [event.effect for event in place.memory.events if isinstance(event, ev.IntentRecorded)]
    assert {effect.partition(" ")[2] for effect in intents} == set(SETTINGS)
    assert len(place.patches) <= len(intents)


def test_a_user_that_is_gone_holds_the_node_and_the_rest_is_put_back(tmp_path: Path) -> None:
    place = Flashed(tmp_path)
    before = place.settings

    async def story() -> NodeFault:
        await place.flash(user="operator")
        with pytest.raises(NodeFault) as held:
            await place.keep()
        return held.value

    held = run(place, story)
    assert held.reason is Reason.DRIFTED
    assert "user operator (Operator) is gone" in str(held)
    assert "ntp" not in str(held)
    assert place.settings == before


def test_a_node_whose_settings_nobody_noted_is_left_alone(tmp_path: Path) -> None:
    place = Flashed(tmp_path, faults=FaultBook())

    async def story() -> str:
        with place.process() as (ctx, bmc):
            found = await SettingsKeep().check(ctx)
            await bmc.close()
            return found.detail

    assert run(place, story) == "nothing was flashed"
