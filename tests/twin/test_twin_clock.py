"""The virtual clock: order, holding, threads that are none."""

import asyncio
import threading

import pytest

from fleet.twin.clock import START, VirtualClock


def test_sleepers_wake_in_order_and_take_no_time() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now() - START))

    async def all_of_them() -> None:
        await asyncio.gather(sleeper("late", 86_400), sleeper("soon", 1), sleeper("also soon", 1))

    clock.run(all_of_them())
    assert woken == [("soon", 1), ("also soon", 1), ("late", 86_400)]


def test_whoever_was_cancelled_does_not_move_the_clock() -> None:
    clock = VirtualClock()

    async def work() -> None:
        sleeper = asyncio.ensure_future(clock.sleep(100))
        await clock.sleep(1)
        sleeper.cancel()
        await clock.sleep(500)

    clock.run(work())
    assert clock.now() - START == 501


def test_a_thread_is_called_in_its_turn_while_time_stands() -> None:
    clock = VirtualClock()
    seen: list[float] = []

    def blocking() -> int:
        assert threading.current_thread() is threading.main_thread()  # another one would race with the clock
        seen.append(clock.now())
        return 7

    async def work() -> int:
        sleeper = asyncio.ensure_future(clock.sleep(3600))
        answer = await asyncio.to_thread(blocking)
        assert not sleeper.done()
        assert clock.now() == START
        sleeper.cancel()
        return answer

    assert clock.run(work()) == 7
    assert seen == [START]


def test_what_a_thread_raises_reaches_who_waits() -> None:
    def breaks() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        VirtualClock().run(asyncio.to_thread(breaks))


def test_held_time_does_not_advance() -> None:
    clock = VirtualClock()

    async def work() -> None:
        sleeper = asyncio.ensure_future(clock.sleep(1))
        await asyncio.sleep(0)
        with clock.hold():
            assert not clock.advance()
        await sleeper

    clock.run(work())
    assert clock.now() - START == 1
