"""The parts of one box: active, staged and previous versions, and what activates or destroys them."""

from collections.abc import Callable, Iterable, Mapping

from fleet.sim.boxmodel import BoxModel, Cause, Part, Slot, Supply
from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.ledger import Flash, Ledger


class PartState:
    """What is in one part's memory."""

    __slots__ = ("active", "copying", "dead", "falls_back", "other", "previous", "slot", "spoiled", "staged", "writing")

    def __init__(self, part: Part, version: str) -> None:
        self.active = version
        self.previous = part.previous
        self.staged: str | None = None
        self.writing: Flash | None = None
        self.falls_back = ""
        """Why the staged image will not come up (a fault); empty if it will."""
        self.dead = ""
        """Why this part is bricked; empty if it is not."""
        self.slot = 0
        """The one that runs, of two."""
        self.other = version
        """What stands in the other one, of a part with two banks."""
        self.spoiled = False
        """Whether the other one was cut while it was written, or does not start."""
        self.copying = False
        """Whether the running one is being copied into the other."""


class Firmware:
    """All parts of one box."""

    def __init__(self, box: BoxModel, versions: Mapping[str, str], ledger: Ledger, faults: NodeFaults) -> None:
        self._box = box
        self._ledger = ledger
        self._faults = faults
        self.on_start: Callable[[Part], None] = lambda _part: None
        """Told of each part whose new image has started."""
        self.revision = 0
        """Counts changes that an inventory reader can see."""
        self.parts = {
            part.item: PartState(part, versions.get(part.item, versions.get(part.family, part.version)))
            for part in box.parts
            if not part.mirrors
        }

    def shown(self, part: Part) -> str:
        """The version that the inventory shows for `part`."""
        state = self.parts[part.mirrors or part.item]
        if part.slot is Slot.STAGED:
            return state.staged or state.active
        if part.slot is Slot.PREVIOUS:
            return state.previous or "Not Present"
        return state.active

    def begin(self, part: Part, *, version: str, sha256: str, request: int, now: float) -> None:
        """Start to write `version` into `part`."""
        flash = Flash(at=round(now, 3), sha256=sha256, version=version, request=request)
        self._ledger.flashes.setdefault(part.item, []).append(flash)
        state = self.parts[part.item]
        state.writing, state.spoiled = flash, True
        self.revision += 1

    def finish(self, part: Part, *, stages: bool, falls_back: str = "") -> None:
        """Writing has ended; the image is staged, or (`stages` false) it was lost."""
        state = self.parts[part.item]
        if state.writing is None:
            return
        state.writing.outcome = "done" if stages else "failed"
        if stages:
            state.staged, state.falls_back, state.spoiled = state.writing.version, falls_back, False
        state.writing = None
        self.revision += 1

    def cut(self, supplies: Iterable[Supply]) -> list[str]:
        """Power or the BMC went away: every part that was being written suffers. Returns their ids."""
        hit = []
        for part in self._box.parts:
            state = self.parts.get(part.item)
            if state is None or state.writing is None or part.supply not in supplies:
                continue
            state.writing.outcome = "cut"
            state.writing = None
            self._ledger.power_cuts_in_flash += 1
            hit.append(part.item)
            if part.banks == 1:
                self._kill(part, "power cut during its flash")
        self.revision += 1
        return hit

    def activate(self, causes: frozenset[Cause]) -> list[Part]:
        """Bring up what is staged and needs one of `causes`; returns the parts that changed."""
        changed = [part for part in self._box.parts if part.activates_on & causes and self._start(part)]
        self.revision += 1
        return changed

    def activate_written(self, items: Iterable[str]) -> None:
        """Bring up the staged images of these parts, whatever they would otherwise need."""
        wanted = set(items)
        for part in self._box.parts:
            if part.item in wanted:
                self._start(part)
        self.revision += 1

    def replace(self, item: str, version: str) -> None:
        """The part is another one, which runs `version`; what was staged went with the old one."""
        state = self.parts[item]
        state.active, state.previous, state.staged, state.writing, state.dead = version, "", None, None, ""
        self.revision += 1

    def dead(self, role: str) -> bool:
        """Whether a part with this role (``bmc``, ``bios``) is bricked."""
        return any(part.role == role and self.parts[part.item].dead for part in self._box.parts if not part.mirrors)

    def _start(self, part: Part) -> bool:
        state = self.parts.get(part.item)
        if state is None or state.staged is None:
            return False
        version, state.staged = state.staged, None
        falls_back, state.falls_back = state.falls_back, ""
        if self._faults.take(Effect.BAD_IMAGE, items=(part.item,), versions=(version,)) is not None:
            self._kill(part, f"image {version} does not start")
            return False
        if falls_back:
            state.other, state.spoiled = version, True
            return False
        state.previous, state.other, state.active = state.active, state.active, version
        state.slot, state.spoiled = 1 - state.slot, False
        self.on_start(part)
        return True

    def _kill(self, part: Part, reason: str) -> None:
        self.parts[part.item].dead = reason
        self._ledger.brick(f"{part.item}: {reason}")
        self.revision += 1
