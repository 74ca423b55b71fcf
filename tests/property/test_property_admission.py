"""Admission, driven through whole rollouts by random outcomes: what must never happen, and what must."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import events as ev
from fleet.eventcodec import decode, encode
from fleet.events import Event, Recorded, RolloutId
from fleet.policy import admission
from fleet.policy.admission import Admit, AskApproval, Closed, Finished, OpenWave, Stop, Wait, decide
from fleet.policy.rules import Domains, Rules
from fleet.policy.spec import Caps, RolloutSpec, count, resolve
from fleet.policy.window import Window
from fleet.state import ACTIVE, FAILED, TERMINAL, NodeState, NodeStatus, RolloutState, fold, replay
from inventory.scalar import Percent

ROLLOUT = RolloutId("r")
NIGHT = Window(days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), start="22:00", length_s=8 * 3600, tz="UTC")

WAVES = (1, Percent(5.0), Percent(25.0), Percent(100.0))

amounts = st.one_of(st.integers(1, 12), st.sampled_from([Percent(1.0), Percent(10.0), Percent(25.0), Percent(50.0)]))
specs = st.builds(
    RolloutSpec,
    waves=st.lists(amounts, min_size=1, max_size=4).map(tuple),
    max_in_flight=amounts,
    rack=st.none() | amounts,
    feed=st.none() | amounts,
    failure_budget=st.integers(0, 4),
    bake_s=st.sampled_from([0, 600]),
    approve=st.lists(st.integers(1, 4), max_size=2).map(tuple),
    window=st.sampled_from([None, NIGHT]),
)


@dataclass
class Simulation:
    """A rollout without machines: nodes end as the dice fall."""

    rules: Rules
    dice: Random
    fail_share: float
    state: RolloutState = field(default_factory=lambda: RolloutState(rollout=ROLLOUT))
    now: float = 1_780_000_000.0
    history: list[Event] = field(default_factory=list)
    approvals: int = 0

    @property
    def order(self) -> tuple[str, ...]:
        """Nodes in the order of admission."""
        return self.rules.order

    @property
    def caps(self) -> Caps:
        """Of the rules."""
        return self.rules.caps

    def record(self, event: Event) -> None:
        """Fold one event."""
        self.history.append(event)
        fold(self.state, Recorded(len(self.history), self.now, ROLLOUT, event))

    def active(self) -> list[str]:
        """Nodes under way."""
        return [name for name in self.order if self.state.nodes[name].status in ACTIVE]

    def run(self) -> Finished | Stop:
        """Until it ends; a rollout that does not end is a failure of this test."""
        for _ in range(20 * len(self.order) + 200):
            decision = decide(self.state, self.rules, self.now)
            self.check(decision)
            match decision:
                case Finished() | Stop():
                    return decision
                case Admit(nodes=nodes):
                    for node in nodes:
                        self.record(ev.NodeAdmitted(node=node, wave=self.state.wave))
                case OpenWave(wave=wave):
                    self.record(ev.WaveOpened(wave=wave, nodes=0))
                case AskApproval(wave=wave):
                    self.record(ev.ApprovalNeeded(wave=wave))
                    assert isinstance(decide(self.state, self.rules, self.now), Wait | Closed)
                    self.approvals += 1
                    self.record(ev.WaveApproved(wave=wave, by="x"))
                case Wait(until=until) | Closed(until=until):
                    self.wait(until)
            self.check_caps()
        raise AssertionError("the rollout does not end")

    def wait(self, until: float | None) -> None:
        """Something under way ends, or else time passes to where the decision points."""
        running = self.active()
        if not running:
            assert until is not None, "waits for nothing"
            assert until > self.now
            self.now = until
            return
        self.now += self.dice.choice([60.0, 3600.0])
        node = self.dice.choice(running)
        if self.dice.random() >= self.fail_share:
            self.record(ev.NodeConfirmed(node=node))
        elif self.dice.random() < 0.5:
            self.record(ev.NodeQuarantined(node=node, reason="x", message=""))
        else:
            self.record(ev.NodeRollingBack(node=node, reason="x", message=""))
            self.record(ev.NodeRolledBack(node=node, reason="x", message=""))

    def out(self) -> Counter[tuple[str, str]]:
        """Nodes out, by domain: under way or quarantined."""
        return Counter(
            key
            for name, node in self.state.nodes.items()
            if node.status in ACTIVE or node.status is NodeStatus.QUARANTINED
            for key in self.rules.domains[name].groups()
        )

    def check_caps(self) -> None:
        """No cap is exceeded now."""
        assert len(self.active()) <= self.caps.max_in_flight
        for (kind, name), out in self.out().items():
            assert out <= self.caps.domains[kind].get(name, out)

    def check(self, decision: admission.Decision) -> None:
        """The decision is allowed in this state."""
        caps, state = self.caps, self.state
        failures = sum(node.status in FAILED for node in state.nodes.values())
        assert state.failures == failures
        match decision:
            case Stop(cause="budget"):
                assert failures == caps.failure_budget + 1
            case Stop(cause="canary"):
                assert state.wave == 0
                assert all(state.nodes[name].status is NodeStatus.PENDING for name in self.order[caps.waves[0] :])
            case Stop(cause=cause):
                assert cause == "domain"
                assert not self.active()
            case _:
                assert failures <= caps.failure_budget
        if isinstance(decision, Admit):
            assert set(decision.nodes) <= set(self.order[: caps.waves[state.wave]])
            assert all(state.nodes[name].status is NodeStatus.PENDING for name in decision.nodes)
            assert caps.window is None or caps.window.open_at(self.now)
        if isinstance(decision, OpenWave):
            assert decision.wave == state.wave + 1
            before = [state.nodes[name] for name in self.order[: caps.waves[state.wave] if state.wave >= 0 else 0]]
            assert all(node.status in TERMINAL for node in before)
            assert all((node.ended_at or 0) + caps.bake_s <= self.now for node in before)
            assert decision.wave not in caps.approve or decision.wave in state.approved
            assert caps.window is None or caps.window.open_at(self.now)
        if isinstance(decision, Wait) and state.wave >= 0:
            assert not self.startable(), "waits although a node could start"

    def startable(self) -> list[str]:
        """Pending nodes of the open wave that fit every cap."""
        if len(self.active()) >= self.caps.max_in_flight:
            return []
        out = self.out()
        return [
            name
            for name in self.order[: self.caps.waves[self.state.wave]]
            if self.state.nodes[name].status is NodeStatus.PENDING
            and all(
                out[key] < self.caps.domains[key[0]].get(key[1], 1 << 30) for key in self.rules.domains[name].groups()
            )
        ]


def simulation(spec: RolloutSpec, nodes: int, racks: int, seed: int, fail_share: float) -> Simulation:
    order = tuple(f"n{number}" for number in range(nodes))
    domains = {name: Domains(f"r{number % racks}", (f"f{number % 2}",)) for number, name in enumerate(order)}
    racks_of = Counter(domain.rack for domain in domains.values())
    feeds_of = Counter(feed for domain in domains.values() for feed in domain.feeds)
    caps = resolve(spec, nodes, {"rack": racks_of, "feed": feeds_of})
    rules = Rules(order=order, domains=domains, caps=caps)
    made = Simulation(rules=rules, dice=Random(seed), fail_share=fail_share)  # noqa: S311 (dice)
    made.state.nodes = {name: NodeState() for name in order}
    return made


@settings(max_examples=150, deadline=None)
@given(specs, st.integers(0, 40), st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([0.0, 0.05, 0.4, 1.0]))
def test_every_rollout_ends_and_no_cap_is_ever_exceeded(
    spec: RolloutSpec, nodes: int, racks: int, seed: int, fail_share: float
) -> None:
    world = simulation(spec, nodes, racks, seed, fail_share)
    end = world.run()
    if isinstance(end, Finished):
        assert all(world.state.nodes[name].status in TERMINAL for name in world.order)
        assert world.approvals == len([wave for wave in world.caps.approve if wave < len(world.caps.waves)])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**31), st.integers(0, 3))
def test_a_failed_canary_halts_with_one_node_touched(nodes: int, seed: int, budget: int) -> None:
    world = simulation(RolloutSpec(waves=WAVES, failure_budget=budget), nodes, 4, seed, 1.0)
    end = world.run()
    assert isinstance(end, Stop)
    assert end.cause == ("canary" if budget else end.cause)
    assert sum(node.status is not NodeStatus.PENDING for node in world.state.nodes.values()) == 1


@settings(max_examples=60, deadline=None)
@given(specs, st.integers(1, 30), st.integers(0, 2**31), st.data())
def test_state_after_any_prefix_is_what_replaying_that_prefix_gives(
    spec: RolloutSpec, nodes: int, seed: int, data: st.DataObject
) -> None:
    world = simulation(spec, nodes, 3, seed, 0.2)
    world.run()
    plan = {"nodes": {name: {"wave": 0} for name in world.order}}
    events = [ev.RolloutPlanned(plan=plan, digest=""), *world.history]
    recorded = [Recorded(seq, float(seq), ROLLOUT, event) for seq, event in enumerate(events, 1)]
    cut = data.draw(st.integers(0, len(recorded)))
    state = replay(ROLLOUT, recorded[:cut])
    for item in recorded[cut:]:
        state = fold(state, Recorded(item.seq, item.at, ROLLOUT, decode(item.event.kind, encode(item.event))))
    assert state == replay(ROLLOUT, recorded)
    assert state.failures == sum(node.status in FAILED for node in state.nodes.values())


@given(st.integers(1, 2000), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_a_wave_that_wants_approval_is_never_entered_unasked_however_small_the_selection(
    nodes: int, approve: list[int]
) -> None:
    spec = RolloutSpec(waves=WAVES, approve=tuple(approve))
    caps = resolve(spec, nodes, {})
    for number in approve:
        released = max((count(amount, nodes) for amount in spec.waves[: number - 1]), default=0)
        if released < nodes:
            assert (0, *caps.waves).index(released) in caps.approve
