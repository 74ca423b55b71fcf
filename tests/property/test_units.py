"""Units that are begun and ended whole: an NVL72 rack is one, and its nodes go in the order that its release notes say."""

from collections import Counter

import pytest

from fleet import events as ev
from fleet.events import Recorded, RolloutId
from fleet.grouping import Member, roomy, split, together, whole_waves
from fleet.policy.admission import Admit, Decision, Finished, OpenWave, Stop, Wait, decide
from fleet.policy.rules import Domains, Rules
from fleet.policy.spec import RolloutSpec, resolve
from fleet.state import ACTIVE, NodeState, NodeStatus, RolloutState, fold

ROLLOUT = RolloutId("r")
RACKS, SWITCHES, TRAYS = 4, 2, 6


def racks() -> tuple[RolloutState, Rules]:
    """Four racks of two switch trays, which go first, and six compute trays; at most four of a rack, were they no units."""
    names = [
        f"r{rack}-{kind}{n}"
        for rack in range(RACKS)
        for kind, count in (("c", TRAYS), ("s", SWITCHES))
        for n in range(count)
    ]
    units = {name: name[:2] for name in names}
    places = {name: Domains(name[:2], (), nvlink_domain=name[:2]) for name in names}
    members = {"rack": Counter(units.values()), "nvlink_domain": Counter(units.values())}
    spec = RolloutSpec(rack=4, max_in_flight=5)
    order = together(names[::3] + names[1::3] + names[2::3], units)
    rules = Rules(
        order=order,
        domains=places,
        caps=roomy(resolve(spec, len(names), members), units, places),
        strata={name: name[3] for name in names},
        units=units,
        stages={name: 1 for name in names if name[3] == "c"},
    )
    state = RolloutState(rollout=ROLLOUT, nodes={name: NodeState() for name in names})
    return state, rules


def live(state: RolloutState, rules: Rules, *, failing: str = "") -> tuple[Decision, list[str]]:
    """Every node succeeds, one after the other, but for one; the end, and who started in which order."""
    seq, started = 0, []

    def record(event: ev.Event) -> None:
        nonlocal seq
        seq += 1
        fold(state, Recorded(seq, 1e9 + seq, ROLLOUT, event))

    while True:
        decision = decide(state, rules, 1e9 + seq)
        match decision:
            case Finished() | Stop():
                return decision, started
            case OpenWave(wave=wave):
                record(ev.WaveOpened(wave=wave, nodes=0))
            case Admit(nodes=nodes):
                for node in nodes:
                    record(ev.NodeAdmitted(node=node, wave=0))
                    started.append(node)
                    begun = {name[:2] for name in started}
                    untouched = [
                        n for n, each in state.nodes.items() if each.status is NodeStatus.PENDING and n[:2] in begun
                    ]
                    out = [n for n, each in state.nodes.items() if each.status in ACTIVE]
                    assert len(out) + len(untouched) <= rules.caps.max_in_flight
            case Wait():
                node = next(name for name, each in state.nodes.items() if each.status in ACTIVE)
                record(ev.IntentRecorded(node=node, effect="flash"))
                ends = (
                    ev.NodeQuarantined(node=node, reason="x", message="y")
                    if node == failing
                    else ev.NodeConfirmed(node=node)
                )
                record(ends)


def test_a_rack_is_begun_and_ended_whole_and_its_switch_trays_go_first() -> None:
    state, rules = racks()
    end, started = live(state, rules)
    assert isinstance(end, Finished)
    assert [name[:2] for name in started] == sorted((name[:2] for name in started), key=[s[:2] for s in started].index)
    for rack in range(RACKS):
        here = [name[3] for name in started if name.startswith(f"r{rack}")]
        assert here == ["s"] * SWITCHES + ["c"] * TRAYS


@pytest.mark.parametrize("failing", ["r0-s1", "r0-c3"])
def test_a_unit_of_which_one_failed_stays_as_it_is_until_a_person_decides(failing: str) -> None:
    state, rules = racks()
    end, started = live(state, rules, failing=failing)
    assert failing in started
    if failing == "r0-s1":
        assert isinstance(end, Stop)
        assert end.message.startswith("r0-s1 of r0 failed, and 6 nodes of it were not begun: r0 is mixed")
        assert not [name for name in started if name[3] == "c"]


def test_a_domain_of_which_a_part_cannot_be_worked_on_is_refused_whole() -> None:
    members = {
        "a1": Member(domain="a", changes=True),
        "a2": Member(domain="a", changes=False, refused="unreachable"),
        "b1": Member(domain="b", changes=True),
        "c1": Member(domain="c", changes=False),
        "d1": Member(domain="", changes=True),
        "e1": Member(domain="e", changes=True),
    }
    assert split(members, {"a": 2, "b": 2, "c": 2, "e": 1}) == {
        "a1": "NVLink domain a is one unit: 1 of its 2 nodes could be updated; a2 is refused: unreachable",
        "b1": "NVLink domain b is one unit: 1 of its 2 nodes could be updated; the others are not selected",
    }


def test_waves_end_where_a_unit_ends() -> None:
    units = {"a": "u", "b": "u", "c": "u", "e": "v", "f": "v"}
    order = together(["d", "a", "e", "b", "c", "f"], units)
    assert order == ("d", "a", "b", "c", "e", "f")
    caps = resolve(RolloutSpec(waves=(1, 2, 6)), 6, {})
    assert whole_waves(caps, order, units).waves == (1, 4, 6)
