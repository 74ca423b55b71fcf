"""What a plan relies on beyond itself is as it was when a rollout is carried on, or nothing is touched."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.rollout import ROLLOUT, node, plan_for

from fleet import events as ev
from fleet.cli import compose, main
from fleet.cli.frozen import require_as_planned, with_digests
from fleet.cli.journey import write_journey
from fleet.clock import SystemClock
from fleet.errors import UsageError
from fleet.exits import Exit
from fleet.journal import SqliteJournal
from fleet.plan import Plan
from fleet.state import RolloutState, replay
from fleet.step import StepSpec
from inventory.model import NodeId
from playbooks.burnin.profile import LIBRARY

NODES = ("gpu0001", "gpu0002")


@dataclass(frozen=True, slots=True)
class Carried:
    """A rollout of two nodes that burns in and configures ports, in a journal, and the files that it relies on."""

    folder: Path
    profile: Path
    paths: dict[str, str]
    plan: Plan

    def sources(self) -> compose.Sources:
        """As the files are now."""
        inventory, playbook, baseline = (Path(self.paths[name]) for name in ("inventory", "playbook", "baseline"))
        return compose.read_sources(inventory, playbook, None, baseline=baseline, select=self.paths["select"])

    def edit(self, path: Path, old: str, new: str) -> None:
        """Something that is there."""
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def state(self, *later: ev.Event) -> RolloutState:
        """After the plan, and this. The journal holds that and no more."""
        for file in self.folder.glob("j.db*"):
            file.unlink()

        async def written() -> RolloutState:
            journal = SqliteJournal(self.folder / "j.db", SystemClock())
            created = ev.RolloutCreated(playbook="p", sources=self.paths, by="test")
            await journal.append(
                ROLLOUT, created, ev.RolloutPlanned(plan=self.plan.to_json(), digest=self.plan.digest())
            )
            await journal.append(ROLLOUT, ev.RolloutClaimed(owner="me", epoch=1), *later)
            found = replay(ROLLOUT, journal.read(ROLLOUT))
            await journal.close()
            return found

        return asyncio.run(written())


@pytest.fixture
def carried(tmp_path: Path) -> Carried:
    files = write_journey(tmp_path)
    profile = tmp_path / "mine.yaml"
    profile.write_text((LIBRARY / "hgx-8gpu-quick.yaml").read_text())
    paths = {name: str(getattr(files, name)) for name in ("inventory", "playbook", "baseline")}
    paths["select"] = "id=gpu0001|gpu0002"
    plan = plan_for([node(name) for name in NODES])
    steps = (StepSpec("burnin.run", {"profile": str(profile)}), StepSpec("network.config", {"vlan": "100"}))
    recipes = {name: replace(recipe, steps=steps) for name, recipe in plan.recipes.items()}
    made = Carried(tmp_path, profile, paths, replace(plan, recipes=recipes, targets={}))
    return replace(made, plan=with_digests(made.plan, made.sources()))


def test_what_is_as_it_was_is_carried_on_and_comments_are_no_change(carried: Carried) -> None:
    assert len(carried.plan.frozen) == 1 + 2 * len(NODES)
    assert len(json.dumps(carried.plan.to_json()["frozen"])) < 60 * len(carried.plan.frozen) + len(str(carried.profile))
    carried.edit(carried.profile, "gpus:", "# as ever\ngpus:")
    require_as_planned(carried.plan, carried.state(), carried.sources(), aborting=False)


def other_outlets(carried: Carried, name: str) -> compose.Sources:
    """The node hangs on the outlets 30."""
    sources = carried.sources()

    def moved(outlets: Mapping[int, NodeId]) -> dict[int, NodeId]:
        return {30 if fed == name else number: fed for number, fed in outlets.items()}

    pdus = tuple(replace(pdu, outlets=moved(pdu.outlets)) for pdu in sources.inventory.pdus)
    return replace(sources, inventory=replace(sources.inventory, pdus=pdus))


def other_cables(carried: Carried, name: str) -> compose.Sources:
    """Its ports have changed places."""
    sources = carried.sources()
    ports = {"eth0": "eth1", "eth1": "eth0"}
    links = tuple(
        replace(link, a=replace(link.a, port=ports[link.a.port])) if link.a.device == name else link
        for link in sources.inventory.links
    )
    return replace(sources, inventory=replace(sources.inventory, links=links))


def refusal(carried: Carried, sources: compose.Sources, *later: ev.Event, aborting: bool = False) -> str:
    """What is said; empty: it is carried on."""
    try:
        require_as_planned(carried.plan, carried.state(*later), sources, aborting=aborting)
    except UsageError as refused:
        return str(refused)
    return ""


def test_outlets_and_cables_that_changed_are_named_with_their_node(carried: Carried) -> None:
    assert refusal(carried, other_outlets(carried, "gpu0002")).startswith(
        "the outlets of gpu0002: not as when the plan of r-1"
    )
    assert refusal(carried, other_cables(carried, "gpu0001")).startswith("the cables of gpu0001: not as when")
    lost = replace(carried.sources(), inventory=replace(carried.sources().inventory, pdus=()))
    assert refusal(carried, lost).startswith("the outlets of gpu0001 and 1 more: not as when")


def test_what_is_around_a_node_that_has_ended_or_was_never_planned_may_change(carried: Carried) -> None:
    assert refusal(carried, other_outlets(carried, "gpu0009")) == ""
    done = (ev.NodeAdmitted(node="gpu0002", wave=0), ev.NodeConfirmed(node="gpu0002"))
    assert refusal(carried, other_outlets(carried, "gpu0002"), *done) == ""
    assert refusal(carried, other_outlets(carried, "gpu0002"), *done[:1], aborting=True) != ""


def test_a_burn_in_profile_that_changed_is_named_and_stands_in_no_aborts_way(carried: Carried) -> None:
    carried.edit(carried.profile, "gpus: 8", "gpus: 7")
    assert refusal(carried, carried.sources()).startswith(f"the burn-in profile {carried.profile}: not as when")
    assert refusal(carried, carried.sources(), aborting=True) == ""


def resumed(carried: Carried, capsys: pytest.CaptureFixture[str]) -> str:
    """What `fleet resume` says when it refuses."""
    assert main.outcome(["resume", "--journal", str(carried.folder / "j.db")]) == Exit.USAGE
    return " ".join(capsys.readouterr().err.split())


def test_fleet_resume_looks_before_it_touches_anything(carried: Carried, capsys: pytest.CaptureFixture[str]) -> None:
    carried.state()
    carried.edit(carried.profile, "gpus: 8", "gpus: 7")
    assert "not as when the plan of r-1 was made" in resumed(carried, capsys)


def test_a_plan_of_the_version_before_is_shown_and_not_carried_on(
    carried: Carried, capsys: pytest.CaptureFixture[str]
) -> None:
    old = carried.plan.to_json() | {"version": 1}
    del old["frozen"]
    assert Plan.from_json(old).frozen == {}

    async def written() -> None:
        journal = SqliteJournal(carried.folder / "j.db", SystemClock())
        created = ev.RolloutCreated(playbook="p", sources=carried.paths, by="test")
        await journal.append(ROLLOUT, created, ev.RolloutPlanned(plan=old, digest="d"))
        await journal.close()

    asyncio.run(written())
    assert "is of version 1" in resumed(carried, capsys)
    assert main.outcome(["report", "--journal", str(carried.folder / "j.db")]) == Exit.OK
