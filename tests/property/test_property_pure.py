"""The pure parts: events that survive their encoding, the table of transitions, activation, windows."""

import json
from dataclasses import MISSING, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fleet import events as ev
from fleet.activation import NotOffered, plan_activation
from fleet.eventcodec import KINDS, UnknownEvent, as_json, decode, encode
from fleet.events import NodeEvent, Recorded, RolloutId
from fleet.policy.window import DAYS, Window
from fleet.state import TERMINAL, TRANSITIONS, IllegalTransition, NodeState, NodeStatus, fold_node
from inventory.baseline import Activation

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters()),
    int: st.integers(),
    int | None: st.none() | st.integers(),
    float | None: st.none() | st.floats(allow_nan=False),
    dict[str, str]: st.dictionaries(st.text(), st.text(), max_size=4),
    dict[str, Any]: st.dictionaries(st.text(), json_values, max_size=4),
}


@st.composite
def events(draw: st.DrawFn) -> ev.Event:
    cls = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    return cls(**{item.name: draw(BY_TYPE[item.type]) for item in fields(cls)})


@settings(suppress_health_check=[HealthCheck.too_slow])  # how fast examples are made is the machine's business
@given(events())
def test_an_event_survives_its_encoding(event: ev.Event) -> None:
    text = encode(event)
    text.encode("ascii")
    assert decode(event.kind, text) == event
    line = as_json(Recorded(7, 1.23456, RolloutId("r"), event))
    assert json.loads(json.dumps(line))["kind"] == event.kind


def test_no_event_field_hides_the_head_of_a_json_line() -> None:
    for cls in KINDS.values():
        assert not {"seq", "at", "rollout", "kind"} & {item.name for item in fields(cls)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_field_or_kind_of_a_newer_version_is_named(kind: str) -> None:
    with pytest.raises(UnknownEvent, match="glitter"):
        decode(kind, json.dumps({"glitter": 1}))
    with pytest.raises(UnknownEvent, match=f"new-{kind}"):
        decode(f"new-{kind}", "{}")


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("data", ["[]", "null", "{", '"text"', "{}"])
def test_a_damaged_event_is_an_error_that_names_its_kind(kind: str, data: str) -> None:
    needed = [item for item in fields(KINDS[kind]) if item.default is MISSING and item.default_factory is MISSING]
    if data == "[]" or (data == "{}" and not needed):
        data = "[1]"
    with pytest.raises(UnknownEvent, match=kind):
        decode(kind, data)


LEADS_TO: dict[NodeStatus, NodeEvent] = {
    NodeStatus.RUNNING: ev.NodeAdmitted(node="n", wave=0),
    NodeStatus.REFUSED: ev.NodeRefused(node="n", reason="x", message=""),
    NodeStatus.UNCERTAIN: ev.NodeUncertain(node="n", effect="e", why=""),
    NodeStatus.PARKED: ev.NodeParked(node="n", why=""),
    NodeStatus.ROLLING_BACK: ev.NodeRollingBack(node="n", reason="x", message=""),
    NodeStatus.CONFIRMED: ev.NodeConfirmed(node="n"),
    NodeStatus.ROLLED_BACK: ev.NodeRolledBack(node="n", reason="x", message=""),
    NodeStatus.QUARANTINED: ev.NodeQuarantined(node="n", reason="x", message=""),
}


@pytest.mark.parametrize("start", NodeStatus)
@pytest.mark.parametrize("end", LEADS_TO)
def test_only_the_table_leads_from_one_status_to_another(start: NodeStatus, end: NodeStatus) -> None:
    node, event = NodeState(status=start), LEADS_TO[end]
    if start is NodeStatus.CONFIRMED and end is NodeStatus.QUARANTINED:
        event = ev.NodeRelapsed(node="n", reason="x", message="")
    if end is start or end in TRANSITIONS[start]:
        assert fold_node(node, event, 1.0).status is end
    else:
        with pytest.raises(IllegalTransition, match=f"{start} -> {end}"):
            fold_node(node, event, 1.0)


@given(st.lists(st.sampled_from([*LEADS_TO.values(), ev.NodeRelapsed(node="n", reason="x", message="")]), max_size=12))
def test_what_is_terminal_stays_so(path: list[NodeEvent]) -> None:
    node = NodeState()
    for event in path:
        before = node.status
        try:
            node = fold_node(node, event, 1.0)
        except IllegalTransition:
            continue
        relapsed = before is NodeStatus.CONFIRMED and isinstance(event, ev.NodeRelapsed)
        assert before not in TERMINAL or node.status is before or relapsed
    assert (node.ended_at is not None) == (node.status in TERMINAL)


STRENGTH = [Activation.BMC_RESET, Activation.WARM_RESET, Activation.DC_CYCLE, Activation.AC_CYCLE]
BY_ITSELF = {Activation.AUTOMATIC, Activation.SELF_CONTAINED}


def activates(action: Activation, need: Activation) -> bool:
    """DSP0267 and field guide 2.1, said anew: AC restarts everything, DC the host and its media, a warm reset only the host."""
    if need in BY_ITSELF:
        return True
    match action:
        case Activation.AC_CYCLE:
            return True
        case Activation.DC_CYCLE:
            return need in {Activation.DC_CYCLE, Activation.WARM_RESET, Activation.MEDIUM_RESET}
        case _:
            return need is action


needs = st.dictionaries(
    st.sampled_from(["bmc", "bios", "hgx", "nic"]), st.frozensets(st.sampled_from(Activation), min_size=1, max_size=3)
)


@given(needs, st.frozensets(st.sampled_from(STRENGTH)))
def test_activation_covers_every_need_with_what_is_offered_and_no_more(
    wanted: dict[str, frozenset[Activation]], offers: frozenset[Activation]
) -> None:
    def covered(actions: frozenset[Activation]) -> bool:
        return all(
            any(need in BY_ITSELF or any(activates(action, need) for action in actions) for need in any_of)
            for any_of in wanted.values()
        )

    try:
        chosen = plan_activation(wanted, offers)
    except NotOffered as error:
        assert not covered(offers)
        assert any(name in str(error) for name in wanted)  # noqa: PT017 (either end is right)
        return
    assert set(chosen) <= offers
    assert len(set(chosen)) == len(chosen)
    assert covered(frozenset(chosen))
    for action in chosen:
        assert not covered(frozenset(chosen) - {action}), f"{action} is not needed"
    if Activation.AC_CYCLE in chosen:
        assert not covered(offers - {Activation.AC_CYCLE})
    if Activation.DC_CYCLE in chosen:
        assert not covered(offers - {Activation.DC_CYCLE, Activation.AC_CYCLE})
    assert chosen == tuple(sorted(chosen, key=STRENGTH.index))


windows = st.builds(
    Window,
    days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple),
    start=st.sampled_from(["00:00", "01:30", "02:30", "22:00", "23:59"]),
    length_s=st.sampled_from([60, 3600, 8 * 3600, 86_400, 100_000, 300_000, 700_000]),
    tz=st.sampled_from(["America/Chicago", "Europe/Berlin", "UTC"]),
    until=st.sampled_from(["", "2026-03-29", "2026-11-01"]),
)
CHANGES = [datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 11, 1)]  # noqa: DTZ001 (days)
moments = st.builds(
    lambda day, minutes: (day.replace(tzinfo=UTC) + timedelta(minutes=minutes)).timestamp(),
    st.sampled_from(CHANGES),
    st.integers(-3 * 1440, 3 * 1440),
)


@given(windows, moments)
def test_the_next_opening_is_the_first_moment_that_is_open(window: Window, at: float) -> None:
    assume(not window.open_at(at))
    opening = window.next_opening(at)
    later = [at + minutes * 60 for minutes in range(0, 8 * 1440, 30)]
    if opening is None:
        assert not any(window.open_at(moment) for moment in later)
        return
    assert opening > at
    assert window.open_at(opening)
    assert not window.open_at(opening - 0.001)
    assert not any(window.open_at(moment) for moment in later if moment < opening)


@given(windows, moments)
def test_a_window_stays_open_for_its_length_whatever_the_clocks_do(window: Window, at: float) -> None:
    opening = window.next_opening(at)
    assume(opening is not None)
    assert opening is not None
    assert window.open_at(opening + window.length_s - 1)
    local = datetime.fromtimestamp(opening, ZoneInfo(window.tz))
    assert DAYS[local.weekday()] in window.days
    assert not window.until or local.date().isoformat() <= window.until


@pytest.mark.parametrize(
    ("tz", "start", "day", "opens"),
    [
        ("America/Chicago", "22:00", "sat", "2026-03-08T04:00:00+00:00"),
        ("America/Chicago", "02:30", "sun", "2026-03-08T08:30:00+00:00"),
        ("America/Chicago", "01:30", "sun", "2026-11-01T06:30:00+00:00"),
        ("Europe/Berlin", "02:30", "sun", "2026-03-29T01:30:00+00:00"),
        ("Europe/Berlin", "02:30", "sun", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_openings_on_the_days_of_change(tz: str, start: str, day: str, opens: str) -> None:
    window = Window(days=(day,), start=start, length_s=3600, tz=tz)
    wanted = datetime.fromisoformat(opens).timestamp()
    assert window.next_opening(wanted - 86_400) == wanted
    assert window.open_at(wanted + 3599)
    assert not window.open_at(wanted + 3600)
