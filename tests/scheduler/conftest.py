"""A fake scontrol per test."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.steps import LeapClock, Rig

from fleet.drivers.slurm import SlurmScheduler


@dataclass(frozen=True, slots=True)
class Fake:
    """A directory with an executable `scontrol` and its state."""

    directory: Path

    def set(self, **now: Any) -> None:
        """Change what it finds."""
        self._file.write_text(json.dumps(self.now() | now))

    def now(self) -> Any:
        """What it left."""
        return json.loads(self._file.read_text())

    def scheduler(self, clock: LeapClock) -> SlurmScheduler:
        """The driver, calling it."""
        return SlurmScheduler(clock=clock, scontrol=str(self.directory / "scontrol"))

    @property
    def _file(self) -> Path:
        return self.directory / "state.json"


@pytest.fixture
def clock() -> LeapClock:
    return LeapClock()


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    source = Path(__file__).with_name("fake_scontrol.py").read_text()
    executable = tmp_path / "scontrol"
    executable.write_text(f"#!{sys.executable} -IS\n{source}")
    executable.chmod(0o755)
    state = {"state": "IDLE", "reason": "", "runs": 0, "mischief": [], "updates": []}
    (tmp_path / "state.json").write_text(json.dumps(state))
    return Fake(tmp_path)


@pytest.fixture
async def rig(tmp_path: Path, clock: LeapClock) -> Rig:
    made = Rig(tmp_path / "journal.db", clock)
    await made.prepare()
    return made
