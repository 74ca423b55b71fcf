"""JSON by its schema, CSV that no spreadsheet runs, an Ansible inventory that Ansible takes."""

import csv
import io
import json
import shutil
import stat
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from export_builder import SEEN, hall, sighting, snapshot

from inventory.exporters import ansible, csv_table, json_document
from inventory.exporters.exporter import Destination, ExportError, Kind, find, registered
from inventory.exporters.snapshot import Snapshot
from inventory.model import NodeId

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (dev dependency)")


def validator() -> Any:
    schema = json.loads(json_document.SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_document_keeps_to_its_schema(tmp_path: Path) -> None:
    document = json.loads(json.dumps(json_document.document(snapshot(tmp_path))))
    validator().validate(document)
    by_id = {node["id"]: node for node in document["nodes"]}
    assert by_id["gpu1"]["observed"]["observed_at"] == "2026-09-21T14:13:20Z"
    assert by_id["gpu1"]["observed"]["versions"] == {"HostBMC_0": "25.1", "HGX_FW_GPU_0": "97.00.1"}
    assert by_id["gpu3"]["observed"]["origin"] == "simulated-hall"
    assert by_id["gpu4"]["observed"] is None
    assert by_id["dgx1"]["observed"]["observed_at"] is None
    assert (by_id["dgx1"]["serial"], by_id["dgx1"]["pod"], by_id["dgx1"]["site"]) == ("DECLARED1", "p2", "osl2")


@pytest.mark.parametrize(
    "plant",
    [
        lambda doc: doc["nodes"][0].pop("site"),
        lambda doc: doc["nodes"][0].update(password="x"),
        lambda doc: doc["nodes"][0]["bmc"].update(credential="bmc"),
        lambda doc: doc["nodes"][0]["observed"].update(status="fine"),
        lambda doc: doc["nodes"][0]["observed"].update(observed_at=None),
        lambda doc: doc["nodes"][0]["observed"].update(observed_at="21.09.2026"),
        lambda doc: doc["nodes"][4]["observed"].update(versions={"HostBMC_0": "never read"}),
        lambda doc: doc.update(version=2),
        lambda doc: doc["links"][0]["a"].pop("port"),
    ],
)
def test_the_schema_finds_what_is_wrong(tmp_path: Path, plant: Any) -> None:
    document = json.loads(json.dumps(json_document.document(snapshot(tmp_path))))
    broken = deepcopy(document)
    plant(broken)
    assert not list(validator().iter_errors(document))
    assert list(validator().iter_errors(broken))


def test_every_status_of_a_node_is_in_the_schema() -> None:
    from fleet.state import NodeStatus  # noqa: PLC0415 (the schema itself may not know fleet)

    schema = json.loads(json_document.SCHEMA.read_text())
    assert set(schema["$defs"]["observed"]["properties"]["status"]["enum"]) == set(NodeStatus)


@pytest.mark.parametrize("name", ["json", "csv", "ansible"])
def test_no_document_holds_a_credential(tmp_path: Path, name: str) -> None:
    exporter = find(name)
    assert exporter.kind is Kind.DOCUMENT
    text = exporter.export(snapshot(tmp_path), Destination()).text
    assert "gpu4" in text
    assert not [word for word in ("operator-of-bmcs", "SMALL_HALL_PASSWORD", "env:") if word in text]


def test_csv_is_one_line_a_node_and_runs_nothing(tmp_path: Path) -> None:
    text = csv_table.table(snapshot(tmp_path))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(text.splitlines()) == len(rows) + 1 == 6
    assert [row["node"] for row in rows] == ["gpu1", "gpu2", "gpu3", "gpu4", "dgx1"]
    assert rows[1]["message"] == "'=cmd|' /C calc'!A0 next"
    assert rows[0]["versions"] == "HGX_FW_GPU_0=97.00.1; HostBMC_0=25.1"
    assert (rows[3]["status"], rows[3]["reading"], rows[3]["rollout"]) == ("unseen", "none", "")
    assert (rows[4]["declared_serial"], rows[4]["observed_serial"]) == ("DECLARED1", "")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n@", "\uff1d", "\u200b="])
def test_a_cell_never_begins_like_a_formula(begin: str) -> None:
    shown = csv_table.cell(f"{begin}1+1")
    assert shown.startswith("'")
    assert shown.isprintable()


def test_a_plain_cell_stays_as_it_is() -> None:
    assert csv_table.cell("25.1-rc=2 @home") == "25.1-rc=2 @home"


def test_ansible_groups_nodes_and_keeps_apart_what_its_names_cannot(tmp_path: Path) -> None:
    listing = ansible.listing(snapshot(tmp_path))
    assert listing["model_GB300_NVL"]["hosts"] == ["gpu1", "gpu2", "gpu3", "gpu4"]
    assert listing["pod_p2"]["hosts"] == ["dgx1"]
    assert listing["status_quarantined"]["hosts"] == ["gpu2"]
    assert listing["status_unseen"]["hosts"] == ["gpu4"]
    assert listing["profile_gb300_nvl"]["hosts"] == ["gpu1", "gpu2", "gpu3", "dgx1"]
    racks = {name: group["hosts"] for name, group in listing.items() if name.startswith("rack_r_1")}
    assert sorted(racks.values()) == [["gpu1", "gpu2"], ["gpu3", "gpu4"]]
    assert set(listing["all"]["children"]) == {"ungrouped", *listing} - {"_meta", "all"}


def test_ansible_gets_nothing_that_it_would_run(tmp_path: Path) -> None:
    inventory = hall(tmp_path)
    evil = "{{ lookup('pipe', 'touch /tmp/owned') }}"
    seen = {NodeId("gpu1"): sighting("gpu1", reason=evil, versions={"{% set a %}": evil})}
    text = ansible.text(ansible.listing(Snapshot.of(inventory, inventory.nodes, seen)))
    found = json.loads(text)["_meta"]["hostvars"]["gpu1"]
    assert found["fleet_reason"] == {"__ansible_unsafe": evil}
    assert found["fleet_versions"] == {"_% set a %_": {"__ansible_unsafe": evil}}


def test_one_host_is_as_in_the_listing(tmp_path: Path) -> None:
    held = snapshot(tmp_path)
    assert ansible.host(held, "gpu2") == ansible.listing(held)["_meta"]["hostvars"]["gpu2"]
    with pytest.raises(ExportError, match="did you mean 'gpu2'"):
        ansible.host(held, "gpu22")


def test_ansible_inventory_takes_it(tmp_path: Path) -> None:
    """The real `ansible-inventory`, and a real template of a hostile variable: it must stay text."""
    beside = Path(sys.executable).parent / "ansible-inventory"
    program = str(beside) if beside.exists() else shutil.which("ansible-inventory")
    if program is None:
        pytest.skip("ansible-core is not installed here (pip install ansible-core)")
    script = tmp_path / "inventory.sh"
    (tmp_path / "listing.json").write_text(ansible.text(ansible.listing(snapshot(tmp_path))))
    script.write_text(f'#!/bin/sh\n[ "$1" = --list ] && cat {tmp_path}/listing.json\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    # HOME: Ansible writes into it.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, "-i", str(script), "--list"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    taken = json.loads(done.stdout)
    assert taken["status_quarantined"]["hosts"] == ["gpu2"]
    debug = Path(program).with_name("ansible")
    told = subprocess.run(
        [debug, "-i", script, "gpu1", "-c", "local", "-m", "debug", "-a", "msg={{ fleet_labels.note }}"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert "lookup('pipe', 'id')" in told.stdout, told.stdout + told.stderr
    assert "uid=" not in told.stdout


def test_a_selection_brings_its_own_cables_and_switches(tmp_path: Path) -> None:
    chosen = snapshot(tmp_path, only="gpu2")
    document = json_document.document(chosen)
    assert [node["id"] for node in document["nodes"]] == ["gpu2"]
    assert document["links"] == [{"a": {"device": "gpu2", "port": "eth0"}, "b": {"device": "leaf1", "port": "swp2"}}]
    assert [switch["id"] for switch in document["switches"]] == ["leaf1"]
    assert json_document.document(snapshot(tmp_path, only="dgx1"))["switches"] == []


def test_exporters_are_found_by_name() -> None:
    assert {"json", "csv", "ansible", "netbox"} <= set(registered())
    with pytest.raises(ExportError, match="did you mean 'netbox'"):
        find("netbx")


def test_what_was_seen_is_handed_on_as_it_was(tmp_path: Path) -> None:
    held = snapshot(tmp_path)
    assert {entry.node.id: entry.seen for entry in held.entries if entry.seen} == SEEN
