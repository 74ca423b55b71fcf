"""The journal on a real disk, with real processes: acknowledged means durable, and every trouble is a clear error."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.errors import Busy, JournalUnwritable, UsageError
from fleet.events import RolloutId
from fleet.journal import Lease, SqliteJournal, Verb, held_elsewhere

R = RolloutId("r-1")
CHILD = """
import asyncio, sys
from pathlib import Path
from fleet import events as ev
from fleet.clock import SystemClock
from fleet.events import RolloutId
from fleet.journal import Lease, SqliteJournal

async def appender(journal, who, number):
    for index in range(number):
        (one,) = await journal.append(RolloutId("r-1"), ev.StepStarted(node=who, step=str(index)))
        print(one.seq, who, index, flush=True)

async def main():
    journal = SqliteJournal(Path(sys.argv[1]), SystemClock())
    who, number = sys.argv[2], int(sys.argv[3])
    await asyncio.gather(*(appender(journal, f"{who}{task}", number) for task in range(4)))
    await journal.close()

if sys.argv[2] == "lease":
    with Lease(Path(sys.argv[1]), RolloutId("r-1")):
        print("held", flush=True)
        sys.stdin.read()
else:
    asyncio.run(main())
"""


@asynccontextmanager
async def journal_at(path: Path, max_bytes: int | None = None) -> AsyncIterator[SqliteJournal]:
    journal = SqliteJournal(path, SystemClock(), max_bytes=max_bytes)
    try:
        yield journal
    finally:
        await journal.close()


def child(path: Path, who: str, number: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), who, str(number)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


async def test_concurrent_appenders_are_kept_in_order_whole_and_without_gaps(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "j.db") as journal:

        async def appender(who: str) -> list[int]:
            seqs = []
            for index in range(20):
                pair = [ev.StepStarted(node=who, step=f"{index}{part}") for part in "ab"]
                recorded = await journal.append(R, *pair)
                seqs += [item.seq for item in recorded]
            return seqs

        acknowledged = await asyncio.gather(*(appender(f"n{number}") for number in range(100)))
        read = list(journal.read(R))
    assert [item.seq for item in read] == list(range(1, 4001))
    for number, seqs in enumerate(acknowledged):
        mine = [item for item in read if isinstance(item.event, ev.NodeEvent) and item.event.node == f"n{number}"]
        assert [item.seq for item in mine] == seqs
        assert [b - a for a, b in zip(seqs[::2], seqs[1::2], strict=True)] == [1] * 20


@pytest.mark.parametrize("lines", [1, 40, 200])
async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "j.db"
    with child(path, "c", 1_000_000) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline().split() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        seen += [line.split() for line in process.stdout.read().splitlines() if len(line.split()) == 3]
    async with journal_at(path) as journal:
        kept = {(item.seq, item.event.node, item.event.step) for item in journal.read(R)}  # type: ignore[attr-defined]  # StepStarted all
        assert {(int(seq), who, index) for seq, who, index in seen} <= kept
        (after,) = await journal.append(R, ev.NodeConfirmed(node="n"))
    assert after.seq == len(kept) + 1


async def test_two_processes_create_and_append_to_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    processes = [child(path, who, 25) for who in "ab"]
    lines = [line.split() for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(int(seq) for seq, _, _ in lines) == list(range(1, 201))
    async with journal_at(path) as journal:
        assert len(list(journal.read(R))) == 200


async def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    kept = 0
    async with journal_at(path, max_bytes=200_000) as journal:
        with pytest.raises(JournalUnwritable, match=r"j\.db.*full.*fleet resume"):  # noqa: PT012 (until it is full)
            for _ in range(1000):
                await journal.append(R, ev.NodeUncertain(node="n", effect="e", why="x" * 1000))
                kept += 1
        assert kept > 10
        assert len(list(journal.read(R))) == kept
    async with journal_at(path) as journal:
        (more,) = await journal.append(R, ev.NodeConfirmed(node="n"))
        assert more.seq == kept + 1
        assert len(list(journal.read(R))) == kept + 1


@pytest.mark.parametrize("path", ["/proc/fleetwave/j.db", "/dev/null/j.db"])
def test_a_place_that_cannot_be_written_is_named(path: str) -> None:
    with pytest.raises(JournalUnwritable, match=f"{path}.*--journal"):
        SqliteJournal(Path(path), SystemClock())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only file; /proc and /dev/null stand in for it")
def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.touch(0o400)
    with pytest.raises(JournalUnwritable, match="permissions"):
        SqliteJournal(path, SystemClock())


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"precious " * 1000)
    with pytest.raises(JournalUnwritable, match="not a database"):
        SqliteJournal(path, SystemClock())
    assert path.read_bytes() == b"precious " * 1000


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    link = sqlite3.connect(path)
    link.execute("PRAGMA user_version = 99")
    link.close()
    with pytest.raises(UsageError, match=r"newer Fleetwave.*99"):
        SqliteJournal(path, SystemClock())


async def test_half_a_character_from_a_bmc_is_kept_and_one_in_a_uri_does_not_hang_the_writer(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "j.db") as journal:
        event = ev.NodeQuarantined(node="n", reason="x", message="half \ud83d of a smile")
        await journal.append(R, event)
        assert [item.event for item in journal.read(R)] == [event]
        await journal.append(R, ev.SessionOpening(node="n", context="c"))
        with pytest.raises(JournalUnwritable, match="surrogates"):
            await journal.append(R, ev.SessionOpened(node="n", context="c", uri="/sessions/\udcff"))
        (after,) = await journal.append(R, ev.NodeConfirmed(node="n"))
        assert after.seq == 3


async def test_requests_are_seen_by_another_connection_in_order(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal_at(path) as engine, journal_at(path) as operator:
        before = engine.last_request(R)
        first = await operator.request(R, Verb.PAUSE, "ann")
        second = await operator.request(R, Verb.ABORT, "bob")
        await operator.request(RolloutId("other"), Verb.ABORT, "eve")
        seen = engine.requests(R, after=before)
        assert [(item.id, item.verb, item.by) for item in seen] == [
            (first, Verb.PAUSE, "ann"),
            (second, Verb.ABORT, "bob"),
        ]
        assert engine.requests(R, after=second) == ()
        assert engine.last_request(R) == second


async def test_nodes_are_busy_until_they_or_their_rollout_end(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "j.db") as journal:
        nodes = {name: {"wave": 0} for name in ("a", "b", "c")}
        await journal.append(R, ev.RolloutCreated(playbook="p", sources={}, by="x"))
        await journal.append(R, ev.RolloutPlanned(plan={"nodes": nodes}, digest="d"))
        other = RolloutId("r-2")
        assert journal.busy_nodes(["a", "b", "z"], but=other) == {"a": R, "b": R}
        assert journal.busy_nodes(["a"], but=R) == {}
        await journal.append(R, ev.NodeConfirmed(node="a"), ev.NodeQuarantined(node="b", reason="x", message=""))
        assert journal.busy_nodes("abc", but=other) == {"b": R, "c": R}
        await journal.append(R, ev.RolloutEnded(outcome="completed"))
        assert journal.busy_nodes("abc", but=other) == {}
        assert [row.ended for row in journal.rollouts()] == ["completed"]


async def test_sessions_stay_open_until_closed(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "j.db") as journal:
        await journal.append(R, ev.SessionOpening(node="a", context="c1"), ev.SessionOpening(node="b", context="c2"))
        await journal.append(R, ev.SessionOpened(node="a", context="c1", uri="/s/1"))
        assert [(row.node, row.context, row.uri) for row in journal.open_sessions()] == [
            ("a", "c1", "/s/1"),
            ("b", "c2", ""),
        ]
        await journal.append(R, ev.SessionClosed(node="a", context="c1"))
        assert [row.context for row in journal.open_sessions()] == ["c2"]


def test_a_second_holder_is_told_who_holds_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    assert not held_elsewhere(path, R)
    with Lease(path, R):
        assert held_elsewhere(path, R)
        with pytest.raises(Busy, match=str(os.getpid())), Lease(path, R):
            pass
        with Lease(path, RolloutId("r-2")):
            pass
    assert not held_elsewhere(path, R)


def test_kill_9_frees_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with child(path, "lease") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=str(process.pid)), Lease(path, R):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with Lease(path, R):
            pass


def modes(path: Path) -> dict[str, int]:
    """The database and its two logs, while it is open."""
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}


async def test_a_journal_is_its_owners_alone_also_one_that_everybody_could_read(tmp_path: Path) -> None:
    path, mask = tmp_path / "j.db", os.umask(0o022)
    names = ["j.db", "j.db-shm", "j.db-wal", "j.db.open.lock"]
    try:
        async with journal_at(path) as journal:
            await journal.append(R, ev.RolloutCreated(playbook="p", sources={}, by="test"))
            assert modes(path) == dict.fromkeys(names, 0o600)
            for name in names[:3]:
                (tmp_path / name).chmod(0o644)
            async with journal_at(path):
                assert modes(path) == dict.fromkeys(names, 0o600)
        path.chmod(0o640)
        async with journal_at(path):
            assert modes(path)["j.db"] == 0o640
    finally:
        os.umask(mask)


def test_somebody_elses_database_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    link = sqlite3.connect(path)
    link.execute("PRAGMA user_version = 99")
    link.close()
    path.chmod(0o644)
    with pytest.raises(UsageError):
        SqliteJournal(path, SystemClock())
    assert modes(path)["j.db"] == 0o644
