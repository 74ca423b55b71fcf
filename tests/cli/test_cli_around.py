"""What stands around the nodes by the inventory, what nobody declared, and what a simulated hall is not let near."""

from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
import typer

from fleet.cli import around, compose
from fleet.cli.apply import _WAY_BACK
from fleet.cli.hall import RunningHall
from fleet.cli.journey import write_journey
from fleet.cli.paths import playbook_file
from fleet.cli.whereabouts import lacking, leaf_links, whereabouts
from fleet.clock import SystemClock
from fleet.drivers.slurm import NoScheduler, SlurmScheduler
from fleet.errors import NodeFault, UsageError
from fleet.events import RolloutId
from fleet.step import StepSpec
from inventory.model import Credential, CredentialId, ExportTarget, SchedulerAccess, SecretRef
from playbooks import LIBRARY

NODE, LEAF = "gpu0001", "10.21.1.1"


def declared(folder: Path, *, ssh: str = "") -> compose.Sources:
    """Two nodes of the bring-up, as an operator without a hall would have them."""
    files = write_journey(folder)
    text = files.inventory.read_text()
    files.inventory.write_text(text.replace("  user: root\n", f"  user: root\n{ssh}"))
    return compose.read_sources(
        files.inventory, files.playbook, None, baseline=files.baseline, select="id=gpu0001|gpu0002"
    )


def keyed(folder: Path, *known: str) -> tuple[str, dict[str, str]]:
    """The `ssh` lines of an inventory with a client key and these known hosts; their public keys."""
    folder.mkdir(exist_ok=True)
    keys = {name: asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip() for name in known}
    (folder / "known_hosts").write_text("".join(f"{name} {key}\n" for name, key in keys.items()))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(folder / "key")
    return "  key: key\n  known_hosts: known_hosts\n", keys


def test_what_nobody_declared_is_said_of_each_node_before_anything_is_touched(tmp_path: Path) -> None:
    sources = declared(tmp_path)
    found = lacking(sources, whereabouts(sources), sources.playbook.steps)
    assert sorted(found) == ["gpu0001", "gpu0002"]
    assert "declare `ssh: {key: ...}`" in found[NODE]
    assert "network.config cannot reach leaf1-a, leaf1-b" in found[NODE]


def test_with_keys_of_leaves_and_our_own_nothing_is_lacking(tmp_path: Path) -> None:
    ssh, keys = keyed(tmp_path, LEAF, "10.21.1.2", "10.30.1.1")
    sources = declared(tmp_path, ssh=ssh)
    where = whereabouts(sources)
    assert lacking(sources, where, sources.playbook.steps) == {}
    assert {at.address: at.host_key for at in where.switches if at.host_key} == {
        LEAF: keys[LEAF],
        "10.21.1.2": keys["10.21.1.2"],
    }
    assert where.hosts[NODE].host_key == keys["10.30.1.1"]
    assert where.hosts["gpu0002"].host_key == ""


def test_a_burn_in_without_an_installation_needs_the_key_of_the_os_that_is_there(tmp_path: Path) -> None:
    ssh, _ = keyed(tmp_path, LEAF, "10.21.1.2", "10.30.1.1")
    sources = declared(tmp_path, ssh=ssh)
    found = lacking(sources, whereabouts(sources), [StepSpec("burnin.run", {"profile": "hgx-8gpu-quick"})])
    assert list(found) == ["gpu0002"]
    assert "10.30.1.2 is not in `ssh: {known_hosts: ...}`" in found["gpu0002"]


def test_a_revoked_key_is_no_key(tmp_path: Path) -> None:
    ssh, keys = keyed(tmp_path, LEAF)
    (tmp_path / "known_hosts").write_text(f"{LEAF} {keys[LEAF]}\n@revoked {LEAF} {keys[LEAF]}\n")
    assert [at.host_key for at in whereabouts(declared(tmp_path, ssh=ssh)).switches if at.address == LEAF] == [""]


def test_only_cables_to_leaves_are_the_nodes_ports(tmp_path: Path) -> None:
    sources = declared(tmp_path)
    links = leaf_links(sources.inventory, sources.nodes)
    assert [str(link.b.device) for link in links[NODE]] == ["leaf1-a", "leaf1-b"]
    spines = replace(sources.inventory, switches=())
    assert leaf_links(spines, sources.nodes)[NODE] == ()


def simulated(sources: compose.Sources) -> compose.Sources:
    """The same, over a hall that knows none of its parts."""
    login = Credential(id=CredentialId("hall"), user="u", password=SecretRef.parse("env:NONE"))
    hall = RunningHall(
        directory=Path("/nowhere"),
        speed=600.0,
        started=0.0,
        credential=login,
        bmcs={},
        hosts={},
        client_key=Path("/nowhere/key"),
        switches={},
        pdus={},
    )
    return replace(sources, hall=hall)


def test_a_simulated_hall_reaches_no_real_scheduler_and_no_real_system(tmp_path: Path) -> None:
    real = declared(tmp_path)
    netbox = ExportTarget(url="https://netbox.example", token=SecretRef.parse("env:TOKEN"))
    real = replace(real, inventory=replace(real.inventory, scheduler=SchedulerAccess(), exports={"netbox": netbox}))
    clock, hall = SystemClock(), simulated(real)
    assert isinstance(around._scheduler(real, clock), SlurmScheduler)
    assert isinstance(around._scheduler(hall, clock), NoScheduler)
    assert isinstance(around._scheduler(replace(hall, real_scheduler="yes"), clock), SlurmScheduler)
    export = [StepSpec("inventory.export", {"to": "netbox"})]
    assert lacking(real, whereabouts(real), export) == {}
    assert "not written to a real system" in lacking(hall, whereabouts(hall), export)[NODE]


async def test_a_rollout_keeps_the_port_of_its_image_server_over_its_processes(tmp_path: Path) -> None:
    sources = simulated(declared(tmp_path))
    place = around.workplace(tmp_path / "journal.db", RolloutId("r-1"))
    assert place == tmp_path / "journal.d" / "r-1"
    image, sha256 = tmp_path / "images" / "ubuntu-24.04.iso", str(sources.playbook.baseline.systems["ubuntu"].sha256)
    urls, installation = [], ""
    for _ in range(2):
        async with around.working(
            sources, SystemClock(), place, sources.playbook.steps, compose.make_transfers(sources, SystemClock())
        ) as edges:
            installation = installation or await edges.installs.begin()
            urls.append(await edges.installs.offer(image, sha256, installation))
    assert urls[0] == urls[1]


async def test_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    sources = declared(tmp_path)
    with pytest.raises(UsageError, match=r"images cannot be served at 10\.20\.0\.5 port 8090"):
        async with around.working(
            sources,
            SystemClock(),
            tmp_path / "place",
            sources.playbook.steps,
            compose.make_transfers(sources, SystemClock()),
        ):
            pass


async def test_nothing_listens_where_no_step_installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLEET_PDU_AUTH", "FLEET_PDU_PRIVACY"):
        monkeypatch.setenv(name, "eight characters")
    sources = declared(tmp_path)
    transfers = compose.make_transfers(sources, SystemClock())
    async with around.working(sources, SystemClock(), tmp_path / "place", [StepSpec("verify")], transfers) as edges:
        assert [outlet.name for outlet in edges.outlets(sources.nodes[0])] == ["pdu-r01-A/1", "pdu-r01-B/1"]
        with pytest.raises(NodeFault, match="no image server runs"):
            _ = edges.installs
    assert not (tmp_path / "place").exists()


def test_a_playbook_that_ships_is_known_by_its_name(tmp_path: Path) -> None:
    assert playbook_file("bring-up").samefile(LIBRARY / "bring-up.yaml")
    own = tmp_path / "mine.yaml"
    own.write_text("")
    assert playbook_file(str(own)) == own
    with pytest.raises(typer.BadParameter, match="did you mean 'bring-up'"):
        playbook_file("bringup")
    with pytest.raises(typer.BadParameter, match="no file"):
        playbook_file(str(tmp_path / "bring-up"))


def test_a_way_back_repeats_what_brings_firmware_back_and_gives_back_only_its_own() -> None:
    assert set(_WAY_BACK) == {"node.drain", "firmware.update", "verify", "node.undrain"}
    assert _WAY_BACK["node.undrain"] == {"of": "own"}
