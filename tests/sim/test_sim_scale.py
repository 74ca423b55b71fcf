"""A hall of 1,024 BMCs in one process, and the hall as a process of its own."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest

NODES = 1024


@pytest.fixture
def boxes_file(tmp_path: Path) -> Path:
    """64 racks of 16 DGX H100 at addresses of this process's own."""
    first = 40 + os.getpid() % 200
    raw = [
        {
            "name": f"gpu{n:04d}",
            "model": "DGXH100",
            "rack": f"r{n // 16}",
            "slot": n % 16 + 1,
            "address": f"127.{first}.{100 + n // 16}.{n % 16 + 1}",
            "versions": {"HGX_FW_GPU_SXM": "96.00.61.00.01"},
        }
        for n in range(NODES)
    ]
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(raw))
    return path


@pytest.fixture
def whole_hall_file(boxes_file: Path, tmp_path: Path) -> Path:
    """The same with a leaf and two PDUs per rack, and a cable per node."""
    boxes = [box | {"feeds": ["A", "B"]} for box in json.loads(boxes_file.read_text())]
    first, racks = 40 + os.getpid() % 200, NODES // 16
    document = {
        "boxes": boxes,
        "switches": [
            {"name": f"leaf{n}", "platform": ("arista_eos", "cumulus_linux")[n % 2], "rack": f"r{n}"}
            | {"address": f"127.{first}.{100 + n}.201"}
            for n in range(racks)
        ],
        "pdus": [
            {"name": f"pdu{n}-{feed}", "feed": feed, "rack": f"r{n}", "address": f"127.{first}.{100 + n}.{last}"}
            for n in range(racks)
            for feed, last in (("A", 221), ("B", 222))
        ],
        "links": [
            {"a": f"{box['name']}:eth0", "b": f"leaf{n // 16}:{('Ethernet', 'swp')[n // 16 % 2]}{box['slot']}"}
            for n, box in enumerate(boxes)
        ],
    }
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(document))
    return path


async def test_1024_nodes_with_everything_stay_under_two_gib(whole_hall_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "h"
    command = [sys.executable, "-m", "fleet.sim", "--boxes", str(whole_hall_file), "--directory", str(directory)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  started once, before the loop has work
    assert process.stderr is not None
    assert (await asyncio.to_thread(process.stderr.readline)).startswith(f"hall ready: {NODES} BMCs")
    hall = read_hall(directory)
    gate = asyncio.Semaphore(50)

    async def log_in(host: dict[str, Any]) -> asyncssh.SSHClientConnection:
        known = asyncssh.import_known_hosts(f"[{host['address']}]:{host['port']} {host['host_key']}\n")
        key = hall["host_client_key"]
        async with gate:
            link = await asyncssh.connect(
                host["address"], host["port"], username="root", client_keys=[key], known_hosts=known, config=None
            )
            assert (await link.run("nvidia-smi -L")).exit_status == 0
        return link

    links = await asyncio.gather(*(log_in(host) for host in list(hall["hosts"].values())[:256]))
    unix = aiohttp.UnixConnector(str(directory / "truth.sock"))
    async with aiohttp.ClientSession(connector=unix) as own, own.get("http://hall/truth") as answer:
        truth = await answer.json()
    for link in links:
        link.abort()
    assert (len(truth["switches"]), len(truth["pdus"])) == (64, 128)
    assert truth["process"]["peak_rss_bytes"] < 2 * 2**30
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def read_hall(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "hall.json").read_text())
    return document | {"password": Path(document["password_file"]).read_text()}


async def test_1024_bmcs_with_a_session_each_stay_under_one_gib(boxes_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "h"
    command = [sys.executable, "-m", "fleet.sim", "--boxes", str(boxes_file), "--directory", str(directory)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220  started once, before the loop has work
    assert process.stderr is not None
    ready = await asyncio.to_thread(process.stderr.readline)
    assert ready == f"hall ready: {NODES} BMCs, {directory / 'hall.json'}\n"
    hall = read_hall(directory)
    trust = ssl.create_default_context(cafile=hall["ca"])
    login = {"UserName": hall["user"], "Password": hall["password"]}
    connector = aiohttp.TCPConnector(ssl=trust, limit=0, force_close=False)
    async with aiohttp.ClientSession(connector=connector) as http:
        gate = asyncio.Semaphore(50)

        async def open_session(bmc: dict[str, Any]) -> str:
            base = f"https://{bmc['address']}:{bmc['port']}"
            async with gate:
                async with http.post(f"{base}/redfish/v1/SessionService/Sessions", json=login) as answer:
                    token = answer.headers["X-Auth-Token"]
                inventory = f"{base}/redfish/v1/UpdateService/FirmwareInventory?$expand=.($levels=1)"
                async with http.get(inventory, headers={"X-Auth-Token": token}) as answer:
                    members = (await answer.json())["Members"]
            return next(str(each["Version"]) for each in members if each["Id"] == "HGX_FW_GPU_SXM_1")

        versions = await asyncio.gather(*(open_session(bmc) for bmc in hall["bmcs"].values()))
        assert set(versions) == {"96.00.61.00.01"}
        unix = aiohttp.UnixConnector(str(directory / "truth.sock"))
        async with aiohttp.ClientSession(connector=unix) as own, own.get("http://hall/truth") as answer:
            truth = await answer.json()
    assert truth["process"]["peak_rss_bytes"] < 2**30
    assert sum(node["sessions"]["open"] for node in truth["nodes"].values()) == NODES
    assert truth["process"]["requests"] == 2 * NODES
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert not (directory / "hall.json").exists()


def test_a_wrong_box_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('[{"name": "a", "model": "TI-99"}]')
    command = [sys.executable, "-m", "fleet.sim", "--boxes", str(path), "--directory", str(tmp_path / "h")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fleet.sim: a: no box is called 'TI-99'; there are ESC8000A-E12,")
    assert done.stderr.count("\n") == 1
