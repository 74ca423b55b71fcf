"""The ground truth of one box, which only tests and the report read."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Flash:
    """One image written, or begun to be written, to one part."""

    at: float
    """Simulated seconds when writing began."""
    sha256: str
    """Of the whole package file."""
    version: str
    request: int
    """Number of the submit (1 is the first that this BMC accepted)."""
    outcome: str = "running"
    """running, done, failed or cut."""


@dataclass(slots=True, kw_only=True)
class ImageWrite:
    """One OS image written, or begun to be written, to the disk."""

    at: float
    sha256: str
    version_id: str
    disk: str
    bytes: int
    outcome: str = "running"
    """running, done, cut (power or reset) or dropped (the media went away)."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What really happened to a box; times in simulated seconds."""

    power_cuts_in_flash: int = 0
    interrupted_posts: int = 0
    bricked: str | None = None
    sessions_created: int = 0
    sessions_deleted: int = 0
    sessions_lost: int = 0
    """Gone with a BMC restart."""
    sessions_expired: int = 0
    failed_logins: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    requests: int = 0
    submits: int = 0
    received_bytes: int = 0
    resets: list[dict[str, Any]] = field(default_factory=list)
    flashes: dict[str, list[Flash]] = field(default_factory=dict)
    image_writes: list[ImageWrite] = field(default_factory=list)
    media_bytes: int = 0
    phone_homes: int = 0
    phone_home_tries: int = 0
    boots: list[dict[str, Any]] = field(default_factory=list)
    ac_cuts: int = 0
    """Times that all feeds were off."""
    ac_drained: int = 0
    """Of those, so long that standby power drained."""
    ac_policies: list[str] = field(default_factory=list)
    """PowerRestorePolicy at each of them, as it counts."""
    ac_hit_host: int = 0
    """Of them, how many found the host on: what ran there is lost."""
    shell_logins: int = 0
    commands: Counter[str] = field(default_factory=Counter)

    def brick(self, reason: str) -> None:
        """The box is beyond repair by Redfish; the first reason stays."""
        self.bricked = self.bricked or reason

    def reset(self, at: float, what: str, kind: str) -> None:
        """Note a reset of `what` (host, bmc, hmc, ac)."""
        self.resets.append({"at": round(at, 3), "what": what, "kind": kind})

    def ac_lost(self, policy: str, *, host_on: bool) -> None:
        """All its feeds are off, from now on or for a moment."""
        self.ac_cuts += 1
        self.ac_policies.append(policy)
        self.ac_hit_host += host_on

    def journey(self) -> dict[str, Any]:
        """What happened beside firmware, as plain data."""
        return {
            "image_writes": [asdict(write) for write in self.image_writes],
            "image_write_counts": dict(Counter(write.sha256 for write in self.image_writes)),
            "media_bytes": self.media_bytes,
            "phone_homes": self.phone_homes,
            "phone_home_tries": self.phone_home_tries,
            "boots": self.boots,
            "ac_cuts": self.ac_cuts,
            "ac_drained": self.ac_drained,
            "ac_policies": self.ac_policies,
            "ac_hit_host": self.ac_hit_host,
            "shell_logins": self.shell_logins,
            "commands": dict(self.commands),
        }

    def flashes_of(self, item: str) -> list[dict[str, Any]]:
        """All flashes of one part, oldest first."""
        return [asdict(flash) for flash in self.flashes.get(item, ())]
