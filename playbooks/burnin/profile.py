"""Burn-in profiles: YAML that says what a node must have, which tests it must pass, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inventory.document import read_document
from inventory.reader import MappingReader
from inventory.text import InputError, nearest
from playbooks.burnin import dcgm, kernel_log, nvbandwidth, smi

LIBRARY = Path(__file__).parents[1] / "library" / "burnin"
_GPUS_LIMIT = 64
ORDER = (smi.TEST, dcgm.TEST, nvbandwidth.TEST, kernel_log.TEST)
"""Cheap ones first; the log last, so that it holds what the others provoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurninProfile:
    """What is asked of one kind of node."""

    name: str
    gpus: int
    """GPUs 0 to `gpus` - 1 are expected."""
    timeout_s: Mapping[str, int]
    """Test -> seconds after which it counts as hung; the tests that are required, and no others."""
    minimum_gbps: Mapping[str, float]
    """nvbandwidth test -> GB/s."""
    spread_percent: float
    """How far a GPU may be below the median of its node."""
    worse_percent: float
    """How far a GPU may be below what it was before the rollout."""

    @property
    def tests(self) -> tuple[str, ...]:
        """In the order in which they are run."""
        return tuple(test for test in ORDER if test in self.timeout_s)


def profile_named(name: str) -> BurninProfile:
    """A shipped profile by its name, or any by its absolute path. Raises InputError."""
    path = Path(name) if name.startswith("/") else LIBRARY / f"{name}.yaml"
    known = sorted(found.stem for found in LIBRARY.glob("*.yaml"))
    if not name.startswith("/") and name not in known:
        raise InputError(str(path), 1, f"no burn-in profile is called {name!r}", hint=nearest(name, known))
    return load_profile(path)


def load_profile(path: Path) -> BurninProfile:
    """Read one file. Raises InputError with file and line."""
    reader = MappingReader(read_document(path), what="burn-in profile")
    tests = reader.mapping("tests")
    timeouts: dict[str, int] = {}
    minimum: dict[str, float] = {}
    spread_percent = 0.0
    for test in ORDER:
        if test not in tests:
            continue
        one = tests.mapping(test, what=test)
        timeouts[test] = one.duration_s("timeout", minimum=1)
        if test == nvbandwidth.TEST:
            floors = one.mapping("minimum_gbps")
            minimum = {key: value.number(minimum=0.0) for key, value in floors.items()}
            spread_percent = one.number("spread_percent", minimum=0.0, maximum=100.0)
            if not minimum:
                raise one.error("nvbandwidth needs at least one test with its minimum", key="minimum_gbps")
        one.finish()
    tests.finish()
    if not timeouts:
        raise reader.error("a burn-in profile needs at least one test", key="tests", hint=", ".join(ORDER))
    profile = BurninProfile(
        name=reader.text("burnin"),
        gpus=reader.integer("gpus", minimum=1, maximum=_GPUS_LIMIT),
        timeout_s=timeouts,
        minimum_gbps=minimum,
        spread_percent=spread_percent,
        worse_percent=reader.number("worse_percent", minimum=0.0, maximum=100.0, default=3.0),
    )
    reader.finish()
    return profile
