"""What switches print -> values. Pure; a reply is hostile: bounded, and refused with BAD_REPLY if it is anything else."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.edges import Neighbour
from fleet.errors import NodeFault, Reason

_NAME_CHARS = 255
"""LLDP system names and port ids (IEEE 802.1AB 8.5: at most 255 octets)."""
_ENTRIES = 8192
_VLANS = range(1, 4095)


def excerpt(text: str, length: int = 200) -> str:
    """Something a switch said, fit for one line of a report."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * length]).split())
    return line if len(line) <= length else f"{line[:length]}..."


def eos_neighbours(text: str) -> tuple[Neighbour, ...]:
    """`show lldp neighbors | json`."""
    heard = _sequence(_document(text), "lldpNeighbors")
    return tuple(
        Neighbour(
            port=_name(each, "port"), system=_name(each, "neighborDevice"), remote_port=_name(each, "neighborPort")
        )
        for each in map(_mapping, heard)
    )


def eos_access_vlans(text: str) -> dict[str, str]:
    """`show vlan | json`. A port in several VLANs is a trunk and left out."""
    pairs = []
    for vlan, said in _entries(_document(text).get("vlans")):
        pairs += [(port, vlan) for port, _ in _entries(_mapping(said).get("interfaces", {}))]
    return _of_one_vlan(pairs)


def nvue_neighbours(text: str) -> tuple[Neighbour, ...]:
    """`nv show interface lldp -o json`: interface -> lldp -> neighbor -> NAME -> port -> name."""
    found = []
    for port, said in _entries(_document(text)):
        for system, far in _entries(_mapping(_mapping(said).get("lldp", {})).get("neighbor", {})):
            remote = _mapping(_mapping(far).get("port", {}))
            found.append(Neighbour(port=port, system=system, remote_port=_name(remote, "name")))
    return tuple(found)


def nvue_access_vlans(text: str) -> dict[str, str]:
    """`nv show bridge domain br_default port -o json`: port -> vlan -> VLAN."""
    pairs = []
    for port, said in _entries(_document(text)):
        pairs += [(port, vlan) for vlan, _ in _entries(_mapping(said).get("vlan", {}))]
    return _of_one_vlan(pairs)


def _of_one_vlan(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    several = set()
    for port, vlan in pairs:
        if vlan == "0":  # in no VLAN: shut down
            continue
        if not (vlan.isascii() and vlan.isdigit() and int(vlan[:5]) in _VLANS):
            raise _bad(f"{excerpt(vlan, 20)!r} is no VLAN")
        if found.setdefault(port, vlan) != vlan:
            several.add(port)
    return {port: vlan for port, vlan in found.items() if port not in several}


def _document(text: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        raise _bad(f"{excerpt(text, 80)!r} is not JSON") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{excerpt(repr(value), 80)} stands where an object should")
    return value


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    found = _mapping(value)
    if len(found) > _ENTRIES:
        raise _bad(f"more than {_ENTRIES} entries")
    return ((_checked(key), each) for key, each in found.items())


def _sequence(document: Mapping[str, Any], key: str) -> list[Any]:
    found = document.get(key)
    if not isinstance(found, list) or len(found) > _ENTRIES:
        raise _bad(f"{key} is no list of at most {_ENTRIES}")
    return found


def _name(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise _bad(f"an entry lacks {key}")
    return _checked(value)


def _checked(name: str) -> str:
    if len(name) > _NAME_CHARS or not name.isprintable():
        raise _bad(f"{excerpt(name, 40)!r} is no name")
    return name


def _bad(what: str) -> NodeFault:
    return NodeFault(Reason.PROTOCOL, f"a switch's reply cannot be read: {what}")
