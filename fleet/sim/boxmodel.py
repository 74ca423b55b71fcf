"""Device models as data: one YAML file under ``boxes/`` per machine, read into frozen dataclasses.

A resource of the tree is written once per model, with ``=name`` markers where a value depends on the box's state; it is
compiled to byte fragments that all BMCs of a model share (field guide A.14).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

from fleet.sim.derived import RootModel, ethernet, root_models, root_resources
from fleet.sim.eventlog import LogModel
from fleet.sim.media import MediaModel
from fleet.sim.powermodel import PowerModel, read_power
from fleet.sim.strain import StrainModel, read_strain

BOXES = Path(__file__).parent / "boxes"
ROOT = "/redfish/v1"
INVENTORY = f"{ROOT}/UpdateService/FirmwareInventory"
_MARK = re.compile(r'"=([a-z_]+)(?::([^"|]*))?(?:\|([a-z-]+))?"')


class Cause(StrEnum):
    """What can activate a staged image."""

    AUTOMATIC = "automatic"
    BMC = "bmc"
    """The host's BMC restarted."""
    HMC = "hmc"
    """The baseboard's own BMC restarted."""
    MEDIUM = "medium"
    """A medium-specific reset; no box of ours offers one."""
    WARM = "warm"
    DC = "dc"
    AC = "ac"


class Supply(StrEnum):
    """Which power a part loses when the host is switched off."""

    STANDBY = "standby"
    MAIN = "main"


class Ending(StrEnum):
    """What follows when a part has taken its image."""

    AWAIT = "await"
    """Staged; waits for the right reset."""
    SELF_RESET = "self-reset"
    """The BMC restarts itself."""
    AT_REBOOT = "at-reboot"
    """Nothing is written before the next host reset; then it is written during POST (Dell's Lifecycle Controller)."""


class Slot(StrEnum):
    """Which version of a part an inventory entry shows."""

    ACTIVE = "active"
    STAGED = "staged"
    PREVIOUS = "previous"


class Dialect(StrEnum):
    """Whose habits a BMC has in tasks, errors and resets."""

    AMI = "ami"
    SUPERMICRO = "supermicro"
    DELL = "dell"
    OPENBMC = "openbmc"
    HPE = "hpe"
    DMTF = "dmtf"
    """Nobody's: as the standard has it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """One updateable part, or one more inventory entry that mirrors a part."""

    item: str
    """Id in FirmwareInventory; on Dell the FQDD from which the Ids are made."""
    family: str
    """`item` without the number of the instance."""
    version: str
    name: str = ""
    bundle: str | None = None
    identifier: int | None = None
    """ComponentIdentifier of images for this part (field guide 1.12)."""
    flash_s: float = 60.0
    activates_on: frozenset[Cause] = frozenset({Cause.AC})
    resolution: str = ""
    """Resolution text of its AwaitToActivate message."""
    component_first: bool = False
    """Order of AwaitToActivate arguments (field guide headline 6)."""
    banks: int = 1
    supply: Supply = Supply.STANDBY
    lane: str = ""
    """Parts of one lane are written one after another."""
    ending: Ending = Ending.AWAIT
    mirrors: str = ""
    slot: Slot = Slot.ACTIVE
    updateable: bool = True
    previous: str = ""
    component_id: str = ""
    shows_current: bool = False
    role: str = ""
    """``bmc`` or ``bios`` where losing it means more than one bad part."""
    properties: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Parts that one package serves."""

    name: str
    iana: int
    sku: str
    targets: tuple[str, ...] = ()
    """Values of `Targets` that mean this bundle; they need not be members of anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostModel:
    """The host's power behaviour."""

    resets: tuple[str, ...]
    off_lag_s: float
    graceful_s: float
    on_lag_s: float
    post_s: tuple[float, float]
    """Bounds of the seeded POST time."""
    reset_is_task: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcModel:
    """The BMC's own behaviour."""

    resets: tuple[str, ...]
    boot_s: Mapping[str, float]
    """Phase of a restart -> seconds (field guide 1.5)."""
    hmc_ready_s: float
    session_limit: int
    session_timeout_s: float
    shown_session_timeout: int
    lockout_threshold: int
    lockout_s: float
    latency_s: float
    push_bytes_per_s: float
    pull_bytes_per_s: float
    verify_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateModel:
    """How images get in."""

    multipart: str
    push: str
    simple: str
    start: str
    apply_times: tuple[str, ...]
    default_bundle: str | None
    """Bundle meant by an empty Targets; null: the package's own device decides."""
    limit_bytes: int
    older_needs: str
    """``nothing``, ``sticky-force`` (HttpPushUriOptions.ForceUpdate) or ``force`` (ForceUpdate in the request)."""
    same_version: str
    """``skip`` or ``flash``."""
    durable_tasks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """The GPUs as tools on the host name and see them."""

    part: str
    """Pattern of the inventory ids: their active version is the VBIOS version."""
    first: int
    count: int
    product: str
    device_id: str
    """PCI device id as DCGM prints it."""
    h2d: float = 55.0
    """GB/s of host to device copies; the others in proportion. Engineering values but for H100 (rollout-science 2.1)."""
    d2d: float = 390.0


Fill = Callable[[str, str, str], Any]
"""(name, argument, transform) -> the value of a marker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A compiled resource: alternating literal bytes and markers."""

    literals: tuple[bytes, ...]
    marks: tuple[tuple[str, str, str], ...]

    def render(self, fill: Fill) -> bytes:
        """The JSON bytes with every marker filled in."""
        if not self.marks:
            return self.literals[0]
        out = [self.literals[0]]
        for mark, literal in zip(self.marks, self.literals[1:], strict=True):
            out.append(json.dumps(fill(*mark)).encode())
            out.append(literal)
        return b"".join(out)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxModel:
    """One machine type."""

    model: str
    dialect: Dialect
    expand_levels: int
    inventory_type: str
    registry: str
    """Prefix of Base messages, such as ``Base.1.12``."""
    parts: tuple[Part, ...]
    bundles: Mapping[str, Bundle]
    host: HostModel
    bmc: BmcModel
    update: UpdateModel
    actions: Mapping[str, str]
    """Path -> what a POST there does: host-reset, bmc-reset, hmc-reset, ac-cycle, ac-cycle-when-off, simple-update,
    start-update."""
    action_values: Mapping[str, tuple[str, ...]]
    """Path -> accepted ResetType values."""
    resources: Mapping[str, Resource]
    hmc_prefixes: tuple[str, ...]
    """Resources that the baseboard's BMC serves: 404 until it is ready."""
    media: MediaModel
    logs: tuple[LogModel, ...]
    gpus: GpuModel | None
    power: PowerModel
    strain: StrainModel
    roots: tuple[RootModel, ...] = ()
    """Roots of trust that keep two copies of what they protect."""

    def part(self, item: str) -> Part:
        """The part with inventory id (or FQDD) `item`."""
        return next(part for part in self.parts if part.item == item)


@cache
def load_box(model: str) -> BoxModel:
    """The box named `model` (its ComputerSystem.Model).

    Raises:
        ValueError: no such box; the text lists those that exist.
    """
    for document in _documents():
        if document["model"] == model:
            return _box(document)
    raise ValueError(f"no box is called {model!r}; there are {', '.join(box_names())}")


@cache
def box_names() -> tuple[str, ...]:
    """The models that the hall can stand in for."""
    return tuple(document["model"] for document in _documents())


def _documents() -> Iterator[dict[str, Any]]:
    """Every box, with what it takes over from another file (`like`) and each of its variants put in."""
    for document in map(_complete, sorted(BOXES.glob("*.yaml"))):
        variants = document.pop("variants", ())
        yield document
        for variant in variants:
            yield _overlay(document, variant)


def _complete(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506  the C loader of safe YAML
    if "like" not in document:
        return document
    base = _complete(BOXES / f"{document.pop('like')}.yaml")
    base.pop("variants", None)
    return cast("dict[str, Any]", _overlay(base, document))


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _overlay(base: Any, change: Any) -> Any:
    """Mappings are put together, all else replaced; null takes away what the base has."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    gone = {key for key in base if key in change and change[key] is None}
    kept = [key for key in {**base, **change} if key not in gone]
    return {key: _overlay(base.get(key), change[key]) if key in change else base[key] for key in kept}


def _box(document: dict[str, Any]) -> BoxModel:
    parts = tuple(part for entry in document["parts"] for part in _parts(entry))
    bundles = {
        name: Bundle(name=name, iana=raw["iana"], sku=raw["sku"], targets=tuple(raw.get("targets", ())))
        for name, raw in document["bundles"].items()
    }
    host, bmc, update, actions = (document[key] for key in ("host", "bmc", "update", "actions"))
    return BoxModel(
        model=document["model"],
        dialect=Dialect(document["dialect"]),
        expand_levels=document["expand_levels"],
        inventory_type=document["inventory_type"],
        registry=document["registry"],
        parts=parts,
        bundles=bundles,
        host=HostModel(**host | {"resets": tuple(host["resets"]), "post_s": tuple(host["post_s"])}),
        bmc=BmcModel(**bmc | {"resets": tuple(bmc["resets"])}),
        update=UpdateModel(**update | {"apply_times": tuple(update["apply_times"])}),
        actions={ROOT + path: raw["does"] for path, raw in actions.items()},
        action_values={ROOT + path: tuple(raw["values"]) for path, raw in actions.items() if "values" in raw},
        resources=_compile(document["resources"] | _derived(document), document["model"]),
        hmc_prefixes=tuple(ROOT + path for path in document.get("hmc_prefixes", ())),
        media=_media(document["media"]),
        logs=tuple(LogModel(path=ROOT + path, **raw) for path, raw in document.get("logs", {}).items()),
        gpus=GpuModel(**document["gpus"]) if "gpus" in document else None,
        power=read_power(document.get("power", {})),
        roots=root_models(document.get("roots_of_trust", ())),
        strain=read_strain(document.get("strain", {})),
    )


def _derived(document: dict[str, Any]) -> dict[str, Any]:
    """Resources that the file says in a line."""
    roots = root_models(document.get("roots_of_trust", ()))
    return ethernet(document.get("ethernet", {})) | root_resources(roots)


def _media(raw: dict[str, Any]) -> MediaModel:
    listed = {key: tuple(raw[key]) for key in ("types", "demands", "targets") if key in raw}
    slots = {ROOT + path: drive for path, drive in raw["slots"].items()}
    return MediaModel(**raw | listed | {"slots": slots, "override_at": tuple(ROOT + at for at in raw["override_at"])})


def _parts(entry: dict[str, Any]) -> list[Part]:
    raw = dict(entry)
    first, last = raw.pop("instances", (None, None))
    pattern = raw.pop("item")
    raw["activates_on"] = frozenset(Cause(word) for word in raw.get("activates_on", ()))
    raw["supply"] = Supply(raw.get("supply", "standby"))
    raw["ending"] = Ending(raw.get("ending", "await"))
    raw["slot"] = Slot(raw.get("slot", "active"))
    raw.setdefault("version", "")
    mirrors = raw.pop("mirrors", "")
    if first is None:
        family = re.sub(r"_\d+$", "", pattern)
        return [Part(item=pattern, family=raw.pop("family", family), mirrors=mirrors, **raw)]
    family = raw.pop("family", pattern.replace("_{}", "").replace("{}", ""))
    numbers = range(first, last + 1)
    return [Part(item=pattern.format(n), family=family, mirrors=mirrors.format(n), **raw) for n in numbers]


def _compile(tree: dict[str, Any], model: str) -> dict[str, Resource]:
    compiled: dict[str, Resource] = {}
    paths = [ROOT + path for path in tree]
    for short, raw in tree.items():
        path = ROOT + short
        document = {"@odata.id": path, "Id": path.rpartition("/")[2], "Name": path.rpartition("/")[2], **raw}
        if f"{short}/EthernetInterfaces" in tree:
            document["EthernetInterfaces"] = {"@odata.id": f"{path}/EthernetInterfaces"}
        if path == ROOT:
            document.setdefault("AccountService", {"@odata.id": f"{ROOT}/AccountService"})
        if document.get("Members") == "children":
            children = [other for other in paths if other.rpartition("/")[0] == path]
            document["Members"] = [{"@odata.id": child} for child in children]
            document["Members@odata.count"] = len(children)
            del document["Id"]
        text = json.dumps(document, separators=(",", ":")).replace("{model}", model)
        compiled[path] = _resource(text)
    return compiled


def _resource(text: str) -> Resource:
    literals, marks, at = [], [], 0
    for found in _MARK.finditer(text):
        literals.append(text[at : found.start()].encode())
        marks.append((found[1], found[2] or "", found[3] or ""))
        at = found.end()
    return Resource(literals=(*literals, text[at:].encode()), marks=tuple(marks))
