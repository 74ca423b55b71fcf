"""The shape of the code: who imports whom, how large things are, what never stands in it, what the wheel holds."""

import ast
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fleet", "inventory", "playbooks", "tui")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if "__pycache__" not in path.parts)
LINES, FUNCTION_LINES, MEDIAN_LINES = 400, 50, 180


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_module_can_be_imported_first() -> None:
    names = [dotted(path) for path in MODULES if path.name != "__main__.py"]
    code = f"""
import os, sys
import aiohttp, cryptography.x509, keyring, redfish.aio, rich.live, textual.app, typer, yaml  # theirs, once
import asyncssh, netmiko, pysnmp.hlapi.v3arch.asyncio, scipy.special
for name in {names!r}:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException as error:
            print(name, repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert not done.stdout


def test_the_hall_pulls_in_nothing_of_the_driver_side() -> None:
    done = python(
        "import pkgutil, sys, fleet.sim\n"
        "for found in pkgutil.walk_packages(fleet.sim.__path__, 'fleet.sim.'):\n"
        "    found.name.endswith('__main__') or __import__(found.name)\n"
        "print(*(name for name in sys.modules if name.startswith(('fleet.', 'playbooks', 'tui', 'redfish'))), sep='\\n')"
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "fleet.sim.bmc" in loaded
    banned = ("fleet.drivers", "fleet.ports", "fleet.vendors", "fleet.engine", "fleet.runner", "fleet.step", "fleet.plan",
              "fleet.journal", "fleet.events", "fleet.state", "playbooks", "tui", "redfish")  # fmt: skip
    assert not {name for name in loaded if name.startswith(banned)}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LINES
    for item in ast.walk(ast.parse(text)):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (item.end_lineno or 0) - item.lineno < FUNCTION_LINES, f"{path}:{item.lineno} {item.name}"


def test_the_median_module_is_short() -> None:
    lengths = sorted(path.read_text().count("\n") for path in MODULES if path.name != "__init__.py")
    assert lengths[len(lengths) // 2] < MEDIAN_LINES


FORBIDDEN = re.compile(
    r"verify\s*=\s*False|ssl\s*=\s*False|CERT_NONE|known_hosts\s*=\s*None|check_hostname\s*=\s*False"
)


def offences(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_there_is_no_way_to_turn_verification_off() -> None:
    assert not offences(FORBIDDEN, [path for path in MODULES if path.is_relative_to(ROOT / "fleet")])


def test_time_is_read_and_waited_for_in_one_place() -> None:
    own = [path for path in MODULES if path != ROOT / "fleet/clock.py" and not path.is_relative_to(ROOT / "fleet/sim")]
    direct = re.compile(
        r"\btime\.(time|sleep|monotonic|perf_counter)\(|asyncio\.sleep\((?!0\))|datetime\.(now|utcnow)\(|date\.today\("
    )
    imported = re.compile(r"from time import|from asyncio import .*\bsleep\b")
    assert not offences(direct, own)
    assert not offences(imported, own)


def test_the_wheel_holds_the_four_packages_and_their_data(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here: the wheel is built where it is")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    data = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.suffix in {".yaml", ".tcss", ".json"} or path.name == "py.typed"
    }
    assert data <= names
    assert {f"{name}/py.typed" for name in PACKAGES} <= names
