"""The transport in memory does what HTTPS to a hall does: answers, refusals, lost connections, one request at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from twin_rig import Alone, url

from fleet.drivers.redfish.transport import LinkLost, NotSent
from fleet.errors import NodeFault, Reason

ROOT = "/redfish/v1/"
SYSTEMS = "/redfish/v1/Systems"
SLOW = "{name: slow, effect: http, path: /redfish/v1/Systems, delay_s: 120, times: 1}"
BOOT_S = 600.0
"""Longer than a DGX's BMC takes to start."""


def test_an_answer_takes_the_bmcs_time_and_no_other() -> None:
    alone = Alone()
    status, body = alone.run(lambda: alone.get(ROOT))
    assert (status, body[:1]) == (200, b"{")
    assert alone.passed_s() == pytest.approx(alone.bmc.box.bmc.latency_s)


def test_where_nobody_is_nothing_is_sent() -> None:
    alone = Alone()

    async def ask() -> None:
        async with alone.elsewhere("192.0.2.99").request("GET", url(ROOT), headers={}):
            pass

    with pytest.raises(NotSent):
        alone.run(ask)


def test_a_restart_closes_the_port_and_ends_the_sessions() -> None:
    alone = Alone()

    async def ask() -> tuple[int, int]:
        token = await alone.log_in()
        before, _ = await alone.get(SYSTEMS, token=token)
        alone.bmc.restart(alone.passed_s(), "test")
        await alone.clock.sleep(5)
        with pytest.raises(NotSent):
            await alone.get(ROOT)
        await alone.clock.sleep(BOOT_S)
        after, _ = await alone.get(SYSTEMS, token=token)
        return before, after

    assert alone.run(ask) == (200, 401)


def test_a_restart_takes_the_connection_from_who_waits() -> None:
    alone = Alone(SLOW)

    async def ask() -> None:
        token = await alone.log_in()
        alone.clock.call_at(alone.clock.now() + 30, lambda: alone.bmc.restart(alone.passed_s(), "test"))
        began = alone.passed_s()
        waiting = asyncio.ensure_future(alone.get(SYSTEMS, timeout_s=600, token=token))
        with pytest.raises(LinkLost):
            await waiting
        assert 30 < alone.passed_s() - began < 125

    alone.run(ask)


def test_whoever_gives_up_leaves_the_bmc_busy() -> None:
    alone = Alone(SLOW)

    async def ask() -> None:
        token = await alone.log_in()
        began = alone.passed_s()
        with pytest.raises(LinkLost, match="in time"):
            await alone.get(SYSTEMS, timeout_s=60, token=token)
        assert alone.passed_s() - began == pytest.approx(60)
        assert (await alone.get(ROOT, timeout_s=300))[0] == 200
        assert alone.passed_s() - began > 120

    alone.run(ask)
    assert alone.bmc.ledger.in_flight == 0


def test_a_request_behind_another_may_time_out_and_is_served_all_the_same() -> None:
    alone = Alone(SLOW)

    async def ask() -> None:
        token = await alone.log_in()
        for timeout_s in (10, 20):
            with pytest.raises(LinkLost, match="in time"):
                await alone.get(SYSTEMS, timeout_s=timeout_s, token=token)
        served = alone.bmc.ledger.requests
        await alone.clock.sleep(200)
        assert alone.bmc.ledger.requests == served + 1

    alone.run(ask)
    assert alone.bmc.ledger.in_flight == 0


def test_a_dropped_connection_is_a_lost_link() -> None:
    alone = Alone("{name: cut, effect: http, path: /redfish/v1/Systems, drop: before, times: 1}")

    async def ask() -> int:
        token = await alone.log_in()
        with pytest.raises(LinkLost, match="reset"):
            await alone.get(SYSTEMS, token=token)
        return (await alone.get(SYSTEMS, token=token))[0]

    assert alone.run(ask) == 200


class _Torn:
    """An image that cannot be read to its end."""

    content_type = "application/octet-stream"
    size_bytes = 100_000

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"x" * 50_000
        raise NodeFault(Reason.UPDATE_REJECTED, "the file changed")


def test_a_body_that_breaks_off_is_a_lost_link_and_no_update() -> None:
    alone = Alone()

    async def ask() -> None:
        token = await alone.log_in()
        headers = {"X-Auth-Token": token}
        with pytest.raises(LinkLost, match="changed"):
            async with alone.transport.request(
                "POST", url(alone.bmc.box.update.multipart), headers=headers, data=_Torn()
            ):
                pass

    alone.run(ask)
    assert alone.bmc.ledger.submits == 0
    assert alone.bmc.ledger.in_flight == 0


def test_a_cancelled_request_frees_the_line() -> None:
    alone = Alone(SLOW)

    async def ask() -> int:
        token = await alone.log_in()
        waiting = asyncio.ensure_future(alone.get(SYSTEMS, timeout_s=600, token=token))
        await alone.clock.sleep(10)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return (await alone.get(ROOT, timeout_s=600))[0]

    assert alone.run(ask) == 200
    assert alone.bmc.ledger.in_flight == 0
