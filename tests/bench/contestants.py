"""The ways to update a hall that are compared, each as the command that a user would type."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from halls import COMPONENTS, BenchHall, wanted_versions

_HERE = Path(__file__).parent
FORKS = 50
_POLL_FIELD_S = 60.0
"""How often the others look at a task, field time; they sleep in wall time, so the hall's speed divides it."""
_GPU_TRAY = ["/redfish/v1/UpdateService/FirmwareInventory/HGX_0"]  # field guide 1.2
ANSIBLE = ("ansible", "ansible-core")
POOL = ("redfish", "redfish-utilities")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One command that updates the hall."""

    command: tuple[str | Path, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A way to do it."""

    name: str
    packages: tuple[str, ...]
    """What it needs from PyPI in the bench's own environment; empty for ours."""
    prepare: Callable[[BenchHall, Path], Run]
    """Writes what it needs beside the hall's files; the path is that of its interpreter."""


def fleetwave(hall: BenchHall, _: Path) -> Run:
    """`fleet apply`."""
    fleet = Path(sys.executable).with_name("fleet")
    places = ("-i", hall.home / "inventory.yaml", "--hall", hall.directory, "-j", hall.home / "journal.db")
    return Run(command=(fleet, "apply", hall.playbook, *places, "--yes"), env={"NO_COLOR": "1"})


def whole_journey(hall: BenchHall, _: Path) -> Run:
    """`fleet apply` of the bring-up that ships."""
    fleet = Path(sys.executable).with_name("fleet")
    places = ("-i", hall.home / "inventory.yaml", "--hall", hall.directory, "-j", hall.home / "journal.db")
    wanted = ("--baseline", hall.home / "baseline.yaml", "--select", f"id=gpu[0001-{hall.nodes:04}]")
    return Run(command=(fleet, "apply", hall.playbook, *places, *wanted, "--yes"), env={"NO_COLOR": "1"})


def ansible(hall: BenchHall, python: Path) -> Run:
    """`ansible-playbook` with community.general, 50 forks."""
    variables = _write_vars(hall)
    hosts = {name: {"bmc_address": address} for name, address in hall.addresses().items()}
    inventory = hall.home / "hosts.json"
    inventory.write_text(json.dumps({"hall": {"hosts": hosts}}))
    command = (
        python.with_name("ansible-playbook"),
        *("--forks", str(FORKS), "-i", inventory, "-e", f"@{variables}"),
        _HERE / "ansible" / "update.yaml",
    )
    env = {
        "ANSIBLE_HOME": str(hall.home / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": str(python),
        "ANSIBLE_PIPELINING": "true",  # the faster way
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    return Run(command=command, env=env)


def thread_pool(hall: BenchHall, python: Path) -> Run:
    """A script with 50 threads over `redfish` and `redfish_utilities`."""
    return Run(command=(python, _HERE / "pool" / "thread_pool.py", _write_vars(hall)))


def _write_vars(hall: BenchHall) -> Path:
    truth = hall.truth()
    settings = {
        "bmc_user": "admin",
        "password_file": str(hall.directory / "password"),
        "ca_file": str(hall.directory / "ca.pem"),
        "poll_s": _POLL_FIELD_S / hall.speed,
        "wanted": wanted_versions(next(iter(truth["nodes"].values()))),
        "components": {
            key: {"image": str(hall.image(key)), "targets": _GPU_TRAY if key == "hgx" else []} for key in COMPONENTS
        },
        "addresses": list(hall.addresses().values()),
    }
    path = hall.home / "vars.json"
    path.write_text(json.dumps(settings))
    return path


OURS = Contestant(name="fleet apply", packages=(), prepare=fleetwave)
JOURNEY = Contestant(name="fleet apply, the whole journey", packages=(), prepare=whole_journey)
OTHERS = (
    Contestant(name=f"ansible-playbook, forks {FORKS}", packages=ANSIBLE, prepare=ansible),
    Contestant(name=f"redfish-utilities, {FORKS} threads", packages=POOL, prepare=thread_pool),
)


class Unavailable(Exception):
    """A contestant's packages could not be installed."""


def install(environment: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Make sure that the packages are in `environment`; package -> version. Raises Unavailable with pip's last line."""
    python = environment / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True)
        found = _versions(python, packages)
        if len(found) < len(packages):
            pip: list[str | Path] = [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *packages,
            ]
            subprocess.run(pip, check=True, capture_output=True, text=True)
            found = _versions(python, packages)
    except subprocess.CalledProcessError as error:
        said = str(error.stderr or error).strip().splitlines()
        raise Unavailable(f"pip install {' '.join(packages)}: {said[-1] if said else error}") from error
    except OSError as error:
        raise Unavailable(f"{environment}: {error}") from error
    return found


_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def _versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    asked = subprocess.run([python, "-c", _ASK, *packages], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(asked.stdout)
    return found
