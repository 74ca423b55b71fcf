"""Turns and bytes that all transfers share: how many are let in, in which order, and at what rate."""

import asyncio
from collections.abc import Callable

import pytest
from support.clock import VirtualClock

from fleet.limits import WINDOW_S, Transfers
from fleet.tuning import FIRST_AT_ONCE, Tuner

MB = 1e6


@pytest.mark.parametrize(
    ("each", "link", "budget", "least", "most"),
    [
        (20 * MB, 3000 * MB, 1000 * MB, 45, 63),  # the budget is the limit: no more than it takes to use it
        (
            2 * MB,
            60 * MB,
            1000 * MB,
            27,
            38,
        ),  # the leaf is: the budget is never reached, and nothing is gained above 30
        (2 * MB, 3000 * MB, 1000 * MB, 256, 256),  # slow BMCs: as many as there may be
        (20 * MB, 3000 * MB, 5 * MB, 5, 5),  # each keeps its floor
    ],
    ids=["budget", "leaf", "slow-bmcs", "floor"],
)
def test_the_number_at_once_settles_where_more_moves_no_more(
    each: float, link: float, budget: float, least: int, most: int
) -> None:
    tuner = Tuner(budget)
    for _ in range(120):
        tuner.judge(min(tuner.at_once * each, link, budget), crowded=True)
    assert least <= tuner.at_once <= most


def test_a_window_in_which_nobody_waited_says_nothing() -> None:
    tuner = Tuner(1000 * MB)
    for _ in range(20):
        tuner.judge(1.0, crowded=False)
    assert tuner.at_once == FIRST_AT_ONCE


def test_what_brought_nothing_is_taken_back_and_not_tried_again_at_once() -> None:
    tuner = Tuner(1000 * MB)
    seen = []
    for _ in range(8):
        tuner.judge(50 * MB, crowded=True)
        seen.append(tuner.at_once)
    assert seen == [20, 16, 16, 16, 16, 16, 16, 16]


async def sends(transfers: Transfers, clock: VirtualClock, name: str, log: list[tuple[float, str]]) -> None:
    async with transfers.turn():
        for _ in range(20):
            await transfers.take(500_000)
        log.append((clock.now(), name))


def run(story: Callable[[Transfers, VirtualClock], object], rate: float) -> None:
    clock = VirtualClock()
    clock.run(story(Transfers(bytes_per_s=rate, clock=clock), clock))


def test_the_rate_is_kept_and_all_end_in_the_order_of_their_turns() -> None:
    log: list[tuple[float, str]] = []

    async def story(transfers: Transfers, clock: VirtualClock) -> None:
        begun = clock.now()
        async with asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(sends(transfers, clock, f"{number:02}", log))
        took = clock.now() - begun
        assert 12 * 10 * MB / (took + 1) <= 4 * MB  # one second's worth may go at once
        assert took < 12 * 10 / 4 + 1
        assert (transfers.under_way, transfers.waiting) == (0, 0)

    run(story, 4 * MB)  # four at once
    assert [name for _, name in log] == sorted(name for _, name in log)
    ends = [at for at, _ in log]
    assert (
        max(b - a for a, b in zip(ends[3::4], ends[7::4], strict=False)) < 11
    )  # nobody waits longer than his four take


def test_who_goes_while_he_waits_leaves_no_hole() -> None:
    log: list[tuple[float, str]] = []

    async def story(transfers: Transfers, clock: VirtualClock) -> None:
        first = asyncio.ensure_future(sends(transfers, clock, "first", log))
        await asyncio.sleep(0)
        goes = [asyncio.ensure_future(sends(transfers, clock, "gone", log)) for _ in range(2)]
        last = asyncio.ensure_future(sends(transfers, clock, "last", log))
        await asyncio.sleep(0)
        goes[0].cancel()
        await first
        goes[1].cancel()  # its turn has just come
        await last
        assert (transfers.under_way, transfers.waiting) == (0, 0)

    run(story, 1 * MB)  # one at once
    assert [name for _, name in log] == ["first", "last"]


def test_a_pull_waits_for_nobody_and_keeps_pushes_from_starting() -> None:
    async def story(transfers: Transfers, _clock: VirtualClock) -> None:
        with transfers.pulled():
            told: list[str] = []
            async with asyncio.timeout(None):
                turn = transfers.turn(told.append)
                entered = asyncio.ensure_future(turn.__aenter__())
                await asyncio.sleep(0)
            assert (transfers.under_way, transfers.waiting, entered.done()) == (1, 1, False)
            assert told == ["waits for its turn to be sent the image: 1 under way, 0 before it"]
        await entered
        assert transfers.under_way == 1
        await turn.__aexit__(None, None, None)

    run(story, 1 * MB)


def test_the_number_follows_what_is_measured() -> None:
    """BMCs that take 2 MB/s each: the budget is far away, so that more are let in window by window."""
    seen: list[int] = []

    async def one(transfers: Transfers, clock: VirtualClock) -> None:
        async with transfers.turn():
            for _ in range(40):
                await transfers.take(500_000)
                await clock.sleep(0.25)
            seen.append(transfers.at_once)

    async def story(transfers: Transfers, clock: VirtualClock) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(400):
                group.create_task(one(transfers, clock))

    run(story, 1000 * MB)
    assert WINDOW_S == 10
    assert seen[0] == FIRST_AT_ONCE
    assert max(seen) > 40
