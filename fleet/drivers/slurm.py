"""Slurm through `scontrol` (fleet.edges.Scheduler): argument lists, no shell, one node at a time. And no scheduler at all.

Only what `scontrol` of every release since 20.11 prints is read; `--json` needs plugins that many installations lack.
"""

import asyncio
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field

from fleet.clock import Clock
from fleet.edges import Scheduler, SchedulerNode, SchedulerState
from fleet.errors import NodeFault, NotDone, OutcomeUnknown, Reason, Transient

_AT_ONCE = 8
"""slurmctld serves everybody's submissions too (Slurm's high-throughput guide: keep RPCs few)."""
_ANSWER_S = 60.0
"""slurmctld answers in milliseconds; MessageTimeout is 10 s by default, and scontrol tries a backup controller too."""
_OUTPUT_LIMIT = 262_144
"""Bytes of output that are read; one node is about one thousand."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""One node. scontrol would take `gpu[1-100]`, a comma list, or ALL, as well: those never reach it."""
_LONGEST_REASON = 200

_FLAG_MARKS = "*~#!%$@^-+"
"""What Slurm appends to a state: not responding, powering and the like (sinfo(1), NODE STATE CODES)."""
_BUSY = frozenset({"ALLOCATED", "MIXED", "COMPLETING", "ALLOC", "MIX", "COMP", "DRAINING", "FAILING"})
_OUT = frozenset({"DOWN", "ERROR", "FAIL", "FAILING"})
_QUIET = frozenset({"IDLE", "DOWN", "ERROR", "DRAINED"})
"""Base states in which nothing runs."""
_STAMP = re.compile(r"\s*\[[^\[\]]*@[^\[\]]*\]\s*$")
"""` [root@2026-10-04T12:00:00]`: who set a reason, and when; scontrol appends it."""


class NoScheduler:
    """For halls, and nodes, that no scheduler knows."""

    async def look(self, node: str) -> SchedulerNode:
        """Always NONE."""
        _single(node)
        return SchedulerNode(state=SchedulerState.NONE, reason="")

    async def drain(self, node: str, reason: str) -> None:
        """There is nobody to tell."""

    async def ask_to_leave(self, node: str, reason: str) -> str:  # noqa: ARG002 (the port's)
        """There is nobody to ask."""
        return ""

    async def resume(self, node: str) -> None:
        """There is nobody to tell."""

    async def barred(self) -> str:
        """Nothing is needed."""
        return ""

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartScheduler:
    """A scheduler of some of the nodes, and which ones the inventory says are not in it. A scheduler that knows one is believed."""

    inner: Scheduler
    outside: frozenset[str]

    async def look(self, node: str) -> SchedulerNode:
        """See fleet.edges.Scheduler."""
        seen = await self.inner.look(node)
        expected = seen.state is SchedulerState.UNKNOWN and node in self.outside
        return SchedulerNode(state=SchedulerState.NONE, reason="") if expected else seen

    async def drain(self, node: str, reason: str) -> None:
        """See fleet.edges.Scheduler."""
        await self.inner.drain(node, reason)

    async def ask_to_leave(self, node: str, reason: str) -> str:
        """See fleet.edges.Scheduler."""
        return await self.inner.ask_to_leave(node, reason)

    async def resume(self, node: str) -> None:
        """See fleet.edges.Scheduler."""
        await self.inner.resume(node)

    async def barred(self) -> str:
        """See fleet.edges.Scheduler."""
        return await self.inner.barred()

    async def close(self) -> None:
        """See fleet.edges.Scheduler."""
        await self.inner.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmScheduler:
    """One Slurm cluster, by the `scontrol` of this host. Who runs it must be a Slurm operator."""

    clock: Clock
    scontrol: str = "scontrol"
    """Name or path of the executable."""
    conf: str = ""
    """Path of slurm.conf; empty: Slurm's own default, or SLURM_CONF."""
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), repr=False)

    async def look(self, node: str) -> SchedulerNode:
        """Read now. UNKNOWN where slurm.conf does not name the node."""
        done = await self._run("show", "node", _single(node))
        if done.timed_out:
            raise Transient("scontrol does not answer; is slurmctld up?")
        if done.status == 0:
            return read_node(done.stdout, node)
        # Its own words about this node, and no others: a wrapper whose command is not found says so too, and work may run there.
        if f"Node {node} not found" in done.said or "Invalid node name" in done.said:
            return SchedulerNode(state=SchedulerState.UNKNOWN, reason="")
        raise Transient(f"scontrol show node {node}: {done.said}")

    async def drain(self, node: str, reason: str) -> None:
        """Start no new work on it. Running work goes on."""
        if not reason.isprintable() or not 0 < len(reason) <= _LONGEST_REASON:
            raise ValueError("a reason is one line of printable characters")
        await self._update("drain", f"NodeName={_single(node)}", "State=DRAIN", f"Reason={reason}")

    async def ask_to_leave(self, node: str, reason: str) -> str:  # noqa: ARG002 (the port's)
        """Slurm's jobs end by themselves."""
        return ""

    async def barred(self) -> str:
        """Slurm tells nobody's rights without their use; a drain that it refuses says so."""
        return ""

    async def close(self) -> None:
        """Each call is a process of its own."""

    async def resume(self, node: str) -> None:
        """Back into service. The caller has checked that the drain is ours."""
        await self._update("resume", f"NodeName={_single(node)}", "State=RESUME")

    async def _update(self, effect: str, *arguments: str) -> None:
        done = await self._run("update", *arguments)
        if done.timed_out:
            raise OutcomeUnknown(effect, "scontrol does not answer")
        if done.status == 0:
            return
        if "Access/permission denied" in done.said or "Invalid user" in done.said:
            message = (
                f"Slurm does not let this user change nodes: run as SlurmUser, root or a Slurm operator ({done.said})"
            )
            raise NotDone(Reason.LOGIN_REFUSED, message)
        raise OutcomeUnknown(effect, f"scontrol update: {done.said}")

    async def _run(self, *arguments: str) -> "_Done":
        async with self._turn:
            try:
                process = await asyncio.create_subprocess_exec(
                    self.scontrol,
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    env=self._environment(),
                )
            except OSError as lack:
                message = (
                    f"{self.scontrol} cannot be run ({lack.strerror}): install slurm-client here, or set no scheduler"
                )
                raise NodeFault(Reason.NO_EDGE, message) from lack
            try:
                return await self._finish(process)
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()

    async def _finish(self, process: asyncio.subprocess.Process) -> "_Done":
        output = bytearray()
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        try:
            async with asyncio.timeout(self.clock.io_timeout_s(_ANSWER_S)):
                while chunk := await process.stdout.read(65_536):
                    output += chunk
                    if len(output) > _OUTPUT_LIMIT:
                        raise NodeFault(
                            Reason.PROTOCOL, f"scontrol printed more than {_OUTPUT_LIMIT} bytes about one node"
                        )
                status = await process.wait()
        except TimeoutError:
            return _Done(status=None, stdout="")
        return _Done(status=status, stdout=output.decode("utf-8", "replace"))

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "SLURM_CONF"}}
        return kept | {"LC_ALL": "C"} | ({"SLURM_CONF": self.conf} if self.conf else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    status: int | None
    stdout: str

    @property
    def timed_out(self) -> bool:
        return self.status is None

    @property
    def said(self) -> str:
        """The first words, on one line."""
        return " ".join(self.stdout.split())[:300] or f"exit status {self.status}"


def read_node(text: str, node: str) -> SchedulerNode:
    """What `scontrol show node NODE` prints (without `--oneliner`: there a reason could pretend to be a state).

    Raises:
        Transient: it is about no node, another one, or more than one.
    """
    named = re.findall(r"^NodeName=(\S+)", text, re.MULTILINE)
    state = re.search(r"^\s+State=(\S+)", text, re.MULTILINE)
    if named != [node] or state is None:
        raise Transient(f"scontrol show node {node}: an answer about {', '.join(named)[:100] or 'no node'}")
    reason = re.search(r"^\s+Reason=(.*)$", text[state.end() :], re.MULTILINE)
    words = _STAMP.sub("", reason.group(1)) if reason else ""
    return SchedulerNode(state=read_state(state.group(1)), reason=words[:_LONGEST_REASON].strip())


def read_state(text: str) -> SchedulerState:
    """`IDLE+DRAIN`, `MIXED+DRAIN`, `DRAINED`, `DOWN*+DRAIN`, `ALLOCATED`: a base state, flags, marks (sinfo(1)).

    A drained node counts as such only where the base state says that nothing runs on it; what no list knows does not.
    """
    tokens = {token.rstrip(_FLAG_MARKS) for token in text.upper().split("+")} - {""}
    if tokens & {"DRAIN", "DRAINED", "DRAINING"}:
        quiet = bool(tokens & _QUIET) and not tokens & _BUSY
        return SchedulerState.DRAINED if quiet else SchedulerState.DRAINING
    return SchedulerState.DOWN if tokens & _OUT else SchedulerState.IN_SERVICE


def _single(node: str) -> str:
    if not _NAME.fullmatch(node) or node.upper() == "ALL":
        raise NodeFault(Reason.NO_EDGE, f"{node!r} cannot be one node's name in Slurm")
    return node
