"""What the simulated operators own: firmware packages of each model, and baselines over them. Written once per process."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from fleet.sim.package import build_box_package
from inventory.baseline import (
    Activation,
    Baseline,
    ComponentBaseline,
    Fits,
    ItemWant,
    PreviousImage,
    SteppingStone,
)

OLD, MIDDLE, NEW = "old", "middle", "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One component of one model, as the simulation knows it: not asked of any code of ours."""

    item: str
    """Part of the simulated box."""
    family: str
    bundle: str
    shown: str
    """Glob on the Ids of the firmware inventory."""
    activation: Activation
    versions: Mapping[str, str]
    """OLD, MIDDLE and NEW -> version. OLD is what the box leaves the factory with."""


DGX, SMC, DELL = "DGXH100", "SYS-821GE-TNHR", "PowerEdge R750"

PARTS: Mapping[str, Mapping[str, Part]] = {
    DGX: {
        "bmc": Part(
            item="HostBMC_0",
            family="HostBMC",
            bundle="motherboard",
            shown="HostBMC_0",
            activation=Activation.BMC_RESET,
            versions={OLD: "23.11.21", MIDDLE: "23.12.01", NEW: "24.01.05"},
        ),
        "bios": Part(
            item="HostBIOS_0",
            family="HostBIOS",
            bundle="motherboard",
            shown="HostBIOS_0",
            activation=Activation.DC_CYCLE,
            versions={OLD: "01.01.03", MIDDLE: "01.02.00", NEW: "01.05.01"},
        ),
    },
    SMC: {
        "bmc": Part(
            item="BMC",
            family="BMC",
            bundle="bmc",
            shown="BMC",
            activation=Activation.BMC_RESET,
            versions={OLD: "11.01.01", MIDDLE: "11.05.00", NEW: "12.00.02"},
        ),
        "bios": Part(
            item="BIOS",
            family="BIOS",
            bundle="bios",
            shown="BIOS",
            activation=Activation.DC_CYCLE,
            versions={OLD: "BIOS Date: 08/04/2023 Ver 1.4", MIDDLE: "Ver 1.9", NEW: "Ver 2.1"},
        ),
    },
    DELL: {
        "bmc": Part(
            item="iDRAC.Embedded.1-1",
            family="iDRAC",
            bundle="idrac",
            shown="Installed-*__iDRAC.Embedded.1-1",
            activation=Activation.BMC_RESET,
            versions={OLD: "6.00.30.00", MIDDLE: "6.10.30.00", NEW: "7.00.00.00"},
        ),
        "bios": Part(
            item="BIOS.Setup.1-1",
            family="BIOS",
            bundle="bios",
            shown="Installed-*__BIOS.Setup.1-1",
            activation=Activation.WARM_RESET,
            versions={OLD: "1.8.2", MIDDLE: "1.9.0", NEW: "1.12.1"},
        ),
    },
}


@cache
def directory() -> Path:
    """Where this process keeps its packages."""
    return Path(mkdtemp(prefix="fleetwave-simulation-"))


@cache
def image(model: str, key: str, which: str) -> tuple[Path, str]:
    """A package, and its digest."""
    part = PARTS[model][key]
    name = hashlib.sha256(model.encode()).hexdigest()[:8]
    path = directory() / f"{name}-{key}-{which}.fwpkg"
    version = part.versions[which]
    sha256 = build_box_package(path, model=model, bundle=part.bundle, versions={part.family: version}, version=version)
    return path, sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the baseline of a history says, in few words."""

    keys: tuple[str, ...]
    """bmc, bios, or both."""
    stones: tuple[str, ...]
    """Keys of which the firmware must pass over MIDDLE."""
    previous: bool
    """Whether there is an image to go back to."""
    ac: bool
    """Whether a Supermicro's BIOS asks for an AC cycle."""

    def activation(self, model: str, key: str) -> Activation:
        """What brings it into force."""
        if self.ac and model == SMC and key == "bios":
            return Activation.AC_CYCLE
        return PARTS[model][key].activation

    def baseline(self, model: str) -> Baseline:
        """For one model."""
        return Baseline(name=f"b-{model}", models=(model,), components={key: self._of(model, key) for key in self.keys})

    def _of(self, model: str, key: str) -> ComponentBaseline:
        part = PARTS[model][key]
        path, sha256 = image(model, key, NEW)
        stones: tuple[SteppingStone, ...] = ()
        if key in self.stones:
            middle, digest = image(model, key, MIDDLE)
            version = part.versions[MIDDLE]
            want = (ItemWant(pattern=part.shown, version=version),)
            stones = (
                SteppingStone(
                    from_versions=(part.versions[OLD],), via=version, items=want, image=middle, sha256=digest
                ),
            )
        previous = None
        if self.previous:
            old, digest = image(model, key, OLD)
            version = part.versions[OLD]
            previous = PreviousImage(
                version=version, items=(ItemWant(pattern=part.shown, version=version),), image=old, sha256=digest
            )
        return ComponentBaseline(
            key=key,
            version=part.versions[NEW],
            items=(ItemWant(pattern=part.shown, version=part.versions[NEW]),),
            image=path,
            sha256=sha256,
            fits=Fits(models=("*",)),
            activation=frozenset({self.activation(model, key)}),
            requires=stones,
            previous=previous,
        )
