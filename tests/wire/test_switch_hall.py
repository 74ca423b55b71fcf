"""The driver and the step against the hall's switches, over SSH, with their faults."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from support.around import Memory, context, link, walk

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.drivers.switch import NetmikoSwitch, SwitchAccess, SwitchDriver
from fleet.drivers.switch.connection import SAYS_LIMIT_CHARS
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.sim.faults import read_faults
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.layout import read_layout
from inventory.model import SecretRef
from playbooks.steps.network import NetworkConfig

SPEED = 3000.0
_NUMBERS = itertools.count(1)
_PORT = {"leaf1": "Ethernet{}", "leaf2": "swp{}"}
LINES = {
    "leaf1": ("vlan 100", "interface Ethernet{}", "switchport access vlan 100"),
    "leaf2": ("- set: {{interface: {{swp{}: {{bridge: {{domain: {{br_default: {{access: 100}}}}}}}}}}}}",),
}


class Leaves:
    """A hall of three nodes with an Arista and a Cumulus leaf, and the driver."""

    def __init__(self, hall: Hall, directory: Path) -> None:
        self.hall = hall
        switches = json.loads((directory / "hall.json").read_text())["switches"]
        self.accesses = [
            SwitchAccess(
                name=name,
                platform=said["platform"],
                address=said["address"],
                port=said["port"],
                user=said["user"],
                password=SecretRef.parse(f"file:{said['password_file']}"),
                host_key=said["host_key"],
            )
            for name, said in switches.items()
        ]
        self.clock = SystemClock(speed=SPEED)
        self.driver = SwitchDriver(self.accesses, clock=self.clock)

    def truth(self, switch: str) -> Any:
        """What is really so."""
        return self.hall._truth.document()["switches"][switch]

    def vlans(self) -> dict[str, int]:
        """`leaf1:1` -> VLAN, over both leaves."""
        return {f"{leaf}:{port[-1]}": vlan for leaf in _PORT for port, vlan in self.truth(leaf)["vlans"].items()}

    def switches(self) -> dict[str, Any]:
        """For the context."""
        return {leaf: self.driver.switch(leaf) for leaf in _PORT}

    async def configure(self, node: int, vlan: str, memory: Memory | None = None) -> str:
        """The whole step on one node."""
        links = tuple(link(f"gpu{node}:eth{n}", f"{leaf}:{_PORT[leaf].format(node)}") for n, leaf in enumerate(_PORT))
        ctx = context(f"gpu{node}", links, self.switches(), self.clock, memory or Memory())
        return await walk(NetworkConfig(vlan=vlan), ctx)


Open = Callable[..., Awaitable[Leaves]]


@pytest.fixture
async def leaves(tmp_path: Path) -> AsyncIterator[Open]:
    """Starts the hall with these fault rules."""
    async with AsyncExitStack() as stack:

        async def run(*rules: dict[str, Any]) -> Leaves:
            net = f"127.{40 + os.getpid() % 115}.{100 + next(_NUMBERS)}"
            names = [("leaf1", "arista_eos", 201), ("leaf2", "cumulus_linux", 202)]
            raw = {
                "boxes": [
                    {"name": f"gpu{n}", "model": "DGXH100", "slot": n, "address": f"{net}.{n}"} for n in (1, 2, 3)
                ],
                "switches": [
                    {"name": name, "platform": kind, "address": f"{net}.{host}"} for name, kind, host in names
                ],
                "links": [
                    {"a": f"gpu{n}:eth{rail}", "b": f"{leaf}:{_PORT[leaf].format(n)}"}
                    for n in (1, 2, 3)
                    for rail, leaf in enumerate(_PORT)
                ],
            }
            layout = read_layout(raw, "test")
            named = [{"name": f"r{n}"} | rule for n, rule in enumerate(rules)]
            spec = HallSpec(
                boxes=layout.boxes,
                switches=layout.switches,
                links=layout.links,
                directory=tmp_path / "h",
                speed=SPEED,
                faults=read_faults({"faults": "test", "rules": named}, "test"),
                password="correct horse",
            )
            hall = await stack.enter_async_context(Hall(spec))
            made = Leaves(hall, tmp_path / "h")
            stack.push_async_callback(made.driver.close)
            return made

        yield run


def on(switch: str, effect: str, **more: Any) -> dict[str, Any]:
    return {"effect": effect, "select": {"node": switch}} | more


async def test_a_node_is_moved_and_nobody_else(leaves: Open) -> None:
    hall, memory = await leaves(), Memory()
    assert await hall.configure(2, "100", memory) == "done"
    assert hall.vlans() == {"leaf1:1": 1, "leaf1:2": 100, "leaf1:3": 1, "leaf2:1": 1, "leaf2:2": 100, "leaf2:3": 1}
    assert await hall.configure(2, "100") == "met"
    intent = memory.state.effects["step/push leaf1"].detail
    assert "+   switchport access vlan 100" in intent["difference"]
    assert intent["former"] == ["interface Ethernet2", "   no switchport access vlan"]
    assert {leaf: hall.truth(leaf)["logins"] for leaf in _PORT} == {"leaf1": 1, "leaf2": 1}


async def test_two_nodes_at_once_lose_nothing(leaves: Open) -> None:
    hall = await leaves()
    assert await asyncio.gather(*(hall.configure(n, f"10{n}") for n in (1, 2, 3))) == ["done"] * 3
    assert hall.vlans() == {f"{leaf}:{n}": 100 + n for leaf in _PORT for n in (1, 2, 3)}


@pytest.mark.parametrize("name", list(_PORT))
async def test_two_processes_at_one_leaf_lose_nothing(leaves: Open, name: str) -> None:
    hall = await leaves()
    other = SwitchDriver(hall.accesses, clock=hall.clock)
    ours, theirs = (tuple(line.format(port) for line in LINES[name]) for port in (1, 2))
    for _ in range(3):
        await asyncio.gather(hall.driver.switch(name).push(ours), other.switch(name).push(theirs))
    await other.close()
    vlans = hall.truth(name)["vlans"]
    assert [vlans[_PORT[name].format(n)] for n in (1, 2, 3)] == [100, 100, 1]


async def test_a_commit_refused_once_is_tried_again(leaves: Open) -> None:
    hall = await leaves(on("leaf1", "commit-refused"), on("leaf2", "commit-refused"))
    assert await hall.configure(1, "100") == "done"
    assert {leaf: (hall.truth(leaf)["commits"], hall.truth(leaf)["refused"]) for leaf in _PORT} == {
        "leaf1": (1, 1),
        "leaf2": (1, 1),
    }


async def test_a_commit_refused_for_good_puts_the_other_leaf_back(leaves: Open) -> None:
    hall = await leaves(on("leaf2", "commit-refused", times="always"))
    said = await hall.configure(1, "100")
    assert said == (
        "switch-refused: leaf2 refused the commit: Invalid config [rev_id: 2] Failed to apply the configuration: ifreload"
        " failed; the former lines are back on leaf1"
    )
    assert set(hall.vlans().values()) == {1}
    assert hall.truth("leaf1")["commits"] == 2


@pytest.mark.parametrize("applied", [True, False])
async def test_a_link_lost_in_a_commit_is_decided_by_the_vlan_table(leaves: Open, *, applied: bool) -> None:
    hall, memory = await leaves(*(on(leaf, "link-drops-in-commit", applied=applied) for leaf in _PORT)), Memory()
    assert await hall.configure(1, "100", memory) == "done"
    assert {leaf: hall.truth(leaf)["commits"] for leaf in _PORT} == {"leaf1": 1, "leaf2": 1}
    assert len(memory.of(ev.NodeUncertain)) == 2
    assert len(memory.of(ev.EffectAbsent)) == (0 if applied else 2)


async def test_a_slow_switch_is_waited_for(leaves: Open) -> None:
    hall = await leaves(on("leaf1", "prompt-slow", delay_s=60))
    assert await hall.configure(1, "100") == "done"


async def test_a_wrong_cable_holds_the_node_and_touches_nothing(leaves: Open) -> None:
    hall = await leaves({"effect": "wrong-cable", "select": {"node": "gpu1"}})
    assert await hall.configure(1, "100") == (
        "wrong-cable: gpu1 eth0 is cabled to leaf1:Ethernet2, the inventory says leaf1:Ethernet1"
    )
    assert {leaf: hall.truth(leaf)["commits"] for leaf in _PORT} == {"leaf1": 0, "leaf2": 0}


@pytest.mark.parametrize("name", list(_PORT))
async def test_a_backup_is_put_back_whole(leaves: Open, name: str) -> None:
    hall = await leaves()
    switch = hall.driver.switch(name)
    backup = await switch.running_config()
    await switch.push(tuple(line.format(1) for line in LINES[name]))
    assert 100 in hall.truth(name)["vlans"].values()
    await switch.restore(backup)
    assert set(hall.truth(name)["vlans"].values()) == {1}


@pytest.mark.parametrize("name", list(_PORT))
async def test_a_line_that_is_not_taken_leaves_nothing(leaves: Open, name: str) -> None:
    hall = await leaves()
    switch = hall.driver.switch(name)
    with pytest.raises(NodeFault, match="nothing was changed") as caught:
        await switch.push(tuple(line.format(99) for line in LINES[name]))
    assert caught.value.reason is Reason.SWITCH_REFUSED
    assert hall.hall.around is not None
    assert hall.hall.around.switches[name].sessions == {}
    await switch.push(tuple(line.format(1) for line in LINES[name]))
    assert hall.truth(name)["vlans"][_PORT[name].format(1)] == 100


async def test_what_a_crash_left_in_a_session_is_not_committed(leaves: Open) -> None:
    hall = await leaves()
    assert hall.hall.around is not None
    leaf = hall.hall.around.switches["leaf1"]
    for port in (1, 2):  # at its first login, and while it is logged in
        leaf.sessions["fleetwave"] = leaf.running.with_port("Ethernet3", enabled=False)
        await hall.driver.switch("leaf1").push(tuple(line.format(port) for line in LINES["leaf1"]))
    assert hall.truth("leaf1")["vlans"] == {"Ethernet1": 100, "Ethernet2": 100, "Ethernet3": 1}


async def test_a_line_that_is_more_than_a_line_is_not_typed(leaves: Open) -> None:
    hall = await leaves()
    for line in ("vlan 7\nno vlan 1", "x" * 2000, "description \x1b[2J", "FLEETWAVE_END"):
        with pytest.raises(NodeFault) as caught:
            await hall.driver.switch("leaf2").push((line,))
        assert caught.value.reason is Reason.SWITCH_REFUSED
    assert hall.truth("leaf2")["commits"] == 0


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_host_key_gets_no_password(leaves: Open, kind: str) -> None:
    hall = await leaves()
    other = asyncssh.generate_private_key(kind).export_public_key().decode().strip()
    driver = SwitchDriver([replace(access, host_key=other) for access in hall.accesses], clock=hall.clock)
    for name in _PORT:
        with pytest.raises(NodeFault, match="another SSH host key") as caught:
            await driver.switch(name).neighbours()
        assert caught.value.reason is Reason.UNTRUSTED_TLS
        assert hall.truth(name)["logins"] == 0
    await driver.close()


async def test_a_wrong_password_is_a_fault_that_does_not_show_it(leaves: Open, tmp_path: Path) -> None:
    hall = await leaves()
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("hunter2hunter2")
    access = replace(hall.accesses[0], password=SecretRef.parse(f"file:{wrong}"))
    driver = SwitchDriver([access], clock=hall.clock)
    with pytest.raises(NodeFault) as caught:
        await driver.switch("leaf1").neighbours()
    await driver.close()
    assert caught.value.reason is Reason.LOGIN_REFUSED
    assert "hunter2" not in str(caught.value)


async def test_who_goes_away_leaves_the_switch_in_order(leaves: Open) -> None:
    hall = await leaves()
    switch = hall.driver.switch("leaf1")
    pushing = asyncio.ensure_future(switch.push(tuple(line.format(1) for line in LINES["leaf1"])))
    while hall.truth("leaf1")["logins"] == 0:  # noqa: ASYNC110  the truth has no event to wait for
        await asyncio.sleep(0)
    pushing.cancel()
    assert await switch.access_vlans() == {"Ethernet1": "100", "Ethernet2": "1", "Ethernet3": "1"}
    assert hall.truth("leaf1")["logins"] == 1


async def test_a_switch_that_never_stops_printing_is_left() -> None:
    printed = 0

    async def flood(process: "asyncssh.SSHServerProcess[str]") -> None:
        nonlocal printed
        process.stdout.write("leaf1#")
        typed = ""
        while "configure" not in typed:
            typed = await process.stdin.readline()
            process.stdout.write(f"{typed.strip()}\r\nPagination disabled.\r\nWidth set to 511\r\nleaf1#")
        try:
            while True:
                process.stdout.write("x" * 32_768)
                printed += 32_768
                await process.stdout.drain()
        except (OSError, asyncssh.Error):
            process.close()

    class Anybody(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        Anybody, "127.0.0.1", 0, server_host_keys=[key], process_factory=flood, line_editor=False, encoding="utf-8"
    )
    access = SwitchAccess(
        name="leaf1",
        platform="arista_eos",
        address="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        user="admin",
        password=SecretRef.parse("env:HOME"),
        host_key=key.export_public_key().decode().strip(),
    )
    driver = SwitchDriver([access], clock=SystemClock(speed=SPEED))
    switch: NetmikoSwitch = driver.switch("leaf1")
    with pytest.raises((Transient, OutcomeUnknown), match="more than"):
        await switch.push(("vlan 7",))
    assert printed < 4 * SAYS_LIMIT_CHARS
    await driver.close()
    server.close()
    await server.wait_closed()
