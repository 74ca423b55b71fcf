"""What a plan relies on beyond itself: kept as digests when it is made, and compared before anything is touched when it is carried on."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace

from fleet.cli.compose import Sources
from fleet.cli.whereabouts import NETWORK
from fleet.errors import UsageError
from fleet.events import Json
from fleet.plan import PLAN_VERSION, Plan, image_paths
from fleet.state import ACTIVE, TERMINAL, NodeStatus, RolloutState, RolloutStatus
from fleet.step import StepSpec
from fleet.words import plural
from inventory.fabric import leaf_links
from inventory.model import Node
from playbooks.burnin.profile import profile_named

_DIGITS = 16
"""Hex digits of SHA-256 that are kept: against mistakes, and small for a thousand nodes."""
_BURN_INS = frozenset({"burnin.run", "burnin.baseline"})


def with_digests(plan: Plan, sources: Sources) -> Plan:
    """The plan, and what it relies on."""
    planned = frozenset(plan.order)
    nodes = [node for node in sources.nodes if str(node.id) in planned]
    return replace(plan, frozen=_digests(sources, plan.steps(), nodes))


def _digests(sources: Sources, steps: Collection[StepSpec], nodes: Collection[Node]) -> dict[str, str]:
    """What -> digest: burn-in profiles of the steps; outlets and chassis of these nodes, and their cables where a step configures ports.

    Raises:
        InputError: a burn-in profile is wrong, or not there any more.
    """
    profiles = sorted({str(step.args["profile"]) for step in steps if step.name in _BURN_INS})
    found = {f"burn-in profile {name}": _digest(asdict(profile_named(name))) for name in profiles}
    fed: defaultdict[str, list[str]] = defaultdict(list)
    for pdu in sources.inventory.pdus:
        for number, node in pdu.outlets.items():
            for each in (node, *(mate.id for mate in sources.inventory.mates(node))):
                fed[str(each)].append(f"{pdu.id}/{number} {pdu.feed} {pdu.mib}")
    names = [str(node.id) for node in nodes]
    mates = {str(node.id): sorted(str(mate.id) for mate in sources.inventory.mates(node.id)) for node in nodes}
    found |= {_of_node("chassis", name): _digest(others) for name, others in mates.items() if others}
    found |= {_of_node("outlets", name): _digest(sorted(fed[name])) for name in names if name in fed}
    if any(step.name == NETWORK for step in steps):
        for name, links in leaf_links(sources.inventory, nodes).items():
            ends = [sorted(f"{end.device}:{end.port}" for end in (link.a, link.b)) for link in links]
            found[_of_node("cables", name)] = _digest(sorted(ends))
    return found


def _of_node(what: str, node: str) -> str:
    return f"{what} of {node}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def require_as_planned(plan: Plan, state: RolloutState, sources: Sources, *, aborting: bool) -> None:
    """Raise UsageError where what a rollout relies on is not what its plan was made with: found before any node is touched."""
    _require_version(state.plan, str(state.rollout))
    wanted = ACTIVE if aborting or state.status is RolloutStatus.ABORTING else frozenset(NodeStatus) - TERMINAL
    names = [name for name, node in state.nodes.items() if node.status in wanted]
    _require_nodes(names, state, sources)
    _require_images(plan)
    # Nothing is tested on the way out: an edited profile must not stand in the way of an abort.
    steps = [step for step in plan.steps() if not (aborting and step.name in _BURN_INS)]
    worked_on = frozenset(names)
    now = _digests(sources, steps, [node for node in sources.nodes if str(node.id) in worked_on])
    _require_same(plan.frozen, now, worked_on, state, sources)


def _require_version(plan: Json, rollout: str) -> None:
    if plan["version"] != PLAN_VERSION:
        raise UsageError(
            f"the plan of {rollout} is of version {plan['version']}, and this Fleetwave carries on version {PLAN_VERSION}: resume or"
            " abort it with the release that began it; nothing was touched"
        )


def _require_nodes(names: Iterable[str], state: RolloutState, sources: Sources) -> None:
    named = {str(node.id) for node in sources.nodes}
    gone = [name for name in names if name not in named]
    if gone:
        raise UsageError(
            f"{plural(len(gone), 'node')} of the plan ({gone[0]} first): not in {sources.inventory_path} or not selected by"
            f" {sources.playbook.path} any more; put them back: the plan of {state.rollout} is frozen"
        )


def _require_images(plan: Plan) -> None:
    for image, sha256 in image_paths(plan).items():
        try:
            with image.open("rb") as file:
                now = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"{image}: not readable any more ({error.strerror}); the plan needs it") from error
        if now != sha256:
            raise UsageError(f"{image}: its digest is {now}, the plan was made with {sha256}; put the right image back")


def _require_same(
    then: Mapping[str, str], now: dict[str, str], nodes: Collection[str], state: RolloutState, sources: Sources
) -> None:
    """`now` is of `nodes` alone, `then` of all that were planned."""
    wanted = {_of_node(what, name) for what in ("outlets", "cables", "chassis") for name in nodes}
    relevant = {what: digest for what, digest in then.items() if what in wanted or what in now}
    changed = sorted(what for what in now | relevant if relevant.get(what) != now.get(what))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UsageError(
            f"the {changed[0]}{more}: not as when the plan of {state.rollout} was made; put back what {sources.inventory_path} or the"
            " profile said then: the plan is frozen, nothing was touched"
        )
