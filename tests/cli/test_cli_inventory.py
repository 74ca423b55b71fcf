"""`fleet inventory` over a real journal: what each node's newest rollout observed, from where and when."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from rollout_builder import START, Story, begins, confirms, make_plan, opening, quarantines

from fleet import events as ev
from fleet.cli.main import outcome
from fleet.events import Event, RolloutId
from fleet.exits import Exit
from fleet.sightings import sightings

HALL = """
inventory: cli
credentials:
  bmc: {user: operator, password: "env:CLI_HALL_PASSWORD"}
feeds: [{id: A}]
sites: [{id: osl2}]
pods: [{id: p1, site: osl2}]
racks: [{id: "r[00-02]", pod: p1, feeds: [A]}]
nodes:
  - {id: "gpu[0001-0012]", model: DGXH100, rack: "r[00-02]", bmc: {address: 10.1.0.1/24, credential: bmc}}
"""


def observed(node: str, when: str, version: str) -> ev.NodeObserved:
    return ev.NodeObserved(node=node, when=when, versions={"HostBMC_0": version})


def older() -> Story:
    """Eight nodes: the first ends confirmed, the second quarantined, the third is in between."""
    story = Story(opening(make_plan()), RolloutId("older"))
    story.tell(ev.WaveOpened(wave=0, nodes=8), observed("gpu0001", "before", "23.09.20"), *confirms("gpu0001"))
    story.after(600).tell(observed("gpu0001", "after", "24.01.05"), *quarantines("gpu0002"))
    story.tell(observed("gpu0003", "before", "23.09.20"), *begins("gpu0003"))
    return story


def newer(extra: Iterable[Event] = ()) -> Story:
    """Only the first two nodes."""
    story = Story((), RolloutId("newer"))
    return story.after(86_400).tell(*opening(make_plan(2, waves=(2,))), *extra) and story


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    path = tmp_path / "hall.yaml"
    path.write_text(HALL)
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    older().write(path)
    return path


def nodes(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, dict[str, object]]:
    assert outcome(["inventory", *map(str, arguments), "--to", "json"]) == Exit.OK
    return {node["id"]: node for node in json.loads(capsys.readouterr().out)["nodes"]}


def test_each_node_carries_what_was_observed_and_from_where(
    hall: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = nodes(capsys, hall, "--journal", journal)
    assert len(found) == 12
    assert found["gpu0001"]["observed"] == {
        "rollout": "older", "playbook": "hgx", "status": "confirmed", "reason": "", "message": "updated and verified",
        "origin": "hardware", "reading": "after", "observed_at": "2026-09-21T14:23:20Z",
        "model": "DGXH100", "serial": "S0", "uuid": "", "profile": "dgx-h100", "versions": {"HostBMC_0": "24.01.05"},
    }  # fmt: skip
    told = {name: seen["observed"] for name, seen in found.items()}
    assert [(told[name]["status"], told[name]["reading"]) for name in ("gpu0002", "gpu0003", "gpu0004")] == [  # type: ignore[index]  # JSON
        ("quarantined", "planned"),
        ("running", "before"),
        ("pending", "planned"),
    ]
    assert told["gpu0009"] is None


def test_a_smaller_newer_rollout_does_not_hide_the_older_ones_nodes(
    hall: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer().write(journal)
    found = nodes(capsys, hall, "-j", journal)
    from_ = {name: seen["observed"] and seen["observed"]["rollout"] for name, seen in found.items()}  # type: ignore[index]  # JSON
    assert [from_[name] for name in ("gpu0001", "gpu0002", "gpu0003", "gpu0012")] == ["newer", "newer", "older", None]
    only = nodes(capsys, hall, "-j", journal, "--rollout", "older")
    assert only["gpu0001"]["observed"]["rollout"] == "older"  # type: ignore[index]  # JSON


def test_a_node_that_could_not_be_read_was_not_observed() -> None:
    plan = make_plan(2, waves=(2,)).to_json()
    plan["nodes"]["gpu0002"] |= {"serial": "", "before": {}, "wave": -1, "reason": "unreachable", "message": "no route"}
    story = Story(
        [ev.RolloutCreated(playbook="hgx", sources={"hall": "/h"}, by="ann"), ev.RolloutPlanned(plan=plan, digest="")]
    )
    seen = {str(name): sighting for name, sighting in sightings(story.state.rollout, story.recorded).items()}
    assert (seen["gpu0002"].status, seen["gpu0002"].reading, seen["gpu0002"].read_at) == ("refused", "none", None)
    assert (seen["gpu0001"].reading, seen["gpu0001"].read_at, seen["gpu0001"].origin) == (
        "planned",
        START,
        "simulated-hall",
    )


def test_a_selection_and_no_journal(
    hall: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hall.parent)
    found = nodes(capsys, hall, "--select", "rack=r01")
    assert sorted(found) == ["gpu0005", "gpu0006", "gpu0007", "gpu0008"]
    assert {seen["observed"] for seen in found.values()} == {None}


def test_ansible_script_interface(hall: Path, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["inventory", str(hall), "-j", str(journal), "--list"]) == Exit.OK
    listing = json.loads(capsys.readouterr().out)
    assert listing["status_confirmed"]["hosts"] == ["gpu0001"]
    assert outcome(["inventory", str(hall), "-j", str(journal), "--host", "gpu0001"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == listing["_meta"]["hostvars"]["gpu0001"]


def test_the_real_command_takes_its_inventory_from_the_environment(hall: Path, journal: Path) -> None:
    fleet = Path(sys.executable).with_name("fleet")
    done = subprocess.run(
        [fleet, "inventory", "--list"],
        env={"FLEET_INVENTORY": str(hall), "FLEET_JOURNAL": str(journal), "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, check=False, cwd=hall.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status_quarantined"]["hosts"] == ["gpu0002"]


def test_the_schema_is_handed_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(["inventory", "--schema"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["$id"] == "urn:fleetwave:inventory:1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --to, --list and --host"),
        (["--to", "json", "--list"], "one of --to, --list and --host"),
        (["--to", "jsn"], "there is no exporter 'jsn'; did you mean 'json'?"),
        (["--to", "csv", "--yes"], "are for a system"),
        (["--to", "json", "--select", "rak=r01"], "--select: unknown key 'rak'"),
        (["--to", "json", "--select", "rack=r09"], "matches no node"),
        (["--to", "json", "--journal", "absent.db"], "absent.db"),
        (["--host", "gpu9999"], "no node 'gpu9999'"),
        (["--to", "netbox"], "NetBox needs --url"),
        (["--to", "netbox", "--url", "https://[::1]:1", "--token", "env:UNSET_TOKEN"], "the variable is not set"),
    ],
)
def test_a_wrong_line_is_a_sentence(
    hall: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(hall.parent)
    assert outcome(["inventory", str(hall), *arguments]) == Exit.USAGE
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    hall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--to", "netbox", "--url", "https://netbox.example.net", "--token", "0123456789abcdef"]
    assert outcome(["inventory", str(hall), *arguments]) == Exit.USAGE
    shown = capsys.readouterr()
    assert "env:NAME" in shown.err
    assert "0123456789abcdef" not in shown.err + shown.out
