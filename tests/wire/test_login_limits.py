"""A wrong password never locks a BMC: at most three failed logins in ten minutes, by all processes on one journal together.

The hall's BMCs lock an account at the fifth wrong password; they judge, over TLS, and their ground truth is counted.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.command import run, running_hall
from support.machine import Crash
from support.steps import LeapClock
from yarl import URL

from fleet.attempts import WINDOW_S
from fleet.cli.hall import RunningHall, read_hall
from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.redfish.https import HttpsTransport
from fleet.engine import Ledger
from fleet.errors import FleetError, LoginsSpent, NodeFault, Reason, Transient
from fleet.events import RolloutId
from fleet.journal import SqliteJournal
from fleet.limits import Limits
from fleet.logins import NodeLedger
from fleet.plan import Survey
from fleet.state import RolloutState
from fleet.survey import survey
from fleet.vendors import profile_named
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, SecretScheme

NODES = 50
ROLLOUT = RolloutId("r-1")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHall]:
    """Its time is real time: no lockout passes while a test runs. Each test has nodes of its own."""
    with running_hall(tmp_path_factory.mktemp("logins") / "hall", NODES + 8, speed=1) as directory:
        yield read_hall(directory)


class Dying(HttpsTransport):
    """The process is gone as soon as its login is out."""

    def request(self, method: str, url: URL, **options: Any) -> Any:
        """As HTTPS; then death."""
        return _Last(HttpsTransport.request(self, method, url, **options), fatal=method == "POST")


@dataclass(slots=True)
class _Last:
    exchange: Any
    fatal: bool

    async def __aenter__(self) -> Any:
        response = await self.exchange.__aenter__()
        if self.fatal:
            await self.exchange.__aexit__(None, None, None)
            raise Crash
        return response

    async def __aexit__(self, *error: object) -> None:
        await self.exchange.__aexit__(*error)


@dataclass(slots=True)
class Desk:
    """Where processes start, one after the other or side by side: a journal, a hall, a wrong password, and a clock."""

    hall: RunningHall
    directory: Path
    clock: LeapClock = field(default_factory=LeapClock)

    def node(self, number: int) -> Node:
        """One of the hall's."""
        name = f"gpu{number:04}"
        declared = Node(
            id=NodeId(name),
            model="DGXH100",
            rack=RackId("r1"),
            slot=number,
            feeds=(FeedId("A"),),
            bmc=Bmc(address="127.0.0.1", credential=CredentialId("central")),
        )
        return self.hall.overlay((declared,))[0]

    def driver(self, *, right: str = "", dies: str = "") -> RedfishDriver:
        """`right`: non-empty if the password is. `dies`: non-empty if the process dies with its login under way."""
        wrong = self.directory / "wrong"
        wrong.write_text("not-the-password")
        wrong.chmod(0o600)
        credential = self.hall.credential
        if not right:
            credential = replace(credential, password=SecretRef(scheme=SecretScheme.FILE, name=str(wrong)))
        made = (lambda bmc: Dying(bmc, clock=self.clock, limits=Limits())) if dies else None
        return RedfishDriver([credential], clock=self.clock, transport=made)

    def process(self) -> "Process":
        """One more, on the same journal."""
        return Process(self, SqliteJournal(self.directory / "journal.db", self.clock))

    def failed(self, number: int) -> int:
        """What the BMC counted, whatever anybody says."""
        return int(self.hall.truth()["nodes"][f"gpu{number:04}"]["failed_logins"])


@dataclass(slots=True)
class Process:
    """What one process holds."""

    desk: Desk
    journal: SqliteJournal

    async def login(self, number: int, **how: str) -> FleetError | None:
        """Try once; what was said."""
        recorder = Ledger(self.journal, RolloutState(rollout=ROLLOUT))
        node = self.desk.node(number)
        bmc = self.desk.driver(**how).bmc(node, profile_named("dgx-h100"), NodeLedger(node, recorder))
        try:
            await bmc.connect()
        except FleetError as refused:
            return refused
        finally:
            await bmc.close()
        return None

    async def survey(self, numbers: range) -> list[Survey]:
        """As `fleet plan`."""
        recorder = Ledger(self.journal, RolloutState(rollout=ROLLOUT))
        nodes = [self.desk.node(number) for number in numbers]
        return await survey(nodes, self.desk.driver(), self.desk.clock, recorder, leftovers={})


@pytest.fixture
def desk(running: RunningHall, tmp_path: Path) -> Desk:
    return Desk(running, tmp_path)


async def test_two_processes_have_three_tries_together_and_more_after_ten_minutes(desk: Desk) -> None:
    async with AsyncExitStack() as stack:
        both = [desk.process() for _ in range(2)]
        for each in both:
            stack.push_async_callback(each.journal.close)
        said = [await both[turn % 2].login(51) for turn in range(6)]
        assert desk.failed(51) == 3
        assert [type(fault) for fault in said] == [NodeFault] * 3 + [LoginsSpent] * 3
        assert "try again after 20" in str(said[-1])
        assert isinstance(await both[0].login(51, right="yes"), LoginsSpent)
        desk.clock.at += WINDOW_S
        assert await both[1].login(51, right="yes") is None
    assert desk.failed(51) == 3


async def test_processes_that_try_at_the_same_moment_have_three_tries_together(desk: Desk) -> None:
    processes = [desk.process() for _ in range(4)]
    said = await asyncio.gather(*(each.login(52) for each in processes for _ in range(3)))
    for each in processes:
        await each.journal.close()
    assert desk.failed(52) <= 3
    assert None not in said


async def test_a_process_that_dies_in_each_of_its_logins_stays_within_the_limit(desk: Desk) -> None:
    for _ in range(3):
        process = desk.process()
        with pytest.raises(Crash):
            await process.login(53, dies="yes")
        await process.journal.close()
    process = desk.process()
    said = [await process.login(53, dies="yes") for _ in range(4)]
    assert desk.failed(53) == 3
    assert all(isinstance(each, Transient) for each in said), (
        said
    )  # what came of them is not known: it is worth waiting
    assert {each.retry_after_s for each in said if isinstance(each, Transient)} == {WINDOW_S}
    desk.clock.at += WINDOW_S
    assert await process.login(53, right="yes") is None
    await process.journal.close()


async def test_logins_that_are_accepted_do_not_count(desk: Desk) -> None:
    process = desk.process()
    assert [await process.login(54, right="yes") for _ in range(4)] == [None] * 4
    await process.journal.close()


async def test_a_wrong_central_password_is_tried_three_times_in_all_by_two_surveys_of_fifty(desk: Desk) -> None:
    """Not three times a BMC: a central account would be locked for all of them."""
    found: list[Survey] = []
    for _ in range(2):
        process = desk.process()
        found += await process.survey(range(1, NODES + 1))
        await process.journal.close()
    assert sum(desk.failed(number) for number in range(1, NODES + 1)) == 3
    assert {each.reason for each in found} == {Reason.LOGIN_REFUSED}
    assert "try again after 20" in found[-1].message


def test_processes_of_their_own_have_three_tries_together(desk: Desk, tmp_path: Path) -> None:
    """Real processes, which share nothing but the journal."""
    script = tmp_path / "login.py"
    script.write_text(SCRIPT)
    line = [sys.executable, str(script), str(desk.hall.directory), str(tmp_path)]
    done = [run(line) for _ in range(6)]
    assert [each.code for each in done] == [0] * 6, done[0].err
    assert desk.failed(55) == 3


SCRIPT = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [str(Path.cwd() / "tests"), str(Path.cwd() / "tests" / "wire")]
from test_login_limits import Desk, read_hall
from fleet.clock import SystemClock

async def main():
    desk = Desk(read_hall(Path(sys.argv[1])), Path(sys.argv[2]), SystemClock())
    process = desk.process()
    assert await process.login(55) is not None
    await process.journal.close()

asyncio.run(main())
"""
