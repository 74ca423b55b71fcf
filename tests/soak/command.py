"""`kill -9` at random moments of a rollout, resumed each time: the end must be that of a rollout that nobody disturbed.

    python tests/soak/soak.py --kills 50 --nodes 256 --faults five-percent --seed 1
    python tests/soak/soak.py --journey --kills 50
    python tests/soak/soak.py --journey --kills 0              # once, undisturbed, and judged
    python tests/soak/soak.py --resume-1024

Exit code 1 if any node ends otherwise than undisturbed, or if anything happened that must never happen.
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from fleet.exits import Exit
from soak.lives import Ordeal, Place, Schedule, SoakError, endure, journey_place, place
from soak.resuming import measure
from soak.verdict import Outcome, differences, outcome

SPEED = 600.0
JOURNEY_SPEED = 200.0
"""With 64 nodes in flight two cores must answer well within a field second or two, or hosts that are off look like hosts that
do not answer. At 200 rollout and hall together keep a third of one core busy on average; what else runs on the machine has room."""
_TRAILS = 5
"""Differing nodes whose journal is printed whole."""


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)  # noqa: T201 (a command speaks)


def main() -> int:
    """Run as the command line says; the exit code."""
    options = _options()
    folder = options.directory or Path(tempfile.mkdtemp(prefix="fleet-soak-"))
    say(f"everything is left in {folder}")
    try:
        if options.resume_1024:
            return measure(folder, options.nodes or 1024, speed=options.speed or SPEED, seed=options.seed, say=say)
        return _soak(folder, options)
    except SoakError as error:
        say(f"soak: {error}")
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soak.py", description="kill -9 a rollout again and again, and judge its end."
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--nodes", type=int, help="how many DGX H100 (256; with --resume-1024: 1024)")
    parser.add_argument("--journey", action="store_true", help="the whole bring-up instead of firmware alone")
    parser.add_argument("--select", default="", help="with --journey: which nodes of bring-up-256 (all)")
    parser.add_argument(
        "--faults", help="a shipped fault file by name, or a path (five-percent; with --journey: journey)"
    )
    parser.add_argument("--seed", type=int, default=1, help="which nodes are hit, and when we kill")
    parser.add_argument("--speed", type=float, help="simulated seconds per second (600; with --journey: 200)")
    parser.add_argument("--directory", type=Path, help="an empty folder; default: a new one")
    parser.add_argument(
        "--resume-1024", action="store_true", help="measure instead how fast a killed rollout is taken up again"
    )
    return parser.parse_args()


def _place(folder: Path, options: argparse.Namespace) -> AbstractContextManager[Place]:
    if options.journey:
        return journey_place(
            folder,
            options.select,
            speed=options.speed or JOURNEY_SPEED,
            faults=options.faults or "journey",
            seed=options.seed,
        )
    speed, faults = options.speed or SPEED, options.faults or "five-percent"
    return place(folder, options.nodes or 256, speed=speed, faults=faults, seed=options.seed)


def _soak(folder: Path, options: argparse.Namespace) -> int:
    with _place(folder / "calm", options) as at:
        calm = endure(at, None, say)
        undisturbed = outcome(at)
    say(f"undisturbed: {calm.wall_s:.1f} s, plan after {calm.planned_s:.1f} s, {_counts(undisturbed)}")
    if calm.exit not in {Exit.OK, Exit.NODES_FAILED}:
        raise SoakError(f"the undisturbed rollout ended with exit code {calm.exit}; see {folder / 'calm'}")
    if not options.kills:
        return _judged(undisturbed)
    schedule = Schedule.make(options.kills, options.seed, planned_s=calm.planned_s, progress=calm.progress)
    with _place(folder / "killed", options) as at:
        killed = endure(at, schedule, say)
        disturbed = outcome(at)
    say(f"killed: {killed.wall_s:.1f} s, {_counts(disturbed)}")
    return _report(calm, undisturbed, killed, disturbed)


def _judged(of: Outcome) -> int:
    """What one rollout came to, by itself."""
    for text in of.violations:
        say(f"VIOLATION {text}")
    say(f"nodes {len(of.state.nodes)} · {_counts(of)} · violations: {len(of.violations)}")
    return 1 if of.violations else 0


def _report(calm: Ordeal, undisturbed: Outcome, killed: Ordeal, disturbed: Outcome) -> int:
    unlike = differences(undisturbed, disturbed)
    violations = [f"undisturbed: {text}" for text in undisturbed.violations] + list(disturbed.violations)
    for number, (node, text) in enumerate(unlike.items()):
        say(f"DIFFERENT {node}: {text}")
        if number < _TRAILS:
            say(f"  undisturbed:\n{undisturbed.trail(node)}\n  killed:\n{disturbed.trail(node)}")
    for text in violations:
        say(f"VIOLATION {text}")
    taken = killed.claims_s or [0.0]
    say(
        f"nodes {len(disturbed.state.nodes)} · kills {killed.kills} ({killed.survey_kills} before the plan) · resumes"
        f" {killed.resumes} · wall {killed.wall_s:.0f} s, undisturbed {calm.wall_s:.0f} s\n"
        f"resume to first event: median {statistics.median(taken):.2f} s, longest {max(taken):.2f} s\n"
        f"nodes that ended otherwise than undisturbed: {len(unlike)} · violations: {len(violations)}"
    )
    return 1 if unlike or violations or killed.exit != calm.exit else 0


def _counts(of: Outcome) -> str:
    return ", ".join(f"{number} {status}" for status, number in of.state.count().items() if number)


if __name__ == "__main__":
    sys.exit(main())
