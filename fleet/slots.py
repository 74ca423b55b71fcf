"""Two copies of one firmware behind a root of trust, as a machine shows them, and what follows from that. Pure.

An ERoT copies the running image into its other slot: by itself after a start, or when CommitImage tells it to. Until then the
other slot holds what ran before: the way back that a copy takes away, and what an AC loss may start (field guide 1.8, 1.11, F45, F46).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from fleet.events import Json
from inventory.baseline import normalise

COPY_S = 600.0
"""Longest that a background copy takes (field guide 1.8, 1.14: nvfwupd's limit)."""
_NAMED = 4
_NOT_WHOLE = frozenset(
    {"FailedAuthentication", "WriteInProgress", "ImageCopyPending", "ImageCopyInProgress", "ImageCopyFailed"}
)
"""FirmwareState of a slot whose version says nothing yet (NvidiaRoTImageSlot v1_0_0, NVIDIA/bmcweb)."""


class Copying(StrEnum):
    """BackgroundCopyStatus (NVIDIA/libredfish; field guide 1.8)."""

    COMPLETED = "Completed"
    IN_PROGRESS = "InProgress"
    PENDING = "Pending"
    NOT_SHOWN = ""
    """Some ERoTs have no such property (EROT_BMC_0 of a DGX H100, captured)."""
    UNKNOWN = "Unknown"
    """A word that no source has: not completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One root of trust."""

    id: str
    """Id of its Chassis."""
    automatic: bool | None
    """AutomaticBackgroundCopyEnabled; None where it does not say."""
    copying: Copying

    @property
    def busy(self) -> bool:
        """Whether it copies, or will without being told. One that waits to be told is at rest."""
        if self.automatic is False and self.copying is Copying.PENDING:
            return False
        return self.copying not in {Copying.COMPLETED, Copying.NOT_SHOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One of the two copies."""

    version: str
    """As the machine writes it, empty where it does not. AMI writes 23.11.21 as 35.17.33: compared with the other slot alone."""
    state: str = ""
    """FirmwareState (NvidiaRoTImageSlot), such as Activated, ImageCopyPending, FailedAuthentication."""
    number: int | None = None
    """SlotId."""
    comparison: int | None = None
    """FirmwareComparisonNumber."""

    def __str__(self) -> str:
        return " ".join(word for word in (self.version or "nothing", self.state) if word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Banks:
    """Both copies of one firmware."""

    holder: str
    """Id of the inventory item or, where only that shows them, of the root of trust."""
    active: Slot
    inactive: Slot

    @property
    def equal(self) -> bool:
        """Whether an AC loss starts the same version, whichever slot it takes."""
        same = normalise(self.active.version) == normalise(self.inactive.version)
        return bool(self.active.version) and same and self.inactive.state not in _NOT_WHOLE

    def __str__(self) -> str:
        return f"{self.holder} runs {self.active.version or 'nothing'}, its other slot holds {self.inactive}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReading:
    """What a machine shows of its roots of trust and slots, read at one time."""

    roots: tuple[Root, ...] = ()
    banks: tuple[Banks, ...] = ()
    minimum: Mapping[str, int] = field(default_factory=dict)
    """Inventory item -> MinimumSecurityVersion: what the fuses let through at all."""
    commits: bool = False
    """Whether CommitImage is advertised."""

    @property
    def shown(self) -> bool:
        """Whether there is anything to judge by."""
        return bool(self.roots or self.banks)

    @property
    def busy(self) -> tuple[Root, ...]:
        """Roots that copy: no image may be handed over (F45)."""
        return tuple(root for root in self.roots if root.busy)

    @property
    def half(self) -> tuple[Banks, ...]:
        """Firmware of which one slot alone holds what runs (F46)."""
        return tuple(banks for banks in self.banks if not banks.equal)

    @property
    def waits_to_be_told(self) -> bool:
        """Whether a copy is due that no root makes by itself."""
        told = [root for root in self.roots if root.automatic is False]
        return bool(told) and bool(self.half or any(root.copying is Copying.PENDING for root in told))

    def of(self, items: Iterable[str], roots: Iterable[str]) -> "SlotReading":
        """What of it belongs to a component: globs on inventory items, globs on Chassis Ids."""
        items, roots = tuple(items), tuple(roots)
        return replace(
            self,
            roots=tuple(root for root in self.roots if _any(root.id, roots)),
            banks=tuple(banks for banks in self.banks if _any(banks.holder, (*items, *roots))),
            minimum={item: least for item, least in self.minimum.items() if _any(item, items)},
        )

    def to_json(self) -> Json:
        """For the journal: root -> its copy, holder -> both slots."""
        return {
            "roots": {root.id: [root.automatic, root.copying.value] for root in self.roots},
            "banks": {
                banks.holder: [
                    [slot.number, slot.version, slot.state, slot.comparison] for slot in (banks.active, banks.inactive)
                ]
                for banks in self.banks
            },
        }


def _any(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def lacking(reading: SlotReading) -> str:
    """Why an AC loss may start something else than what runs, in words; empty where it cannot."""
    found = [f"{root.id} says {root.copying}" for root in reading.busy]
    found += [str(banks) for banks in reading.half]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more


def agreed(reading: SlotReading) -> str:
    """The evidence that both slots hold what runs."""
    said = [f"{banks.holder} {banks.active.version}" for banks in reading.banks]
    said += [f"{root.id} {root.copying}" for root in reading.roots if root.copying is not Copying.NOT_SHOWN]
    more = f" and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return f"both slots are equal: {', '.join(said[:_NAMED])}{more}"
