"""`fleet.edges.Installs`: OS images under one-time paths, and the phone-homes of what was installed from them.

The token is the last segment of the image's URL, before `.iso`: short, without `?`, with the suffix that some BMCs demand (field
guide 3.2). Outside of this module an installation is named by the token's SHA-256: whoever reads the journal must not be able to
phone home. A phone-home is on the disk before it is acknowledged: after a crash the next process knows it, and it counts.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import secrets
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aiohttp import web

from fleet.clock import Clock
from fleet.drivers.images import ImageServer
from fleet.drivers.phonehome import MAX_BODY_BYTES, NotAPhoneHome, read_phone_home
from fleet.edges import PhoneHome
from fleet.errors import UsageError

PHONE_HOME = "/phone-home"
TOKEN_LIFE_S = 6 * 3600.0
"""A slow installer over USB emulation takes an hour (field guide 3.1); the rest is for one that has to be watched."""
_BODY_S = 30.0
_REFUSALS_KEPT = 64
_TOKEN_BYTES = 16
_INSTALLATION = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True, kw_only=True, eq=False)
class Offer:
    """One installation that may happen once."""

    token: str
    sha256: str
    until: float
    """Field time at which the token is worth nothing any more."""
    home: PhoneHome | None = None
    heard: asyncio.Event = field(default_factory=asyncio.Event)


class ImageInstalls:
    """Serves images through an ImageServer that was not started yet, and hears from them at `/phone-home`."""

    def __init__(self, server: ImageServer, clock: Clock, *, directory: Path) -> None:
        """`directory` keeps tokens and accepted phone-homes (0600, in a folder of 0700); it outlives the process, as the journal does."""
        self._server = server
        self._clock = clock
        self._directory = directory
        self._offers: dict[str, Offer] = {}
        self._turn = asyncio.Lock()
        self.refused: deque[str] = deque(maxlen=_REFUSALS_KEPT)
        """Why phone-homes were refused, newest last: "127.0.0.1: unknown token"."""
        server.add_post(PHONE_HOME, self._hear)

    async def begin(self) -> str:
        """See `fleet.edges.Installs.begin`. Raises UsageError where the token cannot be kept."""
        token = secrets.token_hex(_TOKEN_BYTES)
        installation = _digest(token)
        try:
            await asyncio.to_thread(_write, self._path(installation, "token"), token)
        except OSError as error:
            raise UsageError(f"{self._directory}: nothing can be kept there: {error.strerror}") from None
        return installation

    async def offer(self, image: Path, sha256: str, installation: str) -> str:
        """See `fleet.edges.Installs.offer`. The same installation again, also in a later process, is the same offer.

        Raises:
            UsageError: the file is not the one that was promised, or the installation's token is not kept (any more).
        """
        try:
            size_bytes = (await asyncio.to_thread(image.stat)).st_size
        except OSError as error:
            raise UsageError(f"{image} cannot be read: {error.strerror}") from None
        self._forget_expired()
        known = self._offers.get(installation)
        if known is None:
            token = await asyncio.to_thread(_token, self._path(installation, "token"), installation)
            known = Offer(token=token, sha256=sha256.lower(), until=self._clock.now() + TOKEN_LIFE_S)
            known.home = await asyncio.to_thread(_kept, self._path(installation, "json"))
            if known.home is not None:
                known.heard.set()
        url = await self._server.publish_as(
            f"{known.token}.iso", image, size_bytes=size_bytes, sha256=sha256, gone=lambda: self._expired(known)
        )
        self._offers[installation] = known
        return url

    async def heard(self, installation: str, *, timeout_s: float) -> PhoneHome | None:
        """See `fleet.edges.Installs.heard`."""
        offer = self._offers.get(installation)
        if offer is None:
            return None
        waits = [asyncio.ensure_future(offer.heard.wait()), asyncio.ensure_future(self._clock.sleep(timeout_s))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return offer.home

    def fetched_bytes(self, installation: str) -> int:
        """See `fleet.edges.Installs.fetched_bytes`."""
        offer = self._offers.get(installation)
        return 0 if offer is None else self._server.fetched_bytes[f"{offer.token}.iso"]

    async def _hear(self, request: web.Request) -> web.Response:
        """204: it counts. 409: the token was used. 404: nobody knows the token, or it has expired. 400, 413: no phone-home."""
        try:
            token, home = read_phone_home(await self._body(request))
        except NotAPhoneHome as wrong:
            return self._refuse(request, 400, str(wrong))
        installation = _digest(token)
        offer = self._offers.get(installation)
        if offer is None or self._expired(offer):
            return self._refuse(request, 404, "unknown token")
        async with self._turn:
            if offer.home is None:
                try:
                    await asyncio.to_thread(_write, self._path(installation, "json"), json.dumps(asdict(home)))
                except OSError as error:
                    # Not acknowledged: the installer calls again.
                    return self._refuse(request, 503, f"cannot be kept: {error.strerror}")
                offer.home = home
                offer.heard.set()
        if offer.home != home:
            return self._refuse(request, 409, "the token was used already, by a phone-home that said something else")
        return web.Response(status=204)

    async def _body(self, request: web.Request) -> bytes:
        """Bounded in bytes and in time."""
        body = bytearray()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._clock.io_timeout_s(_BODY_S)):
                async for chunk in request.content.iter_chunked(MAX_BODY_BYTES):
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        break
        return bytes(body)

    def _refuse(self, request: web.Request, status: int, why: str) -> web.Response:
        self.refused.append(f"{request.remote}: {why}")
        response = web.Response(status=status, text=f"{why}\n")
        response.force_close()
        return response

    def _expired(self, offer: Offer) -> bool:
        return self._clock.now() >= offer.until

    def _forget_expired(self) -> None:
        for installation in [name for name, offer in self._offers.items() if self._expired(offer)]:
            del self._offers[installation]

    def _path(self, installation: str, kind: str) -> Path:
        if not _INSTALLATION.fullmatch(installation):
            raise UsageError("an installation is named by 64 hex digits, the SHA-256 of its token")
        return self._directory / f"{installation[:32]}.{kind}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    """On the disk, whole or not at all, when it returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _token(path: Path, installation: str) -> str:
    """Of an installation that this process or an earlier one began."""
    try:
        token = path.read_text()
    except FileNotFoundError:
        raise UsageError(
            f"{path} is not there any more: it held the one-time token of an installation that was begun; put the folder back"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}") from None
    if _digest(token) != installation:
        raise UsageError(f"{path} is not as we wrote it: it holds another token")
    return token


def _kept(path: Path) -> PhoneHome | None:
    """What an earlier process heard."""
    try:
        return PhoneHome(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is not as we wrote it: {type(error).__name__}") from None
