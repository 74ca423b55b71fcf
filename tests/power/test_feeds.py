"""An AC cycle by PDU outlets: what it does to the machine, with faults, and killed at every write."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from fed_machine import FedMachine, ModelOutlet
from support.clock import VirtualClock
from support.machine import Crash, ModelBmc, Process
from support.rollout import HeldJournal, profile
from support.steps import Around, Rig

from fleet.errors import NodeFault, Reason
from fleet.logins import NodeLedger
from fleet.outlets import cut_begun, cut_over, cycle_outlets, outlet_offers, unfinished
from fleet.ports import PowerState
from fleet.reach import connect
from inventory.baseline import Activation
from playbooks.steps.power import cycle_ac

STEP = "1 firmware.activate"
NAMES = ("pdu-A/1", "pdu-B/1")
WHOLE = [("pdu-A/1", "off"), ("pdu-B/1", "off"), ("pdu-A/1", "on"), ("pdu-B/1", "on")]


class Bench:
    """One machine, a journal and a clock; `live` is one process."""

    def __init__(self, path: Path, faults: Iterable[str] = (), *, names: tuple[str, ...] = NAMES) -> None:
        self.clock = VirtualClock()
        self.names = names
        self.elsewhere = False
        self.machine = FedMachine(
            clock=self.clock,
            active={"fpga": "old"},
            staged={"fpga": "new"},
            images={},
            activated_by={"fpga": Activation.AC_CYCLE},
            faults=set(faults),
        )
        self.rig = Rig(path, self.clock)
        self.appends = 0
        self.clock.run(self.rig.prepare())

    def live(self, *, dies_at: int = 0, written: bool = False) -> None:
        """One process: what was begun first, then the BMC, then the step, as the runner does."""
        self.clock.run(self._live(dies_at=dies_at, written=written))

    async def _live(self, *, dies_at: int, written: bool) -> None:
        process = Process()
        journal = HeldJournal(self.rig.path, self.clock, process, dies_at=dies_at, written=written)
        outlets = tuple(ModelOutlet(name, self.machine, process, self.elsewhere) for name in self.names)
        ctx, ledger = self.rig.context(journal, edges=Around(fed_by=outlets))
        ctx.bmc = ModelBmc(self.machine, self.rig.node, profile("fpga"), NodeLedger(self.rig.node, ledger), process)
        try:
            effects = ctx.state.effects.items()
            begun = unfinished((key, effect.detail, effect.result) for key, effect in effects)
            if begun is not None:
                ctx.enter((), begun[0])
                if cut_begun(ctx, begun[1]) and await cut_over(ctx, begun[1]):
                    await cycle_outlets(ctx, begun[1])
            await connect(ctx.bmc.connect, self.clock, give_up_s=600.0)
            ctx.enter((), STEP)
            await cycle_ac(ctx)
        finally:
            self.appends = journal.appends
            await journal.close()

    def refused(self) -> NodeFault:
        """One process that ends in a fault."""
        with pytest.raises(NodeFault) as fault:
            self.live()
        return fault.value


def whole(machine: FedMachine) -> None:
    """It had exactly one AC cycle, with its host off, and is up again."""
    assert machine.switched == WHOLE
    assert (machine.ac_cycles, machine.cuts, machine.busy_when_cut) == (1, 0, False)
    assert (machine.active, machine.power) == ({"fpga": "new"}, PowerState.ON)


def test_one_cycle(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db")
    bench.live()
    whole(bench.machine)


def test_killed_at_every_write(tmp_path: Path) -> None:
    probe = Bench(tmp_path / "probe.db")
    probe.live()
    assert probe.appends > 12
    for at in range(1, probe.appends + 1):
        for written in (False, True):
            bench = Bench(tmp_path / f"{at}{written}.db")
            with pytest.raises(Crash):
                bench.live(dies_at=at, written=written)
            bench.live()
            whole(bench.machine)


@pytest.mark.parametrize("state", ["off", "on"])
@pytest.mark.parametrize("how", ["lost", "unsent", "stuck-once"])
@pytest.mark.parametrize("outlet", NAMES)
def test_answers_that_are_lost(outlet: str, how: str, state: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", [f"{outlet} {state}:{how}"])
    bench.live()
    assert sorted(bench.machine.switched) == sorted(WHOLE)
    assert (bench.machine.active, bench.machine.ac_cycles) == ({"fpga": "new"}, 1)


def test_an_outlet_that_does_not_switch_off_puts_the_others_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", ["pdu-B/1 off:stuck"])
    fault = bench.refused()
    assert fault.reason is Reason.POWER_IGNORED
    assert "pdu-B/1" in str(fault)
    assert bench.machine.switched == [("pdu-A/1", "off"), ("pdu-A/1", "on")]
    # Whoever comes back later cuts nothing either.
    bench.machine.faults.clear()
    assert bench.refused().reason is Reason.POWER_IGNORED
    assert (bench.machine.live, bench.machine.ac_cycles) == (set(NAMES), 0)


def test_an_outlet_that_stays_off_does_not_keep_the_others_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", ["pdu-A/1 on:stuck"])
    assert "pdu-A/1" in str(bench.refused())
    assert bench.machine.live == {"pdu-B/1"}


def test_nothing_is_cut_while_an_image_is_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db")
    bench.machine.images["d"] = ("fpga", "newer")
    bench.machine.flash_s = 1200.0
    bench.machine.receive("d")
    bench.live()
    assert (bench.machine.cuts, bench.machine.ac_cycles, bench.machine.active) == (0, 1, {"fpga": "newer"})


def test_outlets_that_feed_another_machine_are_not_cut(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db")
    bench.elsewhere = True
    fault = bench.refused()
    assert (fault.reason, bench.machine.switched) == (Reason.NO_ACTIVATION, [])
    assert "still deliver" in str(fault)
    assert bench.machine.power is PowerState.ON


def test_a_pdu_that_falls_silent_leaves_no_host_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", ["pdu-A/1 silent once the host is off"])
    assert bench.refused().reason is Reason.UNREACHABLE
    assert (bench.machine.power, bench.machine.switched) == (PowerState.ON, [])


def test_a_feed_that_is_off_already_is_no_reason_to_cut_the_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db")
    bench.machine.live = {"pdu-B/1"}
    assert bench.refused().reason is Reason.NO_ACTIVATION
    assert bench.machine.switched == []


def test_a_bmc_that_never_went_dark_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", names=("pdu-A/1",))
    assert "outlet map" in str(bench.refused())
    assert bench.machine.ac_cycles == 0


def test_no_outlets_no_offer(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db", names=())
    assert bench.refused().reason is Reason.NO_ACTIVATION
    outlet = ModelOutlet("pdu-A/1", bench.machine, Process())
    assert (outlet_offers(()), outlet_offers((outlet,))) == (frozenset(), {Activation.AC_CYCLE})
