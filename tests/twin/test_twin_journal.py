"""The journal in memory says what the one on disk says."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fleet import events as ev
from fleet.events import Event, RolloutId
from fleet.journal import Journal, SqliteJournal, Verb
from fleet.twin.clock import VirtualClock
from fleet.twin.journal import MemoryJournal

ONE, TWO = RolloutId("one"), RolloutId("two")
STORY: tuple[tuple[RolloutId, tuple[Event, ...]], ...] = (
    (ONE, (ev.RolloutCreated(playbook="p", sources={"inventory": "i"}, by="me"),)),
    (ONE, (ev.RolloutPlanned(plan={"nodes": {"a": {}, "b": {}, "c": {}}}, digest="d"),)),
    (
        ONE,
        (
            ev.SessionOpening(node="a", context="c1", bmc="a:443", credential="x"),
            ev.SessionOpening(node="b", context="c2", bmc="b:443", credential="x"),
        ),
    ),
    (ONE, (ev.SessionOpened(node="a", context="c1", uri="/s/1"), ev.LoginRefused(node="b", context="c2"))),
    (ONE, (ev.NodeConfirmed(node="a", detail=""), ev.NodeQuarantined(node="b", reason="r", message="m"))),
    (TWO, (ev.RolloutCreated(playbook="q", sources={}, by="you"),)),
    (TWO, (ev.RolloutPlanned(plan={"nodes": {"a": {}}}, digest="d"),)),
    (TWO, (ev.SessionOpening(node="a", context="c3", bmc="a:443", credential="y"),)),
)


async def told(journal: Journal) -> list[object]:
    """Everything that can be asked of it, after each part of the story."""
    said: list[object] = []
    for rollout, events in STORY:
        said.append(await journal.append(rollout, *events))
        said += [list(journal.read(each)) for each in (ONE, TWO)]
        said += [list(journal.read(ONE, after=3)), list(journal.rollouts()), journal.open_sessions()]
        said += [journal.busy_nodes(("a", "b", "z"), but=each) for each in (ONE, TWO)]
        said += [journal.logins_at("a:443"), journal.logins_at("b:443"), journal.logins_with("x")]
    said += [await journal.request(ONE, Verb.PAUSE, "me"), await journal.request(TWO, Verb.ABORT, "you")]
    said += [journal.requests(ONE, after=0), journal.requests(TWO, after=1), journal.last_request(ONE)]
    said += [await journal.append(ONE, ev.RolloutEnded(outcome="completed")), list(journal.rollouts())]
    said += [journal.busy_nodes(("a", "b"), but=TWO), journal.last_request(RolloutId("none"))]
    await journal.close()
    return said


def on_clock(make: Callable[[VirtualClock], Journal]) -> list[object]:
    clock = VirtualClock()

    async def work() -> list[object]:
        with clock.hold():
            asked: Awaitable[list[object]] = told(make(clock))
            return await asked

    return clock.run(work())


def test_it_says_the_same_as_the_one_on_disk(tmp_path: Path) -> None:
    on_disk = on_clock(lambda clock: SqliteJournal(tmp_path / "journal.db", clock))
    in_memory = on_clock(MemoryJournal)
    for number, (disk, memory) in enumerate(zip(on_disk, in_memory, strict=True)):
        assert disk == memory, number
