"""What a flash does beside flashing, on a hall over TLS: settings are put back, and a node that lost a part is held."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.command import Site, running_hall, write_site

from fleet import events as ev
from fleet.keeping import differences

FACTORY = "{name: f, effect: settings-reset}"
Build = Callable[..., Site]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    with ExitStack() as stack:

        def make(faults: str = "") -> Site:
            place = stack.enter_context(running_hall(tmp_path / "hall", 1, faults=faults))
            return write_site(tmp_path, place, 1, budget="100%")

        yield make


def of(site: Site, kind: type[ev.Event]) -> list[ev.Event]:
    return [item.event for item in site.recorded() if isinstance(item.event, kind)]


def test_nothing_changed_and_the_node_is_confirmed_at_little_cost(build: Build) -> None:
    site = build()
    done = site.apply("--yes")
    assert done.code == 0, done.err
    (noted,) = of(site, ev.SettingsObserved)
    assert isinstance(noted, ev.SettingsObserved)
    kept = noted.settings
    assert kept["ntp"] == "10.20.0.1 10.20.0.2"
    assert kept["user admin"] == "Administrator"
    assert kept["pcie GPU_7"] == "16 of 16 lanes"
    assert {what.partition(" ")[0] for what in kept} >= {"processors", "memory", "sensors", "boot-order", "host-name"}
    assert {"processors CPU_0", "processors GPU_SXM_8"} <= kept.keys()
    assert "Password" not in str(kept)
    # of those about 16 for both slots: a look every 30 s while one is copied into the other; 9 for parts, clock and media
    assert site.truth()["gpu0001"]["requests"] < 240


def test_settings_that_a_flash_reset_are_put_back_once(build: Build) -> None:
    site = build(FACTORY)
    before = site.truth()["gpu0001"]["settings"]
    done = site.apply("--yes")
    assert done.code == 0, done.err
    assert site.truth()["gpu0001"]["settings"] == before
    put = [event.effect for event in of(site, ev.IntentRecorded) if isinstance(event, ev.IntentRecorded)]
    assert sorted(effect for effect in put if "put-back" in effect) == [
        "settings.keep/put-back boot-order",
        "settings.keep/put-back ntp",
        "settings.keep/put-back power-restore-policy",
    ]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("{name: f, effect: gpu-lost-lanes}", "pcie GPU_0 was 16 of 16 lanes, is 8 of 16 lanes"),
        ("{name: f, effect: device-missing}", "pcie NIC_1 (16 of 16 lanes) is gone"),
    ],
)
def test_a_node_that_lost_something_is_held_with_the_difference(fault: str, words: str, build: Build) -> None:
    site = build(fault)
    done = site.apply("--yes")
    (held,) = of(site, ev.NodeQuarantined)
    assert isinstance(held, ev.NodeQuarantined)
    assert (held.reason, done.code) == ("drifted", 3), done.err
    assert words in held.message


def test_what_is_new_holds_nobody_and_what_is_lost_does() -> None:
    before = {"sensors": "A B", "pcie 1": "8 of 16 lanes", "user op": "Operator", "memory 1": "?", "ntp": "off"}
    wider = {"sensors": "A B C", "pcie 1": "16 of 16 lanes", "user op": "Operator", "ntp": "off", "pcie 2": "there"}
    assert not differences(before, wider)
    worse = {"sensors": "A", "pcie 1": "4 of 16 lanes", "user op": "Administrator", "memory 1": "S"}
    assert list(map(str, differences(before, worse))) == [
        "sensors: B gone",
        "pcie 1 was 8 of 16 lanes, is 4 of 16 lanes",
        "user op was Operator, is Administrator",
        "ntp (off) is gone",
    ]
