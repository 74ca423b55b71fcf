"""What boxes do in the world outside: read an image by ranges, phone home."""

import asyncio
from typing import Any

import aiohttp

_CHUNK_BYTES = 1 << 20
_LIMIT_BYTES = 64 << 20
_TRIES = 3
_STALL_S = 60.0
"""Real seconds without a byte after which it is given up."""
_OK, _PARTIAL, _PAST_END = 200, 206, 416


class HttpCourier:
    """Errands over HTTP, on the hall's client session."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._timeout = aiohttp.ClientTimeout(total=None, sock_read=_STALL_S, sock_connect=_STALL_S)

    async def read(self, url: str) -> bytes | None:
        """The whole of `url`, in ranges of 1 MiB; None if it cannot be read or is larger than 64 MiB."""
        data = bytearray()
        failures = 0
        while len(data) <= _LIMIT_BYTES:
            try:
                if await self._range(url, data):
                    return bytes(data)
            except (aiohttp.ClientError, TimeoutError, OSError):
                failures += 1
                if failures == _TRIES:
                    return None
                await asyncio.sleep(0)
            except ValueError:
                return None
        return None

    async def post(self, url: str, body: dict[str, Any]) -> bool:
        """Whether `url` answered 2xx to this JSON."""
        try:
            async with self._client.post(url, json=body, timeout=self._timeout) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False

    async def _range(self, url: str, data: bytearray) -> bool:
        """Append the next range; True when that was the end."""
        first = len(data)
        headers = {"Range": f"bytes={first}-{first + _CHUNK_BYTES - 1}", "Accept-Encoding": "identity"}
        async with self._client.get(url, headers=headers, timeout=self._timeout) as answer:
            if answer.status == _PAST_END and first:
                return True
            if answer.status not in {_OK, _PARTIAL}:
                raise ValueError(f"the image server answered {answer.status}")
            if answer.status == _OK:  # it ignored Range: all of it comes
                data.clear()
            async for chunk in answer.content.iter_any():
                data += chunk
                if len(data) > _LIMIT_BYTES:
                    raise ValueError("the image is too large")
            whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status == _OK:
            return True
        return len(data) == int(whole) if whole.isdigit() else len(data) - first < _CHUNK_BYTES
