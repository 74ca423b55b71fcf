"""The phone-home server against whoever posts to it: strangers, liars, the slow and the endless; and itself after a crash."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest
from support.clock import START

from fleet.drivers.images import ImageServer
from fleet.drivers.installs import PHONE_HOME, TOKEN_LIFE_S, ImageInstalls
from fleet.drivers.phonehome import MAX_BODY_BYTES, NotAPhoneHome, read_phone_home
from fleet.errors import UsageError

TOKEN = "0123456789abcdef0123456789abcdef"
CONTENT = bytes(range(256)) * 64
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()  # without a comment
SAID: dict[str, Any] = {
    "token": TOKEN,
    "serial": "S1",
    "uuid": "00000000-0000-0000-0000-0000000000AB",
    "host_key": f"{KEY} root@gpu1",
    "address": "10.0.0.7",
    "version_id": "24.04",
    "image_sha256": SHA256,
}


class HandClock:
    """Time that a test moves. Sleeping lasts for ever, unless for no time."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        """Field time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """For ever, or not at all."""
        if seconds > 0:
            await asyncio.Event().wait()

    async def sleep_wall(self, seconds: float) -> None:
        """As `sleep`."""
        await self.sleep(seconds)

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self.at

    def io_timeout_s(self, seconds: float) -> float:
        """Real seconds, few."""
        return min(seconds, 0.3)


class Desk:
    """A server that hears, and the file that it offers."""

    def __init__(self, directory: Path, http: aiohttp.ClientSession) -> None:
        self.clock = HandClock()
        self.image = directory / "os.iso"
        self.image.write_bytes(CONTENT)
        self.directory = directory / "homes"
        self.server = ImageServer(host="127.0.0.1")
        self.installs = ImageInstalls(self.server, self.clock, directory=self.directory)
        self.http = http
        self.url = ""

    async def offer(self) -> None:
        """Under the token of this file."""
        self.url = await self.installs.offer(self.image, SHA256, TOKEN)

    async def post(self, body: Any) -> int:
        """The status of a phone-home."""
        where = self.url.partition("/i/")[0] + PHONE_HOME
        kind = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(where, **kind) as response:
            return response.status

    async def get(self) -> int:
        """The status of a read of the image."""
        async with self.http.get(self.url) as response:
            assert response.status != 200 or await response.read() == CONTENT
            return response.status


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession() as http:
        started = Desk(tmp_path, http)
        await started.server.start()
        await started.offer()
        yield started
        await started.server.close()


async def test_an_image_is_read_and_its_installation_heard(desk: Desk) -> None:
    assert desk.url.endswith(f"/{TOKEN}.iso")
    assert "?" not in desk.url
    assert await desk.get() == 200
    assert desk.installs.fetched_bytes(TOKEN) == len(CONTENT)
    waiting = asyncio.create_task(desk.installs.heard(TOKEN, timeout_s=60))
    assert await desk.post(SAID) == 204
    home = await waiting
    assert home is not None
    assert (home.serial, home.uuid, home.os_release) == ("S1", "00000000-0000-0000-0000-0000000000ab", "24.04")
    assert (home.host_key, home.address, home.image_sha256) == (KEY, "10.0.0.7", SHA256)


async def test_a_token_counts_once_and_a_repeated_call_is_acknowledged(desk: Desk) -> None:
    assert [await desk.post(SAID), await desk.post(SAID)] == [204, 204]
    assert await desk.post(SAID | {"serial": "S2"}) == 409
    home = await desk.installs.heard(TOKEN, timeout_s=0)
    assert home is not None
    assert home.serial == "S1"


async def test_a_token_that_nobody_gave_or_that_expired_is_unknown(desk: Desk) -> None:
    assert await desk.post(SAID | {"token": "f" * 32}) == 404
    desk.clock.at += TOKEN_LIFE_S
    assert [await desk.post(SAID), await desk.get()] == [404, 404]
    assert await desk.installs.heard(TOKEN, timeout_s=0) is None
    assert list(desk.installs.refused) == ["127.0.0.1: unknown token"] * 2


async def test_what_was_acknowledged_is_known_to_the_next_process(desk: Desk) -> None:
    assert await desk.post(SAID) == 204
    [kept] = desk.directory.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert TOKEN not in kept.name + kept.read_text()
    later = ImageServer(host="127.0.0.1")
    installs = ImageInstalls(later, desk.clock, directory=desk.directory)
    await later.start()
    await installs.offer(desk.image, SHA256, TOKEN)
    assert await installs.heard(TOKEN, timeout_s=0) == await desk.installs.heard(TOKEN, timeout_s=0) is not None
    await later.close()


async def test_a_phone_home_that_cannot_be_kept_is_not_acknowledged(desk: Desk) -> None:
    desk.directory.write_text("in the way")
    assert await desk.post(SAID) == 503
    assert await desk.installs.heard(TOKEN, timeout_s=0) is None
    desk.directory.unlink()
    assert await desk.post(SAID) == 204


async def test_an_image_that_is_not_the_promised_one_is_not_offered(desk: Desk) -> None:
    for image, sha256, token in (
        (desk.image, "0" * 64, TOKEN),
        (desk.image.with_name("gone.iso"), SHA256, TOKEN),
        (desk.image, SHA256, "../../etc/passwd-and-more"),
    ):
        with pytest.raises(UsageError):
            await desk.installs.offer(image, sha256, token)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 9000,
        b"null",
        b'{"token": "' + b"x" * MAX_BODY_BYTES + b'"}',
        SAID | {"serial": ["S1"]},
        SAID | {"serial": "S" * 200},
        SAID | {"serial": "S1\n[journal] all is well"},
        SAID | {"uuid": "S1"},
        SAID | {"address": "gpu1; rm -rf /"},
        SAID | {"version_id": "24.04 $(reboot)"},
        SAID | {"image_sha256": 7},
        SAID | {"host_key": "ssh-ed25519 AAAA"},
        SAID | {"host_key": KEY.replace("ssh-ed25519", "ssh-rsa", 1)},
        SAID | {"host_key": f"cert-authority {KEY}"},
        SAID | {"host_key": "ssh-ed25519 " + "A" * 4000},
        {name: value for name, value in SAID.items() if name != "host_key"},
    ],
)
async def test_a_hostile_body_is_refused_and_the_true_one_still_counts(desk: Desk, body: Any) -> None:
    assert await desk.post(body) == 400
    assert await desk.installs.heard(TOKEN, timeout_s=0) is None
    assert await desk.post(SAID) == 204


async def test_a_body_that_never_ends_is_given_up(desk: Desk) -> None:
    host, _, port = desk.url.removeprefix("http://").partition("/")[0].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {PHONE_HOME} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{{".encode())
    assert b" 400 " in await reader.readline()
    writer.close()
    assert await desk.post(SAID) == 204


def test_a_refusal_repeats_nothing_of_what_was_posted() -> None:
    with pytest.raises(NotAPhoneHome) as caught:
        read_phone_home(b'{"token": "secret", "serial": "\\u0007"}')
    assert "secret" not in str(caught.value)
    assert str(caught.value) == "'serial' is not a printable text of 1 to 128 characters"
