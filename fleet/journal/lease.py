"""One process per rollout, by a file lock that the kernel drops the moment the process dies, however it dies."""

import fcntl
import os
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet.errors import Busy, JournalUnwritable
from fleet.events import RolloutId


def _path(journal: Path, rollout: RolloutId) -> Path:
    return journal.with_name(f"{journal.name}.{re.sub(r'[^A-Za-z0-9._-]', '_', rollout)}.lock")


_LOOKS = 5


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _breath() -> bool:
    threading.Event().wait(0.05)
    return False


class Lease:
    """Held from `with` to the end of the process or of the block."""

    def __init__(self, journal: Path, rollout: RolloutId) -> None:
        self._path = _path(journal, rollout)
        self._rollout = rollout
        self._file = -1

    def __enter__(self) -> Self:
        """Take it, or raise Busy at once with the owner's process number."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalUnwritable(f"{self._path}: the rollout's lock cannot be made: {error.strerror}") from error
        # `held_elsewhere` of another process holds the lock for an instant: one refusal is no proof of an owner.
        if not any(_locked(self._file) or _breath() for _ in range(_LOOKS)):
            owner = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise Busy(
                f"rollout {self._rollout} is run by process {owner}: watch it with `fleet status {self._rollout}`, or ask it to"
                f" `fleet pause`, `resume`, `abort` {self._rollout}"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        os.close(self._file)


def held_elsewhere(journal: Path, rollout: RolloutId) -> bool:
    """Whether a living process runs this rollout."""
    try:
        file = os.open(_path(journal, rollout), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
