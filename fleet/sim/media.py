"""Virtual media and boot override of one box, with each vendor's habits (field guide 3.2, 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleet.sim.agenda import Agenda, Due
from fleet.sim.message import Answer, answer, collection, error
from fleet.sim.order import OrderError, read_json

_OVERRIDES = ("Disabled", "Once", "Continuous")
_INSERT, _EJECT = "VirtualMedia.InsertMedia", "VirtualMedia.EjectMedia"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaModel:
    """How a box does virtual media, as its box file says."""

    slots: Mapping[str, str]
    """Path of a VirtualMedia resource -> drive. Two paths of one drive show the same media."""
    types: tuple[str, ...] = ("CD", "DVD")
    demands: tuple[str, ...] = ()
    """Parameters of InsertMedia that must be texts, even empty ones."""
    suffix: str = ""
    """What the image's URL must end with."""
    inserted_s: float = 6.0
    """How late `Inserted` flips."""
    eject_when_empty: bool = True
    """Whether EjectMedia is advertised by an empty slot."""
    boot_target: str = "Cd"
    """The override target that starts the media."""
    override_at: tuple[str, ...] = ()
    """Resources whose `Boot` can be patched."""
    enabled_always: bool = False
    """BootSourceOverrideEnabled must be sent with every change."""
    targets: tuple[str, ...] = ("None", "Pxe", "Cd", "Hdd")

    def collections(self) -> dict[str, list[str]]:
        """Path of a collection -> paths of its slots."""
        found: dict[str, list[str]] = {}
        for path in self.slots:
            found.setdefault(path.rpartition("/")[0], []).append(path)
        return found


class Drive:
    """One virtual drive."""

    __slots__ = ("flips", "image", "inserted")

    def __init__(self) -> None:
        self.image = ""
        self.inserted = False
        self.flips: Due | None = None

    def eject(self) -> None:
        """Empty it."""
        if self.flips is not None:
            self.flips.cancel()
        self.image, self.inserted, self.flips = "", False, None


class Media:
    """The drives and the boot override of one box."""

    def __init__(self, model: MediaModel, agenda: Agenda, *, registry: str) -> None:
        self.model = model
        self._agenda = agenda
        self._registry = registry
        self._drives = {drive: Drive() for drive in model.slots.values()}
        self.override = ("Disabled", "None")
        """(BootSourceOverrideEnabled, BootSourceOverrideTarget)."""

    @property
    def mounted(self) -> str:
        """URL of the media that a host can see, or empty."""
        return next((drive.image for drive in self._drives.values() if drive.inserted), "")

    def eject_all(self) -> None:
        """The BMC restarts, or drops the media."""
        for drive in self._drives.values():
            drive.eject()

    def consume(self) -> str:
        """POST begins: the target to boot (empty: none); an override meant for once is gone."""
        enabled, target = self.override
        if enabled == "Once":
            self.override = ("Disabled", "None")
        return "" if enabled == "Disabled" else target

    def get(self, path: str) -> Answer | None:
        """The resource at `path`, if it is ours."""
        if path in self.model.slots:
            return answer(200, self._slot(path))
        slots = self.model.collections().get(path)
        if slots is None:
            return None
        return answer(200, collection(path, "VirtualMedia", "Virtual Media Collection", slots))

    def post(self, path: str, body: bytes, now: float) -> Answer | None:
        """InsertMedia or EjectMedia, if `path` is one of ours."""
        slot, _, action = path.partition("/Actions/")
        if slot not in self.model.slots or action not in {_INSERT, _EJECT}:
            return None
        drive = self._drives[self.model.slots[slot]]
        if action == _INSERT:
            return self._insert(drive, read_json(body), now)
        if not drive.image:
            if not self.model.eject_when_empty:
                return error(404, self._base("ResourceMissingAtURI"), f"There is no action at {path}.", (path,))
            return error(400, self._base("ActionNotSupported"), "No virtual media is connected.", ("EjectMedia",))
        drive.eject()
        return Answer(status=204)

    def patch_boot(self, boot: Any) -> Answer:
        """PATCH of `Boot` at a resource where this box takes it."""
        if not isinstance(boot, dict):
            raise OrderError("PropertyValueTypeError", "Boot is not an object.", str(boot), "Boot")
        enabled, target = self.override
        if self.model.enabled_always and "BootSourceOverrideEnabled" not in boot:
            raise OrderError("PropertyMissing", "BootSourceOverrideEnabled is required.", "BootSourceOverrideEnabled")
        enabled = boot.get("BootSourceOverrideEnabled", enabled)
        target = boot.get("BootSourceOverrideTarget", target)
        self._listed("BootSourceOverrideEnabled", enabled, _OVERRIDES)
        self._listed("BootSourceOverrideTarget", target, self.model.targets)
        self._listed("BootSourceOverrideMode", boot.get("BootSourceOverrideMode", "UEFI"), ("UEFI",))
        self.override = ("Disabled", "None") if target == "None" or enabled == "Disabled" else (enabled, target)
        return Answer(status=204)

    def _insert(self, drive: Drive, said: dict[str, Any], now: float) -> Answer:
        url = said.get("Image")
        if not isinstance(url, str) or not url:
            raise OrderError("ActionParameterMissing", "The action requires Image.", "InsertMedia", "Image")
        for name in self.model.demands:
            if not isinstance(said.get(name), str):
                raise OrderError("ActionParameterMissing", f"The action requires {name}.", "InsertMedia", name)
        bad = set(url) & set("?&") or not url.startswith(("http://", "https://"))
        if bad or not url.endswith(self.model.suffix):
            raise OrderError("ActionParameterValueFormatError", f"The URL {url} cannot be used.", url, "Image")
        if drive.image:
            return error(400, self._base("ResourceInUse"), "The virtual media is in use; eject it first.")
        drive.image = url
        drive.flips = self._agenda.add(now + self.model.inserted_s, lambda _: setattr(drive, "inserted", True))
        return Answer(status=204)

    def _slot(self, path: str) -> dict[str, Any]:
        drive = self._drives[self.model.slots[path]]
        actions = {f"#{_INSERT}": {"target": f"{path}/Actions/{_INSERT}"}}
        if self.model.eject_when_empty or drive.image:
            actions[f"#{_EJECT}"] = {"target": f"{path}/Actions/{_EJECT}"}
        name = path.rpartition("/")[2]
        return {
            "@odata.id": path,
            "@odata.type": "#VirtualMedia.v1_4_0.VirtualMedia",
            "Id": name,
            "Name": f"Virtual Media {name}",
            "MediaTypes": list(self.model.types),
            "Image": drive.image or None,
            "ImageName": drive.image.rpartition("/")[2] or None,
            "Inserted": drive.inserted,
            "ConnectedVia": "URI" if drive.inserted else "NotConnected",
            "TransferProtocolType": "HTTP" if drive.image else None,
            "TransferMethod": "Stream" if drive.image else None,
            "UserName": None,
            "Password": None,
            "WriteProtected": True,
            "Actions": actions,
        }

    def _listed(self, name: str, value: Any, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            text = f"The value {value} for {name} is not in the list of acceptable values."
            raise OrderError("PropertyValueNotInList", text, str(value), name)

    def _base(self, name: str) -> str:
        return f"{self._registry}.{name}"
