"""What happens in a box although nobody asks it: its own dues, and its errands outside. What `fleet.sim.face` does over TLS."""

import asyncio
import math
from functools import partial

from fleet.sim.bmc import Bmc
from fleet.sim.errand import Errand, ReadMedia
from fleet.sim.face import Courier
from fleet.twin.clock import VirtualClock


class Attendant:
    """Of one box. `look` after whatever may have set something going in it."""

    def __init__(self, bmc: Bmc, clock: VirtualClock, *, origin: float) -> None:
        """`origin`: field time at which the box's own time is 0."""
        self.bmc = bmc
        self.courier: Courier | None = None
        """None: nothing outside can be reached; media cannot be read, and no phone-home arrives."""
        self._clock = clock
        self._origin = origin
        self._armed = math.inf
        """The earliest of the box's dues that this waits for."""
        self._errands: set[asyncio.Task[None]] = set()

    def sim_now(self) -> float:
        """The box's own time."""
        return self._clock.now() - self._origin

    def look(self) -> None:
        """Let time pass for the box up to now."""
        self._pass(self.sim_now())

    def _pass(self, now: float) -> None:
        self.bmc.agenda.advance(now)
        for errand in self.bmc.installer.take_errands():
            # Not at once: whoever looks may stand in a thread, and an errand needs the loop.
            self._clock.call_at(self._clock.now(), partial(self._send, errand))
        due = self.bmc.next_wake()
        if due is not None and due < self._armed:
            self._armed = due
            self._clock.call_at(self._origin + due, partial(self._alarm, due))

    def _alarm(self, due: float) -> None:
        if due >= self._armed:
            self._armed = math.inf
        # What is added to and taken from an epoch is rounded: the due itself is what time it is.
        self._pass(max(self.sim_now(), due))

    def _send(self, errand: Errand) -> None:
        task = asyncio.get_running_loop().create_task(self._run(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _run(self, errand: Errand) -> None:
        if isinstance(errand, ReadMedia):
            data = await self.courier.read(errand.url) if self.courier is not None else None
            self.look()
            self.bmc.installer.read(errand.boot, data, self.sim_now())
        else:
            accepted = self.courier is not None and await self.courier.post(errand.url, errand.body)
            self.look()
            self.bmc.installer.phoned(errand.boot, accepted=accepted, now=self.sim_now())
        self.look()
