"""What the pages show is what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

from inventory.baseline_check import verify_images
from inventory.baseline_load import load_baseline
from inventory.load import SECTIONS, load
from inventory.model import NodeId, PduMib, SwitchPlatform
from inventory.power import DomainKind, Stage
from inventory.select import KEYS
from inventory.surroundings import SURROUNDINGS

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_inventory_on_the_page_loads_with_its_overlay(tmp_path: Path) -> None:
    hall, _, _, overlay = blocks("inventory.md")
    (tmp_path / "hall.yaml").write_text(hall)
    (tmp_path / "overlay.yaml").write_text(overlay)
    loaded = load(tmp_path / "hall.yaml", overlay=tmp_path / "overlay.yaml")
    assert loaded.node(NodeId("gpu001")).bmc.address == "127.0.0.1"
    assert loaded.node(NodeId("gpu008")).bmc.address == "10.20.2.4"


def test_what_the_page_adds_for_bare_metal_loads_below_it(tmp_path: Path) -> None:
    hall, added, *_ = blocks("inventory.md")
    (tmp_path / "keys").mkdir()
    for name in ("keys/fleet_ed25519", "known_hosts", "slurm.conf", "netbox-ca.pem"):
        (tmp_path / name).touch()
    (tmp_path / "hall.yaml").write_text(hall + added)
    loaded = load(tmp_path / "hall.yaml")
    assert [node.host and node.host.address for node in loaded.nodes][-1] == "10.30.2.4"
    assert loaded.ssh.key == tmp_path / "keys/fleet_ed25519"
    assert list(loaded.exports) == ["netbox"]
    assert loaded.switches[0].platform is SwitchPlatform.CUMULUS_LINUX


def test_the_power_tree_on_the_page_loads_below_it(tmp_path: Path) -> None:
    hall, _, power, _ = blocks("inventory.md")
    (tmp_path / "hall.yaml").write_text(hall + power)
    tree = load(tmp_path / "hall.yaml").power
    assert tree is not None
    assert [(domain.id, domain.budget_w) for domain in tree.above("gpu005")] == [
        ("row1", 80_000),
        ("whip-r02", 46_000),
        ("br3", 21_600),
    ]
    page = (DOCS / "inventory.md").read_text().replace("\n", " ")
    assert f"({', '.join(Stage)})" in page
    assert f"one of {', '.join(DomainKind)}." in page


def test_the_page_lists_every_section_and_what_a_key_may_name() -> None:
    table = re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "inventory.md").read_text(), re.MULTILINE)
    assert [name for name, _ in table] == [*SECTIONS, *SURROUNDINGS]
    keys = dict(table)
    assert f"`platform` ({', '.join(SwitchPlatform)})" in keys["switches"]
    assert f"`mib` ({', '.join(PduMib)})" in keys["pdus"]


def test_the_baseline_on_the_page_loads_and_lacks_only_its_images(tmp_path: Path) -> None:
    text, together = blocks("baselines.md")
    (tmp_path / "baseline.yaml").write_text(text + together)
    baseline = load_baseline(tmp_path / "baseline.yaml")
    assert [set(row) for row in baseline.compatibility] == [{"bmc", "hgx"}] * 2
    assert list(baseline.components) == ["bmc", "hgx"]
    assert ["is missing" in str(problem) for problem in verify_images(baseline)] == [True] * 4


def test_the_page_lists_every_selector_key() -> None:
    page = (DOCS / "inventory.md").read_text()
    listed = re.search(r"Keys: (.*?)\.\sIn\s", page, re.DOTALL)
    assert listed is not None
    assert tuple(listed[1].replace("\n", " ").split(", ")) == KEYS
