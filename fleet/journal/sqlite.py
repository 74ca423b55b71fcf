"""The journal in SQLite: one writer thread, group commit.

All appends that arrive while a commit is under way share the next one: 62,000 to 80,000 transitions a second at 1,000 callers,
0.02 CPU-ms each (measurements.md), so durability is never a reason to batch intents. Other processes read, and write their
requests, through connections of their own; WAL lets them.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fleet import events as ev
from fleet.attempts import WINDOW_S, Outcome
from fleet.clock import Clock
from fleet.errors import JournalUnwritable, UsageError
from fleet.eventcodec import encode
from fleet.events import Event, Recorded, RolloutId
from fleet.journal.port import Verb
from fleet.journal.reading import BUSY_S, SCHEMA_VERSION, SqliteReader, check_version

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events(
  seq INTEGER PRIMARY KEY, rollout TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_rollout ON events(rollout, seq);
CREATE TABLE IF NOT EXISTS rollouts(
  id TEXT PRIMARY KEY, created_at REAL NOT NULL, playbook TEXT NOT NULL, ended TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS claims(rollout TEXT, node TEXT, PRIMARY KEY(rollout, node)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_by_node ON claims(node);
CREATE TABLE IF NOT EXISTS sessions(
  rollout TEXT NOT NULL, node TEXT NOT NULL, context TEXT PRIMARY KEY, uri TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logins(
  id INTEGER PRIMARY KEY, context TEXT NOT NULL UNIQUE, bmc TEXT NOT NULL, credential TEXT NOT NULL, at REAL NOT NULL,
  outcome TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS logins_by_bmc ON logins(bmc);
CREATE INDEX IF NOT EXISTS logins_by_credential ON logins(credential);
CREATE TABLE IF NOT EXISTS requests(
  id INTEGER PRIMARY KEY AUTOINCREMENT, rollout TEXT NOT NULL, verb TEXT NOT NULL, by TEXT NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
"""In one transaction: a crash leaves a whole journal or an empty file, never tables without their version."""


@dataclass(slots=True)
class _Batch:
    rows: list[tuple[RolloutId, float, Event, str]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]
    """First sequence number."""


def _connect(path: Path, *, create: bool, max_bytes: int | None = None) -> sqlite3.Connection:
    mode = "rwc" if create else "rw"
    link = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_S,
    )
    # Before anything is written: a database of somebody else's must stay as it is. One without tables is about to be ours.
    (tables,) = link.execute("SELECT count(*) FROM sqlite_master").fetchone()
    check_version(path, link.execute("PRAGMA user_version").fetchone()[0], oldest=1 if tables else 0)
    link.execute("PRAGMA journal_mode = WAL")
    link.execute("PRAGMA synchronous = FULL")
    if max_bytes is not None:
        (page_bytes,) = link.execute("PRAGMA page_size").fetchone()
        link.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")
    return link


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: SQLite does not wait for its lock while it changes a new file to a write-ahead log."""
    file = os.open(path.with_name(f"{path.name}.open.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _made(path: Path) -> None:
    """An empty file where there is none, for its owner alone: it will say where every machine is. SQLite gives its logs the same mode."""
    # Never a descriptor of a file that is there: closing it would drop this process's locks on it (SQLite, "How To Corrupt", 2.2).
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _kept_from_others(path: Path) -> None:
    """Of a journal of ours that everybody may read, as earlier releases made it. What was given to a group on purpose stays so."""
    for file in (path, *(path.with_name(f"{path.name}{log}") for log in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # PermissionError: it is somebody else's, who decides
            if file.stat().st_mode & stat.S_IRWXO:
                file.chmod(0o600)


def _project(link: sqlite3.Connection, rollout: RolloutId, at: float, event: Event) -> None:
    """The small tables, in the event's own transaction."""
    match event:
        case ev.RolloutCreated():
            link.execute("INSERT INTO rollouts VALUES(?,?,?,'')", (rollout, at, event.playbook))
        case ev.RolloutPlanned():
            link.executemany(
                "INSERT OR REPLACE INTO claims VALUES(?,?)", [(rollout, node) for node in event.plan["nodes"]]
            )
        case ev.NodeConfirmed() | ev.NodeRolledBack() | ev.NodeRefused():
            link.execute("DELETE FROM claims WHERE rollout=? AND node=?", (rollout, event.node))
        case ev.RolloutEnded():
            link.execute("UPDATE rollouts SET ended=? WHERE id=?", (event.outcome, rollout))
            link.execute("DELETE FROM claims WHERE rollout=?", (rollout,))
        case ev.SessionOpening():
            link.execute("INSERT OR REPLACE INTO sessions VALUES(?,?,?,'')", (rollout, event.node, event.context))
            _announce_login(link, event, at)
        case ev.SessionOpened():
            link.execute("UPDATE sessions SET uri=? WHERE context=?", (event.uri, event.context))
            link.execute("UPDATE logins SET outcome=? WHERE context=?", (Outcome.ACCEPTED, event.context))
        case ev.LoginRefused():
            link.execute("DELETE FROM sessions WHERE context=?", (event.context,))
            link.execute("UPDATE logins SET outcome=? WHERE context=?", (Outcome.REFUSED, event.context))
        case ev.SessionClosed():
            link.execute("DELETE FROM sessions WHERE context=?", (event.context,))
            # A login that was never judged. One that a crash left open is closed only by a login that was accepted.
            link.execute("DELETE FROM logins WHERE context=? AND outcome=?", (event.context, Outcome.OPEN))
        case _:
            pass


def _announce_login(link: sqlite3.Connection, event: ev.SessionOpening, at: float) -> None:
    """Count it, and forget those on this BMC that count no more."""
    if not event.bmc:
        return  # of a version before these were counted
    link.execute(
        "DELETE FROM logins WHERE bmc=? AND (abs(at-?)>=? OR outcome=?)", (event.bmc, at, WINDOW_S, Outcome.ACCEPTED)
    )
    link.execute(
        "INSERT OR REPLACE INTO logins(context, bmc, credential, at, outcome) VALUES(?,?,?,?,?)",
        (event.context, event.bmc, event.credential, at, Outcome.OPEN),
    )


class SqliteJournal(SqliteReader):
    """See fleet.journal.Journal. `max_bytes` bounds the file: beyond it the journal behaves as on a full disk."""

    def __init__(self, path: Path, clock: Clock, *, max_bytes: int | None = None) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path):
                _made(path)
                self._write = _connect(path, create=True, max_bytes=max_bytes)
                _kept_from_others(path)
                self._write.executescript(_SCHEMA)
                self._write.execute("BEGIN IMMEDIATE")
                self._write.execute("ROLLBACK")
            # A damaged file says so now, not in the middle of a rollout.
            self._write.execute("SELECT max(seq) FROM events").fetchone()
            super().__init__(path, _connect(path, create=False))
        except (sqlite3.Error, OSError) as error:
            raise JournalUnwritable(
                f"{path}: the journal cannot be opened for writing: {error}; nothing was started. Check its folder's"
                " permissions and free space, or name another with --journal"
            ) from error
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """Durable when it returns, in order, all or none."""
        at = self._clock.now()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        self._queue.put(_Batch([(rollout, at, event, encode(event)) for event in events], loop, done))
        first = await asyncio.shield(done)
        return tuple(Recorded(first + index, at, rollout, event) for index, event in enumerate(events))

    def _run(self) -> None:
        """The writer thread: everything queued goes into one transaction."""
        while (batch := self._queue.get()) is not None:
            batches = [batch]
            while not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                batches.append(following)
            self._commit(batches)

    def _commit(self, batches: list[_Batch]) -> None:
        try:
            self._write.execute("BEGIN IMMEDIATE")
            # Another process may have appended since: sequence numbers are the database's, never a memory of them.
            seq: int = self._write.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
            firsts = []
            for batch in batches:
                firsts.append(seq + 1)
                for rollout, at, event, data in batch.rows:
                    seq += 1
                    self._write.execute("INSERT INTO events VALUES(?,?,?,?,?)", (seq, rollout, at, event.kind, data))
                    _project(self._write, rollout, at, event)
            self._write.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it: a dead writer thread answers nobody)
            if self._write.in_transaction:
                self._write.execute("ROLLBACK")
            failure = JournalUnwritable(
                f"{self._path}: the journal cannot be written: {error}; free space or repair it, then `fleet resume`"
            )
            self._answer([(batch, failure) for batch in batches])
        else:
            self._answer(list(zip(batches, firsts, strict=True)))

    @staticmethod
    def _answer(results: list[tuple[_Batch, int | JournalUnwritable]]) -> None:
        """One wake-up of each loop for the whole commit."""

        def resolve() -> None:
            for batch, result in results:
                if batch.done.done():
                    continue
                if isinstance(result, JournalUnwritable):
                    batch.done.set_exception(result)
                else:
                    batch.done.set_result(result)

        for loop in {id(batch.loop): batch.loop for batch, _ in results}.values():
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve)

    async def request(self, rollout: RolloutId, verb: Verb, by: str) -> int:
        """Ask. Written directly: requests come one at a time, from people."""
        try:
            return self._write_request(rollout, verb, by)
        except sqlite3.Error as error:
            raise JournalUnwritable(f"{self._path}: the request cannot be written: {error}") from error

    def _write_request(self, rollout: RolloutId, verb: Verb, by: str) -> int:
        cursor = self._read.execute("INSERT INTO requests(rollout, verb, by) VALUES(?,?,?)", (rollout, verb.value, by))
        return int(cursor.lastrowid or 0)

    async def close(self) -> None:
        """Flush and close."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._read.close()
        self._write.close()


def existing(path: Path) -> Path:
    """The path, if a journal lies there. A command that only looks must not create one."""
    if not path.is_file():
        raise UsageError(
            f"{path}: no journal there; `fleet apply` and `fleet demo` make one, or name one with --journal"
        )
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: not readable by this user")
    return path
