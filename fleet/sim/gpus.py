"""The GPUs of a node as its tools see them, with today's faults."""

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.sim.faults import Effect

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU that the driver sees."""

    index: int
    """Position on the baseboard; tools number the visible ones anew."""
    name: str
    serial: str
    uuid: str
    vbios: str
    bus_id: str
    speed: float
    """Factor on its bandwidth; 1 is what it should be."""


def gpus_of(bmc: "Bmc") -> tuple[Gpu, ...]:
    """The GPUs that the driver of `bmc`'s OS sees now."""
    model = bmc.box.gpus
    if model is None:
        return ()
    gone, slow = _gone(bmc), _slow(bmc)
    found = []
    for index in range(model.count):
        if index in gone:
            continue
        digest = hashlib.sha256(f"{bmc.spec.name}/gpu{index}".encode()).hexdigest()
        jitter = random.Random(digest).uniform(-0.004, 0.004)
        uuid = f"GPU-{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
        found.append(
            Gpu(
                index=index,
                name=model.product,
                serial=f"16{int(digest[:10], 16) % 10**11:011d}",
                uuid=uuid,
                vbios=bmc.firmware.parts[model.part.format(model.first + index)].active,
                bus_id=f"00000000:{0x1B + 0x17 * index:02X}:00.0",
                speed=(1 + jitter) * (1 - slow.get(index, 0.0) / 100),
            )
        )
    return tuple(found)


def xid_of(bmc: "Bmc") -> tuple[int, int] | None:
    """(Xid code, GPU) of the fault, if the node has it."""
    for rule in bmc.faults.rules:
        if rule.effect is Effect.XID:
            return int(rule.number("code", 79)), int(rule.number("gpu", 2))
    return None


def _gone(bmc: "Bmc") -> set[int]:
    gone = {int(rule.number("gpu", 3)) for rule in bmc.faults.rules if rule.effect is Effect.GPU_MISSING}
    xid = xid_of(bmc)
    if xid is not None and xid[0] == 79:  # noqa: PLR2004  "GPU has fallen off the bus"
        gone.add(xid[1])
    return gone


def _slow(bmc: "Bmc") -> dict[int, float]:
    rules = (rule for rule in bmc.faults.rules if rule.effect is Effect.GPU_SLOW)
    return {int(rule.number("gpu", 5)): rule.number("percent", 3) for rule in rules}
