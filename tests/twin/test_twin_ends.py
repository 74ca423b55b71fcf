"""A hall in memory and a hall over TLS, with the same boxes and the same faults: every node meets the same end."""

from pathlib import Path

from support.command import running_hall, write_site
from twin_rig import scene_of

from fleet.cli import compose, demo
from fleet.exits import Exit
from fleet.state import replay
from fleet.twin.life import live

NODES = 6
FAULTS = (
    "{name: refuses, select: {node: gpu0002}, effect: update-fails, times: always},"
    "{name: gone, select: {node: gpu0003}, effect: bmc-dead, times: 1},"
    "{name: ignored, select: {node: gpu0004}, effect: power-ignored, times: 1},"
    "{name: busy, select: {node: gpu0005}, effect: submit-busy, times: 2}"
)
SEED = 1
"""Of `running_hall`."""


def test_the_ends_are_those_of_a_hall_over_tls(tmp_path: Path) -> None:
    with running_hall(tmp_path / "hall", NODES, faults=FAULTS, speed=2400) as hall:
        site = write_site(tmp_path, hall, NODES, budget="100%")
        site.edit(site.playbook, "waves: [1, 5%, 25%, 100%]", "waves: [100%]")
        site.edit(site.playbook, "max_in_flight: 25%", "max_in_flight: 100%")
        assert site.apply("--yes").code == Exit.NODES_FAILED
        over_tls = replay(site.recorded()[0].rollout, site.recorded())
        truth = site.truth()

    life = live(scene_of(compose.read_sources(site.inventory, site.playbook, None), FAULTS), SEED)
    assert life.exit == Exit.NODES_FAILED

    ends = {name: (node.status, node.reason) for name, node in over_tls.nodes.items()}
    assert {name: (node.status, node.reason) for name, node in life.state.nodes.items()} == ends
    assert {reason for _, reason in ends.values()} == {"", "update-failed", "bmc-gone"}
    for name, node in over_tls.nodes.items():
        assert life.state.nodes[name].steps == node.steps, name
        assert list(life.state.nodes[name].effects) == list(node.effects), name

    for name, seen in life.truth["nodes"].items():
        there = truth[name]
        for what in ("submits", "power_cuts_in_flash", "bricked", "max_in_flight", "model"):
            assert seen[what] == there[what], (name, what)
        assert {item: (part["active"], part["staged"]) for item, part in seen["items"].items()} == {
            item: (part["active"], part["staged"]) for item, part in there["items"].items()
        }, name
    assert demo.judge(life.truth) == demo.judge({"nodes": truth})
