"""What the cockpit costs for 5,000 nodes: a snapshot in the feed's thread, a painting in the loop.

Run: python tests/bench/tui_bench.py [NODES]. Prints figures; asserts nothing. Events come at 1,000 a second, as from a large rollout.
"""

import asyncio
import resource
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cli.rollout_builder import ROLLOUT, Story, Watch, confirms, make_plan, opening

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.journal import SqliteJournal
from fleet.overview import Process
from tui.app import Cockpit
from tui.desk import Desk
from tui.feed import LiveFeed, Subject
from tui.follower import Follower
from tui.snapshot import Mode

SECONDS, BEAT_S, EVENTS_A_BEAT = 10, 0.1, 100
SIZE = (160, 50)


def say(line: str) -> None:
    """A figure."""
    sys.stdout.write(line + "\n")


def story(count: int) -> Story:
    """All nodes in one wave, half of them confirmed."""
    told = Story(opening(make_plan(count, waves=(1, count), cap=count)))
    told.tell(ev.WaveOpened(wave=0, nodes=1), ev.WaveOpened(wave=1, nodes=count - 1))
    for number in range(1, count // 2):
        told.after(0.1).tell(*confirms(f"gpu{number:04}", 1))
    return told


def fold_cost(told: Story) -> None:
    """Catching up, and one snapshot."""
    follower = Follower(ROLLOUT, mode=Mode.LIVE)
    begin = time.process_time()
    follower.learn(told.recorded)
    follower.move(len(told.recorded))
    folded = time.process_time() - begin
    begin = time.process_time()
    for _ in range(20):
        follower.snapshot(told.at, Process.RUNS)
    say(
        f"fold {len(told.recorded)} events: {folded:.2f} s CPU; a snapshot: {(time.process_time() - begin) * 50:.1f} ms"
    )


async def watch(path: Path, told: Story, count: int) -> None:
    """CPU of this process and lag of its loop, first in silence, then under events."""
    clock = Watch(told.at)
    journal = SqliteJournal(path, clock)
    for start in range(0, len(told.recorded), 5_000):
        await journal.append(ROLLOUT, *(item.event for item in told.recorded[start : start + 5_000]))
    subject = Subject(journal=path, rollout=ROLLOUT, clock=clock)
    desk = Desk(journal=path, rollout=ROLLOUT, by="bench", clock=clock)
    app = Cockpit(LiveFeed(subject), desk, SystemClock(), beat_s=BEAT_S)
    coming = iter([event for number in range(count // 2, count + 1) for event in confirms(f"gpu{number:04}", 1)])
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(2)
        for name, amount in (("silence", 0), (f"{EVENTS_A_BEAT * 10} events/s", EVENTS_A_BEAT)):
            lags, begin = [], time.process_time()
            for _ in range(int(SECONDS / BEAT_S)):
                if amount:
                    await journal.append(ROLLOUT, *islice(coming, amount))
                due = time.monotonic() + BEAT_S
                await asyncio.sleep(BEAT_S)
                lags.append(time.monotonic() - due)
            cpu = (time.process_time() - begin) / SECONDS
            lags.sort()
            say(
                f"{name}: {cpu:.1%} of a core, loop lag p99 {lags[int(len(lags) * 0.99) - 1] * 1e3:.0f} ms (journal's writer included)"
            )
    await journal.close()


def main() -> None:
    """Print it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    told = story(count)
    say(f"{count} nodes at {SIZE[0]} x {SIZE[1]}, a beat is {BEAT_S} s")
    fold_cost(told)
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(watch(Path(directory) / "journal.db", told, count))
    say(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
