"""What the show commands of an Arista switch print."""

import json
import re
from collections.abc import Callable
from typing import Any

from fleet.sim.switch import Config, Switch

_MODEL, _EOS = "DCS-7050SX3-48YC8-F", "4.30.1F"
_INDENT = "   "


def short(port: str) -> str:
    """Et1 for Ethernet1."""
    return re.sub(r"^Ethernet", "Et", port)


def show(switch: Switch, what: list[str]) -> str | None:
    """The output of ``show WHAT``; None: no such command here."""
    as_json = what[-2:] == ["|", "json"]
    plain = what[:-2] if as_json else what
    return _as_json(switch, plain) if as_json else _as_text(switch, plain)


def _as_json(switch: Switch, what: list[str]) -> str | None:
    documents: dict[str, Callable[[], Any]] = {
        "version": _version,
        "lldp neighbors": lambda: _lldp(switch),
        "vlan": lambda: _vlans(switch),
    }
    make = documents.get(" ".join(what))
    return None if make is None else json.dumps(make(), indent=4)


def _as_text(switch: Switch, what: list[str]) -> str | None:
    texts: dict[str, Callable[[], str]] = {
        "running-config": lambda: config(switch, switch.running),
        "version": _version_text,
        "lldp neighbors": lambda: _lldp_text(switch),
        "vlan": lambda: _vlans_text(switch),
        "interfaces status": lambda: _status(switch),
        "hostname": lambda: f"Hostname: {switch.running.hostname}\nFQDN:     {switch.running.hostname}",
    }
    if what[:2] == ["running-config", "interfaces"] and _full("".join(what[2:])) in switch.running.ports:
        return "\n".join(_interface(switch.running, _full("".join(what[2:]))))
    make = texts.get(" ".join(what))
    return None if make is None else make()


def sessions(switch: Switch) -> str:
    """``show configuration sessions``."""
    lines = ["Maximum number of completed sessions: 1", "Maximum number of pending sessions: 5", ""]
    lines += ["  Name      State      User    Terminal", f"  {'-' * 9} {'-' * 10} {'-' * 7} {'-' * 8}"]
    return "\n".join([*lines, *(f"  {name:<9} pending" for name in switch.sessions)])


def config(switch: Switch, shown: Config) -> str:
    """A whole configuration, in the order of a switch."""
    lines = ["! Command: show running-config", f"! device: {shown.hostname} ({_MODEL}, EOS-{_EOS})", "!"]
    lines += [f"! boot system flash:/EOS-{_EOS}.swi", "!", "no aaa root", "!", f"hostname {shown.hostname}", "!"]
    lines += ["spanning-tree mode mstp", "!"]
    for vlan, name in shown.vlans.items():
        lines += [f"vlan {vlan}", *([f"{_INDENT}name {name}"] if name else []), "!"]
    for port in shown.ports:
        lines += [*_interface(shown, port), "!"]
    lines += ["interface Management1", f"{_INDENT}ip address {switch.spec.address}/8", "!", "end"]
    return "\n".join(lines)


def _interface(shown: Config, port: str) -> list[str]:
    said = shown.ports[port]
    lines = [f"interface {port}"]
    if said.description:
        lines.append(f"{_INDENT}description {said.description}")
    if not said.enabled:
        lines.append(f"{_INDENT}shutdown")
    if said.vlan != 1:
        lines.append(f"{_INDENT}switchport access vlan {said.vlan}")
    return lines


def _full(port: str) -> str:
    return re.sub(r"^(?:et|eth|ethernet)(?=\d)", "Ethernet", port, flags=re.IGNORECASE)


def _version() -> dict[str, Any]:
    return {"modelName": _MODEL, "version": _EOS, "architecture": "x86_64", "systemMacAddress": "00:1c:73:00:00:01"}


def _version_text() -> str:
    return (
        f"Arista {_MODEL}\nHardware version: 11.01\nSerial number: SIM00000001\nHardware MAC address: 001c.7300.0001\n\n"
        f"Software image version: {_EOS}\nArchitecture: x86_64\nUptime: 5 weeks, 2 days, 1 hours and 3 minutes"
    )


def _lldp(switch: Switch) -> dict[str, Any]:
    heard = switch.neighbours()
    listed = [{"port": n.port, "neighborDevice": n.system, "neighborPort": n.remote_port, "ttl": 120} for n in heard]
    return {
        "tablesInserts": len(heard),
        "tablesDeletes": 0,
        "tablesDrops": 0,
        "tablesAgeOuts": 0,
        "lldpNeighbors": listed,
    }


def _lldp_text(switch: Switch) -> str:
    heard = switch.neighbours()
    lines = ["Last table change time   : 0:12:03 ago", f"Number of table inserts  : {len(heard)}"]
    lines += [f"Number of table {what} : 0" for what in ("deletes ", "drops   ", "age-outs")]
    lines += ["", f"{'Port':<13} {'Neighbor Device ID':<24} {'Neighbor Port ID':<22} TTL"]
    lines += [f"{'-' * 13} {'-' * 24} {'-' * 22} ---"]
    lines += [f"{short(n.port):<13} {n.system:<24} {n.remote_port:<22} 120" for n in heard]
    return "\n".join(lines)


def _members(switch: Switch) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {1: [], **{vlan: [] for vlan in switch.running.vlans}}
    for port in switch.running.ports:
        if vlan := switch.vlan_of(port):
            found[vlan].append(port)
    return found


def _name(switch: Switch, vlan: int) -> str:
    return "default" if vlan == 1 else switch.running.vlans.get(vlan) or f"VLAN{vlan:04d}"


def _vlans(switch: Switch) -> dict[str, Any]:
    vlans = {
        str(vlan): {
            "status": "active",
            "name": _name(switch, vlan),
            "interfaces": {port: {"privatePromoted": False} for port in ports},
            "dynamic": False,
        }
        for vlan, ports in _members(switch).items()
    }
    return {"vlans": vlans, "sourceDetail": ""}


def _vlans_text(switch: Switch) -> str:
    lines = ["VLAN  Name                             Status    Ports"]
    lines.append(f"{'-' * 5} {'-' * 32} {'-' * 9} {'-' * 31}")
    for vlan, ports in _members(switch).items():
        rows = [", ".join(map(short, ports[at : at + 5])) for at in range(0, len(ports), 5)] or [""]
        lines.append(f"{vlan:<5} {_name(switch, vlan):<32} {'active':<9} {rows[0]}".rstrip())
        lines += [f"{'':49}{row}" for row in rows[1:]]
    return "\n".join(lines)


def _status(switch: Switch) -> str:
    up = {neighbour.port for neighbour in switch.neighbours()}
    lines = ["Port       Name                 Status       Vlan     Duplex Speed  Type"]
    for port, said in switch.running.ports.items():
        state = "disabled" if not said.enabled else "connected" if port in up else "notconnect"
        lines.append(
            f"{short(port):<10} {said.description[:20]:<20} {state:<12} {said.vlan:<8} full   100G   100GBASE-CR4"
        )
    return "\n".join(lines)
