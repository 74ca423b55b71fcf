"""The bench itself: does it count what it claims to count?"""

import os
import select
import sys
from pathlib import Path
from typing import Any

import pytest
from bench import Figures, Row
from bench_table import machine, render, table
from contestants import Unavailable, install
from halls import seen, wanted_versions
from measured import Cost, measure

_HOLD_MIB = 150
_GRANDCHILD = f"import time; held = bytearray({_HOLD_MIB} << 20); time.sleep(1.2)"
_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_GRANDCHILD!r}], check=True)"


def _node(**active: str) -> dict[str, Any]:
    items: dict[str, Any] = {
        item: {"active": version, "staged": None, "flashes": []} for item, version in active.items()
    }
    sessions = {"open": 0}
    return {"items": items, "bricked": None, "power_cuts_in_flash": 0, "sessions": sessions, "max_in_flight": 1}


GOOD = {"HostBMC_0": "24.09.17", "HostBIOS_0": "01.05.03", "HGX_FW_GPU_SXM_1": "96.00.99.00.01"}


def _truth(nodes: dict[str, Any], *, cpu_s: float, requests: int) -> dict[str, Any]:
    return {"nodes": nodes, "process": {"cpu_s": cpu_s, "requests": requests, "peak_rss_bytes": 3 << 20}}


def test_memory_of_a_grandchild_counts(tmp_path: Path) -> None:
    cost = measure([sys.executable, "-c", _CHILD], log=tmp_path / "log", limit_s=60)
    assert cost.exit_code == 0
    assert cost.peak_rss_mib > _HOLD_MIB
    assert cost.biggest_rss_mib > _HOLD_MIB


def test_a_command_past_its_limit_ends_with_all_its_children(tmp_path: Path) -> None:
    script = "import os, subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); os.wait()"
    cost = measure([sys.executable, "-c", script], log=tmp_path / "log", limit_s=1.0)
    assert cost.exit_code == -9
    sleeper = int((tmp_path / "log").read_text())
    try:
        ended = os.pidfd_open(sleeper)
    except ProcessLookupError:
        return  # it is gone, and its parent has taken notice
    with os.fdopen(ended, "rb", buffering=0):
        assert select.select([ended], [], [], 30)[0]  # killed, which the kernel does when it comes to it


def test_proxies_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    shown = [sys.executable, "-c", "import os; print(os.environ.get('HTTPS_PROXY'), os.environ['GIVEN'])"]
    measure(shown, log=tmp_path / "log", limit_s=60, extra_env={"GIVEN": "yes"})
    assert (tmp_path / "log").read_text().split() == ["None", "yes"]


def test_wanted_versions_name_each_instance_that_an_image_holds_and_nothing_else() -> None:
    node = _node(HGX_FW_GPU_SXM_8="old", HGX_FW_ERoT_GPU_SXM_8="old", HGX_FW_BMC_0="old", HostBMC_0="old", PSU_0="old")
    assert wanted_versions(node) == {
        "HGX_FW_GPU_SXM_8": "96.00.99.00.01",
        "HGX_FW_BMC_0": "HGX-22.10-1-rc80",
        "HostBMC_0": "24.09.17",
    }


def test_only_nodes_with_every_part_at_its_version_and_alive_count() -> None:
    late = _node(**GOOD) | {"bricked": "no POST"}
    nodes = {"a": _node(**GOOD), "b": _node(**GOOD | {"HGX_FW_GPU_SXM_1": "96.00.89.00.01"}), "c": late}
    found = seen(_truth(nodes, cpu_s=1.5, requests=3), _truth(nodes, cpu_s=4.0, requests=303))
    assert (found.at_wanted, found.cpu_s, found.requests_per_node) == (1, 2.5, 100.0)
    assert found.harm["bricked nodes"] == 1


def test_what_cannot_be_installed_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="pip install not/a/package"):
        install(tmp_path / "env", ("not/a/package",))


def test_the_report_has_ratios_and_reasons() -> None:
    nodes = {"a": _node(**GOOD)}
    truth = seen(_truth(nodes, cpu_s=0.0, requests=0), _truth(nodes, cpu_s=1.0, requests=70))
    fast = Cost(command="fleet apply", exit_code=0, wall_s=9.0, cpu_s=0.2, peak_rss_mib=80, biggest_rss_mib=80)
    slow = Cost(command="other", exit_code=2, wall_s=9.0, cpu_s=5.0, peak_rss_mib=80, biggest_rss_mib=80)
    rows = (
        Row(name="fleet apply", nodes=1, cost=fast, truth=truth, transitions=30),
        Row(name="other", nodes=1, cost=slow, truth=truth, versions={"other": "1.2"}),
        Row(name="third", nodes=1, why_not="pip install third: no such thing"),
    )
    told = render(Figures(machine=machine(), speed=600.0, faults="none", rollout=rows[0], comparison=rows))
    compared = [line.split() for line in told.splitlines() if line.startswith("other ")]
    assert compared == [["other", "1", "9.0", "5.0", "5.000", "25.0", "80", "70.0", "1", "2"]]
    assert "third: not measured: pip install third: no such thing" in told
    assert "journal transitions: 30 (30 a node)" in told


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([("", "wall"), ("engine", "1")]) == ["        wall", "engine     1"]
