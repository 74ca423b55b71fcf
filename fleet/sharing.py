"""Which nodes share their power supplies, and whether a plan can hold all of a chassis while one of it loses AC (F51). Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.activation import NotOffered, plan_activation
from fleet.grouping import stage_of
from fleet.policy.spec import RolloutSpec
from fleet.step import StepSpec
from fleet.target import Target
from inventory.baseline import Activation
from inventory.model import Node

if TYPE_CHECKING:
    from fleet.plan import Recipe, Survey

HOLD = "chassis.hold"
"""Follows the last activation of every node of a chassis of which one may lose AC: the plan puts it there."""
_UPDATE = "firmware.update"
_LAST = frozenset({"node.drain", _UPDATE, "firmware.activate"})
"""A node is held behind the last of these: drained, and with nothing more to flash."""


def chassis_of(nodes: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    """Chassis -> its nodes, of those that more than one node is in."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        if node.chassis:
            found.setdefault(node.chassis, []).append(str(node.id))
    return {name: tuple(members) for name, members in found.items() if len(members) > 1}


def may_lose_ac(needs: Iterable[Collection[Activation]], offers: frozenset[Activation]) -> bool:
    """Whether any of these can only be activated by an AC cycle on a machine that offers these. Else no set of them needs one either."""
    for any_of in needs:
        try:
            if Activation.AC_CYCLE in plan_activation({"": any_of}, offers):
                return True
        except NotOffered:
            continue
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Chassis, and what a plan that is being made does to their nodes."""

    chassis: Mapping[str, Sequence[str]]
    """Name -> all of its nodes, as the inventory has them."""
    targets: Mapping[str, Target]
    spec: RolloutSpec

    def unheld(self, planned: Mapping[str, tuple["Survey", "Recipe"]], refused: Mapping[str, str]) -> dict[str, str]:
        """Node -> why its AC cycle can never be done: not every other node of its chassis can be held meanwhile.

        Args:
            planned: nodes of the selection that are not refused.
            refused: nodes of it that are -> why.
        """
        found: dict[str, str] = {}
        for name, members in self.chassis.items():
            cut = [node for node in members if node in planned and self._may_cut(*planned[node])]
            loose = _loose(members, planned, refused) or self._apart(members, planned) if cut else ""
            for node in cut if loose else ():
                found[node] = (
                    f"its AC cycle takes the power of all of chassis {name} ({', '.join(members)}), and {loose}: as long as that is so,"
                    " this node is not touched"
                )
        return found

    def held(self, planned: Mapping[str, tuple["Survey", "Recipe"]]) -> dict[str, str]:
        """Node -> its chassis, of those in which a node may lose AC. After `unheld` finds nobody any more."""
        cut = {
            name
            for name, members in self.chassis.items()
            if any(node in planned and self._may_cut(*planned[node]) for node in members)
        }
        return {node: name for name in cut for node in self.chassis[name] if node in planned}

    def name(self, node: Node) -> str:
        """The chassis that it shares; empty: none."""
        return node.chassis if node.chassis and node.chassis in self.chassis else ""

    def stage(self, node: Node) -> int:
        """Its place in the order of its unit."""
        return stage_of(node.model, self.spec.unit_order) if self._unit(node) else 0

    def _unit(self, node: Node) -> str:
        return "" if self.spec.nvlink_domain else str(node.nvlink_domain or "")

    def _may_cut(self, survey: "Survey", recipe: "Recipe") -> bool:
        """Whether what is flashed may need an AC cycle; on its way back, too."""
        seen = survey.observation.items if survey.observation else ()
        flashed = [str(step.args["target"]) for step in recipe.steps if step.name == _UPDATE]
        if all(self.targets[name].diff(seen).met for name in flashed):
            return False
        back = [way.target for way in recipe.ways_back if way.target]
        return may_lose_ac((self.targets[name].needs for name in (*flashed, *back)), survey.offers)

    def _apart(self, members: Sequence[str], planned: Mapping[str, tuple["Survey", "Recipe"]]) -> str:
        """Why they could not wait for one another; empty: they are begun together."""
        begins = {
            f"NVLink domain {unit} at {self.stage(node)}" if (unit := self._unit(node)) else "by itself"
            for node in (planned[name][0].node for name in members)
        }
        return f"its nodes are not begun together ({', '.join(sorted(begins))})" if len(begins) > 1 else ""


def _loose(members: Sequence[str], planned: Collection[str], refused: Mapping[str, str]) -> str:
    """Which of them no rollout holds; empty: all are held."""
    for node in members:
        if node in refused:
            return f"{node} is refused: {refused[node]}"
        if node not in planned:
            return f"{node} is not selected"
    return ""


def with_hold(steps: Sequence[StepSpec]) -> tuple[StepSpec, ...]:
    """The same, and the hold where the node is drained and has nothing more to flash."""
    last = max((at for at, spec in enumerate(steps, 1) if spec.name in _LAST), default=0)
    return (*steps[:last], StepSpec(HOLD), *steps[last:])
