"""A process that dies at any append, and is followed by another, leaves the machine as if it had never died."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.machine import Crash
from support.rollout import Hall, hall, plan_for

from fleet.exits import Exit
from fleet.plan import Plan
from fleet.policy.spec import OnFailure
from fleet.state import NodeStatus
from inventory.model import Node

SCENARIOS: dict[str, tuple[tuple[str, ...], OnFailure]] = {
    "healthy": ((), OnFailure.QUARANTINE),
    "healthy, no LastResetTime": (("mute",), OnFailure.QUARANTINE),
    "failing component after a staged one": (("fails:bios",), OnFailure.ROLL_BACK_NODE),
    "submit lost": (("submit:lost",), OnFailure.QUARANTINE),
    "submit unsent": (("submit:unsent",), OnFailure.QUARANTINE),
    "off lost": (("shut-down:lost",), OnFailure.QUARANTINE),
    "off unsent": (("shut-down:unsent",), OnFailure.QUARANTINE),
    "on lost": (("on:lost",), OnFailure.QUARANTINE),
    "on unsent": (("on:unsent",), OnFailure.QUARANTINE),
    "reset unsent": (("bmc-reset:unsent",), OnFailure.QUARANTINE),
}


def make_hall(folder: Path, scenario: str) -> Hall:
    faults, on_failure = SCENARIOS[scenario]

    def plan(nodes: list[Node]) -> Plan:
        return plan_for(nodes, on_failure=on_failure)

    return hall(folder / "journal.db", faults=faults, plan=plan)


async def live(place: Hall, deaths: Sequence[tuple[int, bool]]) -> Exit:
    """Die as told, and go on each time; then live to the end."""
    await place.prepare()
    for dies_at, written in deaths:
        try:
            return await place.run(dies_at=dies_at, written=written)
        except Crash:
            continue
    return await place.run()


def outcome(place: Hall, result: Exit) -> dict[str, Any]:
    """What must not depend on crashes."""
    state = asyncio.run(place.state())
    machine = place.machines["n1"]
    found = state.nodes["n1"]
    return {
        "exit": result,
        "status": (state.status, found.status, found.reason),
        "steps": dict(found.steps),
        "before": dict(found.before),
        "after": dict(found.after),
        "active": machine.active,
        "staged": machine.staged,
        "power": machine.power,
        "flashes": machine.flashes,
        "cuts": machine.cuts,
        "sessions": machine.sessions,
        "journalled sessions": asyncio.run(place.open_sessions()),
    }


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_an_uninterrupted_run_ends_well(tmp_path: Path, scenario: str) -> None:
    place = make_hall(tmp_path, scenario)
    found = outcome(place, place.clock.run(live(place, [])))
    failing = "fails" in scenario or "failing" in scenario
    assert found["status"][1] is (NodeStatus.ROLLED_BACK if failing else NodeStatus.CONFIRMED)
    assert found["active"] == dict.fromkeys(("bmc", "bios"), "old" if failing else "new")
    assert found["flashes"] == (["bmc new", "bios new", "bmc old"] if failing else ["bmc new", "bios new"])
    assert found["cuts"] == 0
    assert not found["sessions"]
    assert not found["journalled sessions"]


@pytest.mark.parametrize("written", [False, True], ids=["before the disk", "after the disk"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_crash_at_any_append_changes_nothing(tmp_path: Path, scenario: str, written: bool) -> None:  # noqa: FBT001
    whole = make_hall(tmp_path, scenario)
    expected = outcome(whole, whole.clock.run(live(whole, [])))
    for position in range(1, whole.appends[-1] + 1):
        folder = tmp_path / str(position)
        folder.mkdir()
        place = make_hall(folder, scenario)
        found = outcome(place, place.clock.run(live(place, [(position, written)])))
        assert found == expected, f"died at append {position}"


@pytest.mark.parametrize("scenario", ["healthy", "failing component after a staged one", "submit unsent"])
def test_dying_again_and_again_changes_nothing(tmp_path: Path, scenario: str) -> None:
    whole = make_hall(tmp_path, scenario)
    expected = outcome(whole, whole.clock.run(live(whole, [])))
    for written in (2, 3, 4, 5, 7):
        folder = tmp_path / str(written)
        folder.mkdir()
        place = make_hall(folder, scenario)
        found = outcome(place, place.clock.run(live(place, [(written + 2, bool(life % 2)) for life in range(8)])))
        assert found == expected, f"died eight times at append {written + 2}"
