"""Inventory + playbook + baseline + what was read from the nodes -> what will be done to each. Pure.

Whatever can be wrong in versions, paths, models and activations is found here, before anything is touched: a node that
cannot be planned is refused with a reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fleet.errors import Reason
from fleet.grouping import Member, kind_of, roomy, sizes, split, standing_place, together, whole_waves
from fleet.plan import CannotPlan, Plan, PlannedNode, Recipe, Survey, recipe_targets
from fleet.policy.rules import Domains
from fleet.policy.sequence import by_duration, ramp_nodes
from fleet.policy.spec import Caps, RolloutSpec, resolve
from fleet.profile import Rollback
from fleet.sharing import Sharing, chassis_of, with_hold
from fleet.target import Target
from inventory.baseline import Baseline
from inventory.model import Node

_Refusal = tuple[Survey, Reason, str]

RecipeMaker = Callable[[Survey], tuple[Recipe, Mapping[str, Target]]]
"""Compiles the playbook for one node, or raises CannotPlan. fleet.recipe makes one from a baseline."""


def build(
    *,
    playbook: str,
    baseline: Baseline,
    spec: RolloutSpec,
    surveys: Iterable[Survey],
    recipe_for: RecipeMaker,
    place: Callable[[Node], Domains] = standing_place,
    wholes: Mapping[str, int] = MappingProxyType({}),
    chassis: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """The plan for these nodes.

    Args:
        playbook: its name.
        baseline: what is wanted.
        spec: pacing.
        surveys: one a node, in the inventory's order.
        recipe_for: see RecipeMaker.
        place: where a node stands.
        wholes: NVLink domain -> how many nodes the inventory has in it.
        chassis: chassis -> its nodes, where the inventory has several in it; None: as the surveys have it.
    """
    draft = _compiled(surveys, recipe_for)
    sharing = Sharing(
        chassis=chassis_of(draft.nodes()) if chassis is None else chassis, targets=draft.targets, spec=spec
    )
    holds = _whole(draft, {} if spec.nvlink_domain else wholes, sharing)
    nodes = [survey.node for survey, _ in draft.planned.values()]
    places = {str(node.id): place(node) for node in nodes}
    units = {} if spec.nvlink_domain else {name: at.nvlink_domain for name, at in places.items() if at.nvlink_domain}
    units = {name: f"chassis {chassis}" for name, chassis in holds.items()} | units
    caps = roomy(resolve(spec, len(nodes), sizes(places.values())), units, places)
    order = _order(draft, nodes, caps, units)
    caps = whole_waves(caps, order, units)
    entries, strata = _entries(draft, sharing, places, units, _waves(order, caps))
    return Plan(
        playbook=playbook,
        baseline=baseline.name,
        order=order,
        nodes=entries,
        recipes=draft.recipes,
        targets=draft.targets,
        caps=caps,
        strata=strata,
    )


def _waves(order: Sequence[str], caps: Caps) -> dict[str, int]:
    """Node -> its wave, in the order of admission."""
    bounds = zip((0, *caps.waves), caps.waves, strict=False)
    return {node: index for index, (start, full) in enumerate(bounds) for node in order[start:full]}


def _entries(
    draft: "_Draft",
    sharing: Sharing,
    places: Mapping[str, Domains],
    units: Mapping[str, str],
    waves: Mapping[str, int],
) -> tuple[dict[str, PlannedNode], dict[str, str]]:
    """Every node as the plan has it, and the strata by number."""
    kinds = {name: _kind(survey, recipe, draft.targets) for name, (survey, recipe) in draft.planned.items()}
    numbers = {text: f"s{number}" for number, text in enumerate(dict.fromkeys(kinds[name] for name in waves), 1)}

    def entry(name: str, survey: Survey, recipe: Recipe) -> PlannedNode:
        home = sharing.name(survey.node)
        return replace(
            _planned(survey, recipe, waves[name], draft.targets),
            domains=places[name],
            stratum=numbers[kinds[name]],
            unit=units.get(name, ""),
            stage=sharing.stage(survey.node),
            chassis=home,
            mates=tuple(node for node in sharing.chassis.get(home, ()) if node != name),
        )

    entries = {name: entry(name, *each) for name, each in draft.planned.items()}
    entries |= {name: _refused(*each) for name, each in draft.refused.items()}
    return entries, {number: text for text, number in numbers.items()}


@dataclass(slots=True)
class _Draft:
    """What was compiled so far: who can be planned by which recipe, and who cannot."""

    recipes: dict[str, Recipe] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    planned: dict[str, tuple[Survey, Recipe]] = field(default_factory=dict)
    refused: dict[str, _Refusal] = field(default_factory=dict)

    def nodes(self) -> list[Node]:
        """Of all that were surveyed."""
        surveys = [survey for survey, _ in self.planned.values()] + [survey for survey, _, _ in self.refused.values()]
        return [survey.node for survey in surveys]


def _compiled(surveys: Iterable[Survey], recipe_for: RecipeMaker) -> _Draft:
    draft = _Draft()
    for survey in surveys:
        name = str(survey.node.id)
        try:
            if survey.reason is not None:
                raise CannotPlan(survey.reason, survey.message)  # noqa: TRY301 (one place where a refusal is recorded)
            recipe, its_targets = recipe_for(survey)
        except CannotPlan as refusal:
            draft.refused[name] = (survey, refusal.reason, str(refusal))
            continue
        if recipe.name not in draft.recipes:
            draft.recipes[recipe.name], its_targets = _own_names(recipe, its_targets, draft.targets)
            draft.targets.update(its_targets)
        draft.planned[name] = (survey, draft.recipes[recipe.name])
    return draft


def _whole(draft: _Draft, wholes: Mapping[str, int], sharing: Sharing) -> Mapping[str, str]:
    """Refuse whoever cannot be worked on because of others; node -> chassis, of those that are held together with others."""
    while found := _split(wholes, draft.planned, draft.refused) | _unheld(sharing, draft.planned, draft.refused):
        draft.refused |= found
        draft.planned = {name: each for name, each in draft.planned.items() if name not in draft.refused}
    holds = sharing.held(draft.planned)
    for name in holds:
        survey, recipe = draft.planned[name]
        held = replace(recipe, name=f"{recipe.name}-held", steps=with_hold(recipe.steps))
        draft.planned[name] = (survey, draft.recipes.setdefault(held.name, held))
    return holds


def _order(draft: _Draft, nodes: Sequence[Node], caps: Caps, units: Mapping[str, str]) -> tuple[str, ...]:
    order = spread(nodes)
    if caps.risk:
        expected_s = {name: recipe.expected_s for name, (_, recipe) in draft.planned.items()}
        order = by_duration(order, expected_s, ramp=ramp_nodes(caps.max_in_flight, caps.risk))
    return together(order, units)


def _unheld(
    sharing: Sharing, planned: Mapping[str, tuple[Survey, Recipe]], refused: Mapping[str, _Refusal]
) -> dict[str, _Refusal]:
    """Refusals of nodes whose AC cycle would take the power of somebody who is not held."""
    found = sharing.unheld(planned, {name: message for name, (_, _, message) in refused.items()})
    return {name: (planned[name][0], Reason.SHARED_CHASSIS, message) for name, message in found.items()}


def _kind(survey: Survey, recipe: Recipe, targets: Mapping[str, Target]) -> str:
    seen = survey.observation
    items = seen.items if seen else ()
    # A component's stepping stones name the same items as its goal.
    ran = {targets[name].component: targets[name].versions(items).values() for name in recipe_targets(recipe)}
    return kind_of(survey.node, seen, ran, recipe.name)


def _split(
    wholes: Mapping[str, int], planned: Mapping[str, tuple[Survey, Recipe]], refused: Mapping[str, _Refusal]
) -> dict[str, _Refusal]:
    """Refusals of nodes whose NVLink domain cannot be worked on whole."""
    members = {
        name: Member(domain=str(survey.node.nvlink_domain or ""), changes=bool(recipe_targets(recipe)))
        for name, (survey, recipe) in planned.items()
    } | {
        name: Member(domain=str(survey.node.nvlink_domain or ""), changes=False, refused=message)
        for name, (survey, _, message) in refused.items()
    }
    found = split(members, wholes)
    return {name: (planned[name][0], Reason.DOMAIN_SPLIT, message) for name, message in found.items()}


def _own_names(
    recipe: Recipe, its_targets: Mapping[str, Target], taken: Mapping[str, Target]
) -> tuple[Recipe, Mapping[str, Target]]:
    """The same, its targets renamed where another platform's target of that name is another goal."""

    def substance(target: Target) -> Target:
        return replace(target, rollback=Rollback.NONE, previous="")

    clashing = [name for name, own in its_targets.items() if name in taken and substance(own) != substance(taken[name])]
    names = {name: f"{name}:{recipe.name}" for name in clashing}
    steps = tuple(
        replace(
            step,
            args={key: names.get(str(value), value) if key == "target" else value for key, value in step.args.items()},
        )
        for step in recipe.steps
    )
    ways = tuple(replace(way, target=names.get(way.target, way.target)) for way in recipe.ways_back)
    renamed = {
        names.get(name, name): replace(own, name=names.get(name, name), previous=names.get(own.previous, own.previous))
        for name, own in its_targets.items()
    }
    return replace(recipe, steps=steps, ways_back=ways), renamed


def _planned(survey: Survey, recipe: Recipe, wave: int, targets: Mapping[str, Target]) -> PlannedNode:
    observation = survey.observation
    profile = survey.profile
    if observation is None or profile is None:
        raise CannotPlan(Reason.UNKNOWN_HARDWARE, "the node was not read")
    before: dict[str, str] = {}
    for target in recipe_targets(recipe):
        before |= targets[target].versions(observation.items)
    return PlannedNode(
        wave=wave,
        recipe=recipe.name,
        profile=profile.name,
        domains=standing_place(survey.node),
        serial=observation.serial,
        uuid=observation.uuid,
        model=observation.model or survey.node.model,
        before=before,
    )


def _refused(survey: Survey, reason: Reason, message: str) -> PlannedNode:
    seen = survey.observation
    return PlannedNode(
        wave=-1,
        recipe="",
        profile=survey.profile.name if survey.profile else "",
        domains=standing_place(survey.node),
        serial=seen.serial if seen else "",
        uuid=seen.uuid if seen else "",
        model=survey.node.model,
        before={},
        reason=reason.value,
        message=message,
    )


def spread(nodes: Sequence[Node]) -> tuple[str, ...]:
    """An order in which neighbours stand in different racks: one of each rack in turn, the largest rack first."""
    by_rack: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        by_rack[str(node.rack)].append(str(node.id))
    columns = sorted(by_rack.values(), key=len, reverse=True)
    depth = len(columns[0]) if columns else 0
    return tuple(column[row] for row in range(depth) for column in columns if row < len(column))
