"""A rollout as the journal would hold it: a small plan, a clock that the test moves, and events appended to a real journal."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from fleet import events as ev
from fleet.events import Event, Recorded, RolloutId
from fleet.journal import SqliteJournal
from fleet.plan import Plan, PlannedNode, Recipe
from fleet.policy.rules import Domains
from fleet.policy.spec import Caps, OnFailure
from fleet.profile import Rollback
from fleet.state import RolloutState, fold
from fleet.step import StepSpec
from fleet.target import Target
from inventory.baseline import Activation, ItemWant

START = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""
ROLLOUT = RolloutId("hgx-2026.10-20260921-141320")
SUBMIT = "1 firmware.update bmc/submit"
ACTIVATE = "2 firmware.activate 1"
NODE_S = 600.0


class Watch:
    """A clock that moves when the test says so. `sleep_wall` lets the loop run, and keeps what it was asked for."""

    def __init__(self, at: float = START) -> None:
        self.at = at
        self.beats: list[float] = []
        self._wanted = 0
        self._reached = asyncio.Event()

    def now(self) -> float:
        """Field time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Time jumps."""
        self.at += seconds
        await asyncio.sleep(0)

    async def sleep_wall(self, seconds: float) -> None:
        """No time passes."""
        self.beats.append(seconds)
        if len(self.beats) >= self._wanted:
            self._reached.set()
        await asyncio.sleep(0)

    async def beaten(self, times: int) -> None:
        """Until `sleep_wall` was called that often."""
        self._wanted = times
        await self._reached.wait()

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self.at

    def io_timeout_s(self, seconds: float) -> float:
        """As it is."""
        return seconds


def target(name: str, version: str) -> Target:
    return Target(
        name=name,
        component=name,
        version=version,
        wants=(ItemWant(pattern="*", version=version, accepts=frozenset()),),
        items=("*",),
        image=Path(f"/images/{name}.fwpkg"),
        sha256="ab" * 32,
        size_bytes=1_000,
        needs=frozenset({Activation.BMC_RESET}),
        rollback=Rollback.NONE,
    )


def make_plan(
    count: int = 8,
    *,
    waves: tuple[int, ...] = (1, 4, 8),
    budget: int = 1,
    cap: int = 2,
    approve: tuple[int, ...] = (),
    risk: int = 0,
) -> Plan:
    """`count` nodes gpu0001..., four to a rack, one recipe: flash `bmc`, then activate."""
    order = tuple(f"gpu{number:04}" for number in range(1, count + 1))
    wave_of = {order[index]: next(w for w, full in enumerate(waves) if index < full) for index in range(count)}
    nodes = {
        name: PlannedNode(
            wave=wave_of[name],
            recipe="dgx",
            profile="dgx-h100",
            domains=Domains(f"r{index // 4:02}", ("feed-a",)),
            serial=f"S{index}",
            uuid="",
            model="DGXH100",
            before={"HostBMC_0": "23.09.20"},
            stratum="s1",
        )
        for index, name in enumerate(order)
    }
    recipe = Recipe(
        name="dgx",
        steps=(StepSpec("firmware.update", {"target": "bmc"}), StepSpec("firmware.activate", {"block": "1"})),
        ways_back=(),
        activation=(Activation.BMC_RESET,),
        expected_s=NODE_S,
    )
    caps = Caps(
        waves=waves,
        max_in_flight=cap,
        domains={},
        failure_budget=budget,
        bake_s=0,
        approve=approve,
        on_failure=OnFailure.QUARANTINE,
        window=None,
        risk=risk,
    )
    return Plan(
        playbook="hgx",
        baseline="hgx-2026.10",
        order=order,
        nodes=nodes,
        recipes={"dgx": recipe},
        targets={"bmc": target("bmc", "24.01.05")},
        caps=caps,
        strata={"s1": "DGXH100 from bmc 23.09.20"},
    )


def opening(plan: Plan) -> list[Event]:
    """Created, planned, claimed."""
    return [
        ev.RolloutCreated(playbook=plan.playbook, sources={}, by="ann@ops1"),
        ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()),
        ev.RolloutClaimed(owner="ops1:4711", epoch=1),
    ]


def begins(node: str, wave: int = 0) -> list[Event]:
    """Admitted, and its image handed over."""
    return [
        ev.NodeAdmitted(node=node, wave=wave),
        ev.StepStarted(node=node, step="1 firmware.update bmc", detail="bmc: 0 of 1 at baseline"),
        ev.IntentRecorded(node=node, effect=SUBMIT, detail={}),
        ev.EffectRecorded(node=node, effect=SUBMIT, result={"task": "/redfish/v1/TaskService/Tasks/3"}),
        ev.StepEnded(node=node, step="1 firmware.update bmc", outcome="deferred"),
    ]


def activates(node: str) -> list[Event]:
    """The BMC's restart, verified."""
    return [
        ev.StepStarted(node=node, step=ACTIVATE),
        ev.IntentRecorded(node=node, effect=f"{ACTIVATE}/bmc-reset", detail={}),
        ev.EffectRecorded(node=node, effect=f"{ACTIVATE}/bmc-reset", result={"returned_s": 300}),
        ev.StepEnded(node=node, step=ACTIVATE, outcome="done"),
    ]


def confirms(node: str, wave: int = 0) -> list[Event]:
    """A whole node run that succeeds."""
    return [*begins(node, wave), *activates(node), ev.NodeConfirmed(node=node, detail="updated and verified")]


def quarantines(node: str, wave: int = 0, message: str = "bmc: device refused") -> list[Event]:
    """A node run whose update fails."""
    return [*begins(node, wave)[:4], ev.NodeQuarantined(node=node, reason="update-failed", message=message)]


class Story:
    """Events with their times, in memory, folded as they come."""

    def __init__(self, events: Iterable[Event] = (), rollout: RolloutId = ROLLOUT) -> None:
        self.at = START
        self.recorded: list[Recorded] = []
        self.state = RolloutState(rollout=rollout)
        self.tell(*events)

    def tell(self, *events: Event) -> list[Recorded]:
        """At the present time."""
        new = [
            Recorded(len(self.recorded) + index, self.at, self.state.rollout, event)
            for index, event in enumerate(events, 1)
        ]
        self.recorded += new
        for item in new:
            fold(self.state, item)
        return new

    def after(self, seconds: float) -> "Story":
        """Time passes."""
        self.at += seconds
        return self

    def write(self, path: Path) -> None:
        """Into a real journal, with the same times."""
        asyncio.run(_write(path, self.recorded))


async def _write(path: Path, recorded: Iterable[Recorded]) -> None:
    clock = Watch()
    journal = SqliteJournal(path, clock)
    for item in recorded:
        clock.at = item.at
        await journal.append(item.rollout, item.event)
    await journal.close()


def mixed(rollout: RolloutId = ROLLOUT) -> Story:
    """Halted in the second wave of three: a canary confirmed, two quarantined, one uncertain, the rest waits."""
    story = Story(opening(make_plan()), rollout)
    story.tell(ev.WaveOpened(wave=0, nodes=1), *begins("gpu0001"))
    story.after(NODE_S).tell(*activates("gpu0001"), ev.NodeConfirmed(node="gpu0001", detail="updated and verified"))
    story.tell(ev.WaveOpened(wave=1, nodes=3), *begins("gpu0002", 1), *begins("gpu0003", 1))
    story.after(300).tell(
        ev.NodeQuarantined(node="gpu0002", reason="update-failed", message="bmc: device refused"),
        ev.NodeQuarantined(node="gpu0003", reason="update-failed", message="bmc: device refused again"),
        *begins("gpu0004", 1)[:3],
        ev.NodeUncertain(node="gpu0004", effect=SUBMIT, why="the connection broke"),
        ev.RolloutHalted(cause="budget", message="2 nodes failed, 1 are tolerated; most often (2): update-failed"),
    )
    return story
