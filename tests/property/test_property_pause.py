"""A pause at any moment: once it is in the journal no effect is announced until the resume."""

import asyncio
from pathlib import Path

import pytest
from support.machine import Process
from support.rollout import ROLLOUT, HeldJournal, Running, hall

from fleet import events as ev
from fleet.engine import Watcher
from fleet.events import Event, Recorded
from fleet.exits import Exit
from fleet.journal import Request, Verb

HOLD_S = 50_000.0


def ask(verb: Verb) -> Request:
    return Request(id=99, rollout=ROLLOUT, verb=verb, by="test")


def begun_under_pause(recorded: list[Recorded]) -> list[str]:
    """Effects announced between pause and resume, but for the way on of a host that the pause met switched off."""
    paused, off, found = False, False, []
    for item in recorded:
        match item.event:
            case ev.RolloutPaused():
                paused = True
            case ev.RolloutContinued():
                paused = False
            case ev.IntentRecorded(effect=effect) if paused and not (off and effect.endswith("/host-on")):
                found.append(effect)
            case ev.IntentRecorded(effect=effect) if effect.endswith("/host-off"):
                off = True
            case _:
                pass
    return found


@pytest.mark.parametrize("nth", range(4, 40))
def test_a_pause_at_any_event_lets_no_effect_begin(tmp_path: Path, nth: int) -> None:
    place = hall(tmp_path / "j.db")

    async def hold(running: Running) -> None:
        await running.engine._obey(ask(Verb.PAUSE))
        await place.clock.sleep(HOLD_S)
        await running.engine._obey(ask(Verb.RESUME))
        running.engine._wake.set()

    def at_nth(running: Running) -> Watcher:
        seen = 0

        def told(item: Recorded | Event) -> None:
            nonlocal seen
            seen += isinstance(item, Recorded)
            if seen == nth and isinstance(item, Recorded):
                asyncio.get_running_loop().create_task(hold(running))

        return told

    async def story() -> list[Recorded]:
        await place.prepare()
        assert await place.run(watch=at_nth) is Exit.OK
        journal = HeldJournal(place.path, place.clock, Process())
        try:
            return list(journal.read(ROLLOUT))
        finally:
            await journal.close()

    recorded = place.clock.run(story())
    assert begun_under_pause(recorded) == []
    assert place.machines["n1"].active == {"bmc": "new", "bios": "new"}
