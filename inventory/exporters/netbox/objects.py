"""Objects of NetBox as we name them: by what is natural about them, never by a number. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, ...]
"""What makes an object the one it is: a slug, a site and a name ..."""
Record: TypeAlias = dict[str, Any]
"""An object as the API gives it."""


class Kind(StrEnum):
    """Endpoints, in the order in which objects can refer to one another."""

    TAG = "extras/tags"
    SITE = "dcim/sites"
    LOCATION = "dcim/locations"
    RACK = "dcim/racks"
    MANUFACTURER = "dcim/manufacturers"
    DEVICE_ROLE = "dcim/device-roles"
    DEVICE_TYPE = "dcim/device-types"
    ITEM_ROLE = "dcim/inventory-item-roles"
    DEVICE = "dcim/devices"
    INTERFACE = "dcim/interfaces"
    ADDRESS = "ipam/ip-addresses"
    CABLE = "dcim/cables"
    ITEM = "dcim/inventory-items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """Another object, which may not exist yet."""

    kind: Kind
    key: Key


Field: TypeAlias = "str | int | bool | Ref | list[dict[str, str | Ref]] | None"
"""What we say of a field. A list stands in `first` alone: it is sent, never compared."""

OURS = "Fleetwave: "
"""How a description begins that we wrote; others are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An object that should be there."""

    kind: Kind
    key: Key
    keep: Mapping[str, Field] = field(default_factory=dict)
    """Fields that we know better than NetBox: compared, and set again where they differ."""
    first: Mapping[str, Field] = field(default_factory=dict)
    """Fields that are set at creation and belong to people from then on."""
    later: Mapping[str, Field] = field(default_factory=dict)
    """As `keep`, but naming objects that name this one: set when those are there (a device's out-of-band IP)."""

    @property
    def name(self) -> str:
        """For people: `dcim/devices osl2/gpu0001`."""
        return f"{self.kind} {'/'.join(self.key)}"


def slug(text: str) -> str:
    """A slug as NetBox wants it: letters, digits, `-` and `_`, at most 100."""
    return re.sub(r"[^a-z0-9_]+", "-", text.casefold()).strip("-")[:100] or "unnamed"
