"""What NetBox wants to know of a model and no BMC tells: who makes it, and how many rack units it takes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A model, or a family of them."""

    pattern: str
    """Glob on the model, in lower case."""
    manufacturer: str
    height_u: int | None
    """None is not known: such a device gets a rack and no position in it."""


# Heights by the makers' data sheets and user guides.
KNOWN = (
    Hardware(pattern="dgx?h[12]00*", manufacturer="NVIDIA", height_u=8),
    Hardware(pattern="dgxh[12]00*", manufacturer="NVIDIA", height_u=8),
    Hardware(pattern="dgxa100*", manufacturer="NVIDIA", height_u=6),
    Hardware(pattern="gb[23]00 nvl*", manufacturer="NVIDIA", height_u=1),
    Hardware(pattern="sn2201*", manufacturer="NVIDIA", height_u=1),
    Hardware(pattern="sn5600*", manufacturer="NVIDIA", height_u=2),
    Hardware(pattern="sn*", manufacturer="NVIDIA", height_u=None),
    Hardware(pattern="sys-821ge*", manufacturer="Supermicro", height_u=8),
    Hardware(pattern="sys-*", manufacturer="Supermicro", height_u=None),
    Hardware(pattern="poweredge r750*", manufacturer="Dell", height_u=2),
    Hardware(pattern="poweredge*", manufacturer="Dell", height_u=None),
    Hardware(pattern="proliant*", manufacturer="HPE", height_u=None),
)
UNKNOWN = Hardware(pattern="*", manufacturer="Unknown", height_u=None)


def hardware(model: str) -> Hardware:
    """The first of KNOWN that matches."""
    return next((known for known in KNOWN if fnmatchcase(model.casefold(), known.pattern)), UNKNOWN)
