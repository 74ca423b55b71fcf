"""Two nodes of one chassis in virtual time, the process killed at every few writes: nobody's power goes while it is used."""

import asyncio
from pathlib import Path

import pytest
from simulation.drawn import Death, When
from simulation.process import DyingClock, KeptJournal, Network, OpenJournal, Process, RoughTransport

from fleet import events as ev
from fleet.drivers.redfish import RedfishDriver
from fleet.engine import Engine, Ledger
from fleet.events import RolloutId
from fleet.executor import LocalExecutor
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.limits import Limits
from fleet.plan import Plan
from fleet.planning import build
from fleet.policy.spec import RolloutSpec
from fleet.recipe import RecipeBook
from fleet.runner import Surroundings
from fleet.sim.faults import read_faults
from fleet.sim.package import build_box_package
from fleet.state import NodeStatus, RolloutState, replay
from fleet.step import StepSpec
from fleet.survey import open_leftovers, survey
from fleet.twin.clock import VirtualClock
from fleet.twin.hall import TwinHall, TwinSpec, credential, in_twin
from fleet.vendors import load_profiles
from inventory.baseline import Activation, Baseline, ComponentBaseline, Fits
from inventory.model import Bmc, CredentialId, FeedId, Node, NodeId, RackId
from playbooks.registry import make

ROLLOUT = RolloutId("r-1")
MODEL = "SYS-821GE-TNHR"
EVERY = 9
"""Of the writes, the process dies at each so-many-th: all of them take a minute."""


class Twin:
    """Two halves of a twin, in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = VirtualClock()
        self.nodes = tuple(
            Node(
                id=NodeId(f"n{number}"),
                model=MODEL,
                rack=RackId("r1"),
                slot=number,
                feeds=(FeedId("A"),),
                chassis="twin",
                bmc=Bmc(address=f"192.0.2.{number}", credential=CredentialId("c")),
            )
            for number in (1, 2)
        )
        # The second one is late: it flashes while the first one wants to cut the power.
        late = {"name": "late", "effect": "submit-busy", "select": {"node": "n2"}, "times": 4}
        faults = read_faults({"faults": "test", "rules": [late]}, "test")
        self.hall = TwinHall(TwinSpec(nodes=self.nodes, clock=self.clock, faults=faults))
        self.disk = KeptJournal(self.clock, directory / "journal.db")
        image = directory / "bios.fwpkg"
        sha256 = build_box_package(image, model=MODEL, bundle="bios", versions={"BIOS": "2.4"}, version="2.4")
        self.bios = ComponentBaseline(
            key="bios",
            version="2.4",
            image=image,
            sha256=sha256,
            fits=Fits(models=("*",)),
            activation=frozenset({Activation.AC_CYCLE}),
        )
        self.processes = 0

    def live(self, death: Death | None = None) -> Process:
        """One process, to its end or its death. The first one plans."""
        process = Process(number=self.processes, death=death)
        self.processes += 1
        self.clock.run(self._lived(process))
        return process

    async def _lived(self, process: Process) -> None:
        process.died = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # what a dead process did not await
        main = asyncio.create_task(self._run(process))
        died = asyncio.create_task(process.died.wait())
        await asyncio.wait({main, died}, return_when=asyncio.FIRST_COMPLETED)
        if process.alive:
            assert main.result() is Exit.OK

    async def _run(self, process: Process) -> Exit:
        nodes, limits = in_twin(self.nodes), Limits()
        ways = self.hall.transports(limits)
        quiet = Network(clock=self.clock, chance=None, lost=0.0, rough_until=0.0)  # type: ignore[arg-type]  # nothing is lost
        clock, journal = DyingClock(self.clock, process), OpenJournal(self.disk, process)
        driver = RedfishDriver(
            [credential(self.directory)],
            clock=clock,  # type: ignore[arg-type]  # as a clock, until it is dead
            limits=limits,
            transport=lambda bmc: RoughTransport(ways(bmc), process, quiet),
        )
        state = replay(ROLLOUT, self.disk.read(ROLLOUT)) if process.number else RolloutState(rollout=ROLLOUT)
        ledger = Ledger(journal, state)  # type: ignore[arg-type]  # as above
        if not state.plan:
            await self._plan(driver, ledger)
        plan, gate = Plan.from_json(ledger.state.plan), Gate()
        around = Surroundings(
            rollout=ROLLOUT,
            plan=plan,
            driver=driver,
            profiles=load_profiles(),
            steps=make,
            clock=clock,  # type: ignore[arg-type]  # as above
            gate=gate,
            recorder=ledger,
        )
        left = open_leftovers((row.node, row.context, row.uri) for row in self.disk.open_sessions())
        executor = LocalExecutor(around, {str(node.id): node for node in nodes}, left)
        engine = Engine(plan=plan, ledger=ledger, journal=journal, executor=executor, gate=gate, clock=clock)  # type: ignore[arg-type]  # as above
        result = await engine.run()
        await driver.close()
        return result

    async def _plan(self, driver: RedfishDriver, ledger: Ledger) -> None:
        baseline = Baseline(name="b", models=("*",), components={"bios": self.bios})
        await ledger.record(ev.RolloutCreated(playbook="p", sources={}, by="test"))
        size = {self.bios.image: self.bios.image.stat().st_size}
        plan = build(
            playbook="p",
            baseline=baseline,
            spec=RolloutSpec(waves=(2,), max_in_flight=1, rack=1),
            surveys=await survey(in_twin(self.nodes), driver, self.clock, ledger, leftovers={}),
            recipe_for=RecipeBook(
                steps=(StepSpec("firmware.update", {"component": "bios"}),), baseline=baseline, sizes=size
            ),
        )
        assert not plan.refused
        await ledger.record(ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))

    def unhurt(self) -> None:
        """Both are done, nobody's running host lost its power, and every host is on."""
        state = replay(ROLLOUT, self.disk.read(ROLLOUT))
        assert {node.status for node in state.nodes.values()} == {NodeStatus.CONFIRMED}, state.nodes
        for told in self.hall.truth()["nodes"].values():
            assert (told["power_cuts_in_flash"], told["interrupted_posts"], told["bricked"]) == (0, 0, None)
            assert (told["ac_hit_host"], told["host_power"]) == (0, "On")
            assert [flash["version"] for flash in told["items"]["BIOS"]["flashes"]] == ["2.4"]
            assert 1 <= told["ac_cuts"] <= 2


def test_both_are_begun_together_although_one_may_be_out_at_a_time(tmp_path: Path) -> None:
    twin = Twin(tmp_path)
    twin.live()
    twin.unhurt()
    assert {told["ac_cuts"] for told in twin.hall.truth()["nodes"].values()} == {1}


@pytest.mark.parametrize("when", [When.APPEND_LOST, When.APPEND_KEPT])
def test_killed_at_a_write(tmp_path: Path, when: When) -> None:
    probe = Twin(tmp_path)
    writes = probe.live().appends
    assert writes > 40
    for number in range(4 if when is When.APPEND_LOST else 8, writes - 4, EVERY):
        twin = Twin(tmp_path)
        died = twin.live(Death(when, number))
        assert not died.alive
        twin.live()
        twin.unhurt()
