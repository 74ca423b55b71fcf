"""What `fleet rehearse` puts on the stage: the playbook's steps, a twin of what the inventory declares, and what has to be said of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fleet.cli import compose, opened, sim
from fleet.cli.paths import DEFAULT_JOURNAL
from fleet.cli.whereabouts import BURN_IN, EXPORT, IMAGE, NETWORK, lacking, whereabouts
from fleet.context import DRAIN
from fleet.drivers.edges import SwitchAt, Whereabouts
from fleet.errors import Reason, UsageError
from fleet.plan import Plan, Survey
from fleet.policy.window import Openings
from fleet.sightings import sightings
from fleet.sim.faults import FaultError, load_faults
from fleet.step import StepSpec
from fleet.twin.around import Around
from fleet.twin.clock import START
from fleet.twin.hall import require_boxes
from fleet.twin.kinds import kinds_of
from fleet.twin.life import Scene
from fleet.twin.outfit import before, fitted, fitted_system
from fleet.words import duration, plural
from inventory.exporters.exporter import Kind, find
from inventory.fabric import leaf_links, leaf_pairs
from inventory.model import NodeId, SecretRef, SecretScheme
from playbooks.registry import make
from playbooks.registry import steps as known_steps
from playbooks.schema import Playbook

_OURS = "playbooks.steps."
"""Where the steps are that ship. What others brought may do anything, so a rehearsal leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person wants of a rehearsal beyond the files."""

    faults: str
    """A shipped fault file by name, or a path."""
    journal: Path | None
    """What the nodes were last seen to run; None: the default, if it is there."""
    longest_job_s: float
    wait_for_window: str
    """Non-empty: as `fleet apply --wait-for-window`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A scene, and what has to be said of it."""

    scene: Scene
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def staged(sources: compose.Sources, wishes: Wishes, directory: Path) -> Stage:
    """The same for every seed. `directory`: for stand-ins of images. Raises UsageError for what cannot be rehearsed."""
    playbook = sources.playbook
    known = rehearsable()
    steps = tuple(step for step in playbook.steps if step.name in known)
    if not steps:
        raise UsageError(
            f"{playbook.path}: none of its steps can be rehearsed; those that can: {', '.join(sorted(known))}"
        )
    try:
        book = load_faults(sim.fault_file(wishes.faults))
    except FaultError as error:
        raise UsageError(str(error)) from error
    require_boxes(sources.nodes)
    kinds = {kind.model: kind for kind in kinds_of(sources.nodes)}
    readable, packages = fitted(playbook.baseline, kinds.values(), directory)
    steps, systems = _with_systems(steps, directory)
    seen = _seen(wishes.journal, {node.id for node in sources.nodes})
    around = _around(sources, wishes)
    unreached = _unreached(sources, around, steps)

    def planned(surveys: list[Survey]) -> Plan:
        reached = [_unless(each, unreached.get(str(each.node.id), "")) for each in surveys]
        return compose.make_plan(sources, reached, baseline=readable, steps=steps)

    scene = Scene(
        playbook=playbook.name,
        nodes=sources.nodes,
        planned=planned,
        steps=make,
        faults=book,
        versions={
            str(node.id): before(playbook.baseline, kinds[node.model], seen.get(node.id, {})) for node in sources.nodes
        },
        pdus=tuple(pdu for pdu in sources.inventory.pdus if pdu.mib and pdu.credential),
        around=around,
        start=_start(playbook.rollout.window),
        wait_for_window=wishes.wait_for_window,
        takes_s={name: announced.takes_s for name, announced in known_steps().items()},
    )
    return Stage(
        scene=scene,
        skipped=tuple(step.key for step in playbook.steps if step.name not in known),
        notes=(*_beginning(sources, len(seen)), *_instead(packages, systems), *_meanwhile(sources, around, steps)),
    )


def rehearsable() -> frozenset[str]:
    """Names of the steps that ship, those among them that no playbook writes."""
    return frozenset(name for name, announced in known_steps().items() if announced.make.__module__.startswith(_OURS))


def without_end(playbook: Playbook) -> Playbook:
    """A window that has a last day is rehearsed as if it had none: the day of a rehearsal is not the day of the rollout."""
    window = playbook.rollout.window
    if window is None:
        return playbook
    return replace(playbook, rollout=replace(playbook.rollout, window=window.endless()))


def _around(sources: compose.Sources, wishes: Wishes) -> Around:
    inventory, nodes = sources.inventory, sources.nodes
    switches, cables = sim.cabled(inventory, {node.id for node in nodes})
    return Around(
        inventory=inventory,
        switches=switches,
        cables=cables,
        leaf_links=leaf_links(inventory, nodes),
        pairs=leaf_pairs(inventory),
        provisioning_vlan=inventory.vlans.get(sim.PROVISIONING, 0),
        longest_job_s=None if inventory.scheduler is None else wishes.longest_job_s,
        outside=frozenset(str(node.id) for node in nodes if node.labels.get("scheduler") == "none"),
    )


def _with_systems(steps: Iterable[StepSpec], directory: Path) -> tuple[tuple[StepSpec, ...], tuple[str, ...]]:
    """The steps with OS images that a simulated host can install, and the names of those that had to be stood in for."""
    found, stood_in = [], []
    for step in steps:
        if step.name != IMAGE:
            found.append(step)
            continue
        image = Path(str(step.args["image"]))
        made = fitted_system(image, str(step.args["release"]), directory)
        if made is None:
            found.append(step)
            continue
        path, sha256 = made
        stood_in.append(image.name)
        found.append(replace(step, args={**step.args, "image": str(path), "sha256": sha256}))
    return tuple(found), tuple(stood_in)


def _unreached(sources: compose.Sources, around: Around, steps: Iterable[StepSpec]) -> Mapping[str, str]:
    """Nodes that are cabled to a leaf whose command line nobody declared: how it behaves is not known here."""
    nobody = SecretRef(scheme=SecretScheme.FILE, name="")
    leaves = tuple(
        SwitchAt(name=switch.id, platform="", address="", port=0, user="", password=nobody, host_key="simulated")
        for switch in around.switches
    )
    return lacking(sources, Whereabouts(switches=leaves), [step for step in steps if step.name == NETWORK])


def _unless(survey: Survey, lack: str) -> Survey:
    return replace(survey, reason=Reason.NO_EDGE, message=lack) if lack and survey.reason is None else survey


def _beginning(sources: compose.Sources, seen: int) -> tuple[str, ...]:
    whence = "the baseline's `previous`, else what a new box has"
    if not seen:
        return (f"versions at the start: {whence}",)
    return (
        f"versions at the start: of {seen} of {len(sources.nodes)} nodes as the journal last saw them; of the others {whence}",
    )


def _instead(packages: tuple[str, ...], systems: tuple[str, ...]) -> tuple[str, ...]:
    told = []
    if packages:
        told.append(
            f"{plural(len(packages), 'image')} ({packages[0]} first): not for a simulated BMC; a small stand-in with the same"
            " versions takes the place, so the time to hand an image over is left out"
        )
    if systems:
        told.append(
            f"{', '.join(systems)}: not for a simulated host; a stand-in of the same release takes the place, and as long as it would"
        )
    return tuple(told)


def _meanwhile(sources: compose.Sources, around: Around, steps: tuple[StepSpec, ...]) -> tuple[str, ...]:
    told = []
    if any(step.name == DRAIN for step in steps):
        told.append(
            "node.drain: the inventory declares no scheduler, a drain takes no time"
            if around.longest_job_s is None
            else f"node.drain: on every node a job still runs for up to {duration(around.longest_job_s)}; nobody's real jobs are looked at"
        )
    told += [
        f"{step.key}: nothing is written to {step.args['to']}"
        for step in steps
        if step.name == EXPORT and find(str(step.args["to"])).kind is Kind.SYSTEM
    ]
    told += _refusals(sources, steps)
    if sources.playbook.rollout.approve:
        told.append("waves that wait for a person are let through at once")
    return tuple(told)


def _refusals(sources: compose.Sources, steps: tuple[StepSpec, ...]) -> tuple[str, ...]:
    """What a rehearsal brings along itself, and a rollout needs of the inventory."""
    if not {NETWORK, BURN_IN, IMAGE, EXPORT} & {step.name for step in steps}:
        return ()
    try:
        lack = lacking(sources, whereabouts(sources), steps)
    except UsageError as error:
        return (f"`fleet plan` would end at once now: {error}",)
    if not lack:
        return ()
    return (f"`fleet plan` would refuse {plural(len(lack), 'node')} now: {next(iter(lack.values()))}",)


def _seen(journal: Path | None, missing: set[NodeId]) -> dict[NodeId, dict[str, str]]:
    """Node -> item -> version, from the newest rollout that saw it. A journal that was named must be there."""
    if journal is None and not DEFAULT_JOURNAL.exists():
        return {}
    found: dict[NodeId, dict[str, str]] = {}
    with opened.view(journal or DEFAULT_JOURNAL) as view:
        for row in view.rollouts():
            if not missing:
                break
            for node, sighting in sightings(row.id, view.read(row.id)).items():
                if node in missing and sighting.versions:
                    found[node] = dict(sighting.versions)
                    missing.discard(node)
    return found


def _start(window: Openings | None) -> float:
    """A fixed day, so that one seed gives one history; in the first window that opens after it."""
    if window is None or window.open_at(START):
        return START
    opening = window.next_opening(START)
    return START if opening is None else opening
