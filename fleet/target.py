"""One component's goal on one kind of node: baseline and profile put together, frozen into the plan."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from fleet.profile import Rollback
from inventory.baseline import Activation, ComponentDiff, ItemWant, compare
from inventory.observed import FirmwareItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a component should show, and how it gets there."""

    name: str
    """`bmc`; `bmc@23.09.20` for a stepping stone, `bmc~23.11.21` for the way back."""
    component: str
    """Key in baseline and profile."""
    version: str
    wants: tuple[ItemWant, ...]
    items: tuple[str, ...]
    """Globs of the profile: which inventory items are this component's at all."""
    image: Path
    sha256: str
    size_bytes: int
    needs: frozenset[Activation]
    rollback: Rollback = Rollback.NONE
    previous: str = ""
    """Name of the target to go back to, or empty."""
    downgrade: str = ""
    """Non-empty: why a downgrade is let through. Only ever set on the way back."""

    def diff(self, items: Iterable[FirmwareItem]) -> ComponentDiff:
        """How far what was observed is from the goal."""
        mine = [item for item in items if _belongs(item.id, self.items)]
        return compare(self.component, self.wants, mine)

    def versions(self, items: Iterable[FirmwareItem]) -> dict[str, str]:
        """Inventory item -> version, of what is this component's and there."""
        found = self.diff(items)
        shown = (*found.at_baseline, *(difference.item for difference in found.differing))
        return {item.id: item.version for item in shown}

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "name": self.name,
            "component": self.component,
            "version": self.version,
            "wants": [[want.pattern, want.version, sorted(want.accepts)] for want in self.wants],
            "items": list(self.items),
            "image": str(self.image),
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "needs": sorted(self.needs),
            "rollback": self.rollback.value,
            "previous": self.previous,
            "downgrade": self.downgrade,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Target":
        """From the journal."""
        return cls(
            **{
                **data,
                "wants": tuple(
                    ItemWant(pattern=pattern, version=version, accepts=frozenset(accepts))
                    for pattern, version, accepts in data["wants"]
                ),
                "items": tuple(data["items"]),
                "image": Path(data["image"]),
                "needs": frozenset(Activation(need) for need in data["needs"]),
                "rollback": Rollback(data["rollback"]),
            }
        )


@lru_cache(maxsize=16_384)
def _belongs(item: str, globs: tuple[str, ...]) -> bool:
    """Whether an inventory item is one of these. Remembered: thousands of nodes list the same few dozen items."""
    return any(fnmatchcase(item, glob) for glob in globs)
