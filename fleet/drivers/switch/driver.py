"""`fleet.edges.SwitchCli`: asyncio in front, Netmiko in one bounded pool of threads behind.

A switch has one connection, and one command at a time: a commit replaces the whole configuration with what the session
began from, so two at once would lose one's changes. Waiting for one's turn takes no thread.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from fleet.clock import Clock
from fleet.drivers.switch.connection import SwitchAccess, Terminal, known_hosts_line, open_terminal
from fleet.drivers.switch.dialect import Dialect
from fleet.drivers.switch.eos import Eos
from fleet.drivers.switch.nvue import Nvue
from fleet.drivers.switch.turns import Lock, Pair, alone, turn
from fleet.edges import Neighbour
from fleet.errors import Transient, UsageError
from fleet.limits import retrying

THREADS = 32
"""The measured optimum on two cores (measurements.md: 18 CPU-ms a device; above 100 prompts are misread)."""
_ATTEMPTS = 4
DIALECTS: Mapping[str, Callable[[], Dialect]] = {"arista_eos": Eos, "cumulus_linux": Nvue}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a switch is come to: Netmiko over SSH, or a hall in memory (fleet.twin)."""

    open: Callable[[SwitchAccess, Path, Clock], Terminal]
    """As `open_terminal`. Blocks."""
    lock: Lock
    """Keeps out the other processes of this machine."""


_SSH = Way(open=open_terminal, lock=alone)


class NetmikoSwitch:
    """Fulfils fleet.edges.SwitchCli. Reads are retried; what has an effect never is."""

    def __init__(
        self,
        access: SwitchAccess,
        dialect: Dialect,
        *,
        way: Way,
        pool: Executor,
        keys: Path,
        clock: Clock,
        pair: Pair | None = None,
    ) -> None:
        """`pair`: shared with the other leaf of its pair."""
        self._pair = pair
        self._access = access
        self._dialect = dialect
        self._way = way
        self._pool = pool
        self._known_hosts = keys / f"{access.address}-{access.port}"
        self._clock = clock
        self._turn = asyncio.Lock()
        self._terminal: Terminal | None = None

    @property
    def platform(self) -> str:
        """`arista_eos` or `cumulus_linux`."""
        return self._access.platform

    async def running_config(self) -> str:
        """See fleet.edges.SwitchCli."""
        return await self._read(self._dialect.running_config)

    async def neighbours(self) -> tuple[Neighbour, ...]:
        """See fleet.edges.SwitchCli."""
        return await self._read(self._dialect.neighbours)

    async def access_vlans(self) -> Mapping[str, str]:
        """See fleet.edges.SwitchCli."""
        return await self._read(self._dialect.access_vlans)

    async def difference(self, lines: tuple[str, ...]) -> str:
        """See fleet.edges.SwitchCli."""
        return await self._read(lambda terminal: self._dialect.difference(terminal, lines))

    async def push(self, lines: tuple[str, ...]) -> None:
        """See fleet.edges.SwitchCli. Transient: it certainly did not happen."""
        await self._do(lambda terminal: self._dialect.push(terminal, lines), pair=self._pair)

    async def restore(self, config: str) -> None:
        """See fleet.edges.SwitchCli. Everything that others changed since the backup is lost."""
        await self._do(lambda terminal: self._dialect.restore(terminal, config), pair=self._pair)

    async def close(self) -> None:
        """Close the connection, once whoever uses it is done."""
        async with self._turn:
            terminal, self._terminal = self._terminal, None
            if terminal is not None:
                await asyncio.get_running_loop().run_in_executor(self._pool, terminal.close)

    async def _read(self, work: Callable[[Terminal], Result]) -> Result:
        return await retrying(lambda: self._do(work), clock=self._clock, attempts=_ATTEMPTS)

    async def _do(self, work: Callable[[Terminal], Result], *, pair: Pair | None = None) -> Result:
        # A thread cannot be cancelled: whoever goes away leaves it its turn until it is done.
        turn = asyncio.ensure_future(self._in_turn(work, pair))
        turn.add_done_callback(_seen)
        return await asyncio.shield(turn)

    async def _in_turn(self, work: Callable[[Terminal], Result], pair: Pair | None) -> Result:
        # The pair before the switch: who waits for the other leaf keeps nobody from reading this one.
        unpaired = pair.turn(self._access, self._clock) if pair else nullcontext()
        async with unpaired, self._turn, turn(self._access, self._clock, self._way.lock):
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._at_the_terminal, work)

    def _at_the_terminal(self, work: Callable[[Terminal], Result]) -> Result:
        """In a thread. After a failure the connection is given up: what mode it was left in is not known."""
        terminal = self._terminal
        try:
            if terminal is None or not terminal.alive:
                self._keep_key(known_hosts_line(self._access))
                self._terminal = terminal = self._way.open(self._access, self._known_hosts, self._clock)
                self._dialect.begin(terminal)
            return work(terminal)
        except BaseException:
            if self._terminal is not None:
                self._terminal.close()
            self._terminal = None
            raise

    def _keep_key(self, line: str) -> None:
        try:
            self._known_hosts.write_text(line)
        except OSError as error:
            raise Transient(f"{self._access.name}: {self._known_hosts} cannot be written: {error.strerror}") from error


def _seen(turn: "asyncio.Future[Any]") -> None:
    """An exception that nobody waits for any more is no news."""
    if not turn.cancelled():
        turn.exception()


class SwitchDriver:
    """The switches of a hall, their connections and their threads. `close` when done."""

    def __init__(
        self,
        accesses: Iterable[SwitchAccess],
        *,
        clock: Clock,
        way: Way = _SSH,
        pool: Executor | None = None,
    ) -> None:
        """Nothing is connected yet. `pool`: a pool of threads unless given. Raises UsageError for a platform that is not known."""
        self._keys = TemporaryDirectory(prefix="fleetwave-switch-keys-")
        self._pool = pool or ThreadPoolExecutor(THREADS, thread_name_prefix="switch")
        every = tuple(accesses)
        names = {access.pair for access in every if access.pair}
        pairs = {name: Pair((access for access in every if access.pair == name), way.lock) for name in names}
        self._switches = {
            access.name: NetmikoSwitch(
                access,
                _dialect(access),
                way=way,
                pool=self._pool,
                keys=Path(self._keys.name),
                clock=clock,
                pair=pairs.get(access.pair),
            )
            for access in every
        }

    def switch(self, name: str) -> NetmikoSwitch:
        """The switch of that id. Raises UsageError if nobody said how it is reached."""
        try:
            return self._switches[name]
        except KeyError:
            raise UsageError(
                f"nothing says how to reach switch {name!r}: declare its address, platform, credential and host key"
            ) from None

    async def close(self) -> None:
        """Leave every switch, end the threads."""
        await asyncio.gather(*(switch.close() for switch in self._switches.values()))
        self._pool.shutdown(wait=False)
        self._keys.cleanup()


def _dialect(access: SwitchAccess) -> Dialect:
    if access.platform not in DIALECTS:
        raise UsageError(f"{access.name}: no driver for platform {access.platform!r}; known: {', '.join(DIALECTS)}")
    return DIALECTS[access.platform]()
