"""The hall judged from outside: DMTF's validators and checkers, DMTF's command line and OpenStack's sushy.

Installs them from PyPI into .fleet/real-venv, apart from the project's own packages. `-s` prints the summary of
docs/hall.md.
"""

import asyncio
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.validating import ROOT, TABLE, Verdict, login, read, run, schema_files, url_of, validated

from fleet.sim.bmc import BoxSpec
from fleet.sim.boxmodel import box_names
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.package import build_box_package

pytestmark = pytest.mark.timeout(1200)
TOOLS = ROOT / ".fleet" / "real-venv"
PACKAGES = (
    "redfish-service-validator",
    "redfish-protocol-validator",
    "redfish-use-case-checkers",
    "redfish-utilities",
    "sushy",
)
AT_ONCE = 4
PASSWORD = "as-seen-from-outside"  # a random one may begin with a dash, which the tools take for an option
SPEED = 10.0
"""The checkers sleep 10 real seconds between two requests; the shortest session timeout is 300 simulated ones."""
UPDATE_SPEED = 40.0
"""Retry-After of a task is 30 real seconds for them: a session of 1,800 simulated ones must outlive that."""
PROTOCOL = re.compile(r"Summary - PASS: (\d+), WARN: (\d+), FAIL: (\d+), NOT_TESTED: (\d+)")

SETTINGS_ONLY = {"DGXH100", "DGXA100", "GB300 NVL", "GB200 NVL", "BlueField-3 DPU", "ThinkSystem SR670 V2"}
"""Boxes that take a boot override in their settings object alone, as the real ones do (field guide 3.3). DMTF's own tool
knows that as a vendor's mistake (redfish_utilities.set_system_boot: "incorrectly required"), and so do we."""
SETTINGS_FAILURES = 3
"""The settings of a continuous, a one-time and no override."""


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder with the tools' commands."""
    stamp = TOOLS / "installed"
    wanted = "\n".join(PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True)
        pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"PyPI does not give the validators: {done.stderr.strip().splitlines()[-1]}")
        stamp.write_text(wanted)
    return TOOLS / "bin"


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DMTF's schema files."""
    return schema_files(tmp_path_factory.mktemp("schemas"))


@pytest.fixture
async def hall(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Hall]:
    """One box of every model."""
    first, speed = 40 + os.getpid() % 200, getattr(request, "param", SPEED)
    boxes = tuple(
        BoxSpec(name=f"box{number:02d}", model=model, address=f"127.{first}.251.{number}")
        for number, model in enumerate(box_names(), 1)
    )
    async with Hall(HallSpec(boxes=boxes, directory=tmp_path / "h", speed=speed, password=PASSWORD)) as running:
        yield running


def tell(tool: str, model: str, verdict: Verdict) -> None:
    """A row of docs/hall.md."""
    print(f"| {tool} | {model} | {verdict.passed} | {verdict.warned} | {verdict.failed} | {verdict.not_tested} |")  # noqa: T201  the summary of docs/hall.md


async def test_service_validator(hall: Hall, tools: Path, schemas: Path, tmp_path: Path) -> None:
    async def judge(model: str) -> tuple[str, Verdict, str]:
        verdict, output = await validated(hall, model, tools=tools, schemas=schemas, logs=tmp_path / model)
        return model, verdict, output

    failures = {}
    for model, verdict, output in await at_once(judge):
        tell("service validator", model, verdict)
        assert verdict.passed > 500, output
        if verdict.failed:
            failures[model] = output
    assert not failures, "\n".join(failures.values())


async def at_once(judge: Callable[[str], Awaitable[tuple[str, Verdict, str]]]) -> list[tuple[str, Verdict, str]]:
    """Every model judged, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(model: str) -> tuple[str, Verdict, str]:
        async with room:
            return await judge(model)

    return await asyncio.gather(*map(one, box_names()))


async def test_protocol_validator(hall: Hall, tools: Path, tmp_path: Path) -> None:
    async def judge(model: str) -> tuple[str, Verdict, str]:
        _, output = await run(
            hall,
            *(tools / "rf_protocol_validator", "-r", url_of(hall, model), *login(hall), "--avoid-http-redirect"),
            *("--ca-bundle", hall.spec.directory / "ca.pem", "--report-type", "tsv", "--report-dir", tmp_path / model),
        )
        report = next((tmp_path / model).glob("*.tsv")).read_text()
        wrong = "\n".join(line for line in report.splitlines() if "\tFAIL\t" in line)
        return model, read(PROTOCOL, output), wrong

    failures = {}
    for model, verdict, wrong in await at_once(judge):
        tell("protocol validator", model, verdict)
        if verdict.failed:
            failures[model] = wrong
    assert not failures, failures


async def test_use_case_checkers(hall: Hall, tools: Path, tmp_path: Path) -> None:
    async def judge(model: str) -> tuple[str, Verdict, str]:
        command = (tools / "rf_use_case_checkers", "-r", url_of(hall, model), *login(hall))
        _, output = await run(hall, *command, "--report-dir", tmp_path / model)
        return model, read(TABLE, output), output

    failures = {}
    for model, verdict, output in await asyncio.gather(*map(judge, box_names())):  # they sleep most of the time
        tell("use case checkers", model, verdict)
        if verdict.failed != (SETTINGS_FAILURES if model in SETTINGS_ONLY else 0):
            failures[model] = output
    assert not failures, "\n".join(failures.values())


@pytest.mark.parametrize("hall", [UPDATE_SPEED], indirect=True)
async def test_update_and_power_cycle_by_dmtf_commands(hall: Hall, tools: Path, tmp_path: Path) -> None:
    image = tmp_path / "bios.fwpkg"
    build_box_package(image, model="DGXH100", bundle="motherboard", versions={"HostBIOS": "01.05.03"}, version="25.1")
    base = ("-r", url_of(hall, "DGXH100"), *login(hall))
    code, output = await run(hall, tools / "python", tools / "rf_update.py", *base, "-i", image, cwd=tmp_path)
    assert code == 0, output
    assert "Task is Done!" in output
    for kind in ("ForceOff", "On"):
        command = (tools / "python", tools / "rf_power_reset.py", *base, "-s", "DGX", "-t", kind)
        code, output = await run(hall, *command)
        assert code == 0, output
    await installed(hall, "01.05.03")
    print("| rf_update, rf_power_reset | DGXH100 | HostBIOS_0 01.01.03 -> 01.05.03 | | 0 | |")  # noqa: T201  the same


@pytest.mark.parametrize("hall", [UPDATE_SPEED], indirect=True)
async def test_update_and_power_cycle_by_sushy(hall: Hall, tools: Path, tmp_path: Path) -> None:
    image = tmp_path / "bios.fwpkg"
    build_box_package(image, model="DGXH100", bundle="motherboard", versions={"HostBIOS": "01.05.03"}, version="25.1")
    with served(tmp_path) as address:
        code, output = await run(
            hall,
            *(tools / "python", Path(__file__).parent / "validators" / "drive_sushy.py", url_of(hall, "DGXH100")),
            *(hall.spec.directory / "password", hall.spec.directory / "ca.pem", f"{address}/{image.name}"),
        )
    assert code == 0, output
    await installed(hall, "01.05.03")
    print(f"| sushy | DGXH100 | {output.strip().splitlines()[-1]} | | 0 | |")  # noqa: T201  the same


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server on the loopback interface; its URL."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


async def installed(hall: Hall, version: str) -> None:
    """Wait until the ground truth says that this BIOS runs."""
    bmc = next(bmc for bmc in hall.bmcs.values() if bmc.spec.model == "DGXH100")
    async with asyncio.timeout(20):
        while bmc.firmware.parts["HostBIOS_0"].active != version:
            await asyncio.sleep(0.2)
            bmc.agenda.advance(hall.clock.now())
    assert bmc.ledger.bricked is None
