"""Windows over time zones, changes of the clocks, exceptions and lists, against a minute-by-minute oracle that shares no code with them."""

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.policy.window import DAYS, HORIZON_S, Openings, Window, Windows, read_openings

ZONES = {
    "America/Chicago": ["2026-03-08", "2026-11-01"],
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "Europe/Dublin": ["2026-03-29", "2026-10-25"],  # its winter is the exception (negative daylight saving)
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],  # half an hour
    "America/Santiago": ["2026-04-05", "2026-09-06"],  # at midnight: a day without 00:00
    "Asia/Kolkata": ["2026-03-29"],  # never, and half an hour off
    "Pacific/Apia": ["2011-12-30"],  # a day that did not exist
}
HOUR_S = 3600


@st.composite
def one(draw: st.DrawFn, zone: str | None = None) -> Window:
    zone = zone or draw(st.sampled_from(sorted(ZONES)))
    change = date.fromisoformat(draw(st.sampled_from(ZONES[zone])))
    closed = draw(st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 3)), max_size=2))
    return Window(
        days=draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple)),
        start=draw(st.sampled_from(["00:00", "00:30", "01:30", "02:00", "02:30", "22:00", "23:30"])),
        length_s=draw(st.sampled_from([60, HOUR_S, 8 * HOUR_S, 24 * HOUR_S, 30 * HOUR_S])),
        tz=zone,
        closed=tuple(
            f"{change + timedelta(days=begin)}..{change + timedelta(days=begin + days)}" for begin, days in closed
        ),
    )


@st.composite
def several(draw: st.DrawFn) -> Openings:
    zone = draw(st.sampled_from(sorted(ZONES)))
    windows = tuple(draw(st.lists(one(zone), min_size=1, max_size=3)))
    return Windows(windows=windows) if len(windows) > 1 else windows[0]


@st.composite
def moments(draw: st.DrawFn) -> tuple[Openings, float]:
    window = draw(several())
    change = datetime.fromisoformat(draw(st.sampled_from(ZONES[window.zone]))).replace(tzinfo=UTC)
    return window, change.timestamp() + draw(st.integers(-2 * 48, 2 * 48)) * 1800


def oracle(window: Openings, at: float) -> bool:
    """Written from the definition: elapsed seconds since an opening on one of the days before, and not a closed date."""
    windows = window.windows if isinstance(window, Windows) else (window,)
    return any(_one_open(each, at) for each in windows)


def _one_open(window: Window, at: float) -> bool:
    zone = ZoneInfo(window.tz)
    today = datetime.fromtimestamp(at, zone).date()
    shut = [tuple(date.fromisoformat(part) for part in text.split("..")) for text in window.closed]
    if any(first <= today <= last for first, last in shut):
        return False
    for back in range(4):
        day = today - timedelta(days=back)
        if any(first <= today and last >= day for first, last in shut):
            continue  # shut on the day of the opening, or since
        clock = datetime.combine(day, datetime.strptime(window.start, "%H:%M").time(), tzinfo=zone)  # noqa: DTZ007
        opened = clock.astimezone(UTC).timestamp()
        if DAYS[day.weekday()] in window.days and opened <= at < opened + window.length_s:
            return True
    return False


@given(moments())
def test_it_is_open_when_the_definition_says_so(drawn: tuple[Openings, float]) -> None:
    window, at = drawn
    assert window.open_at(at) is oracle(window, at)


@settings(deadline=None)  # as below
@given(moments())
def test_it_closes_when_it_is_no_longer_open(drawn: tuple[Openings, float]) -> None:
    window, at = drawn
    closes = window.closes_at(at)
    if closes is None:
        assert not oracle(window, at)
        return
    assert closes > at
    assert oracle(window, closes - 1)
    if closes < at + HORIZON_S / 2:
        assert not oracle(window, closes)
    for moment in range(int(at), int(min(closes, at + 3 * 86_400)), 1800):
        assert oracle(window, moment)


@given(moments())
def test_it_opens_next_when_it_was_closed_before(drawn: tuple[Openings, float]) -> None:
    window, at = drawn
    opening = window.next_opening(at)
    if opening is None:
        assert all(oracle(window, at + hours * HOUR_S) for hours in range(24 * 9))
        return
    assert opening > at
    assert oracle(window, opening)
    assert not oracle(window, opening - 1)


@settings(deadline=None)  # a search through 400 days: how fast that is is the machine's business
@given(moments(), st.sampled_from([0.0, 60.0, 1800.0, 3 * HOUR_S, 9 * HOUR_S, 26 * HOUR_S, 80 * HOUR_S]))
def test_what_fits_is_over_before_it_closes_and_the_next_fit_is_the_first(
    drawn: tuple[Openings, float], need_s: float
) -> None:
    window, at = drawn
    assert window.fits(at, need_s) is (oracle(window, at) and (window.closes_at(at) or 0.0) - at >= need_s)
    fit = window.next_fit(at, need_s)
    if fit is None:
        assert not window.fits(at, need_s)
        return
    assert window.fits(fit, need_s)
    assert fit == at or not oracle(window, fit - 1)
    for half_hours in range(min(int((fit - at) // 1800), 200)):
        assert not window.fits(at + half_hours * 1800, need_s)


@given(several())
def test_a_window_survives_the_journal(window: Openings) -> None:
    data: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(window)))  # type: ignore[call-overload]
    assert read_openings(data) == window


def test_a_window_of_an_older_journal_has_no_exceptions() -> None:
    old = {"days": ["sat"], "start": "22:00", "length_s": 3600, "tz": "UTC", "until": ""}
    assert read_openings(old) == Window(days=("sat",), start="22:00", length_s=3600, tz="UTC")


def berlin(start: str = "22:00", hours: int = 8, *closed: str) -> Window:
    return Window(days=DAYS, start=start, length_s=hours * HOUR_S, tz="Europe/Berlin", closed=closed)


@pytest.mark.parametrize(
    ("evening", "closes"),
    [
        (
            "2026-03-28T23:00:00+01:00",
            "2026-03-29 07:00 CEST",
        ),  # the clocks go forward: eight hours are nine on the clock
        ("2026-10-24T23:00:00+02:00", "2026-10-25 05:00 CET"),  # back: seven
        ("2026-06-10T23:00:00+02:00", "2026-06-11 06:00 CEST"),
    ],
)
def test_eight_hours_are_eight_hours(evening: str, closes: str) -> None:
    at = datetime.fromisoformat(evening).timestamp()
    end = berlin().closes_at(at)
    assert end is not None
    assert berlin().clock(end) == closes
    assert berlin().fits(at, end - at)
    assert not berlin().fits(at, end - at + 1)


def test_a_start_that_the_clocks_skip_or_show_twice() -> None:
    skipped = berlin("02:30", 1).next_opening(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp())
    assert skipped is not None
    assert berlin().clock(skipped) == "2026-03-29 03:30 CEST"
    twice = berlin("02:30", 1).next_opening(datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp())
    assert twice == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()  # the first of the two
    assert berlin("02:30", 1).next_opening(twice) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC).timestamp()


def test_closed_dates_end_the_night_before_and_begin_the_evening_after() -> None:
    window = berlin("22:00", 8, "2026-12-24..2027-01-02")
    last = datetime(2026, 12, 23, 22, tzinfo=UTC).timestamp()
    assert window.closes_at(last) == datetime(2026, 12, 23, 23, tzinfo=UTC).timestamp()  # midnight in Berlin
    assert window.next_opening(last) == datetime(2027, 1, 3, 21, tzinfo=UTC).timestamp()


def test_windows_that_touch_are_one_and_one_that_never_closes_says_so() -> None:
    both = Windows(windows=(berlin("22:00", 8), berlin("06:00", 4)))
    evening = datetime(2026, 6, 10, 21, tzinfo=UTC).timestamp()
    assert both.clock(both.closes_at(evening) or 0.0) == "2026-06-11 10:00 CEST"
    always = berlin("00:00", 30)
    assert always.fits(evening, 200 * 86_400.0)
    assert always.next_opening(evening) is None
    assert berlin().next_fit(evening, 9 * HOUR_S) is None
