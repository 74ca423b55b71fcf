"""In which order components reach their goals so that no mix of versions on the way is one that nobody tested. Pure.

A baseline's own versions were tested together. Where it also says what else was (its `compatibility`), every mix that a node passes
through, from one activation to the next, must be one of those; the shortest way is taken.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from inventory.baseline import normalise

Mix = Mapping[str, str]
"""Component -> version, as the baseline writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """What was tested together."""

    goal: Mix
    """The baseline itself."""
    rows: tuple[Mapping[str, frozenset[str]], ...] = ()
    """Component -> versions: a mix is tested where some row has the version of each component that it names."""

    @property
    def stated(self) -> bool:
        """Whether the baseline says anything beyond itself. If not, nothing is known of other mixes, and none is refused."""
        return bool(self.rows)

    def tested(self, mix: Mix) -> bool:
        """Whether the mix is the baseline's own, or in some row."""
        at = {name: normalise(version) for name, version in mix.items()}
        if all(at.get(name) == normalise(version) for name, version in self.goal.items()):
            return True
        return any(
            all(at.get(name) in {normalise(version) for version in versions} for name, versions in row.items())
            for row in self.rows
        )


class NoWay(Exception):
    """Every order leads through a mix that nobody tested. The message names one."""


def solve(chains: Mapping[str, Sequence[str]], start: Mix, matrix: Matrix) -> list[dict[str, int]]:
    """Rounds of component -> index into its chain: what is flashed together, and then activated together.

    Args:
        chains: component -> versions that it passes through, the goal last. Each is entered from the one before.
        start: what the node runs, components that are not worked on included.
        matrix: what was tested.

    Raises:
        NoWay: no order passes through tested mixes alone.
    """
    names = tuple(chains)
    begin, end = (0,) * len(names), tuple(len(chains[name]) for name in names)
    came: dict[tuple[int, ...], tuple[int, ...]] = {begin: begin}
    queue, untested = deque([begin]), ""
    while queue and end not in came:
        at = queue.popleft()
        for to in _steps(at, end):
            if to in came:
                continue
            mix = {**start, **{name: chains[name][index - 1] for name, index in zip(names, to, strict=True) if index}}
            if matrix.tested(mix):
                came[to] = at
                queue.append(to)
            else:
                untested = untested or ", ".join(f"{name} {version}" for name, version in sorted(mix.items()))
    if end not in came:
        raise NoWay(f"nobody tested {untested} together, and every order of the updates leads there")
    return _rounds(names, came, begin, end)


def _steps(at: tuple[int, ...], end: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Some components go on by one, the most at once first: fewer activations."""
    able = [index for index, (here, last) in enumerate(zip(at, end, strict=True)) if here < last]
    for size in range(len(able), 0, -1):
        for moved in combinations(able, size):
            yield tuple(here + (index in moved) for index, here in enumerate(at))


def _rounds(
    names: Sequence[str], came: Mapping[tuple[int, ...], tuple[int, ...]], begin: tuple[int, ...], end: tuple[int, ...]
) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    at = end
    while at != begin:
        before = came[at]
        found.append({name: at[index] - 1 for index, name in enumerate(names) if at[index] > before[index]})
        at = before
    return found[::-1]
