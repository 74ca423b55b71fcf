"""`fleet` as people run it: a process of its own, against a simulated hall that is another."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from fleet.cli import demo, sim
from fleet.cli.hall import read_hall
from fleet.events import Recorded
from fleet.journal.reading import look

FLEET = Path(sys.executable).with_name("fleet")
_HALLS = count(1)
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("FLEET_", "FORCE_COLOR", "COLUMNS"))
}
"""Ours, without what would change what `fleet` does."""
_LIMIT_S = 60

INVENTORY = """inventory: test-hall
credentials:
  bmc: {{user: admin, password: "file:{hall}/password"}}
feeds:
  - {{id: A}}
sites:
  - {{id: lab}}
pods:
  - {{id: p1, site: lab}}
racks:
  - {{id: r1, pod: p1, feeds: [A]}}
nodes:
  - id: gpu[0001-{nodes:04}]
    model: DGXH100
    rack: r1
    per_rack: {nodes}
    bmc:
      address: {network}.{{slot}}
      port: {port}
      credential: bmc
      ca: {hall}/ca.pem
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a process left."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Stderr without its line breaks and table lines: a narrow screen wraps."""
        return " ".join(self.err.replace("│", " ").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Files for `fleet apply`, and the hall that they are for."""

    directory: Path
    hall: Path

    @property
    def inventory(self) -> Path:
        """Its nodes are at the hall's addresses."""
        return self.directory / "inventory.yaml"

    @property
    def baseline(self) -> Path:
        """As `fleet demo` writes it."""
        return self.directory / "baseline.yaml"

    @property
    def playbook(self) -> Path:
        """As `fleet demo` writes it."""
        return self.directory / "playbook.yaml"

    @property
    def journal(self) -> Path:
        """Not there before the first command."""
        return self.directory / "journal.db"

    def apply_line(self, *options: str, journal: Path | None = None, hall: Path | None = None) -> list[str]:
        """`fleet apply` of this playbook over the hall; options come last and win."""
        places = {"-i": self.inventory, "--hall": hall or self.hall, "--journal": journal or self.journal}
        return [
            str(FLEET), "apply", str(self.playbook), *(str(word) for pair in places.items() for word in pair), *options
        ]  # fmt: skip

    def apply(self, *options: str, journal: Path | None = None, hall: Path | None = None) -> Ran:
        """Run it to its end."""
        return run(self.apply_line(*options, journal=journal, hall=hall))

    def fleet(self, command: str, *options: str) -> Ran:
        """Another command about this journal."""
        return run([str(FLEET), command, *options, "--journal", str(self.journal)])

    def truth(self) -> dict[str, dict[str, Any]]:
        """The hall's ground truth, by node."""
        nodes: dict[str, dict[str, Any]] = read_hall(self.hall).truth()["nodes"]
        return nodes

    def hardware(self) -> dict[str, Any]:
        """All that a rollout changes in a machine."""
        return {name: (node["items"], node["submits"], node["resets"]) for name, node in self.truth().items()}

    def recorded(self) -> list[Recorded]:
        """Every event of the newest rollout: fails if the journal is damaged."""
        with look(self.journal) as view:
            return list(view.read(next(iter(view.rollouts())).id))

    def edit(self, path: Path, old: str, new: str) -> int:
        """Replace a text that is there once; the line where it stood."""
        text = path.read_text()
        assert text.count(old) == 1, text
        path.write_text(text.replace(old, new))
        return text[: text.index(old)].count("\n") + 1


def run(line: list[str]) -> Ran:
    """A command without a terminal."""
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False, env=ENVIRONMENT
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


@contextmanager
def started(line: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the test does something else; it is gone afterwards, whatever happens."""
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    """Read a process's NDJSON up to the first event of this kind."""
    for line in process.stdout or ():
        event: dict[str, Any] = json.loads(line)
        if event["kind"] == kind:
            return event
    raise AssertionError(f"no {kind}: {process.stderr.read() if process.stderr else ''}")


def write_site(directory: Path, hall: Path, nodes: int, *, budget: str = "5%") -> Site:
    """The demo's files, with an inventory whose nodes are where the hall is."""
    demo.write_demo(directory, nodes, budget=budget, on_failure="halt_and_quarantine", pace=demo.IN_WAVES)
    site = Site(directory=directory, hall=hall)
    network, port = (hall / "place").read_text().split()
    site.inventory.write_text(INVENTORY.format(hall=hall, nodes=nodes, network=network, port=port))
    return site


@contextmanager
def running_hall(
    directory: Path, nodes: int, *, faults: str = "", speed: float = 3000, model: str = "DGXH100"
) -> Iterator[Path]:
    """A hall at addresses of its own: other tests, and other runs of them, have theirs. `faults`: rules in YAML."""
    directory.mkdir(parents=True)
    process_id = os.getpid()
    network, port = f"127.{64 + (process_id >> 8) % 128}.{process_id & 255}", 8443 + next(_HALLS)
    (directory / "place").write_text(f"{network} {port}")
    boxes = [
        {
            "name": f"gpu{number:04}",
            "model": model,
            "rack": "r1",
            "slot": number,
            "address": f"{network}.{number}",
            "port": port,
        }
        for number in range(1, nodes + 1)
    ]
    (directory / "boxes.json").write_text(json.dumps(boxes))
    rules = directory / "faults.yaml"
    rules.write_text(f"faults: test\nseed: 1\nrules: [{faults}]\n")
    process = sim.start(directory, speed=speed, faults=rules, seed=1)
    try:
        yield directory
    finally:
        sim.stop(directory, process)


Build = Callable[..., Site]
"""Makes a site with a hall of its own, which may be changed."""
