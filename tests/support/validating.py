"""The hall judged by DMTF's validators: how they are called and read. The whole of it is tests/real/test_validators.py."""

import asyncio
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.sim.hall import Hall
from fleet.sim.order import Order

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT.parent / "shared" / "redfish-schemas"
TABLE = re.compile(r"PASS +\| +WARN +\| +FAIL +\| +NOT TESTED +\|\s+\+[-+]+\s+\|" + r"[^\d]*?(\d+)[^\d|]*\|" * 4)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A summary line."""

    passed: int
    warned: int
    failed: int
    not_tested: int


def schema_files(folder: Path) -> Path:
    """DMTF's schemas, unpacked into `folder`; skips the test where they are missing."""
    archives = sorted(SCHEMAS.glob("*-csdl.tar.xz"))
    if not archives:
        pytest.skip(f"no DMTF schemas in {SCHEMAS}")
    with tarfile.open(archives[-1]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "csdl"


def url_of(hall: Hall, model: str) -> str:
    """Where the box of `model` answers."""
    spec = next(box for box in hall.spec.boxes if box.model == model)
    return f"https://{spec.address}:{spec.port}"


async def run(hall: Hall, *command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Exit code and output of a tool that trusts the hall's CA and has its password."""
    environment = os.environ | {"REQUESTS_CA_BUNDLE": str(hall.spec.directory / "ca.pem")}
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=environment, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, COLOURS.sub("", output.decode())


def login(hall: Hall) -> tuple[str, ...]:
    """User and password as the tools want them."""
    return ("-u", "admin", "-p", (hall.spec.directory / "password").read_text().strip())


def read(pattern: re.Pattern[str], output: str) -> Verdict:
    """The verdict of a tool's output; what it said instead if it gave none."""
    found = pattern.search(output)
    assert found, output[-3000:]
    passed, warned, failed, not_tested = map(int, found.groups())
    return Verdict(passed=passed, warned=warned, failed=failed, not_tested=not_tested)


async def validated(hall: Hall, model: str, *, tools: Path, schemas: Path, logs: Path) -> tuple[Verdict, str]:
    """What rf_service_validator says of a box of `hall`, with a task in its service: the verdict, and all that it printed."""
    leave_task(hall, model)
    _, output = await run(
        hall,
        *(tools / "rf_service_validator", "-r", url_of(hall, model), *login(hall), "--authtype", "Session"),
        *("--schema_directory", schemas, "--nooemcheck", "--logdir", logs, "--skipschema"),
    )
    return read(TABLE, output), output


def leave_task(hall: Hall, model: str) -> None:
    """Leave the task of an update that could not be fetched, so that there is one to validate."""
    bmc = next(bmc for bmc in hall.bmcs.values() if bmc.spec.model == model)
    task = bmc.updates.submit(Order(uri="http://127.0.0.1/none.fwpkg"), hall.clock.now())
    bmc.fetched(task.number, None, "connection refused", hall.clock.now())
