"""Roots of trust that keep two copies of a firmware: background copy, slots, anti-rollback (field guide 1.8, 1.11, A.4).

After a new image has started, the root copies it into the other slot, by itself or when it is told to (CommitImage). Until then
the other slot holds what ran before. No image is taken while it copies, and an AC loss makes it begin again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fleet.sim.agenda import Agenda, Due
from fleet.sim.boxmodel import BoxModel, Part
from fleet.sim.derived import RootModel, Shows
from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.firmware import Firmware, PartState


class CopyStatus(StrEnum):
    """BackgroundCopyStatus: the three words that NVIDIA/bmcweb and NVIDIA/libredfish have for it."""

    COMPLETED = "Completed"
    IN_PROGRESS = "InProgress"
    PENDING = "Pending"


@dataclass(slots=True, kw_only=True, eq=False)
class _Root:
    model: RootModel
    automatic: bool
    status: CopyStatus = CopyStatus.COMPLETED
    lost: frozenset[str] = frozenset()
    """Items that the copy under way leaves out (a fault)."""
    dues: list[Due] = field(default_factory=list)

    @property
    def copies(self) -> bool:
        """Whether a copy runs, or will by itself."""
        return self.status is CopyStatus.IN_PROGRESS or bool(self.dues)


class Roots:
    """All roots of trust of one box."""

    def __init__(
        self, box: BoxModel, agenda: Agenda, firmware: Firmware, faults: NodeFaults, fused: Mapping[str, int]
    ) -> None:
        """`fused`: item -> MinimumSecurityVersion, where it is not the box's."""
        self._agenda = agenda
        self._firmware = firmware
        self._faults = faults
        self._roots = {model.chassis: _Root(model=model, automatic=model.automatic) for model in box.roots}
        self._of = {item: root for root in self._roots.values() for item in root.model.protects}
        self._minimum = {item: fused.get(item, root.model.minimum) for item, root in self._of.items()}
        self._half: set[str] = set()
        """Items whose copy was lost: an AC loss starts what stands in the other slot."""
        firmware.on_start = self._started

    def automatic(self, chassis: str) -> bool:
        """AutomaticBackgroundCopyEnabled."""
        return self._roots[chassis].automatic

    def status(self, chassis: str) -> CopyStatus:
        """BackgroundCopyStatus."""
        return self._roots[chassis].status

    def minimum(self, item: str) -> int:
        """MinimumSecurityVersion of an item; 0 for those that no root protects."""
        return self._minimum.get(item, 0)

    def bank(self, item: str, number: int) -> str:
        """What AP_Firmware_Slot_<number> says: 23.11.21 is written 35.17.33, as captured of EROT_BMC_0."""
        state = self._firmware.parts[item]
        version = state.active if state.slot == number else state.other
        return ".".join(
            str(int(word, 16)) if re.fullmatch(r"[0-9A-Fa-f]{1,4}", word) else word for word in version.split(".")
        )

    @property
    def copying(self) -> bool:
        """Whether any copy runs or is about to: no image is taken now."""
        return any(root.copies for root in self._roots.values())

    def settable(self, chassis: str) -> bool:
        """Whether AutomaticBackgroundCopyEnabled of `chassis` can be changed (NVIDIA/bmcweb: PATCH of the chassis)."""
        return chassis in self._roots and self._roots[chassis].model.shows is not Shows.BANKS

    def set_automatic(self, chassis: str, *, enabled: bool) -> None:
        """Change it; a copy that waited for nothing else begins."""
        root = self._roots[chassis]
        root.automatic = enabled
        if enabled and root.status is CopyStatus.PENDING and not root.dues:
            self._begin(root, self._agenda.now)

    def commit(self, items: Iterable[str]) -> None:
        """CommitImage: what runs is copied into the other slot, now."""
        for root in dict.fromkeys(self._of[item] for item in items if item in self._of):
            if not root.copies:
                self._begin(root, self._agenda.now)

    def power_lost(self) -> None:
        """AC is gone: a copy is cut, and begins anew; a part with one good copy starts whatever stands in the other slot."""
        for item in sorted(self._half):
            state = self._firmware.parts[item]
            state.active, state.other, state.slot = state.other, state.active, 1 - state.slot
        for root in self._roots.values():
            cut = root.status is CopyStatus.IN_PROGRESS
            waiting = bool(root.dues)
            for due in root.dues:
                due.cancel()
            root.dues.clear()
            for item in root.model.protects:
                state = self._firmware.parts[item]
                state.spoiled, state.copying = state.spoiled or (cut and state.copying), False
            if waiting or (root.automatic and any(self._firmware.parts[item].spoiled for item in root.model.protects)):
                self._begin(root, self._agenda.now, again=waiting)
        self._firmware.revision += 1

    def truth(self) -> dict[str, Any]:
        """Item -> what stands in both slots, running one first, and whether an AC loss would start the other."""
        states = ((item, self._firmware.parts[item]) for item in self._of)
        return {
            item: {"active": state.active, "other": "" if state.spoiled else state.other, "half": item in self._half}
            for item, state in states
        }

    def _started(self, part: Part) -> None:
        root = self._of.get(part.item)
        if root is None:
            return
        self._half.discard(part.item)
        root.status = CopyStatus.PENDING
        if root.automatic:
            self._begin(root, self._agenda.now)

    def _begin(self, root: _Root, now: float, *, again: bool = False) -> None:
        if root.dues:
            return
        if not again:
            items = root.model.protects
            root.lost = frozenset(item for item in items if self._faults.take(Effect.HALF_UPDATED, items=(item,)))
        root.status = CopyStatus.PENDING
        starts = now + root.model.begins_s
        root.dues = [
            self._agenda.add(starts, lambda _: self._copy(root)),
            self._agenda.add(starts + root.model.copy_s, lambda _: self._finish(root)),
        ]

    def _copy(self, root: _Root) -> None:
        root.status = CopyStatus.IN_PROGRESS
        for state in self._taken(root).values():
            state.copying = True
        self._firmware.revision += 1

    def _finish(self, root: _Root) -> None:
        root.status = CopyStatus.COMPLETED
        root.dues.clear()
        for item, state in self._taken(root).items():
            state.other, state.spoiled, state.copying = state.active, False, False
            self._half.discard(item)
        self._half |= root.lost
        self._firmware.revision += 1

    def _taken(self, root: _Root) -> dict[str, PartState]:
        return {item: self._firmware.parts[item] for item in root.model.protects if item not in root.lost}
