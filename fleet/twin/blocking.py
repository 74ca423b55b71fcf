"""Code that blocks, on the virtual clock: each call has a thread, and that thread runs only while the loop stands still for it.

A terminal of a switch is spoken to by code that blocks (Netmiko's). Where it would wait for an answer it calls `pause`, which hands the
turn back to the loop until the clock has come so far. So there is never more than one of them at work, and one seed gives one history.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from fleet.twin.clock import InTurns, VirtualClock

Result = TypeVar("Result")


class Broken(Exception):
    """The loop ended while the call waited: nobody wants its result."""


class Blocking(InTurns):
    """An executor for the loop of a VirtualClock, and for no other: `VirtualClock.run` gives its calls to `work`."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._here = threading.local()

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        """Never: without the loop nobody would hand out turns."""
        raise RuntimeError("only the loop of a virtual clock can run this")

    async def work(self, call: Callable[[], Result]) -> Result:
        """The result of `call`, which may `pause`. Raises what it raises."""
        turn = _Turn(call, self._here)
        try:
            while (until := turn.go()) is not None:
                await self._clock.until(until)
        except BaseException:
            turn.give_up()
            raise
        return turn.result()

    def pause(self, seconds: float) -> None:
        """Let so many seconds of field time pass. To be called within a call, and nowhere else. Raises Broken."""
        turn: _Turn[Any] = self._here.turn
        turn.wait(self._clock.now() + seconds)


class _Turn(Generic[Result]):
    """One call, and whose turn it is."""

    def __init__(self, call: Callable[[], Result], here: threading.local) -> None:
        self._call = call
        self._here = here
        self._mine = threading.Semaphore(0)
        self._theirs = threading.Semaphore(0)
        self._until: float | None = None
        self._broken = ""
        self._done: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, name="blocking", daemon=True)
        self._thread.start()

    def go(self) -> float | None:
        """From the loop: let it run until it waits (for this moment), or to its end (None)."""
        self._until = None
        self._mine.release()
        self._theirs.acquire()
        return self._until

    def give_up(self) -> None:
        """From the loop: whatever it waits for will not come."""
        if not self._done.done():
            self._broken = "the loop ended"
            self.go()

    def result(self) -> Result:
        """What came of it."""
        return self._done.result()

    def wait(self, until: float) -> None:
        """From the call: hand the turn back until then."""
        self._until = until
        self._theirs.release()
        self._mine.acquire()
        if self._broken:
            raise Broken(self._broken)

    def _run(self) -> None:
        self._mine.acquire()
        self._here.turn = self
        try:
            self._done.set_result(self._call())
        except BaseException as error:  # noqa: BLE001 (whatever it is belongs to whoever awaits)
            self._done.set_exception(error)
        self._theirs.release()
