"""Reading a journal, also one that may not be written: on a read-only file system, or by somebody who only watches."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from fleet.attempts import Attempt, Outcome
from fleet.errors import UsageError
from fleet.eventcodec import decode
from fleet.events import Json, Recorded, RolloutId, RolloutPlanned
from fleet.journal.port import Request, RolloutRow, SessionRow, Verb

SCHEMA_VERSION = 1
BUSY_S = 30.0


class SqliteReader:
    """The reading half of fleet.journal.Journal, over one connection that is its own."""

    def __init__(self, path: Path, link: sqlite3.Connection) -> None:
        self._path = path
        self._read = link

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    def read(self, rollout: RolloutId, *, after: int = 0) -> Iterator[Recorded]:
        """Events above `after`, in order."""
        rows = self._rows(
            "SELECT seq, at, kind, data FROM events WHERE rollout=? AND seq>? ORDER BY seq", (rollout, after)
        )
        return (Recorded(seq, at, rollout, decode(kind, data)) for seq, at, kind, data in rows)

    def rollouts(self) -> Iterable[RolloutRow]:
        """Newest first."""
        rows = self._rows("SELECT id, created_at, playbook, ended FROM rollouts ORDER BY created_at DESC, rowid DESC")
        return [RolloutRow(id=RolloutId(row[0]), created_at=row[1], playbook=row[2], ended=row[3]) for row in rows]

    def plan_of(self, rollout: RolloutId) -> Json | None:
        """The plan of one rollout, without reading its other events."""
        kind = RolloutPlanned.kind
        query = "SELECT data FROM events WHERE rollout=? AND kind=? ORDER BY seq LIMIT 1"
        for (data,) in self._rows(query, (rollout, kind)):
            planned = decode(kind, data)
            return planned.plan if isinstance(planned, RolloutPlanned) else None
        return None

    def busy_nodes(self, nodes: Iterable[str], *, but: RolloutId) -> dict[str, RolloutId]:
        """Nodes that a rollout which has not ended still claims."""
        wanted = set(nodes)
        rows = self._rows("SELECT node, rollout FROM claims WHERE rollout<>?", (but,))
        return {node: RolloutId(rollout) for node, rollout in rows if node in wanted}

    def open_sessions(self) -> tuple[SessionRow, ...]:
        """Sessions that nobody has closed, as far as the journal knows."""
        rows = self._rows("SELECT rollout, node, context, uri FROM sessions ORDER BY node, context")
        return tuple(SessionRow(rollout=RolloutId(row[0]), node=row[1], context=row[2], uri=row[3]) for row in rows)

    def logins_at(self, bmc: str) -> tuple[Attempt, ...]:
        """Logins to one BMC, in order."""
        return self._attempts("bmc=?", bmc)

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """Logins with one credential, in order."""
        return self._attempts("credential=?", credential)

    def _attempts(self, which: str, value: str) -> tuple[Attempt, ...]:
        query = f"SELECT context, bmc, credential, at, outcome FROM logins WHERE {which} ORDER BY id"  # noqa: S608 (ours)
        return tuple(
            Attempt(context=row[0], bmc=row[1], credential=row[2], at=row[3], outcome=Outcome(row[4]))
            for row in self._rows(query, (value,))
        )

    def requests(self, rollout: RolloutId, *, after: int) -> tuple[Request, ...]:
        """Requests above `after`."""
        rows = self._rows("SELECT id, verb, by FROM requests WHERE rollout=? AND id>? ORDER BY id", (rollout, after))
        return tuple(Request(id=row[0], rollout=rollout, verb=Verb(row[1]), by=row[2]) for row in rows)

    def last_request(self, rollout: RolloutId) -> int:
        """The newest request's id, 0 if there is none."""
        (row,) = self._rows("SELECT coalesce(max(id), 0) FROM requests WHERE rollout=?", (rollout,))
        return int(row[0])

    def _rows(self, query: str, values: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Raises UsageError where the file turns out to be damaged."""
        try:
            yield from self._read.execute(query, values)
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self._path}: the journal cannot be read: {error}; copy it with its -wal file, then try sqlite3 .recover"
            ) from error


class JournalView(SqliteReader):
    """A journal that is only looked at; a context that closes it."""

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._read.close()


def look(path: Path) -> JournalView:
    """Open an existing journal to read it, writing nothing. Raises UsageError if it is none, or cannot be read."""
    try:
        return JournalView(path, _open_read_only(path))
    except sqlite3.Error as error:
        raise UsageError(f"{path}: cannot be read as a journal: {error}") from error


def _open_read_only(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # Where SQLite may not create the shared memory of its write-ahead log, a journal without that log is still whole.
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise UsageError(
                f"{path}: not readable in place ({error}); copy it together with {log.name} to a folder that can be written"
            ) from error
        return _checked(path, "immutable=1")


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    link = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        # user_version alone would be answered from the file's head, without the write-ahead log.
        link.execute("SELECT count(*) FROM sqlite_master").fetchone()
        check_version(path, link.execute("PRAGMA user_version").fetchone()[0])
    except BaseException:
        link.close()
        raise
    return link


def check_version(path: Path, version: int, *, oldest: int = 1) -> None:
    """Raise UsageError for a journal that a newer Fleetwave wrote, or that none did; a file being created has version 0."""
    if version < oldest:
        raise UsageError(f"{path}: is not a journal of Fleetwave")
    if version > SCHEMA_VERSION:
        raise UsageError(f"{path}: a newer Fleetwave wrote this journal (schema {version}); use that version")
