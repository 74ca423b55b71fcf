"""The precheck: read every node before anything is touched (field guide 1.7, PRECHECK). Read only, many at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from fleet.attempts import LIMIT, WINDOW_S, Attempt, unproven
from fleet.clock import Clock, as_utc
from fleet.context import Recorder
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.logins import NodeLedger
from fleet.plan import Survey
from fleet.ports import Bmc, Condition, SessionLedger, TellsCondition, TwoSlots, UpdateReadiness
from fleet.profile import Profile
from fleet.reach import clear_leftovers, connect
from fleet.slots import SlotReading
from fleet.vendors import GENERIC, classify, profile_named
from fleet.vendors.discovery import Discovery
from inventory.baseline import Activation
from inventory.model import Node

Result = TypeVar("Result")
_AT_ONCE = 128
_PATIENCE_S = 60.0
"""Field seconds a silent BMC gets before the survey calls it unreachable: nobody is waiting for it to restart."""


class Looker(Protocol):
    """What a survey needs of a driver."""

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> Bmc:
        """A BMC that is not connected yet."""

    async def meet(self, node: Node, ledger: SessionLedger, choose: Callable[[Discovery], Profile]) -> Bmc:
        """A connected BMC with the profile that `choose` finds for what the machine says of itself."""


async def survey(
    nodes: Iterable[Node],
    driver: Looker,
    clock: Clock,
    recorder: Recorder,
    *,
    leftovers: Mapping[str, Mapping[str, str]],
    around: Callable[[Node], frozenset[Activation]] = lambda _: frozenset(),
    seen: Callable[[Survey], None] = lambda _: None,
) -> list[Survey]:
    """Read every node, in the order given; a node that cannot be read is a Survey with a reason, not an error.

    Args:
        nodes: whom to read.
        driver: how.
        clock: time.
        recorder: keeps the sessions that are opened, so that a crash leaks none.
        around: what the node's surroundings add to what its BMC offers: an AC cycle by its outlets.
        leftovers: node -> Context -> URI of sessions that an earlier process left; they are deleted in passing.
        seen: told of each result as it comes, for progress.
    """
    turn = asyncio.Semaphore(_AT_ONCE)
    proofs: dict[str, _Proof] = {}

    def proof(credential: str) -> _Proof:
        if credential not in proofs:
            proofs[credential] = _Proof(unproven(recorder.logins_with(credential), clock.now()))
        return proofs[credential]

    async def one(node: Node) -> Survey:
        async with turn:
            look = partial(_look, node, driver, clock, recorder, leftovers.get(str(node.id), {}))
            result = await proof(str(node.bmc.credential)).prove(node, look)
        if result.reason is None:
            result = replace(result, offers=result.offers | around(node))
        seen(result)
        return result

    return await _together(one(node) for node in nodes)


class _Proof:
    """A credential that many BMCs share, tried on few of them until one accepts it: a central account would be locked (B.18)."""

    def __init__(self, refused: Sequence[Attempt]) -> None:
        """`refused`: recent logins with it that were refused, by whichever process: another `fleet plan` is no other account."""
        self._changed = asyncio.Condition()
        self._trying = 0
        self._accepted = 0
        self._refused = len(refused)
        self._again = f"; try again after {as_utc(refused[-LIMIT].at + WINDOW_S)}" if len(refused) >= LIMIT else ""

    async def prove(self, node: Node, look: Callable[[], Awaitable[Survey]]) -> Survey:
        """What `look` finds; LOGIN_REFUSED without a try where others refused the credential and none accepted it."""
        async with self._changed:
            await self._changed.wait_for(self._decided)
            if not self._accepted and self._refused >= LIMIT:
                return self._refusal(node)
            self._trying += 1
        result: Survey | None = None
        try:
            result = await look()
        finally:
            await self._end(result)
        return result

    def _decided(self) -> bool:
        """Whether one more may try, or nobody needs to. Those that are under way may all be refused."""
        return bool(self._accepted) or self._refused >= LIMIT or self._refused + self._trying < LIMIT

    async def _end(self, result: Survey | None) -> None:
        async with self._changed:
            self._trying -= 1
            if result is not None:
                self._refused += result.reason is Reason.LOGIN_REFUSED
                self._accepted += result.observation is not None
            self._changed.notify_all()

    def _refusal(self, node: Node) -> Survey:
        message = (
            f"not tried: {self._refused} logins with the credential {node.bmc.credential!r} were refused, and none was accepted"
            f" since: check it{self._again}"
        )
        return Survey(node=node, reason=Reason.LOGIN_REFUSED, message=message)


async def _together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All at once. The first fault ends them all and comes out as itself: a journal that cannot be written has its own exit code."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in tasks]


async def _look(node: Node, driver: Looker, clock: Clock, recorder: Recorder, leftovers: Mapping[str, str]) -> Survey:
    ledger = NodeLedger(node, recorder)
    profile = profile_named(node.profile) if node.profile else None
    try:
        bmc = await connect(lambda: driver.meet(node, ledger, _choose(profile)), clock, give_up_s=_PATIENCE_S)
        profile = bmc.profile
        try:
            await clear_leftovers(bmc, str(node.id), leftovers, recorder)
            observation = await bmc.observe()
            offers = bmc.offers()
            readiness = await _readiness(bmc)
            slots = await _slots(bmc)
            condition = await _condition(bmc)
        finally:
            await bmc.close()
    except NodeFault as fault:
        return Survey(node=node, profile=profile, reason=fault.reason, message=str(fault))
    except (Transient, OutcomeUnknown) as silent:
        return Survey(node=node, profile=profile, reason=Reason.UNREACHABLE, message=str(silent))
    for what, declared, found in (("serial", node.serial, observation.serial), ("UUID", node.uuid, observation.uuid)):
        if declared and declared.casefold() != found.casefold():
            message = (
                f"the inventory declares {what} {declared}, the machine at {node.bmc.address} says {found or 'nothing'}"
            )
            return Survey(
                node=node, profile=profile, observation=observation, reason=Reason.IDENTITY_MISMATCH, message=message
            )
    return Survey(
        node=node,
        profile=profile,
        observation=observation,
        offers=offers,
        readiness=readiness,
        slots=slots,
        condition=condition,
    )


async def _readiness(bmc: Bmc) -> UpdateReadiness | None:
    """Whether it would take an image now. Not to be read is no refusal: the step asks again before it sends one."""
    try:
        return await bmc.readiness()
    except (NodeFault, Transient):
        return None


async def _slots(bmc: Bmc) -> SlotReading | None:
    """Both slots of what has two, and what the fuses let through. Not to be read is no refusal: then nothing is promised of them."""
    if not isinstance(bmc, TwoSlots):
        return None
    try:
        found = await bmc.slots()
        return replace(found, minimum=await bmc.security_floors()) if found.roots else found
    except (NodeFault, Transient):
        return None


async def _condition(bmc: Bmc) -> Condition | None:
    """What else a plan asks. Not to be read refuses nobody."""
    if not isinstance(bmc, TellsCondition):
        return None
    try:
        return await bmc.condition()
    except (NodeFault, Transient):
        return None


def _choose(named: Profile | None) -> Callable[[Discovery], Profile]:
    """The profile that a person named, whatever the machine says; else the one whose signals match."""
    return classify if named is None else lambda _: named


def open_leftovers(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """(node, context, uri) of sessions that nobody closed -> node -> Context -> URI."""
    found: dict[str, dict[str, str]] = {}
    for node, context, uri in rows:
        found.setdefault(node, {})[context] = uri
    return found


async def sweep(
    nodes: Iterable[Node],
    driver: Looker,
    recorder: Recorder,
    leftovers: Mapping[str, Mapping[str, str]],
) -> None:
    """Delete sessions that earlier processes left on nodes which nobody works on now. One try each; the journal keeps the rest."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(node: Node) -> None:
        async with turn:
            bmc = driver.bmc(node, profile_named(GENERIC), NodeLedger(node, recorder))
            try:
                await bmc.connect()
                await clear_leftovers(bmc, str(node.id), leftovers[str(node.id)], recorder)
            except (NodeFault, Transient, OutcomeUnknown):
                return
            finally:
                await bmc.close()

    await _together(one(node) for node in nodes if leftovers.get(str(node.id)))
