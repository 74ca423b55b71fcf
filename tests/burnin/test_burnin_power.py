"""Tests under load ask for power first, give it back when they are over, and end through the shell where a breaker is nearly full."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast

import outputs
import pytest
from support.around import Memory
from support.clock import VirtualClock
from support.rollout import ROLLOUT, node

from fleet import events as ev
from fleet.context import Context
from fleet.edges import CommandResult, Edges, HostShell, Outlet, PduMeter
from fleet.errors import Transient
from fleet.gate import Gate
from fleet.plan import PlannedNode
from fleet.policy.power.ledger import PowerLedger
from fleet.policy.power.spec import Others, PowerSpec
from fleet.policy.rules import Domains
from fleet.ports import Bmc
from fleet.power_desk import PowerDesk
from fleet.state import NodeStatus, RolloutState
from fleet.step import StepSpec
from fleet.watts import PowerReading
from inventory.model import Node, PduId
from inventory.power import DomainKind, ModelPower, PowerDomain, PowerTree
from playbooks.steps.burnin import BurninRun

BUDGET_W, PLATE_W, IDLE_W = 20_000, 10_000, 2_000
NVBANDWIDTH_S = 600.0
PDU = PduId("pdu")


@dataclass
class Rack:
    """One node, and the meter of its rack, which carries something else as well."""

    clock: VirtualClock
    others_w: float = 0.0
    running: str = ""
    """The load that runs, by the name of its program."""
    stubborn: str = ""
    """A program that no signal ends."""
    ran: list[str] = field(default_factory=list)

    def draws_w(self) -> float:
        return PLATE_W if self.running else IDLE_W


@dataclass
class Shell:
    """The node's OS (fleet.edges.HostShell)."""

    rack: Rack

    async def run(self, argv: tuple[str, ...], *, timeout_s: float) -> CommandResult:
        self.rack.ran.append(" ".join(argv[:4] if argv[0] == "pkill" else argv[:1]))
        output, status = b"", 0
        match argv[0]:
            case "cat":
                output = b"S1\n"
            case "nvidia-smi":
                output = outputs.smi_csv()
            case "dcgmi":
                output = outputs.as_bytes(outputs.dcgm("4.2.3"))
            case "nvbandwidth":
                self.rack.running = "nvbandwidth"
                await self.rack.clock.sleep(NVBANDWIDTH_S)
                self.rack.running = ""
                output = outputs.bandwidth()
            case "pkill":
                self.rack.running = "" if argv[-1] != self.rack.stubborn else self.rack.running
            case "pgrep":
                status = 0 if self.rack.running == argv[-1] else 1
            case _:
                output = outputs.log()
        return CommandResult(argv=argv, exit_status=status, stdout=output, stderr=b"", duration_s=1.0)

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Meter:
    """Of the node's outlet, or of the rack."""

    rack: Rack
    others: float
    pdu: PduId = PDU
    name: str = "pdu/1"

    async def reading(self) -> PowerReading | None:
        watts = self.rack.draws_w() + self.others * self.rack.others_w
        return PowerReading(watts=watts, at=self.rack.clock.now())


@dataclass
class Around:
    """fleet.edges.Edges, and MetersFeeds."""

    rack: Rack

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        return (cast("Outlet", Meter(self.rack, 0)),)

    def meters(self) -> tuple[PduMeter, ...]:
        return (Meter(self.rack, 1),)

    def host_key(self, node: Node) -> str:
        return "ssh-ed25519 AAAA"

    async def shell(self, node: Node, host_key: str) -> HostShell:
        return Shell(self.rack)


class QuietBmc:
    """A BMC that says nothing of power."""


def tree(budget_w: int) -> PowerTree:
    rack = PowerDomain(id="r1", kind=DomainKind.RACK, ratings_w=(budget_w,), derate=1.0, meters=("pdu",))
    return PowerTree(
        domains={"r1": rack}, on={"n1": ("r1",)}, models={"M": ModelPower(nameplate_w=PLATE_W, idle_w=IDLE_W)}
    )


def desk_of(rack: Rack, memory: Memory, budget_w: int = BUDGET_W) -> PowerDesk:
    spec = PowerSpec(others=Others.MEASURED, period_s=10)
    desk = PowerDesk(
        ledger=PowerLedger(tree(budget_w), {"n1": "M"}, spec),
        recorder=memory,
        clock=rack.clock,
        gate=Gate(),
        edges=cast("Edges", Around(rack)),
        nodes={"n1": node("n1")},
    )
    desk.take_over(RolloutState(rollout=ROLLOUT, nodes={"n1": memory.state}))
    return desk


async def burn_in(rack: Rack, memory: Memory, desk: PowerDesk) -> None:
    """The step, with the desk running beside it."""
    planned = PlannedNode(
        wave=0,
        recipe="r",
        profile="p",
        domains=Domains(rack="r1", feeds=()),
        serial="S1",
        uuid="",
        model="M",
        before={},
    )
    ctx = Context(
        node=node("n1"),
        planned=planned,
        targets={},
        bmc=cast("Bmc", QuietBmc()),
        clock=rack.clock,
        gate=desk.gate,
        recorder=memory,
        edges=desk.edges,
        power=desk.of("n1", cast("Bmc", QuietBmc())),
    )
    ctx.enter([("b", StepSpec("burnin.run"))], "b")
    beside = [asyncio.create_task(each()) for each in (desk.meter, desk.answer)]
    try:
        await BurninRun(profile="hgx-8gpu-quick").apply(ctx)
    finally:
        for each in beside:
            each.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


def trail(memory: Memory) -> list[str]:
    """What happened to power, and when loads began and ended, in the journal's order."""
    told: list[str] = []
    for event in memory.events:
        match event:
            case ev.PowerReserved(stage=stage):
                told.append(f"reserved {stage}")
            case ev.PowerReleased(stage=stage):
                told.append(f"released {stage}")
            case ev.IntentRecorded(effect=effect) if effect.endswith(("dcgm", "nvbandwidth")):
                told.append(f"begins {effect.split()[-1]}")
            case _:
                pass
    return told


@pytest.fixture
def rack() -> Rack:
    return Rack(VirtualClock())


def test_a_load_begins_after_its_reservation_and_gives_it_back(rack: Rack) -> None:
    memory = Memory()
    desk = desk_of(rack, memory)
    rack.clock.run(burn_in(rack, memory, desk))
    one = ["reserved {}", "begins {}", "released {}"]
    assert trail(memory) == [line.format(test) for test in ("dcgm", "nvbandwidth") for line in one]
    assert not memory.state.power


def test_a_load_is_ended_by_its_name_where_the_rack_is_nearly_full_and_runs_again_when_it_is_not(rack: Rack) -> None:
    memory = Memory()
    desk = desk_of(rack, memory)

    async def story() -> None:
        test = asyncio.create_task(burn_in(rack, memory, desk))
        await rack.clock.sleep(200)
        assert rack.running == "nvbandwidth"
        rack.others_w = 11_000
        await rack.clock.sleep(60)
        assert not rack.running
        assert (
            memory.state.power_waits == "rack r1 has 4.6 kW of 19.6 kW left, 8.0 kW needed" or memory.state.power_waits
        )
        rack.others_w = 0
        await test

    rack.clock.run(story())
    assert "pkill -INT -x nvbandwidth" in rack.ran
    assert rack.ran.count("nvbandwidth") == 2
    assert trail(memory)[-6:] == ["reserved nvbandwidth", "begins nvbandwidth", "released nvbandwidth"] * 2


def test_a_load_that_does_not_end_keeps_its_reservation(rack: Rack) -> None:
    memory = Memory()
    desk = desk_of(rack, memory)
    rack.stubborn = "nvbandwidth"

    async def story() -> None:
        test = asyncio.create_task(burn_in(rack, memory, desk))
        await rack.clock.sleep(200)
        rack.others_w = 11_000
        await rack.clock.sleep(60)
        assert rack.running == "nvbandwidth"
        test.cancel()
        with suppress(asyncio.CancelledError):
            await test

    rack.clock.run(story())
    assert trail(memory)[-1] == "begins nvbandwidth"
    assert memory.state.power == {"nvbandwidth": PLATE_W}


def test_another_process_finds_in_the_journal_what_is_reserved(rack: Rack) -> None:
    memory = Memory(state=replace(Memory().state, power={"nvbandwidth": PLATE_W}))
    desk = desk_of(rack, memory)
    desk.ledger.read("n1", "pdu", PowerReading(watts=IDLE_W, at=rack.clock.now()), rack.clock.now())
    assert desk.ledger.reserved_w(rack.clock.now()) == {"r1": PLATE_W}
    confirmed = Memory(state=replace(memory.state, status=NodeStatus.CONFIRMED))
    after = desk_of(rack, confirmed)
    after.ledger.read("n1", "pdu", PowerReading(watts=IDLE_W, at=rack.clock.now()), rack.clock.now())
    assert after.ledger.reserved_w(rack.clock.now()) == {"r1": IDLE_W}


def test_a_meter_that_does_not_answer_has_no_say(rack: Rack) -> None:
    memory = Memory()
    desk = desk_of(rack, memory)

    class Silent(Meter):
        async def reading(self) -> PowerReading | None:
            raise Transient("no answer")

    class Dark(Around):
        def outlets(self, node: Node) -> tuple[Outlet, ...]:
            return (cast("Outlet", Silent(rack, 0)),)

        def meters(self) -> tuple[PduMeter, ...]:
            return (Silent(rack, 1),)

    desk.edges = cast("Edges", Dark(rack))

    async def story() -> None:
        metering = asyncio.create_task(desk.meter())
        await rack.clock.sleep(60)
        metering.cancel()

    rack.clock.run(story())
    assert desk.ledger.reserved_w(rack.clock.now()) == {"r1": PLATE_W}
