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
from fleet.edges import PhoneHome
from fleet.errors import UsageError

CONTENT = bytes(range(256)) * 64
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()  # without a comment
SAID: dict[str, Any] = {
    "token": "stands for the one that was given",
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
        self.url = self.installation = ""

    @property
    def token(self) -> str:
        """As the installer finds it: in the URL."""
        return self.url.rpartition("/")[2].removesuffix(".iso")

    async def offer(self) -> None:
        """A new installation."""
        self.installation = await self.installs.begin()
        self.url = await self.installs.offer(self.image, SHA256, self.installation)

    async def heard(self) -> PhoneHome | None:
        """What was heard so far."""
        return await self.installs.heard(self.installation, timeout_s=0)

    async def post(self, body: Any) -> int:
        """The status of a phone-home."""
        if isinstance(body, dict) and body.get("token") == SAID["token"]:
            body = body | {"token": self.token}
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
    assert hashlib.sha256(desk.token.encode()).hexdigest() == desk.installation
    assert "?" not in desk.url
    assert await desk.get() == 200
    assert desk.installs.fetched_bytes(desk.installation) == len(CONTENT)
    waiting = asyncio.create_task(desk.installs.heard(desk.installation, timeout_s=60))
    assert await desk.post(SAID) == 204
    home = await waiting
    assert home is not None
    assert (home.serial, home.uuid, home.os_release) == ("S1", "00000000-0000-0000-0000-0000000000ab", "24.04")
    assert (home.host_key, home.address, home.image_sha256) == (KEY, "10.0.0.7", SHA256)


async def test_a_token_counts_once_and_a_repeated_call_is_acknowledged(desk: Desk) -> None:
    assert [await desk.post(SAID), await desk.post(SAID)] == [204, 204]
    assert await desk.post(SAID | {"serial": "S2"}) == 409
    home = await desk.heard()
    assert home is not None
    assert home.serial == "S1"


async def test_a_token_that_nobody_gave_or_that_expired_is_unknown(desk: Desk) -> None:
    assert await desk.post(SAID | {"token": "f" * 32}) == 404
    desk.clock.at += TOKEN_LIFE_S
    assert [await desk.post(SAID), await desk.get()] == [404, 404]
    assert await desk.heard() is None
    assert list(desk.installs.refused) == ["127.0.0.1: unknown token"] * 2


async def test_what_was_acknowledged_is_known_to_the_next_process(desk: Desk) -> None:
    assert await desk.post(SAID) == 204
    assert {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in desk.directory.iterdir()} == {
        ".token": 0o600,
        ".json": 0o600,
    }
    assert stat.S_IMODE(desk.directory.stat().st_mode) == 0o700
    later = ImageServer(host="127.0.0.1")
    installs = ImageInstalls(later, desk.clock, directory=desk.directory)
    await later.start()
    url = await installs.offer(desk.image, SHA256, desk.installation)
    assert url.rpartition("/")[2] == desk.url.rpartition("/")[2]
    assert await installs.heard(desk.installation, timeout_s=0) == await desk.heard() is not None
    await later.close()


async def test_a_phone_home_that_cannot_be_kept_is_not_acknowledged(desk: Desk) -> None:
    away = desk.directory.rename(desk.directory.with_name("away"))
    desk.directory.write_text("in the way")
    assert await desk.post(SAID) == 503
    assert await desk.heard() is None
    with pytest.raises(UsageError, match="nothing can be kept"):
        await desk.installs.begin()
    desk.directory.unlink()
    away.rename(desk.directory)
    assert await desk.post(SAID) == 204


async def test_an_installation_whose_token_is_lost_or_another_is_not_offered(desk: Desk) -> None:
    [kept] = desk.directory.iterdir()
    installs = ImageInstalls(desk.server, desk.clock, directory=desk.directory)
    for damage in (lambda: kept.write_text("0" * 32), kept.unlink):
        damage()
        with pytest.raises(UsageError, match=kept.name) as caught:
            await installs.offer(desk.image, SHA256, desk.installation)
        assert desk.token not in str(caught.value)


async def test_an_image_that_is_not_the_promised_one_is_not_offered(desk: Desk) -> None:
    for image, sha256, installation in (
        (desk.image, "0" * 64, desk.installation),
        (desk.image.with_name("gone.iso"), SHA256, desk.installation),
        (desk.image, SHA256, "../../etc/passwd-and-more"),
    ):
        with pytest.raises(UsageError):
            await desk.installs.offer(image, sha256, installation)


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
    assert await desk.heard() is None
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
