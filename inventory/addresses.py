"""The address plan of a hall: one pattern for a thousand BMCs. Pure.

Two forms. `10.20.{rack}.{slot}` fills in each device's own numbers; `10.20.0.10/16` counts up from that address, one a
device, and stays inside the network.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LAST_NUMBER = re.compile(r"(\d+)\D*$", re.ASCII)
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_HOST_NAME_LIMIT = 253
"""RFC 1035 section 2.3.4, as text."""

PLACEHOLDERS = ("id", "node", "slot", "rack", "pod")
"""`{id}` is the id itself; `{node}`, `{rack}` and `{pod}` are the last number in that id, without leading zeros."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What a pattern may ask about one device."""

    id: str
    index: int
    """Position of the device in its entry; 0 is the first."""
    slot: int
    rack: str
    pod: str


def fill(pattern: str, spot: Spot) -> str:
    """The address of one device.

    Raises:
        ValueError: an unknown placeholder, an id without a number, no address, a network that is too small.
    """
    if "/" in pattern:
        return _counted(pattern, spot.index)
    if "{" not in pattern:
        return checked(pattern)
    numbered = {"node": spot.id, "rack": spot.rack, "pod": spot.pod}

    def substitute(match: re.Match[str]) -> str:
        name = match[1]
        if name == "id":
            return spot.id
        if name == "slot":
            return str(spot.slot)
        if name not in numbered:
            raise ValueError(f"has the unknown placeholder {{{name}}} (known: {_known()})")
        return str(_number_in(numbered, name))

    address = _PLACEHOLDER.sub(substitute, pattern)
    try:
        return checked(address)
    except ValueError as error:
        raise ValueError(f"gives {spot.id} the address {address!r}, which {error}") from None


def checked(address: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling, or a host name in lower case.

    Raises:
        ValueError: it is neither; it has a port, a scheme or brackets.
    """
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    labels = address.removesuffix(".").split(".")
    named = len(address) <= _HOST_NAME_LIMIT and all(_HOST_LABEL.fullmatch(label) for label in labels)
    if not named or labels[-1].isdecimal():  # a last label of digits is a mistyped IPv4 address (RFC 1123 section 2.1)
        raise ValueError("is neither an IP address nor a host name (no scheme, no port)")
    return address.removesuffix(".").lower()


def _counted(pattern: str, index: int) -> str:
    """The address `index` places after the one written, inside its network."""
    try:
        first = ipaddress.ip_interface(pattern)
    except ValueError:
        raise ValueError("is no address with a network prefix (write 10.20.0.10/16)") from None
    network = first.network
    usable = network.num_addresses > 2  # noqa: PLR2004 (in longer prefixes there is no broadcast address: RFC 3021)
    start = int(first.ip) + (1 if usable and first.ip == network.network_address else 0)
    last = int(network.broadcast_address) - (1 if usable else 0)
    if start + index > last:
        raise ValueError(f"has room for {last - start + 1:,} addresses, which is too few")
    return str(type(first.ip)(start + index))


def _number_in(numbered: Mapping[str, str], name: str) -> int:
    found = _LAST_NUMBER.search(numbered[name])
    if not found:
        raise ValueError(f"asks for {{{name}}}, but the id {numbered[name]!r} holds no number")
    return int(found[1])


def _known() -> str:
    return ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
