"""What a host boots, and the installer that comes up when media, override and power say so."""

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from fleet.sim.agenda import Action, Due
from fleet.sim.errand import Errand, PhoneHomePost, ReadMedia
from fleet.sim.faults import Effect
from fleet.sim.ledger import ImageWrite
from fleet.sim.osimage import OsImage, OsImageError, read_os_image, token_of

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_WRITE_S = 420.0
_MEDIA_BYTES_PER_S = 5_000_000
"""USB emulation streams at 2 to 10 MB/s (field guide 3.2)."""
_PHONE_PAUSE_S = 30.0
_PHONE_PAUSE_MAX_S = 600.0
_PHONE_LIMIT_S = 7200.0
"""Ours: a provisioning agent outlasts a restart of the server that it reports to, and hammers nobody meanwhile."""


class Running(StrEnum):
    """What a host runs after POST."""

    NOTHING = "nothing"
    """POST, an empty disk, or no power."""
    INSTALLER = "installer"
    DISK = "disk"


class Installer:
    """Boot decision and installation of one host."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        self.running = Running.DISK if bmc.disk.version_id else Running.NOTHING
        self.since = float("-inf")
        """When what runs began to run."""
        self.boot = 0
        """Counts starts of the host: whatever belongs to an earlier one is over."""
        self._errands: list[Errand] = []
        self._dues: list[Due] = []
        self._write: ImageWrite | None = None
        self._image: OsImage | None = None
        self._url = ""
        self._pause_s = _PHONE_PAUSE_S
        self._give_up = 0.0
        """No phone-home is tried after this."""
        self._identity = ("", "")

    def take_errands(self) -> list[Errand]:
        """What the face has to do now."""
        errands, self._errands = self._errands, []
        return errands

    def host_starts(self) -> None:
        """POST begins; what is booted is decided now, and begins when POST ends."""
        self.stop()
        media, at = self._bmc.media, self._bmc.host.post_until
        if media.consume() == media.model.boot_target and media.mounted:
            self._later(at, self._boot_media)
        else:
            self._later(at, self._boot_disk)

    def stop(self) -> None:
        """The host loses power or is reset: a half-written disk stays half written."""
        self.boot += 1
        self.running = Running.NOTHING
        self._errands.clear()
        for due in self._dues:
            due.cancel()
        self._dues.clear()
        if self._write is not None:
            self._write.outcome, self._write = "cut", None

    def read(self, boot: int, data: bytes | None, now: float) -> None:
        """The image that `ReadMedia` asked for, or None if it could not be read."""
        if boot != self.boot:
            return
        self._bmc.ledger.media_bytes += len(data or b"")
        try:
            image = read_os_image(data or b"")
        except OsImageError:
            self._boot_disk(now)
            return
        self._begin(image, now)

    def phoned(self, boot: int, *, accepted: bool, now: float) -> None:
        """The answer to a phone-home."""
        if boot != self.boot:
            return
        ledger = self._bmc.ledger
        ledger.phone_home_tries += 1
        ledger.phone_homes += accepted
        if accepted or now + self._pause_s > self._give_up:
            self._restart(now)
            return
        self._later(now + self._pause_s, self._phone_home)
        self._pause_s = min(2 * self._pause_s, _PHONE_PAUSE_MAX_S)

    def _boot_disk(self, at: float) -> None:
        self._note(at, "disk" if self._bmc.disk.version_id else "nothing")
        self.running = Running.DISK if self._bmc.disk.version_id else Running.NOTHING
        self.since = at

    def _boot_media(self, at: float) -> None:
        self._url = self._bmc.media.mounted
        if not self._url or self._bmc.faults.take(Effect.IMAGE_UNREADABLE):
            self._boot_disk(at)
            return
        self._note(at, "media")
        self.running, self.since = Running.INSTALLER, at
        self._errands.append(ReadMedia(url=self._url, boot=self.boot))

    def _begin(self, image: OsImage, now: float) -> None:
        disk = self._bmc.disk
        write = ImageWrite(
            at=round(now, 3), sha256=image.sha256, version_id=image.version_id, disk=disk.name, bytes=image.size_bytes
        )
        self._bmc.ledger.image_writes.append(write)
        self._write, self._image = write, image
        self._identity = (self._bmc.spec.serial, self._bmc.spec.uuid)
        if self._bmc.faults.take(Effect.WRONG_IDENTITY):  # and it says so however often it calls
            self._identity = self._bmc.neighbour_identity
        disk.wipe()
        length_s = _WRITE_S + image.size_bytes / _MEDIA_BYTES_PER_S
        if self._bmc.faults.take(Effect.MEDIA_DROPPED):
            self._later(now + length_s / 2, self._dropped)
        else:
            self._later(now + length_s, partial(self._written, image))

    def _dropped(self, _: float) -> None:
        self._bmc.media.eject_all()
        if self._write is not None:
            self._write.outcome, self._write = "dropped", None

    def _written(self, image: OsImage, now: float) -> None:
        if self._bmc.media.mounted != self._url:  # a BMC restart ejected it meanwhile
            self._dropped(now)
            return
        if self._write is not None:
            self._write.outcome, self._write = "done", None
        golden = self._bmc.faults.take(Effect.GOLDEN_IMAGE)
        self._bmc.disk.install(image.version_id, golden=golden.name if golden else "")
        if self._bmc.faults.take(Effect.NO_PHONE_HOME):
            self._restart(now)
            return
        self._pause_s, self._give_up = _PHONE_PAUSE_S, now + _PHONE_LIMIT_S
        self._phone_home(now)

    def _phone_home(self, now: float) -> None:
        if self._image is None:
            return
        if not self._bmc.reaches_home():
            self.phoned(self.boot, accepted=False, now=now)
            return
        url = self._image.phone_home_url(self._url)
        self._errands.append(PhoneHomePost(url=url, body=self._said(self._image), boot=self.boot))

    def _said(self, image: OsImage) -> dict[str, Any]:
        spec, disk = self._bmc.spec, self._bmc.disk
        return {
            "token": token_of(self._url),
            "serial": self._identity[0],
            "uuid": self._identity[1],
            "host_key": disk.host_key_line,
            "machine_id": disk.machine_id,
            "address": spec.host_address,
            "port": spec.host_port,
            "version_id": image.version_id,
            "image_sha256": image.sha256,
            "disk": disk.name,
        }

    def _restart(self, now: float) -> None:
        self._bmc.ledger.reset(now, "host", "installer restarts")
        self._bmc.host.reset("ForceRestart", now)

    def _later(self, at: float, action: Action) -> None:
        self._dues.append(self._bmc.agenda.add(at, action, wakes=True))

    def _note(self, at: float, source: str) -> None:
        self._bmc.ledger.boots.append({"at": round(at, 3), "from": source})
