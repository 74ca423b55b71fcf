"""`fleet apply`, `plan`, `resume`, `rollback`: read, survey, plan, and hand over to the engine."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from fleet import events as ev
from fleet.cli import around, compose
from fleet.cli.compose import Sources
from fleet.cli.drainable import strangers
from fleet.cli.earlier import earlier
from fleet.cli.electric import power_desk, show_power
from fleet.cli.electric import proof as power_rows
from fleet.cli.frozen import require_as_planned, with_digests
from fleet.cli.hours import learn_on, learned_from
from fleet.cli.progress import Progress
from fleet.cli.proof_view import tell
from fleet.cli.whereabouts import lacking, whereabouts
from fleet.clock import Clock, SystemClock, as_utc
from fleet.context import DRAIN
from fleet.engine import Engine, Ledger, Watcher
from fleet.errors import Busy, Reason, Refused, UsageError, WindowClosed
from fleet.eventcodec import as_json
from fleet.events import Event, Recorded, RolloutId
from fleet.executor import LocalExecutor
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.journal import Journal, Lease, Request, SqliteJournal, Verb
from fleet.journal.sqlite import existing
from fleet.notes import noted
from fleet.outlets import outlet_offers
from fleet.plan import Plan, Survey
from fleet.recipe import UPDATE
from fleet.runner import Surroundings
from fleet.state import ENDED, NodeStatus, RolloutState, RolloutStatus, replay
from fleet.step import StepSpec
from fleet.storm import DAY_S, Past, require_calm
from fleet.survey import survey, sweep
from fleet.timebox import too_short
from fleet.vendors import load_profiles
from inventory.baseline import Baseline
from inventory.exporters.snapshot import Origin
from inventory.fabric import leaf_links
from inventory.model import Node
from playbooks.registry import make
from playbooks.schema import Playbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person wants of `fleet apply` beyond the files."""

    journal: Path
    as_json: str = ""
    """Non-empty: NDJSON on stdout."""
    document: str = ""
    """Non-empty: the plan and its proof as one JSON document on stdout."""
    go: str = ""
    """Non-empty: really do it. Empty: show the plan and stop."""
    skip_refused: str = ""
    wait_for_window: str = ""
    despite_changes: str = ""
    """Non-empty: also where firmware was moved back and forth within a day (fleet.storm)."""
    console: Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process's work on one rollout."""

    sources: Sources
    wishes: Wishes
    journal: Journal
    ledger: Ledger
    clock: Clock


def words() -> Console:
    """Where words go: stderr. NO_COLOR and dumb terminals are rich's business."""
    return Console(stderr=True, highlight=False)


async def apply(sources: Sources, wishes: Wishes) -> Exit:
    """A new rollout of a playbook, forward."""
    playbook = sources.playbook
    compose.check_images(playbook.baseline)
    return await _start(sources, wishes, playbook.baseline, playbook.steps)


async def roll_back(old: RolloutState, sources: Sources, wishes: Wishes) -> Exit:
    """A new rollout that takes the nodes of an ended one back to the previous images."""
    inverse = sources.playbook.baseline.inverse()
    compose.check_images(inverse)
    steps = tuple(
        replace(step, args=dict(_WAY_BACK[step.name]) or step.args)
        for step in sources.playbook.steps
        if step.name in _WAY_BACK and step.args.get("component", "") in {"", *inverse.components}
    )
    if not any(step.name == UPDATE for step in steps):
        raise UsageError(f"{old.rollout}: the baseline names no previous image for any component; there is no way back")
    wanted = {name for name, node in old.nodes.items() if node.admitted_at is not None}
    if not wanted:
        raise UsageError(f"{old.rollout}: it touched no node; there is nothing to roll back")
    back = replace(sources, nodes=tuple(node for node in sources.nodes if str(node.id) in wanted))
    return await _start(back, wishes, inverse, steps, reverses=old.rollout)


_WAY_BACK: Mapping[str, Mapping[str, str]] = {DRAIN: {}, UPDATE: {}, "verify": {}, "node.undrain": {"of": "own"}}
"""Steps that a rollback repeats, with their arguments where they are others. It brings firmware back: it installs no OS again, moves
no port, tests no part, and gives no node back that an earlier rollout holds."""


async def _start(
    sources: Sources, wishes: Wishes, baseline: Baseline, steps: tuple[StepSpec, ...], *, reverses: str = ""
) -> Exit:
    clock = sources.clock()
    _heed_window(sources.playbook, clock, wishes)
    async with AsyncExitStack() as stack:
        journal = SqliteJournal(wishes.journal, clock)
        stack.push_async_callback(journal.close)
        rollout = _new_id(journal, sources.playbook, reverses)
        _refuse_busy(journal, sources, rollout)
        if wishes.go and not wishes.despite_changes and any(step.name == UPDATE for step in steps):
            nodes = {str(node.id) for node in sources.nodes}
            require_calm(_pasts(journal, clock.now()), nodes, reverses=reverses, now=clock.now())
        stack.enter_context(Lease(journal.path, rollout))
        state = RolloutState(rollout=rollout)
        ledger = Ledger(journal, state, _watchers(wishes))
        created = ev.RolloutCreated(
            playbook=sources.playbook.name, sources=sources.paths(), by=compose.who(), reverses=reverses
        )
        await ledger.record(created)
        attempt = Attempt(sources=sources, wishes=wishes, journal=journal, ledger=ledger, clock=clock)
        plan = await _survey(attempt, baseline, steps, downgrade=reverses and f"rollback of {reverses}")
        _tell(attempt, plan)
        why = _unfit(attempt, plan)
        if why:
            await ledger.record(ev.RolloutEnded(outcome=RolloutStatus.REFUSED.value))
            raise Refused(f"{why}; nothing was touched")
        if not wishes.go:
            await ledger.record(*_notes(plan), ev.RolloutEnded(outcome=RolloutStatus.DRY_RUN.value))
            wishes.console.print("nothing was touched: this was the plan. Add --yes to carry it out.")
            return Exit.REFUSED if plan.refused else Exit.OK
        if not plan.order or (plan.refused and not wishes.skip_refused):
            await ledger.record(ev.RolloutEnded(outcome=RolloutStatus.REFUSED.value))
            raise Refused(
                f"the precheck refused {len(plan.refused)} of {len(plan.nodes)} nodes; nothing was touched. Mend them, or leave"
                " them out with --skip-refused"
            )
        await ledger.record(ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        try:
            # The claims are in the journal now: of two processes that surveyed the same nodes at once, the second sees the first.
            _refuse_busy(journal, sources, rollout)
        except Busy:
            await ledger.record(ev.RolloutEnded(outcome=RolloutStatus.REFUSED.value))
            raise
        await ledger.record(*_notes(plan), *_refusals(plan))
        return await _run(stack, attempt, plan, ask=None)


def _tell(attempt: Attempt, plan: Plan) -> None:
    """The plan, its proof, and what its breakers bear."""
    sources, wishes = attempt.sources, attempt.wishes
    server = sources.inventory.transfers.megabytes_per_s * 1e6
    power = power_rows(sources, plan)
    tell(plan, wishes.console, power=power, server_bytes_per_s=server, document=wishes.document)
    show_power(sources, plan, wishes.console)


def _refusals(plan: Plan) -> list[ev.NodeRefused]:
    return [ev.NodeRefused(node=name, reason=node.reason, message=node.message) for name, node in plan.refused.items()]


def _unfit(attempt: Attempt, plan: Plan) -> str:
    """Why the plan as a whole cannot be carried out; empty: it can."""
    learned = learned_from(attempt.journal, attempt.ledger.state.rollout, plan)
    short = too_short(plan, load_profiles(), make, learned, attempt.clock.now())
    return f"{attempt.sources.playbook.path}: rollout.window ({plan.caps.window}): {short}" if short else ""


def _notes(plan: Plan) -> list[ev.NodeNoted]:
    return [
        ev.NodeNoted(node=name, topic=note.topic, message=note.text)
        for name, node in plan.nodes.items()
        for note in node.notes
    ]


async def _survey(attempt: Attempt, baseline: Baseline, steps: tuple[StepSpec, ...], *, downgrade: str) -> Plan:
    sources, clock, console = attempt.sources, attempt.clock, attempt.wishes.console
    driver = compose.make_driver(sources, clock)
    leftovers = compose.leftover_sessions(attempt.journal, attempt.ledger.state.rollout)
    done = 0
    with console.status(f"reading {len(sources.nodes)} nodes, changing nothing") as status:

        def seen(_: object) -> None:
            nonlocal done
            done += 1
            status.update(f"reading {done} of {len(sources.nodes)} nodes, changing nothing")

        try:
            async with around.looking(sources, clock) as edges:
                drains = any(step.name == DRAIN for step in steps)
                unknown = await strangers(edges.scheduler, sources, clock) if drains else {}
                surveys = await survey(
                    sources.nodes,
                    driver,
                    clock,
                    attempt.ledger,
                    around=lambda node: outlet_offers(edges.outlets(node)),
                    leftovers=leftovers,
                    seen=seen,
                )
        finally:
            await driver.close()
    lack = lacking(sources, whereabouts(sources), steps)
    surveys = [_unless(each, Reason.NO_EDGE, lack.get(str(each.node.id), "")) for each in surveys]
    surveys = [_unless(each, Reason.NOT_DRAINED, unknown.get(str(each.node.id), "")) for each in surveys]
    plan = compose.make_plan(sources, surveys, baseline=baseline, steps=steps, downgrade=downgrade)
    if sources.inventory.power is not None:
        plan = replace(plan, power=sources.playbook.power.to_json())
    return with_digests(noted(plan, surveys, earlier(attempt.journal, frozenset(plan.nodes))), sources)


def _unless(survey: Survey, reason: Reason, lack: str) -> Survey:
    """Refused before anything is touched where a step would find nobody to talk to, or must not disturb the node."""
    return replace(survey, reason=reason, message=lack) if lack and survey.reason is None else survey


async def _run(stack: AsyncExitStack, attempt: Attempt, plan: Plan, *, ask: Request | None) -> Exit:
    """The engine, from here to the end of the rollout or of the process."""
    sources, wishes, ledger, clock = attempt.sources, attempt.wishes, attempt.ledger, attempt.clock
    journal = attempt.journal
    transfers = compose.make_transfers(sources, clock)
    driver = compose.make_driver(sources, clock, transfers)
    stack.push_async_callback(driver.close)
    rollout = ledger.state.rollout
    place = around.workplace(journal.path, rollout)
    edges = await stack.enter_async_context(around.working(sources, clock, place, plan.steps(), transfers))
    gate = Gate()
    power = power_desk(sources, plan, ledger.state, recorder=ledger, clock=clock, gate=gate, edges=edges)
    if power is not None:
        ledger.watch(power.noticed)
    learned = learned_from(journal, rollout, plan)
    learn_on(ledger, learned)
    surroundings = Surroundings(
        rollout=rollout,
        plan=plan,
        driver=driver,
        profiles=load_profiles(),
        steps=make,
        clock=clock,
        gate=gate,
        recorder=ledger,
        edges=edges,
        power=power,
        links=leaf_links(sources.inventory, sources.nodes),
        origin=Origin.SIMULATED_HALL if sources.hall else Origin.HARDWARE,
        learned=learned,
    )
    nodes = {str(node.id): node for node in sources.nodes}
    executor = LocalExecutor(surroundings, nodes, compose.leftover_sessions(journal, rollout))
    engine = Engine(
        plan=plan,
        ledger=ledger,
        journal=journal,
        executor=executor,
        gate=gate,
        clock=clock,
        wait_for_window=wishes.wait_for_window,
        beside=(power.meter, power.answer) if power is not None else (),
    )
    await compose.stoppable(stack, engine.stop)
    speed = sources.hall.speed if sources.hall else 1.0
    with Progress(ledger.state, clock, wishes.console, speed=speed) as progress:
        ledger.watch(progress)
        result = await engine.run(ask=ask)
    await sweep(_idle(nodes, plan, ledger), driver, ledger, compose.leftover_sessions(journal, rollout))
    return result


def _idle(nodes: Mapping[str, Node], plan: Plan, ledger: Ledger) -> list[Node]:
    """Nodes that nobody works on any more: sessions that were left on them can go."""
    states = ledger.state.nodes
    return [node for name, node in nodes.items() if name not in plan.nodes or states[name].status not in _WORKED]


_WORKED = frozenset({NodeStatus.RUNNING, NodeStatus.UNCERTAIN, NodeStatus.PARKED, NodeStatus.ROLLING_BACK})


async def resume(journal_path: Path, rollout: RolloutId, verb: Verb | None, wishes: Wishes) -> Exit:
    """Continue a rollout that no process runs, with a request to begin with if there is one."""
    async with AsyncExitStack() as stack:
        looking = SqliteJournal(existing(journal_path), SystemClock())
        try:
            state = replay(rollout, looking.read(rollout))
        finally:
            await looking.close()
        if state.status in ENDED:
            raise UsageError(f"{rollout} has ended ({state.status}); there is nothing to continue")
        sources = sources_of(state)
        clock = sources.clock()
        journal = SqliteJournal(journal_path, clock)
        stack.push_async_callback(journal.close)
        stack.enter_context(Lease(journal_path, rollout))
        ledger = Ledger(journal, replay(rollout, journal.read(rollout)), _watchers(wishes))
        if not state.plan:
            await ledger.record(ev.RolloutEnded(outcome=RolloutStatus.ABORTED.value))
            raise UsageError(
                f"{rollout} had no plan yet when its process ended; nothing was touched. Start it anew with `fleet apply`"
            )
        plan = Plan.from_json(state.plan)
        require_as_planned(plan, ledger.state, sources, aborting=verb is Verb.ABORT)
        ask = Request(id=0, rollout=rollout, verb=verb, by=compose.who()) if verb else None
        attempt = Attempt(sources=sources, wishes=wishes, journal=journal, ledger=ledger, clock=clock)
        return await _run(stack, attempt, plan, ask=ask)


def sources_of(state: RolloutState) -> Sources:
    """The files that the rollout was started with, as they are now; the plan itself is the journal's."""
    paths = state.sources
    hall = Path(paths["hall"]) if "hall" in paths else None
    return compose.read_sources(
        Path(paths["inventory"]),
        Path(paths["playbook"]),
        hall,
        baseline=Path(paths["baseline"]) if "baseline" in paths else None,
        select=paths.get("select", ""),
        real_scheduler=paths.get("real_scheduler", ""),
    )


def _heed_window(playbook: Playbook, clock: Clock, wishes: Wishes) -> None:
    """Raise WindowClosed before anything is read, where that would be for nothing. A dry run may look at any time."""
    window, now = playbook.rollout.window, clock.now()
    if window is None or window.open_at(now):
        return
    opening = window.next_opening(now)
    where = f"{playbook.path}: rollout.window ({window})"
    if opening is None:
        raise WindowClosed(f"{where} never opens again; nothing was touched. Correct 'until', or take the window out")
    closed = f"{where} is closed until {datetime.fromtimestamp(opening, UTC):%Y-%m-%d %H:%MZ}"
    if not wishes.go:
        wishes.console.print(f"{closed}: with --yes nothing would start now", soft_wrap=True)
    elif not wishes.wait_for_window:
        raise WindowClosed(f"{closed}; nothing was touched. Come back then, or add --wait-for-window")


def _pasts(journal: Journal, now: float) -> Iterator[Past]:
    """Rollouts of the last day, with the nodes to which they did something."""
    for row in journal.rollouts():
        if now - row.created_at < DAY_S:
            state = replay(row.id, journal.read(row.id))
            touched = frozenset(name for name, node in state.nodes.items() if node.intents)
            yield Past(rollout=row.id, at=row.created_at, reverses=state.reverses, touched=touched)


def _refuse_busy(journal: Journal, sources: Sources, rollout: RolloutId) -> None:
    busy = journal.busy_nodes((str(node.id) for node in sources.nodes), but=rollout)
    if busy:
        node, owner = next(iter(busy.items()))
        raise Busy(
            f"{len(busy)} of the nodes ({node} first) are in rollout {owner}, which has not ended: `fleet resume {owner}`,"
            f" or `fleet abort {owner}`"
        )


def _new_id(journal: Journal, playbook: Playbook, reverses: str) -> RolloutId:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{playbook.name}-back" if reverses else playbook.name)
    name = f"{stem}-{as_utc(SystemClock().now()):%Y%m%d-%H%M%S}"
    taken = {row.id for row in journal.rollouts()}
    return next(
        RolloutId(each) for each in (name, *(f"{name}-{number}" for number in range(2, 1000))) if each not in taken
    )


def _watchers(wishes: Wishes) -> tuple[Watcher, ...]:
    if not wishes.as_json:
        return ()

    def line(event: Recorded | Event) -> None:
        if isinstance(event, Recorded):
            sys.stdout.write(json.dumps(as_json(event), separators=(",", ":")) + "\n")

    return (line,)


def continue_rollout(journal: Path, rollout: RolloutId, verb: Verb | None, *, as_json_lines: str = "") -> Exit:
    """`fleet resume`, and `fleet abort` of a rollout that no process runs."""
    wishes = Wishes(journal=journal, as_json=as_json_lines, go="yes", console=words())
    return compose.on_loop(resume(journal, rollout, verb, wishes))
