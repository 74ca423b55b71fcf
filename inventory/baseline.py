"""What a node should run, component by component, and how far what was observed is from it. Pure: no clock, no I/O.

Firmware versions are free text (field guide 1.13): `01.01.03` and `1.1.3` may be one version, `23.11.20` and `23.11.21`
may be what two places of one machine say about the same flash. So versions are compared as text, for equality, with the
spellings that the baseline lists. Nothing here says newer or older.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from inventory.observed import FirmwareItem
from inventory.text import Place

NO_DEVICE = frozenset({"Absent", "UnavailableOffline"})
"""Values of Status.State (DSP2046, Resource.Status) with which a version says nothing about a device."""


class Activation(StrEnum):
    """What makes a flashed image the running one; from the weakest to the strongest (DSP0267, field guide 1.12)."""

    AUTOMATIC = "automatic"
    SELF_CONTAINED = "self-contained"
    MEDIUM_RESET = "medium-reset"
    BMC_RESET = "bmc-reset"
    WARM_RESET = "warm-reset"
    DC_CYCLE = "dc-cycle"
    AC_CYCLE = "ac-cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWant:
    """The version that inventory items should show."""

    pattern: str
    """Glob on the id of the inventory item, such as HGX_FW_GPU_SXM_*; case counts."""
    version: str
    accepts: frozenset[str] = frozenset()
    """Further spellings of the same version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A device descriptor that a package must carry, in words: see `inventory.fwpkg.Descriptor.describe`."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """What an image may be flashed on."""

    models: tuple[str, ...]
    """Globs on the node's model."""
    descriptors: tuple[Descriptor, ...] = ()
    """One device record of the package must carry all of these; empty asks nothing of the package."""

    def model(self, model: str) -> bool:
        """Whether a node of this model may get the image."""
        return any(fnmatchcase(model.casefold(), pattern.casefold()) for pattern in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppingStone:
    """A version that must be flashed in between: some jumps brick the device (field guide 1.10)."""

    from_versions: tuple[str, ...]
    """Globs on the observed version that needs the stone."""
    via: str
    """The version in between."""
    accepts: frozenset[str] = frozenset()
    items: tuple[ItemWant, ...] = ()
    """As those of the component, at the version in between."""
    image: Path
    sha256: str
    place: Place | None = field(default=None, compare=False)

    def needed(self, observed_version: str) -> bool:
        """Whether a device at this version must pass over the stone."""
        version = normalise(observed_version)
        return any(fnmatchcase(version, normalise(pattern)) for pattern in self.from_versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousImage:
    """The known-good image to go back to."""

    version: str
    accepts: frozenset[str] = frozenset()
    items: tuple[ItemWant, ...] = ()
    image: Path
    sha256: str
    security_version: int | None = None
    """As that of the component."""
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentBaseline:
    """What one firmware component should run."""

    key: str
    """The name that playbooks and vendor profiles use: bmc, bios, hgx."""
    version: str
    accepts: frozenset[str] = frozenset()
    """Further spellings of the same version, as other places of the machine write it."""
    items: tuple[ItemWant, ...] = ()
    """For a bundle whose parts each have their own version; empty when every item shows `version`."""
    image: Path
    """Absolute path of the package."""
    sha256: str
    """Digest of the image: 64 lower-case hex digits."""
    fits: Fits
    activation: frozenset[Activation]
    """Any one of these activates the component; never empty."""
    requires: tuple[SteppingStone, ...] = ()
    previous: PreviousImage | None = None
    """None: there is nothing to roll back to."""
    security_version: int | None = None
    """Of the image, as the vendor's release notes give it (anti-rollback; PLDM has no field for it); None: not known."""
    place: Place | None = field(default=None, compare=False)
    """Where it was declared."""

    def stage(self, stone: SteppingStone) -> ComponentBaseline:
        """The component with a stepping stone as its goal: what to flash and verify before the component itself."""
        return replace(
            self,
            version=stone.via,
            accepts=stone.accepts,
            items=stone.items,
            image=stone.image,
            sha256=stone.sha256,
            requires=(),
            previous=None,
            security_version=None,
            place=stone.place,
        )

    def inverse(self) -> ComponentBaseline | None:
        """The component with `previous` as its goal; None where no previous image is declared."""
        if self.previous is None:
            return None
        here = PreviousImage(
            version=self.version,
            accepts=self.accepts,
            items=self.items,
            image=self.image,
            sha256=self.sha256,
            security_version=self.security_version,
            place=self.place,
        )
        return replace(
            self,
            version=self.previous.version,
            accepts=self.previous.accepts,
            items=self.previous.items,
            image=self.previous.image,
            sha256=self.previous.sha256,
            requires=(),
            previous=here,
            security_version=self.previous.security_version,
            place=self.previous.place,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OsBaseline:
    """An operating system, and the image that installs it with nobody there."""

    key: str
    """The name that playbooks use: ubuntu."""
    release: str
    """VERSION_ID of /etc/os-release once it is installed (os-release(5)); text."""
    image: Path
    """Absolute path of the ISO."""
    sha256: str
    """Digest of the image: 64 lower-case hex digits."""
    place: Place | None = field(default=None, compare=False)
    """Where it was declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A set of versions that were tested together (vendors say bundle or recipe)."""

    name: str
    models: tuple[str, ...]
    """Globs on the node's model."""
    components: Mapping[str, ComponentBaseline] = field(default_factory=dict, hash=False)
    """By key, in the order in which they are flashed unless a playbook says otherwise."""
    systems: Mapping[str, OsBaseline] = field(default_factory=dict, hash=False)
    """By key; a playbook says which is installed."""
    compatibility: tuple[Mapping[str, frozenset[str]], ...] = field(default=(), hash=False)
    """Other mixes that were tested: component -> versions that go together in one row. Empty: nothing is said, none is refused."""
    place: Place | None = field(default=None, compare=False)

    def goal(self) -> Mapping[str, frozenset[str]]:
        """The baseline itself as a row of `compatibility`."""
        return {key: frozenset({component.version}) for key, component in self.components.items()}

    def inverse(self) -> Baseline:
        """The rollback baseline: only the components that have a previous image, in the same order.

        No operating systems: an installation has overwritten the disk, nothing brings back what was on it.
        """
        inverted = ((key, component.inverse()) for key, component in self.components.items())
        return Baseline(
            name=f"{self.name}~previous",
            models=self.models,
            components={key: component for key, component in inverted if component is not None},
            compatibility=(*self.compatibility, self.goal()) if self.compatibility else (),
            place=self.place,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An inventory item that does not show the wanted version."""

    item: FirmwareItem
    """What was observed; `item.version` is the observed version."""
    want: ItemWant


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentDiff:
    """How far one component is from its baseline."""

    key: str
    at_baseline: tuple[FirmwareItem, ...] = ()
    differing: tuple[Difference, ...] = ()
    absent: tuple[FirmwareItem, ...] = ()
    """Items that the BMC lists without the device: a GPU in recovery still prints a version (field guide 1.8)."""
    missing: tuple[str, ...] = ()
    """Patterns that matched no item. `*` when the component has no patterns and no item was given."""

    @property
    def met(self) -> bool:
        """Every wanted item was seen, at a wanted version. Seeing nothing is not meeting the baseline."""
        return not (self.differing or self.absent or self.missing)


def normalise(version: str) -> str:
    """Strip surrounding blanks and fold case. Nothing clever: what else differs is listed in `accepts`."""
    return version.strip().casefold()


def matches(want: ItemWant | ComponentBaseline | PreviousImage, observed_version: str) -> bool:
    """Whether an observed version is the wanted one, in one of its spellings. An empty version never is."""
    observed = normalise(observed_version)
    return bool(observed) and (
        observed == normalise(want.version) or any(observed == normalise(spelling) for spelling in want.accepts)
    )


def wants(component: ComponentBaseline) -> tuple[ItemWant, ...]:
    """What each inventory item of the component should show: its own wants, or one for all."""
    return component.items or (ItemWant(pattern="*", version=component.version, accepts=component.accepts),)


def diff(component: ComponentBaseline, items: Iterable[FirmwareItem]) -> ComponentDiff:
    """Compare a component with the inventory items that belong to it. See `compare`."""
    return compare(component.key, wants(component), items)


def compare(key: str, wanted: Sequence[ItemWant], items: Iterable[FirmwareItem]) -> ComponentDiff:
    """Compare what is wanted with what was observed.

    Args:
        key: the component.
        wanted: the first pattern that matches an item decides; items without a pattern are ignored.
        items: the items that a vendor profile maps to the component.
    """
    at_baseline: list[FirmwareItem] = []
    differing: list[Difference] = []
    absent: list[FirmwareItem] = []
    seen: set[str] = set()
    for item in items:
        want = next((want for want in wanted if fnmatchcase(item.id, want.pattern)), None)
        if want is None:
            continue
        seen.add(want.pattern)
        if item.state in NO_DEVICE:
            absent.append(item)
        elif matches(want, item.version):
            at_baseline.append(item)
        else:
            differing.append(Difference(item=item, want=want))
    return ComponentDiff(
        key=key,
        at_baseline=tuple(at_baseline),
        differing=tuple(differing),
        absent=tuple(absent),
        missing=tuple(want.pattern for want in wanted if want.pattern not in seen),
    )
