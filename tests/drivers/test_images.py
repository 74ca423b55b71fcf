"""The image server: exact, ranged, digested, limited, and refusing what changed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from bmc_stand_in import FieldClock

from fleet.drivers.images import ImageServer
from fleet.errors import UsageError
from fleet.limits import Transfers

CONTENT = bytes(range(251)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.fwpkg"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def images() -> AsyncIterator[ImageServer]:
    server = ImageServer(host="127.0.0.1")
    await server.start()
    yield server
    await server.close()


async def test_a_whole_file_with_its_exact_length(
    images: ImageServer, image: Path, http: aiohttp.ClientSession
) -> None:
    url = await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    assert await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256) == url
    async with http.get(url) as response:
        assert await response.read() == CONTENT
        assert response.headers["Content-Length"] == str(len(CONTENT))
        assert "Transfer-Encoding" not in response.headers
        etag = response.headers["ETag"]
    async with http.head(url) as response:
        assert (response.headers["Content-Length"], response.headers["ETag"]) == (str(len(CONTENT)), etag)
    assert images.served_bytes == {"127.0.0.1": len(CONTENT)}


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=501000-", 501000, 502000),
        ("bytes=-10", 501990, 502000),
    ],
)
async def test_a_range(
    *, wanted: str, start: int, stop: int, images: ImageServer, image: Path, http: aiohttp.ClientSession
) -> None:
    url = await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    async with http.get(url, headers={"Range": wanted}) as response:
        assert (response.status, await response.read()) == (206, CONTENT[start:stop])
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("wanted", ["bytes=502000-", "bytes=9-1", "bananas=1-2"])
async def test_a_range_that_is_none(wanted: str, images: ImageServer, image: Path, http: aiohttp.ClientSession) -> None:
    url = await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    async with http.get(url, headers={"Range": wanted}) as response:
        assert response.status == 416


async def test_a_file_that_changed_is_neither_published_nor_served(
    images: ImageServer, image: Path, http: aiohttp.ClientSession
) -> None:
    url = await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    await asyncio.to_thread(image.write_bytes, CONTENT[::-1])
    async with http.get(url) as response:
        assert response.status == 410
    with pytest.raises(UsageError, match="plan again"):
        await images.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    async with http.get(url.replace("/i/", "/i/..%2f")) as response:
        assert response.status == 404


async def test_bytes_per_second_are_shared(image: Path, http: aiohttp.ClientSession) -> None:
    clock = FieldClock()
    transfers = Transfers(bytes_per_s=10_000.0, clock=clock)
    server = ImageServer(host="127.0.0.1", transfers=transfers)
    await server.start()
    url = await server.publish(image, size_bytes=len(CONTENT), sha256=SHA256)
    for _ in range(2):
        async with http.get(url) as response:
            assert transfers.under_way == 1
            assert await response.read() == CONTENT
    await server.close()
    assert (transfers.under_way, transfers.sent_bytes) == (0, 2 * len(CONTENT))
    assert sum(clock.slept_s) == pytest.approx(2 * len(CONTENT) / 10_000)
