"""Risk-budgeted pacing as rollout-science 1.3 writes it, in sixty lines and from nothing of the product: what ours is held against."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from scipy.special import betaincinv

from fleet.policy.rules import Key


class Reference:
    """One stratum, no bake time, no window: `c = min(C, floor(b / U))`, one box first, domain caps, e-process."""

    def __init__(
        self,
        order: Sequence[str],
        domains: Mapping[str, Sequence[Key]],
        *,
        slots: int,
        caps: Mapping[Key, int],
        risk: int = 6,
        tolerated: float = 0.01,
        alpha: float = 0.01,
    ) -> None:
        """`risk`: b; `tolerated`: p0."""
        self._waiting = dict.fromkeys(order)
        self._domains, self._caps = domains, caps
        self._slots, self._risk, self._p0, self._alpha = slots, risk, tolerated, alpha
        self._out: Counter[Key] = Counter()
        self._flying = self._clean = self._failed = 0
        self._why = ""

    def start(self, now: float) -> Collection[str]:
        """Fill what the bound and the caps leave."""
        free = (self._limit() if not self._why else 0) - self._flying
        started: list[str] = []
        for node in self._waiting:
            if len(started) >= free:
                break
            keys = self._domains[node]
            if all(self._out[key] < self._caps.get(key, 1 << 30) for key in keys):
                started.append(node)
                self._out.update(keys)
        for node in started:
            del self._waiting[node]
        self._flying += len(started)
        return started

    def _limit(self) -> int:
        if not self._clean:
            return 1
        return min(self._slots, math.floor(self._risk / upper(self._clean, self._failed)))

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """Count it, and look at the evidence."""
        self._flying -= 1
        self._clean += not failure
        self._failed += bool(failure)
        if not failure:
            self._out.subtract(self._domains[node])
        elif e_value(self._failed, self._clean, self._p0) >= 1 / self._alpha:
            self._why = f"{self._failed} failed, {self._clean} did not"

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """A late failure: it was counted as clean."""
        self._clean -= 1
        self._flying += 1
        self.ended(node, failure=failure, at=at)

    def wake(self) -> float | None:
        """Only ends help."""
        return None

    def halted(self) -> str:
        """By the e-process."""
        return self._why


def upper(clean: int, failed: int) -> float:
    """The 95 % upper bound of the failure rate, Clopper and Pearson's, as the study's own table has it (10 clean nodes: 25.9 %)."""
    if not clean:
        return 1.0
    return 1 - 0.05 ** (1 / clean) if not failed else float(betaincinv(1 + failed, clean, 0.95))


def e_value(failed: int, clean: int, tolerated: float, grid: int = 32) -> float:
    """Mean likelihood ratio over rates above the tolerated one, spaced evenly in their logarithm up to 1."""
    rates = (tolerated ** (1 - step / grid) for step in range(1, grid + 1))
    return sum((q / tolerated) ** failed * ((1 - q) / (1 - tolerated)) ** clean for q in rates) / grid
