"""Playbook steps + baseline + profile + one observation -> the recipe for that node. Pure.

A block of consecutive `firmware.update` steps becomes: stepping stones first, each flashed and activated by itself; then every
component flashed; then one `firmware.activate` with the least power actions that bring them all into force (field guide B.6).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from fleet import backward, precheck
from fleet.activation import NotOffered, plan_activation
from fleet.errors import Reason
from fleet.plan import CannotPlan, Recipe, Survey, WayBack
from fleet.profile import ComponentProfile, Force, Profile, Rollback, Trust
from fleet.step import StepSpec
from fleet.target import Target
from fleet.upgrade_path import Matrix, NoWay, solve
from inventory.baseline import Activation, Baseline, ComponentBaseline, wants
from inventory.observed import Observation

UPDATE = "firmware.update"
ACTIVATE = "firmware.activate"
COMMIT = "firmware.commit"
"""Makes both slots equal: after the last of the steps that decide whether the node may stay as it is."""
_GATE = frozenset({ACTIVATE, "burnin.run", "gate.after", "verify"})
GIVEN_UP = "given-up"
"""Noted of an update whose task says that it was given up: its image may wait all the same, and the way back flashes over it."""
KEEP = "settings.keep"
"""Follows the last activation of a node whose BMC shows its settings: the runner puts it there, no recipe holds it."""
_STONES = 8
"""Longest chain of stepping stones; more is a loop in the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeBook:
    """Compiles one playbook against one baseline. Callable as fleet.planning.RecipeMaker."""

    steps: tuple[StepSpec, ...]
    baseline: Baseline
    sizes: Mapping[Path, int]
    """Bytes of each image, read when the images were verified."""
    takes_s: Mapping[str, float] = field(default_factory=dict)
    """Step -> field seconds, of those that no profile knows."""
    downgrade: str = ""
    """Non-empty when the goals themselves are a way back (`fleet rollback`): why downgrades are let through."""

    def __call__(self, survey: Survey) -> tuple[Recipe, Mapping[str, Target]]:
        """The recipe for the surveyed node, or CannotPlan."""
        profile, seen = survey.profile, survey.observation
        if profile is None or seen is None:
            raise CannotPlan(Reason.UNKNOWN_HARDWARE, "the node could not be read")
        if profile.trust is Trust.READ_ONLY:
            raise CannotPlan(
                Reason.UNKNOWN_HARDWARE,
                f"{seen.manufacturer or 'unknown maker'} {seen.model or 'unknown model'} has no managed profile and is read-only:"
                " name one in the inventory (`profile:`) once you have checked that it fits",
            )
        targets: dict[str, Target] = {}
        steps: list[StepSpec] = []
        actions: tuple[Activation, ...] = ()
        ways: list[WayBack] = []
        for name, block in groupby(self.steps, key=lambda step: step.name):
            if name != UPDATE:
                steps.extend(block)
                continue
            keys = [str(step.args["component"]) for step in block]
            models = [survey.node.model, *([seen.model] if seen.model else [])]
            rounds = self._rounds(keys, profile, seen, models)
            for number, flashes in enumerate(rounds):
                targets |= {target.name: target for target in flashes}
                steps.extend(StepSpec(UPDATE, {"target": target.name}) for target in flashes)
                steps.append(StepSpec(ACTIVATE, {"block": f"{len(steps)}"}))
                precheck.check(survey, flashes)
                needed = [target.component for target in flashes if not target.diff(seen.items).met]
                _not_fused([self.baseline.components[key] for key in needed], survey)
                actions = self._activation(flashes, seen, survey.offers, last=number == len(rounds) - 1)
            for key in keys:
                way, back = self._way_back(self.baseline.components[key], profile.components[key], survey)
                ways.append(way)
                targets |= {back.name: back} if back else {}
        targets = _with_way_back(targets, ways)
        steps = _committed(
            steps, [targets[str(step.args["target"])].component for step in steps if step.name == UPDATE], survey
        )
        expected_s = sum(
            profile.components[targets[str(step.args["target"])].component].flash_s
            for step in steps
            if step.name == UPDATE
        )
        expected_s += activation_s(actions, profile) + sum(self.takes_s.get(step.name, 0.0) for step in steps)
        name = _name(profile, steps, ways, actions)
        recipe = Recipe(name=name, steps=tuple(steps), ways_back=tuple(ways), activation=actions, expected_s=expected_s)
        return recipe, targets

    def _rounds(
        self, keys: Sequence[str], profile: Profile, seen: Observation, models: Sequence[str]
    ) -> list[list[Target]]:
        """Targets to flash together: stepping stones round by round, then the goals; only through mixes that were tested."""
        chains = [self._chain(self._component(key, models), profile, seen) for key in keys]
        matrix = Matrix(
            goal={key: part.version for key, part in self.baseline.components.items()},
            rows=self.baseline.compatibility,
        )
        if matrix.stated:
            by_key = dict(zip(keys, chains, strict=True))
            start = {
                key: self._runs(key, profile, seen) for key in self.baseline.components if key in profile.components
            }
            try:
                rounds = solve({key: [each.version for each in chain] for key, chain in by_key.items()}, start, matrix)
            except NoWay as no_way:
                raise CannotPlan(Reason.NO_PATH, str(no_way)) from no_way
            return [[by_key[key][index] for key, index in each.items()] for each in rounds]
        depth = max(len(chain) for chain in chains)
        padded = [[None] * (depth - len(chain)) + list(chain) for chain in chains]
        return [[chain[level] for chain in padded if chain[level] is not None] for level in range(depth)]  # type: ignore[misc]

    def _runs(self, key: str, profile: Profile, seen: Observation) -> str:
        """The version that a component shows now, as the baseline would call it; else what its items show."""
        component, part = self.baseline.components[key], profile.components[key]
        known = [component, *(component.stage(stone) for stone in component.requires)]
        known += [before] if (before := component.inverse()) else []
        for each in known:
            if self._target(each, part, name=key, downgrade="").diff(seen.items).met:
                return each.version
        shown = self._goal(component, part).versions(seen.items).values()
        return " / ".join(sorted(set(shown))) or "unknown"

    def _component(self, key: str, models: Sequence[str]) -> ComponentBaseline:
        component = self.baseline.components.get(key)
        if component is None:
            raise CannotPlan(Reason.COMPONENT_MISSING, f"baseline {self.baseline.name} has no component {key!r}")
        for model in models:  # as declared, and as the machine itself says
            if not component.fits.model(model):
                fits = ", ".join(component.fits.models)
                raise CannotPlan(Reason.NO_PATH, f"the image of {key!r} is for {fits}, not for {model}")
        return component

    def _chain(self, component: ComponentBaseline, profile: Profile, seen: Observation) -> list[Target]:
        """Stones that the observed version needs, then the goal."""
        part = profile.components.get(component.key)
        if part is None:
            known = ", ".join(profile.components) or "none"
            raise CannotPlan(
                Reason.COMPONENT_MISSING, f"profile {profile.name} has no component {component.key!r}; it has: {known}"
            )
        goal = self._goal(component, part)
        diff = goal.diff(seen.items)
        if diff.missing:
            raise CannotPlan(
                Reason.COMPONENT_MISSING,
                f"{component.key}: the machine shows no inventory item {', '.join(diff.missing)}",
            )
        chain: list[Target] = []
        versions = [difference.item.version for difference in diff.differing]
        while stone := next((stone for stone in component.requires for at in versions if stone.needed(at)), None):
            if len(chain) == _STONES or any(link.version == stone.via for link in chain):
                raise CannotPlan(
                    Reason.NO_PATH, f"{component.key}: the stepping stones lead in a circle at {stone.via}"
                )
            stage = component.stage(stone)
            chain.append(self._target(stage, part, name=f"{component.key}@{stone.via}", downgrade=""))
            versions = [stone.via]
        return [*chain, goal]

    def _target(self, component: ComponentBaseline, part: ComponentProfile, *, name: str, downgrade: str) -> Target:
        return Target(
            name=name,
            component=component.key,
            version=component.version,
            wants=wants(component),
            items=part.items,
            image=component.image,
            sha256=component.sha256,
            size_bytes=self.sizes[component.image],
            needs=component.activation or part.activation,
            downgrade=downgrade,
        )

    def _goal(self, component: ComponentBaseline, part: ComponentProfile) -> Target:
        return self._target(component, part, name=component.key, downgrade=self.downgrade)

    def _activation(
        self, flashes: Sequence[Target], seen: Observation, offers: frozenset[Activation], *, last: bool
    ) -> tuple[Activation, ...]:
        """What activates those that will really be flashed."""
        needs = {target.name: target.needs for target in flashes if not (last and target.diff(seen.items).met)}
        try:
            return plan_activation(needs, offers)
        except NotOffered as lack:
            raise CannotPlan(Reason.NO_ACTIVATION, str(lack)) from lack

    def _way_back(
        self, component: ComponentBaseline, part: ComponentProfile, survey: Survey
    ) -> tuple[WayBack, Target | None]:
        """The capability of one component on this machine (field guide 1.11), and the target that performs it."""
        items = survey.observation.items if survey.observation is not None else ()

        def none(why: str) -> tuple[WayBack, None]:
            return WayBack(component=component.key, capability=Rollback.NONE.value, target="", why=why), None

        if part.rollback is Rollback.NONE:
            return none("the platform offers none: a failure needs a person")
        previous = component.inverse()
        if previous is None or component.previous is None:
            return none("the baseline names no previous image")
        read = backward.mine(survey.slots, part)
        if why := backward.fused(previous, read):
            return none(f"anti-rollback: {why}")
        reason = f"back to {previous.version}, as the plan announced"
        back = self._target(previous, part, name=f"{component.key}~{previous.version}", downgrade=reason)
        met = self._goal(component, part).diff(items).met
        if not back.diff(items).met and not met:
            return none(f"it does not run the previous version {previous.version} now")
        force = "" if part.force is Force.NOT_NEEDED else ", told to allow the downgrade"
        can, how = backward.capability(part, component.previous, read, flashes=not met)
        doubt = backward.unproven(component.previous, read)
        why = f"{can.value}{how or ':'}{';' if how else ''} flashes {previous.version} again{force}{doubt}"
        return WayBack(component=component.key, capability=can.value, target=back.name, why=why), back


def _not_fused(wanted: Sequence[ComponentBaseline], survey: Survey) -> None:
    """Raise CannotPlan for an image that the machine's fuses refuse for ever, forced or not (F21)."""
    parts = {} if survey.profile is None else survey.profile.components
    for component in wanted:
        if why := backward.fused(component, backward.mine(survey.slots, parts[component.key])):
            raise CannotPlan(Reason.ANTI_ROLLBACK, f"{component.key}: {why}; no force helps (F21)")


def _committed(steps: Sequence[StepSpec], components: Sequence[str], survey: Survey) -> list[StepSpec]:
    """With the copy into the other slot behind the gate, where the profile names roots of trust for what is flashed (B.17).

    A machine that shows none of them has nothing to copy; one that could not be read may have.
    """
    parts = {} if survey.profile is None else survey.profile.components
    kept = [key for key in dict.fromkeys(components) if parts[key].roots]
    shown = 0 if survey.slots is None else sum(len(survey.slots.of((), parts[key].roots).roots) for key in kept)
    if not kept or (survey.slots is not None and not shown):
        return list(steps)
    last = max(at for at, step in enumerate(steps, 1) if step.name in _GATE)
    return [*steps[:last], StepSpec(COMMIT, {"components": " ".join(kept), "roots": shown}), *steps[last:]]


def _with_way_back(targets: Mapping[str, Target], ways: Sequence[WayBack]) -> dict[str, Target]:
    """Goals that know their way back."""
    back = {way.component: way for way in ways}
    return {
        name: replace(target, rollback=Rollback(back[name].capability), previous=back[name].target)
        if name in back
        else target
        for name, target in targets.items()
    }


def activation_s(actions: Sequence[Activation], profile: Profile) -> float:
    """Field seconds that activation and verification take, if nothing goes wrong (field guide 1.14)."""
    timings = profile.timings
    cost = {
        Activation.BMC_RESET: timings.bmc_return_s / 2,
        Activation.WARM_RESET: timings.post_s / 2,
        Activation.DC_CYCLE: timings.off_dwell_s + 60.0,
        Activation.AC_CYCLE: timings.bmc_return_s,
    }
    settle_s = timings.settle_interval_s * timings.settle_reads
    return settle_s + sum(cost.get(action, 0.0) for action in actions)


def _name(profile: Profile, steps: Sequence[StepSpec], ways: Sequence[WayBack], actions: Sequence[Activation]) -> str:
    """The same for nodes that get the same treatment."""
    content = json.dumps(
        [
            profile.name,
            [[step.name, dict(step.args)] for step in steps],
            [[way.target, way.why] for way in ways],
            list(actions),
        ]
    )
    return f"{profile.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
