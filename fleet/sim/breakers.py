"""Breakers above outlets, racks and rows: what flows through each, and which of them trips. Whatever hangs below one loses its feed.

A breaker trips by load, when what flows exceeds its rating for longer than its trip time, and by inrush, when more machines start
within a moment than its instantaneous trip bears (field guide 2.4, rollout-science 3.2). A tripped breaker stays open until somebody
goes there and closes it. Curves of real breakers are steeper the higher the overload; here one time holds for every overload [inf].
"""

import bisect
import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSpec:
    """One breaker: a branch circuit, a busbar, a row, a whole feed."""

    name: str
    rating_w: float
    feed: str = ""
    """Of which it carries a part; empty: every feed."""
    above: str = ""
    """The breaker that feeds it."""
    racks: tuple[str, ...] = ()
    """Globs. Nothing given: only what hangs on the breakers below it."""
    pdus: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    trip_s: float = 60.0
    """How long it bears more than its rating."""
    starts: int = 0
    """How many machines may start within `within_s` without tripping it by their inrush; 0: any number."""
    within_s: float = 5.0

    def carries(self, supply: "Supply") -> bool:
        """Whether this supply hangs directly on it."""
        chosen = ((self.racks, supply.rack), (self.pdus, supply.pdu), (self.nodes, supply.node))
        given = [any(fnmatchcase(name, glob) for glob in globs) for globs, name in chosen if globs]
        return bool(given) and all(given) and (not self.feed or self.feed == supply.feed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """One way by which power reaches a node: an outlet of a PDU, or a feed of which nothing more is known."""

    node: str
    rack: str
    feed: str
    pdu: str = ""
    outlet: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Breaker:
    """One breaker, and what became of it."""

    spec: BreakerSpec
    closed: bool = True
    load_w: float = 0.0
    peak_w: float = 0.0
    overload_s: float = 0.0
    over_since: float | None = None
    starts: list[float] = field(default_factory=list)
    trips: list[dict[str, Any]] = field(default_factory=list)
    _counted_to: float = 0.0

    def due(self) -> float | None:
        """When it trips if nothing changes."""
        return None if self.over_since is None or not self.closed else self.over_since + self.spec.trip_s

    def flows(self, watts: float, now: float) -> None:
        """From now on so much flows."""
        self._count(now)
        self.load_w = watts
        self.peak_w = max(self.peak_w, watts)
        if watts <= self.spec.rating_w:
            self.over_since = None
        elif self.over_since is None:
            self.over_since = now

    def _count(self, now: float) -> None:
        if self.over_since is not None:
            self.overload_s += max(0.0, now - max(self._counted_to, self.over_since))
        self._counted_to = max(self._counted_to, now)

    def inrush(self, at: float) -> bool:
        """One machine starts; whether that was one too many."""
        if not self.spec.starts:
            return False
        bisect.insort(self.starts, at)
        first = bisect.bisect_left(self.starts, at - self.spec.within_s)
        return len(self.starts) - first > self.spec.starts

    def truth(self, now: float) -> dict[str, Any]:
        """As plain data; times in simulated seconds."""
        self._count(now)
        return {
            "rating_w": self.spec.rating_w,
            "load_w": round(self.load_w, 1),
            "peak_w": round(self.peak_w, 1),
            "overload_s": round(self.overload_s, 1),
            "starts": len(self.starts),
            "closed": self.closed,
            "trips": self.trips,
        }


class Panel:
    """All supplies and breakers of the hall: who gets power by which way, and how much flows where."""

    def __init__(
        self,
        specs: Iterable[BreakerSpec],
        supplies: Iterable[Supply],
        *,
        changed: Callable[[str, float], None],
    ) -> None:
        """`changed(node, at)`: a breaker took a supply of the node away, or gave it back."""
        self.breakers = {spec.name: Breaker(spec=spec) for spec in specs}
        self._changed = changed
        self._supplies: dict[str, list[Supply]] = {}
        self._above: dict[Supply, tuple[Breaker, ...]] = {}
        for supply in supplies:
            self._supplies.setdefault(supply.node, []).append(supply)
            self._above[supply] = tuple(self._chain(supply))
        self._off: set[Supply] = set()
        self._watts: dict[str, float] = {}
        self._flow: dict[Supply, float] = {}
        self._told: list[tuple[float, int, str, float, bool]] = []
        self._number = itertools.count()

    def _chain(self, supply: Supply) -> Iterator[Breaker]:
        """Every breaker that carries it, each once."""
        found = [each.spec.name for each in self.breakers.values() if each.spec.carries(supply)]
        for name in found:
            above = self.breakers[name].spec.above
            if above and above not in found:
                found.append(above)
        return (self.breakers[name] for name in found)

    def live(self, node: str) -> list[Supply]:
        """By which ways the node has power now."""
        return [each for each in self._supplies.get(node, ()) if self._lives(each)]

    def dead_pdus(self) -> frozenset[str]:
        """PDUs whose own feed is gone."""
        return frozenset(
            supply.pdu for supply, above in self._above.items() if supply.pdu and not all(each.closed for each in above)
        )

    def tell(self, node: str, watts: float, at: float, *, starts: bool = False) -> None:
        """From `at` on the node draws so much; `starts`: its inrush comes with it. Taken up by `settle`, in the order of time."""
        if self.breakers:
            heapq.heappush(self._told, (at, next(self._number), node, watts, starts))

    def switched(self, supply: Supply, now: float, *, on: bool) -> None:
        """Its outlet was."""
        (self._off.discard if on else self._off.add)(supply)
        self._spread(supply.node, now)

    def settle(self, now: float) -> None:
        """Everything that was told until `now`, and every trip that was due by then."""
        while True:
            dues = ((due, name) for name, each in self.breakers.items() if (due := each.due()) is not None)
            due, name = min(dues, default=(math.inf, ""))
            if self._told and self._told[0][0] <= min(due, now):
                at, _, node, watts, starts = heapq.heappop(self._told)
                self._take(node, watts, at, starts=starts)
            elif due <= now:
                breaker = self.breakers[name]
                self._trip(
                    breaker,
                    due,
                    f"{breaker.load_w:.0f} W for {breaker.spec.trip_s:g} s, {breaker.spec.rating_w:.0f} W rated",
                )
            else:
                return

    def due(self) -> float | None:
        """When the next one trips if nothing changes."""
        return min((due for each in self.breakers.values() if (due := each.due()) is not None), default=None)

    def close(self, name: str, now: float) -> None:
        """Somebody went there and closed it. KeyError: there is none of this name."""
        breaker = self.breakers[name]
        breaker.closed, breaker.starts = True, []
        self._again(breaker, now)

    def truth(self, now: float) -> dict[str, Any]:
        """As plain data."""
        return {name: each.truth(now) for name, each in self.breakers.items()}

    def _lives(self, supply: Supply) -> bool:
        return supply not in self._off and all(each.closed for each in self._above[supply])

    def _spread(self, node: str, at: float) -> None:
        """What the node draws comes by its live supplies in equal parts."""
        live = self.live(node)
        share = self._watts.get(node, 0.0) / len(live) if live else 0.0
        for supply in self._supplies.get(node, ()):
            watts = share if supply in live else 0.0
            more = watts - self._flow.get(supply, 0.0)
            self._flow[supply] = watts
            for breaker in self._above[supply] if more else ():
                breaker.flows(breaker.load_w + more, at)

    def _take(self, node: str, watts: float, at: float, *, starts: bool) -> None:
        self._watts[node] = watts
        self._spread(node, at)
        if not starts:
            return
        for breaker in {
            breaker.spec.name: breaker for each in self.live(node) for breaker in self._above[each]
        }.values():
            if breaker.closed and breaker.inrush(at):
                self._trip(breaker, at, f"more than {breaker.spec.starts} starts within {breaker.spec.within_s:g} s")

    def _trip(self, breaker: Breaker, at: float, why: str) -> None:
        breaker.closed, breaker.over_since = False, None
        breaker.trips.append({"at": round(at, 3), "why": why})
        self._again(breaker, at)

    def _again(self, breaker: Breaker, at: float) -> None:
        """Whoever hangs on it has other supplies now, or none."""
        nodes = dict.fromkeys(supply.node for supply, above in self._above.items() if breaker in above)
        for node in nodes:
            self._spread(node, at)
        for node in nodes:
            self._changed(node, at)
