"""A BMC's own log as evidence: the captured log of a GPU-tray update, logs that prove nothing, and the hall's logs by the driver."""

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.imaging import NoLedger

from fleet.drivers.redfish import RedfishDriver, eventlog
from fleet.drivers.redfish.bmc import RedfishBmc
from fleet.limits import Limits
from fleet.ports import LogMark, LogSays
from fleet.profile import UpdateLog
from fleet.sim.faults import read_faults
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, credential, in_twin
from fleet.vendors import load_profiles
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, RackId

TREES = Path(__file__).parents[3] / "shared" / "redfish-trees"
HGX_LOG = "./redfish/v1/Systems/HGX_Baseboard_0/LogServices/EventLog/Entries/index.json"


def log_of(profile: str, component: str) -> UpdateLog:
    """As the profile has it."""
    log = load_profiles()[profile].components[component].log
    assert log is not None
    return log


@pytest.fixture(scope="module")
def captured() -> list[eventlog.Entry]:
    """Entries 140 to 187 are a GPU-tray update (field guide 1.8)."""
    if not TREES.is_dir():
        pytest.skip(f"{TREES} with the captured trees is not there")
    with tarfile.open(TREES / "nvidia-dgx-h100.tar.xz") as tar:
        member = tar.extractfile(HGX_LOG)
        assert member is not None
        members = json.load(member)["Members"]
    return [eventlog.entry(each) for each in members]


def mark_at(entries: list[eventlog.Entry], number: int) -> LogMark:
    """The log as it stood when `number` was its newest entry."""
    (found,) = [entry for entry in entries if entry.number == number]
    return LogMark(last=number, print=found.print)


@pytest.mark.parametrize(
    ("version", "after", "says"),
    [
        ("2.11", 147, LogSays.TOLD),  # [version, component]
        ("2.4.8", 165, LogSays.TOLD),  # [component, version]
        ("2.4.8", 173, LogSays.TOLD),  # and so in AwaitToActivate too, of this component alone
        ("99.9", 147, LogSays.CANNOT_TELL),  # another image came
        ("2.11", 187, LogSays.SILENT),  # ids of four digits come before 140 and behind 187, as texts are sorted
    ],
)
def test_the_captured_log_of_an_update(captured: list[eventlog.Entry], version: str, after: int, says: LogSays) -> None:
    verdict = eventlog.judged(captured, mark_at(captured, after), log_of("dgx-h100", "hgx"), frozenset({version}))
    assert verdict.says is says, verdict.why


def test_a_log_whose_mark_is_gone_may_tell_and_is_never_silent(captured: list[eventlog.Entry]) -> None:
    log, mark = log_of("dgx-h100", "hgx"), mark_at(captured, 147)
    wrapped = [entry for entry in captured if entry.number > 180]
    other = [
        replace(entry, print="another") if entry.number == 147 else entry for entry in captured if entry.number < 148
    ]
    for entries, version, says in (
        (wrapped, "2.11", LogSays.TOLD),
        ([entry for entry in captured if entry.number > 187], "2.11", LogSays.CANNOT_TELL),
        ([entry for entry in other if not entry.said.args or entry.number == 147], "99", LogSays.CANNOT_TELL),
        ([], "2.11", LogSays.CANNOT_TELL),
    ):
        assert eventlog.judged(entries, mark, log, frozenset({version})).says is says


def test_a_log_that_has_never_told_is_no_evidence(captured: list[eventlog.Entry]) -> None:
    """The AMI BMC of the same machine: nobody has seen it tell of an update."""
    entries = [entry for entry in captured if entry.said.id not in {"UpdateSuccessful", "AwaitToActivate"}]
    entries = [entry for entry in entries if entry.said.id != "TransferringToComponent"]
    verdict = eventlog.judged(entries, mark_at(entries, 1001), log_of("dgx-h100", "hgx"), frozenset({"2.11"}))
    assert (verdict.says, "never told" in verdict.why) == (LogSays.CANNOT_TELL, True)


class Alone:
    """One simulated machine, and the driver on it."""

    def __init__(self, model: str, profile: str, directory: Path, *rules: dict[str, Any]) -> None:
        self.clock = VirtualClock()
        declared = Bmc(address="192.0.2.1", credential=CredentialId("c"))
        node = Node(id=NodeId("n1"), model=model, rack=RackId("r1"), slot=1, feeds=(FeedId("A"),), bmc=declared)
        faults = read_faults({"faults": "test", "rules": list(rules)}, "test")
        hall = TwinHall(TwinSpec(nodes=(node,), clock=self.clock, faults=faults))
        driver = RedfishDriver([credential(directory)], clock=self.clock, transport=hall.transports(Limits()))
        made = driver.bmc(in_twin((node,))[0], load_profiles()[profile], NoLedger())
        assert isinstance(made, RedfishBmc)
        self.bmc, self.logs = made, hall.bmcs["n1"].logs.all

    def said(self, component: str, meanwhile: Callable[[], None] = lambda: None) -> LogSays:
        """What the log says since a mark that was taken before `meanwhile`."""

        async def look() -> LogSays:
            mark = await self.bmc.log_mark(component)
            assert mark is not None
            meanwhile()
            return (await self.bmc.log_since(component, mark, frozenset({"x"}))).says

        return self.clock.run(look())


def http(path: str, **more: Any) -> dict[str, Any]:
    """What the hall answers there instead."""
    return {"name": path, "effect": "http", "path": path, "method": "GET", "times": "always", **more}


@pytest.mark.parametrize(
    ("model", "profile", "component", "number"),
    [
        ("DGXH100", "dgx-h100", "bmc", 0),
        ("DGXH100", "dgx-h100", "hgx", 1),
        ("SYS-821GE-TNHR", "supermicro-hgx", "bios", 0),
        ("PowerEdge R750", "dell-idrac9", "bios", 0),
    ],
)
def test_each_log_of_the_hall(model: str, profile: str, component: str, number: int, tmp_path: Path) -> None:
    """Silent while others speak (Dell: over pages, the newest first); no evidence once it was cleared."""
    alone = Alone(model, profile, tmp_path)

    def chatter() -> None:
        for at in range(120):
            alone.logs[number].write(float(at), {"MessageId": "Base.1.0.Success", "Message": f"{at}"})

    assert alone.said(component) is LogSays.SILENT
    assert alone.said(component, chatter) is LogSays.SILENT
    assert alone.said(component, alone.logs[number].clear) is LogSays.CANNOT_TELL


@pytest.mark.parametrize(
    "service",
    [
        {"ServiceEnabled": False},
        {"OverWritePolicy": "NeverOverWrites", "MaxNumberOfRecords": 2},
        {"OverWritePolicy": None},
    ],
)
def test_a_log_that_writes_no_more_is_never_silent(service: dict[str, Any], tmp_path: Path) -> None:
    more = {} if service.get("MaxNumberOfRecords") else {"MaxNumberOfRecords": None}
    alone = Alone("DGXH100", "dgx-h100", tmp_path, http("*/LogServices/EventLog", merge={**service, **more}))
    assert alone.said("bios") is LogSays.CANNOT_TELL


def test_a_component_without_a_log_has_no_mark(tmp_path: Path) -> None:
    alone = Alone("SYS-821GE-TNHR", "supermicro-hgx", tmp_path)
    assert alone.clock.run(alone.bmc.log_mark("bmc")) is None


CIRCLE = {"Id": "1", "MessageId": "a.b"}


@pytest.mark.parametrize(
    "page",
    [
        {"Members": [{"@odata.id": "/x/1"}]},
        {"Members": [{"Id": "1598765432_1", "MessageId": "a.b", "Message": "c"}]},
        {"Members": [CIRCLE], "Members@odata.nextLink": "/redfish/v1/Managers/BMC/LogServices/EventLog/Entries"},
        {"Members": "none"},
        {"Members": []},
    ],
    ids=["links-only", "no-number", "circle", "nonsense", "empty"],
)
def test_a_log_that_cannot_be_used_has_no_mark(page: dict[str, Any], tmp_path: Path) -> None:
    alone = Alone("DGXH100", "dgx-h100", tmp_path, http("*/Entries", status=200, body=page))
    assert alone.clock.run(alone.bmc.log_mark("bios")) is None
