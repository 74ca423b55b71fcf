"""How a BMC pulls an image: HTTP GET, continued with Range when the connection breaks."""

import asyncio

import aiohttp

from fleet.sim.message import Fetch

_TRIES = 4
_STALL_S = 60.0
"""Real seconds without a byte after which the transfer is given up."""


class PullError(Exception):
    """The image could not be fetched; the text says why."""


async def pull(client: aiohttp.ClientSession, fetch: Fetch) -> bytes:
    """The bytes at `fetch.uri`.

    Raises:
        PullError: refused, wrong status, too large, or broken too often.
    """
    data = bytearray()
    why = "no answer"
    for _ in range(_TRIES):
        try:
            return await _pull_rest(client, fetch, data)
        except (aiohttp.ClientError, TimeoutError, OSError) as cause:
            why = f"{type(cause).__name__} after {len(data)} bytes"
        except ValueError:
            raise PullError("the URI of the image is not valid") from None
        await asyncio.sleep(0)
    raise PullError(why)


async def _pull_rest(client: aiohttp.ClientSession, fetch: Fetch, data: bytearray) -> bytes:
    headers = {"Accept-Encoding": "identity"}
    if data:
        headers["Range"] = f"bytes={len(data)}-"
    timeout = aiohttp.ClientTimeout(total=None, sock_read=_STALL_S, sock_connect=_STALL_S)
    async with client.get(fetch.uri, headers=headers, timeout=timeout) as response:
        if response.status not in {200, 206}:
            raise PullError(f"the image server answered {response.status}")
        if response.status == 200:  # noqa: PLR2004  the server ignored Range: begin anew
            data.clear()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > fetch.limit_bytes:
                raise PullError(f"the image is larger than {fetch.limit_bytes} bytes")
    return bytes(data)
