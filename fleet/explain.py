"""Why a rollout, or a node, is where it is: for `fleet why`. Pure; numbers beside every statement."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from fleet import events as ev
from fleet.advice import advice
from fleet.condense import condense
from fleet.errors import UsageError
from fleet.events import Json, Recorded
from fleet.gates import AFTER, Outcome, facts_of, judge
from fleet.overview import waiting_for_power
from fleet.plan import Plan
from fleet.policy import admission
from fleet.policy.evidence import control_group, weigh
from fleet.policy.standing import standing as standing_of
from fleet.report import groups, standing, waiting
from fleet.state import ACTIVE, ENDED, TERMINAL, NodeState, NodeStatus, RolloutState, RolloutStatus
from fleet.words import clean, duration, effect_words, plural, tell
from inventory.text import nearest

_CONTROL = (
    ev.RolloutClaimed,
    ev.RolloutPaused,
    ev.RolloutContinued,
    ev.RolloutHalted,
    ev.RolloutAborting,
    ev.ApprovalNeeded,
    ev.WaveApproved,
    ev.RolloutEnded,
)
_SESSIONS = (ev.SessionOpening, ev.SessionOpened, ev.SessionClosed)
_LAST = 5
"""Control events that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One statement."""

    topic: str
    """status, waits, wave, budget, evidence, stratum, ambient, gate, failures, standing, control; trail, open, next."""
    text: str
    at: float | None = None
    """Field time of what it tells, if it is an event."""
    events: tuple[int, ...] = ()
    """Numbers of the journal's events that it rests on: `fleet events` shows them."""
    data: Json = field(default_factory=dict)
    """The same in numbers, for programs."""

    def to_json(self) -> Json:
        """JSON's own types."""
        return asdict(self)


def explain(state: RolloutState, recorded: Iterable[Recorded], node: str | None = None) -> tuple[Line, ...]:
    """The whole rollout, or one node of it. The same journal gives the same answer, whether a process runs it or not.

    Args:
        state: what the events make.
        recorded: the rollout's events from the first, in order.
        node: whose trail to tell; None: why the rollout is where it is.

    Raises:
        UsageError: the rollout has no such node.
    """
    if node is None:
        return _rollout(state, list(recorded))
    known = state.nodes.get(node)
    if known is None:
        raise UsageError(f"rollout {state.rollout} has no node {node!r}; {nearest(node, state.nodes)}")
    return _node(state, known, [item for item in recorded if _about(item, node)])


def _about(item: Recorded, node: str) -> bool:
    return isinstance(item.event, ev.NodeEvent) and item.event.node == node


def _rollout(state: RolloutState, recorded: list[Recorded]) -> tuple[Line, ...]:
    control = [item for item in recorded if isinstance(item.event, _CONTROL)]
    now = recorded[-1].at if recorded else 0.0
    lines = [Line(topic="status", text=_status(state))]
    if state.plan:
        plan = Plan.from_json(state.plan)
        if state.status not in ENDED:
            lines += [Line(topic="waits", text=text) for text in _waits(state, plan, now)]
        lines += [
            Line(topic="waits", text=f"{plural(nodes, 'node')} for power: {why}")
            for why, nodes in waiting_for_power(state).items()
        ]
        lines += [Line(topic="wave", text=_wave(state, plan)), Line(topic="budget", text=_budget(state, plan))]
        lines += evidence_lines(state, plan, recorded, now) if plan.caps.risk else []
        lines += gate_lines(state, plan, recorded)
        lines += [
            Line(
                topic="standing",
                text=f"{item.component} {item.version} is handed over and {item.stage} on {condense(item.nodes)}",
            )
            for item in standing(state, plan)
        ]
    lines += [
        Line(
            topic="failures",
            text=f"{len(group.nodes)} {group.status} ({group.reason}): {condense(group.nodes)}: {group.example}",
        )
        for group in groups(state.nodes)
    ]
    lines += [Line(topic="control", text=tell(item.event), at=item.at) for item in control[-_LAST:]]
    lines += [Line(topic="next", text=text) for text in _next(state)]
    return tuple(lines)


def _status(state: RolloutState) -> str:
    cause = f" by its {state.cause}" if state.cause else ""
    return f"{state.rollout} ({state.playbook}): {state.status}{cause}" + (
        f": {clean(state.message)}" if state.message else ""
    )


def _waits(state: RolloutState, plan: Plan, now: float) -> list[str]:
    """Who waits for what: the engine's own decision on this state, at the time of the last event."""
    if state.status in {RolloutStatus.PAUSED, RolloutStatus.HALTED, RolloutStatus.ABORTING}:
        out = [node for node in state.nodes.values() if node.status in ACTIVE]
        moving = [node for node in out if node.status is not NodeStatus.PARKED]
        return [
            f"nothing new starts; {plural(len(moving), 'node')} on the way to a safe point, {len(out) - len(moving)} parked"
        ]
    return [_decided(state, admission.decide(state, plan.rules(), now), now)]


def _decided(state: RolloutState, decision: admission.Decision, now: float) -> str:
    match decision:
        case admission.Wait(why=why, until=until):
            said = why + (f", {duration(until - now)} to go" if until is not None else "")
        case admission.Closed(why=why):
            said = why
        case admission.Stop(message=message):
            said = f"it will halt: {message}"
        case admission.Admit(nodes=nodes):
            said = f"nothing holds it: {plural(len(nodes), 'node')} may start"
        case admission.OpenWave(wave=wave):
            said = f"nothing holds it: wave {wave + 1} may open"
        case admission.AskApproval(wave=wave):
            said = f"wave {wave + 1} needs a person: `fleet approve {state.rollout}`"
        case admission.Finished():
            said = "nothing: every node has ended"
    return said


def _wave(state: RolloutState, plan: Plan) -> str:
    waves = plan.caps.waves
    if state.wave < 0:
        return f"no wave of {len(waves)} is open"
    start = waves[state.wave - 1] if state.wave else 0
    members = [state.nodes[name].status for name in plan.order[start : waves[state.wave]]]
    ended = sum(status in TERMINAL for status in members)
    out = sum(status in ACTIVE for status in members)
    return (
        f"wave {state.wave + 1} of {len(waves)}: {ended} of {len(members)} ended, {out} in flight (at most"
        f" {plan.caps.max_in_flight}), {len(members) - ended - out} not started; {len(plan.order) - waves[state.wave]} in later waves"
    )


def evidence_lines(state: RolloutState, plan: Plan, recorded: Iterable[Recorded], now: float) -> list[Line]:
    """What pacing and halting rest on, with the events that it comes from: k, n, n_eff, U, e and the control group's rate."""
    rules = plan.rules()
    said = weigh(standing_of(state, rules), control_group(state, rules, now), now)
    failed = [item for item in recorded if isinstance(item.event, ev.NodeRollingBack | ev.NodeQuarantined)]
    whole = Line(
        topic="evidence",
        text=f"k = {said.k} of n = {said.n} nodes failed; tolerated {said.tolerated:.2%}: e = {said.e:.3g}, halts at {said.needed:.3g}"
        + (f"; {said.same} alike, e = {said.same_e:.3g}: {clean(said.signature)}" if said.same else ""),
        events=tuple(item.seq for item in failed),
        data=said.to_json(),
    )
    strata = [
        Line(
            topic="stratum",
            text=f"{each.stratum}: n = {each.n}, k = {each.k}, n_eff = {each.n_eff:g}, U = {each.U:.1%}, {each.exposed:g} of at most"
            f" {each.allowed} at risk, e = {each.e:.3g} ({clean(plan.strata.get(each.stratum, ''))})",
            events=tuple(item.seq for item in failed if rules.stratum(getattr(item.event, "node", "")) == each.stratum),
        )
        for each in said.strata
    ]
    control = said.control
    ambient = Line(
        topic="ambient",
        text=f"{plural(control.failed, 'node')} broken before anything was done in {control.node_s / 3600:.0f} node-hours of waiting"
        f" ({control.per_1000_node_days:.1f} per 1,000 node-days): {control.rate:.2%} of a node's work",
    )
    return [whole, *strata, ambient]


def gate_lines(state: RolloutState, plan: Plan, recorded: Iterable[Recorded]) -> list[Line]:
    """What each gate of the playbook says of the nodes that were measured at their end, with the measurements' events."""
    required = [
        str(name) for step in plan.steps() if step.name == "gate.after" for name in _names(step.args["require"])
    ]
    measured = {name: facts_of(node) for name, node in state.nodes.items()}
    said = {name: judge(dict.fromkeys(required), of) for name, of in measured.items() if of.after is not None}
    seqs = {
        item.event.node: item.seq
        for item in recorded
        if isinstance(item.event, ev.EffectRecorded) and item.event.effect.endswith(f"/{AFTER}")
    }
    lines = []
    for gate in dict.fromkeys(required):
        count = Counter(verdicts[gate].outcome for verdicts in said.values())
        bad = {name: verdicts[gate] for name, verdicts in said.items() if verdicts[gate].outcome is not Outcome.PASSED}
        first = next(iter(bad.items()), None)
        example = f"; {condense(bad)}: {clean(first[1].text)}" if first else ""
        told = (
            ", ".join(f"{number} {outcome}" for outcome, number in sorted(count.items())) or "nobody was measured yet"
        )
        data = {
            "gate": gate,
            "nodes": {name: {"outcome": one[gate].outcome.value, "text": one[gate].text} for name, one in said.items()},
        }
        events = tuple(seqs[name] for name in (bad or said) if name in seqs)
        lines.append(Line(topic="gate", text=f"{gate}: {told}{example}", events=events, data=data))
    return lines


def _names(require: object) -> Iterable[object]:
    return require if isinstance(require, list | tuple) else ()


def _budget(state: RolloutState, plan: Plan) -> str:
    if plan.caps.failure_budget >= len(plan.order) and plan.caps.risk:
        accepted = f", {state.accepted_failures} of them accepted" if state.accepted_failures else ""
        return (
            f"{plural(state.failures, 'failure')}{accepted}; at most {plan.caps.risk} nodes may be broken at once, and evidence of"
            f" more than {plan.caps.tolerate:.1%} halts"
        )
    new = state.failures - state.accepted_failures
    accepted = f", {state.accepted_failures} earlier ones accepted" if state.accepted_failures else ""
    room = plan.caps.failure_budget - new
    then = f"{room} more are tolerated" if room >= 0 else f"{-room} more than that"
    canary = "; in the canary wave none is" if state.wave == 0 and len(plan.caps.waves) > 1 else ""
    return f"{plural(new, 'failure')} of {plan.caps.failure_budget} tolerated{accepted}; {then}{canary}"


def _next(state: RolloutState) -> tuple[str, ...]:
    name = state.rollout
    match state.status:
        case RolloutStatus.HALTED if state.cause == "window":
            return (f"when the window opens: `fleet resume {name}`",)
        case RolloutStatus.HALTED:
            return (
                f"look at a failed node: `fleet why {name} NODE`",
                f"if the failures are understood, `fleet resume {name}` accepts them and goes on",
                f"otherwise `fleet abort {name}` ends it",
            )
        case RolloutStatus.PAUSED:
            return (f"`fleet resume {name}` goes on; `fleet abort {name}` ends it",)
        case RolloutStatus.WAITING_APPROVAL:
            return (f"`fleet approve {name}` lets the wave through; `fleet abort {name}` ends it",)
        case RolloutStatus.COMPLETED | RolloutStatus.ABORTED if any(node.effects for node in state.nodes.values()):
            return (f"`fleet report {name}`; `fleet rollback {name}` shows what could be undone",)
        case _:
            return ()


def _node(state: RolloutState, node: NodeState, trail: list[Recorded]) -> tuple[Line, ...]:
    lines = [Line(topic="status", text=_node_status(state, node))]
    lines += [
        Line(topic="trail", text=tell(item.event), at=item.at)
        for item in trail
        if not isinstance(item.event, _SESSIONS)
    ]
    lines += [
        Line(topic="open", text=f"announced, and its result is not known: {effect_words(effect)}")
        for effect, entry in node.effects.items()
        if entry.result is None
    ]
    if node.status not in {NodeStatus.CONFIRMED, NodeStatus.ROLLED_BACK}:
        lines += [
            Line(topic="standing", text=f"{target} is handed over and {stage}")
            for target, stage in waiting(node).items()
        ]
    # While a process works on the node, a session of its own stands: that is no loss.
    lines += _lost_sessions(trail) if node.status not in ACTIVE else []
    lines += [Line(topic="next", text=text) for text in advice(node.status, node.reason)]
    return tuple(lines)


def _node_status(state: RolloutState, node: NodeState) -> str:
    why = f": {node.reason}" if node.reason else ""
    what = f": {clean(node.message)}" if node.message else ""
    where = f" in wave {node.wave + 1}" if node.wave >= 0 else ""
    step = f", at {node.step}" if node.step and node.status in ACTIVE else ""
    step += f", waits for power: {clean(node.power_waits)}" if node.power_waits else ""
    if node.status is NodeStatus.PENDING:
        if state.status in ENDED:
            return f"pending{where}: the rollout ended before it; it was not touched"
        opened = f"wave {state.wave + 1} is open" if state.wave >= 0 else "no wave is open"
        return f"pending{where}: {opened} and the rollout is {state.status}; it was not touched"
    return f"{node.status}{where}{step}{why}{what}"


def _lost_sessions(trail: list[Recorded]) -> list[Line]:
    left: dict[str, float] = {}
    for item in trail:
        if isinstance(item.event, ev.SessionOpening | ev.SessionOpened):
            left[item.event.context] = item.at
        elif isinstance(item.event, ev.SessionClosed | ev.LoginRefused):
            left.pop(item.event.context, None)
    return [
        Line(topic="open", text="a session on its BMC is not closed yet; the next process deletes it", at=at)
        for at in left.values()
    ]
