"""A node comes back from repair with another GPU and the firmware that lay on the shelf: the next plan says so (field guide F58)."""

import json
from pathlib import Path

from support.command import Site, running_hall, write_site

from fleet.cli.hall import ask

SHELF = "96.00.5E.00.01"


def repair(site: Site, part: str, version: str) -> None:
    ask(site.hall / "truth.sock", "POST", f"/repair?node=gpu0001&part={part}&version={version}")


def test_the_next_plan_names_the_part_and_what_becomes_of_it(tmp_path: Path) -> None:
    with running_hall(tmp_path / "hall", 1) as hall:
        site = write_site(tmp_path, hall, 1, budget="100%")
        first = site.apply("--yes")
        assert first.code == 0, first.err
        assert "To know" not in first.err
        rollout = site.recorded()[0].rollout
        repair(site, "GPU_SXM_4", SHELF)
        again = site.apply("--json")
        assert again.code == 0, again.err
        (noted,) = (event for event in map(json.loads, again.out.splitlines()) if event["kind"] == "node.noted")
        assert (noted["node"], noted["topic"]) == ("gpu0001", "part-changed")
        assert noted["message"].startswith(f"GPU_SXM_4 serial changed since rollout {rollout} (")
        assert noted["message"].endswith(f"runs {SHELF}: will be flashed (HGX_FW_GPU_SXM_4)")
        assert "part-changed: 1 node gpu0001: GPU_SXM_4 serial changed" in again.words
        # a dry run is no rollout: the next plan compares with the one that was carried out
        assert "GPU_SXM_4 serial changed" in site.apply().words
