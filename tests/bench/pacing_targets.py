"""What the pacing is meant to reach (rollout-science 1.6), and whether it does."""

import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.special import betaincinv

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.pacing_statistics import Coverage, Halts, coverage, halts
from support.rollout import baseline, book, component, node, profile, survey

from fleet.alike import once_each
from fleet.plan import Survey
from fleet.planning import build
from fleet.policy.forecast import AMBIENT, BAD_BUNDLE
from fleet.policy.spec import CONFIDENCE, TOLERATE, RolloutSpec
from fleet.profile import Profile
from fleet.proof import prove
from inventory.observed import FirmwareItem

if TYPE_CHECKING:
    from pacing_bench import Row

PLANNED = 10_000
_RACK_NODES = 16
_ITEMS = 36
"""Inventory items of one node: what a captured DGX H100 tray lists, rounded up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One goal."""

    what: str
    goal: str
    measured: str
    met: str
    """Non-empty: reached."""


def judged(rows: "Sequence[Row]", planned: "Planned") -> tuple[Target, ...]:
    """Every goal beside what was measured."""
    found: list[Target] = []
    for policy in ("Fleetwave", "Fleetwave, no node's duration known"):
        of = {(row.rate, row.variant): row for row in rows if row.policy == policy}
        healthy, noise = of[0.0, ""], of[0.01, ""]
        ratio, every, some = healthy.safe_ratio_p95, of[1.0, ""].failed_mean, of[0.05, ""].failed_mean
        # Exact (Clopper and Pearson) one-sided 95 % bound: no halt among n runs still leaves 3/n.
        at_most = float(betaincinv(noise.halts + 1, noise.runs - noise.halts, 0.95))
        halts = f"{noise.halts} of {noise.runs}; at most {at_most:.2%} with 95 % certainty"
        found += [
            _target(policy, "makespan / LB_safe, nothing fails, p95", "<= 1.20", f"{ratio:.2f}", met=ratio <= 1.2),
            _target(policy, "nodes lost if every node fails", "<= 2", f"{every:.1f}", met=every <= 2),
            _target(policy, "nodes lost if 5 % fail", "<= 15", f"{some:.1f}", met=some <= 15),
            _target(
                policy, "false halts at 1 %, the field's causes", "< 1 %", halts, met=noise.halts < noise.runs / 100
            ),
        ]
    shown = f"{planned.total_s:.2f} s ({planned.build_s:.2f} plan, {planned.prove_s:.2f} proof), {planned.cpu_s:.2f} s of CPU"
    found.append(_target("plan", f"{PLANNED} nodes planned, proof included", "< 2 s", shown, met=planned.total_s < 2))
    return tuple(found)


def _target(policy: str, what: str, goal: str, measured: str, *, met: bool) -> Target:
    return Target(what=f"{policy}: {what}", goal=goal, measured=measured, met="yes" if met else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What planning cost."""

    build_s: float
    prove_s: float
    cpu_s: float
    """Of both: on a busy machine the wall clock tells of the others."""

    @property
    def total_s(self) -> float:
        """Both."""
        return self.build_s + self.prove_s


def planning(nodes: int = PLANNED) -> Planned:
    """Plan so many nodes that were surveyed, three versions among them, and prove the plan."""
    of = baseline(component("bmc"), component("bios"))
    kind = profile("bmc", "bios")
    surveys = [_surveyed(number, nodes, kind) for number in range(nodes)]
    recipes = book(of)
    prove(build(playbook="p", baseline=of, spec=RolloutSpec(), surveys=surveys[:16], recipe_for=recipes))
    usual = gc.get_threshold()
    # As the command does (fleet.cli.compose.on_loop): what was read lives as long as the process.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    begin, cpu = time.perf_counter(), time.process_time()
    plan = build(playbook="p", baseline=of, spec=RolloutSpec(), surveys=surveys, recipe_for=once_each(book(of)))
    built = time.perf_counter()
    prove(plan)
    cost = Planned(build_s=built - begin, prove_s=time.perf_counter() - built, cpu_s=time.process_time() - cpu)
    gc.unfreeze()
    gc.set_threshold(*usual)
    return cost


def measured_statistics(runs: int) -> tuple[tuple[Coverage, ...], tuple[Halts, ...]]:
    """Coverage of U, exactly; and how often rollouts at the tolerated rate are halted, looked at after every node."""
    covers = tuple(coverage(nodes, up_to=up_to) for up_to in (0.1, 1.0) for nodes in (1, 5, 10, 30, 59, 100, 300, 1000))
    tolerated, confidence = TOLERATE.percent / 100, CONFIDENCE.percent / 100
    cases = ((tolerated, AMBIENT), (tolerated / 2, BAD_BUNDLE), (tolerated, BAD_BUNDLE))
    return covers, tuple(
        halts(rate, causes, tolerated=tolerated, confidence=confidence, runs=runs) for rate, causes in cases
    )


def _surveyed(number: int, nodes: int, kind: Profile) -> Survey:
    declared = node(f"n{number:05}", f"r{number % max(1, nodes // _RACK_NODES):03}", ("A", "B"))
    versions = {"bmc": f"old{number % 3}", "bios": "old"}
    found = survey(declared, versions, kind)
    assert found.observation is not None
    more = tuple(FirmwareItem(id=f"part{index}", version="1.0") for index in range(_ITEMS - len(versions)))
    return replace(found, observation=replace(found.observation, items=(*found.observation.items, *more)))
