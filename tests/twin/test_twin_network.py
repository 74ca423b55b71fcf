"""TCP without sockets, and blocking code in turns: what the twin's loop does instead of the kernel."""

import asyncio
import io

import aiohttp
import pytest
from aiohttp import web

from fleet.twin.blocking import Blocking
from fleet.twin.clock import VirtualClock

HERE, PORT = "192.0.2.1", 80
LONG = b"x" * (3 << 20)
"""More than any reader takes at once: it pauses the other end."""


async def _serve() -> web.AppRunner:
    async def long(_: web.Request) -> web.Response:
        return web.Response(body=LONG)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    application = web.Application(client_max_size=2 * len(LONG))
    application.add_routes([web.get("/long", long), web.post("/echo", echo)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HERE, PORT).start()
    return runner


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=f"{HERE}:{PORT}"))


def test_http_goes_both_ways_whole_and_takes_no_time() -> None:
    clock = VirtualClock()

    async def both() -> tuple[bytes, bytes]:
        runner = await _serve()
        async with _client() as client:
            async with client.get(f"http://{HERE}/long") as answer:
                got = await answer.read()
            async with client.post(f"http://{HERE}/echo", data=io.BytesIO(LONG)) as answer:
                echoed = await answer.read()
        await runner.cleanup()
        return got, echoed

    began = clock.now()
    assert clock.run(both()) == (LONG, LONG)
    assert clock.now() == began


def test_nobody_answers_where_nobody_listens_any_more() -> None:
    async def late() -> None:
        runner = await _serve()
        await runner.cleanup()
        async with _client() as client, client.get(f"http://{HERE}/long"):
            pass

    with pytest.raises(aiohttp.ClientConnectorError):
        VirtualClock().run(late())


def test_two_cannot_listen_at_one_place() -> None:
    async def twice() -> None:
        await _serve()
        await _serve()

    with pytest.raises(OSError, match="somebody listens there"):
        VirtualClock().run(twice())


def test_blocking_code_waits_in_turns_on_the_virtual_clock() -> None:
    clock = VirtualClock()
    began = clock.now()
    blocking = Blocking(clock)
    told: list[tuple[str, float]] = []

    def say(name: str, pauses_s: tuple[float, ...]) -> str:
        for pause_s in pauses_s:
            blocking.pause(pause_s)
            told.append((name, clock.now() - began))
        return name

    async def both() -> list[str]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            loop.run_in_executor(blocking, say, "slow", (10.0, 10.0)),
            loop.run_in_executor(blocking, say, "quick", (4.0, 4.0, 4.0)),
        )

    assert clock.run(both()) == ["slow", "quick"]
    assert told == [("quick", 4), ("quick", 8), ("slow", 10), ("quick", 12), ("slow", 20)]


def test_what_blocking_code_raises_belongs_to_whoever_awaits_it() -> None:
    clock = VirtualClock()
    blocking = Blocking(clock)

    def fail() -> None:
        blocking.pause(1.0)
        raise KeyError("lost")

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(blocking, fail)

    with pytest.raises(KeyError, match="lost"):
        clock.run(work())


def test_blocking_code_whose_loop_ends_is_told_so() -> None:
    clock = VirtualClock()
    blocking = Blocking(clock)
    ends: list[str] = []

    def wait() -> None:
        try:
            blocking.pause(1e6)
        except Exception as broken:
            ends.append(str(broken))
            raise

    async def leave() -> None:
        asyncio.get_running_loop().run_in_executor(blocking, wait)
        await clock.sleep(1.0)

    clock.run(leave())
    assert ends == ["the loop ended"]
