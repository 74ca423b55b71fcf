"""The SSH driver and burnin.run against the nodes of the simulated hall: what each fault becomes, and what survives a crash."""

import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from support.machine import Crash
from support.rollout import node as declared

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.context import Context
from fleet.drivers.ssh import SshAddress, SshShell, read_client_key
from fleet.edges import Edges
from fleet.errors import NodeFault, Reason, Transient
from fleet.gate import Gate
from fleet.plan import PlannedNode
from fleet.policy.rules import Domains
from fleet.ports import Bmc
from fleet.sim.faults import read_faults
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.layout import read_layout
from fleet.state import NodeState, NodeStatus, fold_node
from fleet.step import Met, Step, StepSpec
from inventory.model import Node
from playbooks.burnin.verdict import Verdict
from playbooks.steps.burnin import BurninBaseline, BurninRun

SPEED = 2400.0
PROFILE = "hgx-8gpu-quick"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impatient(SystemClock):
    """Gives sockets this many wall seconds, whatever is asked."""

    io_s: float = 60.0

    def io_timeout_s(self, seconds: float) -> float:
        """Not what a real clock says: a test does not wait for its floor of 20 s."""
        return self.io_s


@dataclass(slots=True)
class Place:
    """A hall with one node, and shells to it. Fulfils what a burn-in needs of fleet.edges.Edges."""

    hall: Hall
    doc: dict[str, Any]
    clock: Impatient
    shells: list[SshShell] = field(default_factory=list)

    def make(self, *, host_key: str = "", client_key: asyncssh.SSHKey | None = None) -> SshShell:
        """A shell to the node."""
        host = self.doc["hosts"]["gpu1"]
        shell = SshShell(
            address=SshAddress(host=host["address"], port=host["port"], user=host["user"]),
            host_key=host_key or host["host_key"],
            client_key=client_key or read_client_key(Path(self.doc["host_client_key"])),
            clock=self.clock,
        )
        self.shells.append(shell)
        return shell

    async def shell(self, _node: Node, host_key: str) -> SshShell:
        """See fleet.edges.Edges."""
        return self.shells[0] if self.shells else self.make(host_key=host_key)

    def host_key(self, node: Node) -> str:
        """See fleet.edges.Edges."""
        return str(self.doc["hosts"][str(node.id)].get("host_key", ""))

    def truth(self) -> Any:
        """Of the node."""
        return json.loads(json.dumps(self.hall._truth.document()))["nodes"]["gpu1"]


Open = Callable[..., Awaitable[Place]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Starts a hall with one DGX H100 and these faults."""
    async with AsyncExitStack() as stack:

        async def run(*rules: dict[str, Any], io_s: float = 60.0, **box: Any) -> Place:
            address = f"127.{40 + os.getpid() % 115}.{next(_NUMBERS)}.77"
            layout = read_layout({"boxes": [{"name": "gpu1", "model": "DGXH100", "address": address, **box}]}, "test")
            named = [{"name": f"r{number}", "times": 1, **rule} for number, rule in enumerate(rules)]
            faults = read_faults({"faults": "test", "rules": named}, "test")
            directory = tmp_path / "hall"
            spec = HallSpec(boxes=layout.boxes, directory=directory, speed=SPEED, faults=faults, password="hall-only")
            hall = await stack.enter_async_context(Hall(spec))
            doc = json.loads((directory / "hall.json").read_text())
            place = Place(hall=hall, doc=doc, clock=Impatient(speed=SPEED, io_s=io_s))

            async def close() -> None:
                for shell in place.shells:
                    await shell.close()

            stack.push_async_callback(close)
            return place

        yield run


@dataclass(slots=True)
class Memory:
    """A journal in memory that may die at an append."""

    state: NodeState = field(default_factory=lambda: replace(NodeState(), status=NodeStatus.RUNNING))
    dies_at: int = -1
    appends: int = 0

    async def record(self, *events: ev.Event) -> None:
        """See fleet.context.Recorder."""
        for event in events:
            if self.appends == self.dies_at:
                raise Crash
            self.appends += 1
            if isinstance(event, ev.NodeEvent):
                self.state = fold_node(self.state, event, 0.0)

    def node_state(self, _node: str) -> NodeState:
        """See fleet.context.Recorder."""
        return self.state

    def show(self, _event: ev.Event) -> None:
        """See fleet.context.Recorder."""


def context(place: Place, memory: Memory, key: str = "1", serial: str = "") -> Context:
    made = Context(
        node=declared("gpu1"),
        planned=PlannedNode(
            wave=0,
            recipe="r",
            profile="p",
            domains=Domains(rack="r1", feeds=("A",)),
            serial=serial,
            uuid="",
            model="M",
            before={},
        ),
        targets={},
        bmc=cast("Bmc", None),  # a burn-in does not speak to it
        clock=place.clock,
        gate=Gate(),
        recorder=memory,
        edges=cast("Edges", place),
    )
    made.enter([(key, StepSpec("burnin.run"))], key)
    return made


async def outcome(
    place: Place, step: Step | None = None, memory: Memory | None = None, key: str = "1", serial: str = ""
) -> str:
    """The runner's way through a step: what it says in the end."""
    step, ctx = step or BurninRun(profile=PROFILE), context(place, memory or Memory(), key, serial)
    try:
        await step.apply(ctx)
    except NodeFault as fault:
        return f"{fault.reason}: {fault}"
    found = await step.check(ctx)
    return f"{'met' if isinstance(found, Met) else 'unmet'}: {found.detail}"


async def test_one_connection_carries_every_command_and_arguments_are_quoted(opened: Open) -> None:
    place = await opened()
    shell = place.make()
    serial = await shell.run(("cat", "/sys/class/dmi/id/product_serial"), timeout_s=30)
    odd = await shell.run(("cat", "/no; reboot $(x) 'y'"), timeout_s=30)
    assert serial.stdout.decode().strip() == place.hall.bmcs["gpu1"].spec.serial
    assert (serial.exit_status, odd.exit_status) == (0, 1)
    assert odd.stderr == b"cat: /no; reboot $(x) 'y': No such file or directory\n"
    assert (place.truth()["shell_logins"], place.truth()["commands"]) == (1, {"cat": 2})


async def test_another_host_key_and_a_key_of_ours_that_is_not_known_are_faults(opened: Open) -> None:
    place = await opened()
    other = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(NodeFault, match="does not hold the host key") as changed:
        await place.make(host_key=other.export_public_key().decode()).run(("true",), timeout_s=30)
    with pytest.raises(NodeFault, match="refuses our key") as refused:
        await place.make(client_key=other).run(("true",), timeout_s=30)
    assert (changed.value.reason, refused.value.reason) == (Reason.UNTRUSTED_TLS, Reason.LOGIN_REFUSED)
    assert place.truth()["commands"] == {}


async def test_a_refused_connection_is_transient(opened: Open) -> None:
    place = await opened({"effect": "ssh-refused"})
    with pytest.raises(Transient, match="no SSH connection"):
        await place.make().run(("true",), timeout_s=30)


async def test_a_hung_command_has_no_exit_status_and_the_connection_lives(opened: Open) -> None:
    place = await opened({"effect": "tool-hangs"}, io_s=2.0)
    shell = place.make()
    hung = await shell.run(("dcgmi", "diag", "-r", "1", "-j"), timeout_s=300)
    again = await shell.run(("dcgmi", "-v"), timeout_s=30)
    assert (hung.exit_status, again.exit_status, place.truth()["shell_logins"]) == (None, 0, 1)


@pytest.mark.parametrize("dcgm", [3, 4])
async def test_a_healthy_node_passes_once_and_for_all(opened: Open, dcgm: int) -> None:
    place, memory = await opened(dcgm=dcgm), Memory()
    assert (await outcome(place, memory=memory)).startswith("met: 8 of 8 GPUs passed nvidia-smi, dcgm, nvbandwidth")
    ran = place.truth()["commands"]
    assert (await outcome(place, memory=memory)).startswith("met: ")
    assert place.truth()["commands"] == ran
    assert ran == {"cat": 1, "nvidia-smi": 1, "dcgmi": 1, "nvbandwidth": 1, "journalctl": 1}
    kept = memory.state.effects["1/burn-in dcgm"].result
    assert kept is not None
    assert (len(kept["stdout_sha256"]), kept["exit_status"]) == (64, 0)
    assert len(json.dumps({key: effect.result for key, effect in memory.state.effects.items()})) < 20_000


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"effect": "gpu-missing"}, ["burn-in failed", "lists 7 of 8 GPUs"]),
        ({"effect": "gpu-slow", "gpu": 5, "percent": 3}, ["below what is asked", "GPU 5: ", "below the median"]),
        ({"effect": "xid", "gpu": 2}, ["burn-in failed", "lists 7 of 8 GPUs", "Xid 79 (RESTART_BM)"]),
        ({"effect": "json-truncated"}, ["could not be judged", "dcgmi: its output is no JSON"]),
        ({"effect": "dcgm-fails", "gpu": 4}, ["burn-in failed", "GPU 4: software: fail, severity 2"]),
    ],
    ids=lambda value: value["effect"] if isinstance(value, dict) else "",
)
async def test_each_fault_is_a_sentence_that_names_the_part(
    opened: Open, rule: dict[str, Any], words: list[str]
) -> None:
    said = await outcome(await opened(rule))
    assert said.startswith("burnin-failed: ")
    assert [word for word in words if word not in said] == [], said


async def test_a_hung_tool_is_not_judged(opened: Open) -> None:
    said = await outcome(await opened({"effect": "tool-hangs", "tool": "nvbandwidth"}, io_s=2.0))
    assert said.startswith("burnin-failed: burn-in could not be judged")
    assert "nvbandwidth did not end within 600 s" in said


async def test_what_was_better_before_the_rollout_is_said(opened: Open) -> None:
    place, memory = await opened(), Memory()
    assert (await outcome(place, BurninBaseline(profile=PROFILE), memory, "0")).startswith("met: ")
    assert "no worse than before" in await outcome(place, memory=memory)
    before = memory.state.effects["0/before"]
    assert before.result is not None
    better = {name: value * 1.1 for name, value in before.result["measures"].items()}
    effects = {"0/before": replace(before, result={**before.result, "measures": better})}
    said = await outcome(place, memory=Memory(state=replace(memory.state, effects=effects)))
    assert "before the rollout (9" in said
    assert said.startswith("burnin-failed: ")


async def test_a_node_without_an_os_has_no_past_and_that_fails_nobody(opened: Open) -> None:
    place, memory = await opened(os=""), Memory()
    ctx = context(place, memory)
    await BurninBaseline(profile=PROFILE).apply(ctx)
    kept = memory.state.effects["1/before"].result
    assert kept is not None
    assert kept["verdict"] == Verdict.UNJUDGED
    assert "nothing to compare with" in kept["text"]


@pytest.mark.parametrize("step", [BurninRun(profile=PROFILE), BurninBaseline(profile=PROFILE)], ids=["run", "baseline"])
async def test_an_address_that_leads_to_another_machine_is_tested_for_nobody(opened: Open, step: Step) -> None:
    place = await opened()
    said = await outcome(place, step, serial="another")
    assert said.startswith("identity-mismatch: the login reached a machine with serial ")
    assert set(place.truth()["commands"]) == {"cat"}


async def test_the_machine_is_asked_who_it_is_once_per_run(opened: Open) -> None:
    place = await opened(serial="GPU1-SERIAL")
    assert (await outcome(place, serial="gpu1-serial")).startswith("met: 8 of 8 GPUs passed")
    assert place.truth()["commands"]["cat"] == 1


async def test_a_crash_at_any_append_only_repeats_a_test(opened: Open) -> None:
    place, whole = await opened(), Memory()
    said = await outcome(place, memory=whole)
    assert whole.appends == 10
    for dies_at in range(whole.appends):
        memory = Memory(dies_at=dies_at)
        with pytest.raises(Crash):
            await outcome(place, memory=memory)
        memory.dies_at = -1
        assert await outcome(place, memory=memory) == said
        assert memory.state.effects.keys() == whole.state.effects.keys()
