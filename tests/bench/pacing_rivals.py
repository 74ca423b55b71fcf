"""How others pace a rollout, as models: what their documentation says, over the same simulated nodes. None of it is in the product."""

from collections.abc import Collection, Sequence


class Barrier:
    """Waves with a barrier: the next starts when every node of the last has ended and few enough of it failed.

    Ansible's `serial` with `max_fail_percentage` (docs.ansible.com, playbook strategies: "if the percentage is exceeded", of each
    batch), and the exponential waves of staged deployment (AWS one-box, Azure SDP) with a tolerated share.
    """

    def __init__(self, order: Sequence[str], sizes: Sequence[int], tolerated: float) -> None:
        """`sizes`: of the waves, the last repeats. `tolerated`: share of a wave that may fail."""
        self._order = order
        self._sizes = list(sizes)
        self._tolerated = tolerated
        self._next = 0
        self._wave = self._open = self._failed = 0
        self._why = ""

    def start(self, now: float) -> Collection[str]:
        """The next wave, if the last is over and was good enough."""
        if self._open or self._why or self._next >= len(self._order):
            return ()
        if self._wave and self._failed > self._tolerated * self._wave:
            self._why = f"{self._failed} of {self._wave} failed"
            return ()
        size = self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]
        members = self._order[self._next : self._next + size]
        self._next += len(members)
        self._wave, self._open, self._failed = len(members), len(members), 0
        return members

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """One of the wave."""
        self._open -= 1
        self._failed += bool(failure)

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """A wave's failures are counted in its own time: later ones are nobody's."""

    def wake(self) -> float | None:
        """Only ends help."""
        return None

    def halted(self) -> str:
        """Why no more wave starts."""
        return self._why


class Flood:
    """As many as there are slots, and a new one for each that ends; never stops. With as many slots as nodes: all at once."""

    def __init__(self, order: Sequence[str], slots: int) -> None:
        self._waiting = list(reversed(order))
        self._free = slots

    def start(self, now: float) -> Collection[str]:
        """Fill the slots."""
        started = [self._waiting.pop() for _ in range(min(self._free, len(self._waiting)))]
        self._free -= len(started)
        return started

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """A slot is free."""
        self._free += 1

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """It does not look."""

    def wake(self) -> float | None:
        """Only ends help."""
        return None

    def halted(self) -> str:
        """Never."""
        return ""
