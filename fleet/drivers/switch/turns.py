"""One process of this machine and user at a switch at a time, by a file lock that the kernel drops when a process dies.

Two rollouts on different nodes share leaves. Their configuration sessions have one name (EOS), or one pending revision and one file in
the user's directory (NVUE): each would abort, fill or commit the other's, and each commit replaces the whole configuration.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import gettempdir

from fleet.clock import Clock
from fleet.drivers.switch.connection import COMMIT_S, SwitchAccess
from fleet.errors import Transient

_LOOK_S = 0.1
"""Wall seconds."""
_PATIENCE_S = 2 * COMMIT_S
"""Field seconds: the other process may be in a commit."""


Lock = Callable[[SwitchAccess, str, Clock], AbstractAsyncContextManager[None]]
"""As `alone`."""


@asynccontextmanager
async def alone(access: SwitchAccess, what: str, clock: Clock) -> AsyncIterator[None]:
    """Nobody else of this machine and user has `what`, a name, meanwhile. Raises Transient if somebody keeps it."""
    try:
        file = _opened(what)
    except OSError as error:
        raise Transient(f"{access.name}: its lock cannot be made in {gettempdir()}: {error.strerror}") from error
    try:
        give_up = clock.now() + _PATIENCE_S
        while not _locked(file):
            if clock.now() >= give_up:
                raise Transient(f"{access.name}: another process of ours is configuring {what} for {_PATIENCE_S:.0f} s")
            await clock.sleep_wall(_LOOK_S)
        yield
    finally:
        os.close(file)


@asynccontextmanager
async def turn(access: SwitchAccess, clock: Clock, lock: Lock = alone) -> AsyncIterator[None]:
    """Nobody else is at the switch meanwhile. Raises what `lock` does."""
    async with lock(access, f"switch-{access.address}-{access.port}", clock):
        yield


class Pair:
    """Two leaves of which one always carries the traffic: never are both of them configured at the same time."""

    def __init__(self, members: Iterable[SwitchAccess], lock: Lock = alone) -> None:
        self._name = "pair-" + "+".join(sorted(f"{access.address}-{access.port}" for access in members))
        self._lock = lock
        self._first_come = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, access: SwitchAccess, clock: Clock) -> AsyncIterator[None]:
        """Nobody else configures either of them meanwhile. Raises what the lock does."""
        async with self._first_come, self._lock(access, self._name, clock):
            yield


def _opened(what: str) -> int:
    folder = Path(gettempdir()) / f"fleetwave-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(0, f"{folder} is somebody else's")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", what)
    return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
