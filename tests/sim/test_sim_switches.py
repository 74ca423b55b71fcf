"""Leaf switches through Netmiko, and their command lines without a transport."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from journey import Journey, Open
from netmiko import BaseConnection, ConnectHandler
from netmiko.exceptions import ReadTimeout

from fleet.sim.cabling import Cabling
from fleet.sim.eos import EosCli
from fleet.sim.faults import read_faults
from fleet.sim.layout import Layout, LinkSpec, SwitchSpec
from fleet.sim.nvue import NvueCli
from fleet.sim.switch import Reply, Switch

SECRET = "s3cret"


async def talk(journey: Journey, name: str, words: Callable[[BaseConnection], Any]) -> Any:
    """What `words` makes of a Netmiko connection to the switch, in a thread."""
    switch = journey.doc["switches"][name]
    password = journey.secret("switches", name, "password_file")

    def converse() -> Any:
        with ConnectHandler(
            device_type=switch["platform"],
            host=switch["address"],
            port=switch["port"],
            username=switch["user"],
            password=password,
            secret=password,
        ) as connection:
            return words(connection)

    return await asyncio.to_thread(converse)


def bare(platform: str, *, rules: list[dict[str, Any]] | None = None, links: int = 3) -> Switch:
    """A switch with ports to gpu1, gpu2 ... and no transport."""
    pattern = "Ethernet{}" if platform == "arista_eos" else "swp{}"
    spec = SwitchSpec(name="leaf", platform=platform)
    cables = tuple(LinkSpec(a=(f"gpu{n}", "eth0"), b=("leaf", pattern.format(n))) for n in range(1, links + 1))
    book = read_faults({"faults": "t", "rules": rules or []}, "t")
    wrong = lambda node: any(rule.node == node for rule in book.rules)  # noqa: E731  one expression
    cabling = Cabling(Layout(boxes=(), switches=(spec,), links=cables), wrong)
    faults = book.of_node(node="leaf", model=platform, rack="r1")
    return Switch(spec, cabling, faults, secret=SECRET, heard=lambda device: device != "gpu3")


def typed(cli: EosCli | NvueCli, *lines: str) -> str:
    """What the last of these lines prints."""
    return [cli.line(line).text for line in lines][-1]


async def test_arista_session_through_netmiko(opened: Open) -> None:
    journey = await opened("DGXH100", "DGXH100")
    lines = ["vlan 100", "name prov", "interface Ethernet1", "switchport access vlan 100"]

    def words(link: BaseConnection) -> Any:
        assert link.find_prompt() == "leaf1>"
        link.enable()
        said = link.send_config_set([*lines, "show session-config diffs"], config_mode_command="configure session fw")
        before = json.loads(str(link.send_command("show vlan | json")))
        link.send_config_set(["commit"], config_mode_command="configure session fw", exit_config_mode=False)
        return (
            said,
            before,
            json.loads(str(link.send_command("show vlan | json"))),
            link.send_command("show lldp neighbors"),
        )

    said, before, after, lldp = await talk(journey, "leaf1", words)
    assert "+   switchport access vlan 100" in said
    assert "100" not in before["vlans"]
    assert list(after["vlans"]["100"]["interfaces"]) == ["Ethernet1"]
    assert [line.split()[:3] for line in lldp.splitlines()[-2:]] == [["Et1", "gpu1", "eth0"], ["Et2", "gpu2", "eth0"]]
    truth = journey.truth()["switches"]["leaf1"]
    assert (truth["vlans"], truth["commits"]) == ({"Ethernet1": 100, "Ethernet2": 1}, 1)


async def test_cumulus_through_netmiko(opened: Open) -> None:
    journey = await opened("DGXH100")

    def words(link: BaseConnection) -> Any:
        assert link.find_prompt() == "cumulus@leaf2:~$"
        link.send_command("nv set interface swp1 bridge domain br_default access 100")
        diff = yaml.safe_load(str(link.send_command("nv config diff")))
        before = json.loads(str(link.send_command("nv show interface swp1 bridge domain br_default -o json")))
        applied = link.send_command("nv config apply -y")
        root = link.send_config_set(["hostname"])
        return diff, before, applied, root, json.loads(str(link.send_command("nv show interface lldp -o json")))

    diff, before, applied, root, lldp = await talk(journey, "leaf2", words)
    assert diff == [{"set": {"interface": {"swp1": {"bridge": {"domain": {"br_default": {"access": 100}}}}}}}]
    assert (before["access"], applied) == (1, "applied [rev_id: 2]")
    assert "root@leaf2:/home/cumulus# hostname\nleaf2" in root
    assert list(lldp["swp1"]["lldp"]["neighbor"]) == ["gpu1"]
    assert journey.truth()["switches"]["leaf2"]["vlans"] == {"swp1": 100}


@pytest.mark.parametrize("applied", [True, False])
async def test_the_link_drops_in_a_commit(opened: Open, *, applied: bool) -> None:
    rule = {"name": "r", "effect": "link-drops-in-commit", "select": {"node": "leaf1"}, "applied": applied}
    journey = await opened("DGXH100", rules=[rule])

    def words(link: BaseConnection) -> None:
        link.enable()
        lines = ["vlan 7", "interface Ethernet1", "switchport access vlan 7", "commit"]
        link.send_config_set(
            lines,
            read_timeout=1,  # Netmiko does not see a dead channel before that
            config_mode_command="configure session fw",
            exit_config_mode=False,
        )

    with pytest.raises((OSError, ReadTimeout)):
        await talk(journey, "leaf1", words)
    assert journey.truth()["switches"]["leaf1"]["vlans"] == {"Ethernet1": 7 if applied else 1}


def test_a_backup_of_arista_can_be_put_back() -> None:
    switch = bare("arista_eos")
    cli = EosCli(switch)
    backup = typed(cli, "enable", SECRET, "show running-config")
    typed(cli, "configure session a", "vlan 9", "interface Et2", "switchport access vlan 9", "shutdown", "commit")
    assert switch.vlan_of("Ethernet2") == 0
    typed(cli, "configure session b", "rollback clean-config")
    assert [typed(cli, line) for line in backup.splitlines()[:-1] if typed(cli, line)] == []
    typed(cli, "commit")
    assert typed(cli, "show running-config") == backup


def test_a_backup_of_cumulus_can_be_put_back() -> None:
    switch = bare("cumulus_linux")
    cli = NvueCli(switch)
    typed(cli, "nv set interface swp1 description 'rack 1, slot 1'", "nv config apply -y")
    backup = typed(cli, "nv config show -o yaml")
    typed(cli, "nv set interface swp1-2 bridge domain br_default access 5", "nv unset interface swp1 description")
    typed(cli, "nv config apply -y")
    assert {port: switch.vlan_of(port) for port in switch.running.ports} == {"swp1": 5, "swp2": 5, "swp3": 1}
    typed(cli, "cat > /tmp/b.yaml <<'EOF'", *backup.splitlines(), "EOF", "nv config replace /tmp/b.yaml")
    assert typed(cli, "nv config apply -y") == "applied [rev_id: 4]"
    assert switch.vlan_of("swp2") == 1
    assert switch.running.ports["swp1"].description == "rack 1, slot 1"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("frobnicate", "% Invalid input"),
        ("interface Ethernet99", "% Invalid input: Interface Ethernet99 does not exist"),
        ("vlan 4095", "% Invalid input"),
    ],
)
def test_arista_names_what_it_does_not_take(line: str, error: str) -> None:
    assert typed(EosCli(bare("arista_eos")), "enable", SECRET, "configure", line) == error


def test_arista_asks_for_the_secret_and_keeps_an_open_session() -> None:
    switch = bare("arista_eos")
    cli = EosCli(switch)
    assert typed(cli, "configure") == "% Invalid input (privileged mode required)"
    assert typed(cli, "enable", "wrong") == "% Bad secret"
    typed(cli, "enable", SECRET, "configure session fw", "vlan 9", "end")
    later = EosCli(switch)
    assert "fw " in typed(later, "enable", SECRET, "show configuration sessions")
    assert "+vlan 9" in typed(later, "configure session fw", "show session-config diffs")
    typed(later, "abort")
    assert (switch.sessions, switch.running.vlans) == ({}, {})


def test_cumulus_names_what_it_does_not_take() -> None:
    cli = NvueCli(bare("cumulus_linux"))
    assert (
        typed(cli, "nv set interface swp99 bridge domain br_default access 5")
        == "Error: 'swp99' is not a valid interface"
    )
    assert typed(cli, "nv set interface swp1 bridge domain br_default access 5000").startswith(
        "Error: '5000' is not a VLAN"
    )
    assert typed(cli, "frob") == "-bash: frob: command not found"


@pytest.mark.parametrize(("platform", "lines", "error"), [
    ("arista_eos", ["enable", SECRET, "configure session a", "vlan 9", "commit"], "% Commit failed"),
    ("cumulus_linux", ["nv set bridge domain br_default vlan 9", "nv config apply -y"], "Invalid config"),
])  # fmt: skip
def test_a_refused_commit_changes_nothing(platform: str, lines: list[str], error: str) -> None:
    switch = bare(platform, rules=[{"name": "r", "effect": "commit-refused"}])
    cli = EosCli(switch) if platform == "arista_eos" else NvueCli(switch)
    assert typed(cli, *lines).startswith(error)
    assert (switch.running.vlans, switch.refused, switch.commits) == ({}, 1, 0)
    assert switch.commit(switch.running.with_vlan(9)).value == "done"


def test_a_port_in_a_vlan_that_does_not_exist_is_in_none() -> None:
    switch = bare("arista_eos")
    typed(EosCli(switch), "enable", SECRET, "configure", "interface Et1", "switchport access vlan 55", "end")
    assert switch.vlan_of("Ethernet1") == 0


def test_a_wrong_cable_swaps_two_and_silence_is_not_heard() -> None:
    rule = {"name": "r", "effect": "wrong-cable", "select": {"node": "gpu1"}}
    switch = bare("arista_eos", rules=[rule], links=4)
    heard = {each.port: each.system for each in switch.neighbours()}
    assert heard == {"Ethernet1": "gpu2", "Ethernet2": "gpu1", "Ethernet4": "gpu4"}  # gpu3 has no power


def test_a_slow_prompt_is_slow() -> None:
    slow = bare("arista_eos", rules=[{"name": "r", "effect": "prompt-slow", "delay_s": 33}])
    assert (slow.delay_s(Reply()), bare("arista_eos").delay_s(Reply())) == (33, 0.1)


def test_a_here_document_is_taken_down_at_once_and_done_at_the_speed_of_the_switch() -> None:
    slow = bare("cumulus_linux", rules=[{"name": "r", "effect": "prompt-slow", "delay_s": 33}])
    cli = NvueCli(slow)
    assert [slow.delay_s(cli.line(line)) for line in ("cat > f <<'END'", "- set:", "END", "cat f")] == [0, 0, 33, 33]
