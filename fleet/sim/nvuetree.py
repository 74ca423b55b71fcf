"""NVUE's tree of configuration: what can be set, how it is printed, what ``nv show`` says."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from fleet.sim.switch import Config, Switch

HEADER = {"model": "SN4600C", "nvue-api-version": "nvue_v1", "rev-id": 1.0, "version": "Cumulus Linux 5.9.1"}
_LAST_VLAN = 4094


class NvueError(ValueError):
    """What ``nv`` refuses."""


def changed(config: Config, path: list[str]) -> Config:
    """`config` after ``nv set PATH``."""
    match path:
        case ["interface", names, *rest]:
            for port in _ports(config, names):
                config = _port_set(config, port, rest)
            return config
        case ["bridge", "domain", "br_default", "vlan", numbers]:
            for number in _vlans(numbers):
                config = config.with_vlan(number)
            return config
        case ["bridge", "domain", "br_default", *_] | ["system", *_]:
            return config
    raise NvueError(f"Invalid path: {' '.join(path)}")


_UNSET: dict[str, dict[str, Any]] = {
    "": {"vlan": 1, "description": "", "enabled": True},
    "bridge": {"vlan": 1},
    "description": {"description": ""},
    "link": {"enabled": True},
}
"""Word after the port -> what unsetting it means."""


def unset(config: Config, path: list[str]) -> Config:
    """`config` after ``nv unset PATH``."""
    match path:
        case ["interface", names, *rest] if (rest or [""])[0] in _UNSET:
            for port in _ports(config, names):
                config = config.with_port(port, **_UNSET[(rest or [""])[0]])
            return config
        case ["bridge", "domain", "br_default", "vlan", numbers]:
            for number in _vlans(numbers):
                config = config.without_vlan(number)
            return config
    raise NvueError(f"Invalid path: {' '.join(path)}")


def _port_set(config: Config, port: str, rest: list[str]) -> Config:
    match rest:
        case [] | ["type", "swp"] | ["bridge", "domain", "br_default"]:
            return config
        case ["bridge", "domain", "br_default", "access", number]:
            return config.with_port(port, vlan=_vlans(number)[0])
        case ["description", text]:
            return config.with_port(port, description=text)
        case ["link", "state", "up" | "down" as state]:
            return config.with_port(port, enabled=state == "up")
    raise NvueError(f"Invalid path: interface {port} {' '.join(rest)}")


def _ports(config: Config, names: str) -> list[str]:
    found = []
    for name in names.split(","):
        span = re.fullmatch(r"(\D+)(\d+)-(\d+)", name)
        ports = [f"{span[1]}{n}" for n in range(int(span[2]), int(span[3]) + 1)] if span else [name]
        for port in ports:
            if port not in config.ports:
                raise NvueError(f"'{port}' is not a valid interface")
        found += ports
    return found


def _vlans(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or "1").isdigit():
            raise NvueError(f"'{text}' is not a VLAN between 1 and {_LAST_VLAN}")
        numbers += range(int(first), int(last or first) + 1)
    if not numbers or min(numbers) < 1 or max(numbers) > _LAST_VLAN:
        raise NvueError(f"'{text}' is not a VLAN between 1 and {_LAST_VLAN}")
    return numbers


def tree_of(config: Config) -> dict[str, Any]:
    """The configuration as NVUE prints it below ``set``."""
    interfaces: dict[str, Any] = {}
    for port, said in config.ports.items():
        entry: dict[str, Any] = {"bridge": {"domain": {"br_default": {"access": said.vlan} if said.vlan != 1 else {}}}}
        if said.description:
            entry["description"] = said.description
        if not said.enabled:
            entry["link"] = {"state": {"down": {}}}
        interfaces[port] = entry | {"type": "swp"}
    vlans: dict[str, Any] = {str(vlan): {} for vlan in config.vlans}
    return {
        "bridge": {"domain": {"br_default": {"vlan": vlans} if vlans else {}}},
        "interface": interfaces,
        "system": {"hostname": config.hostname},
    }


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of a tree."""

    path: tuple[str, ...]
    value: Any = None
    """None: an empty map."""

    @property
    def words(self) -> tuple[str, ...]:
        """What follows ``nv set``."""
        return self.path if self.value is None else (*self.path, str(self.value))


def flat(tree: Any, before: tuple[str, ...] = ()) -> list[Leaf]:
    """Every leaf of a tree."""
    if not isinstance(tree, dict):
        return [Leaf(before, tree)]
    if not tree:
        return [Leaf(before)] if before else []
    return [leaf for key, value in tree.items() for leaf in flat(value, (*before, str(key)))]


def nested(leaves: list[Leaf]) -> dict[str, Any]:
    """The tree of these leaves."""
    tree: dict[str, Any] = {}
    for leaf in leaves:
        at = tree
        for word in leaf.path[:-1]:
            at = at.setdefault(word, {})
        at[leaf.path[-1]] = {} if leaf.value is None else leaf.value
    return tree


def difference(before: Config, after: Config) -> tuple[list[Leaf], list[Leaf]]:
    """(unset, set): a leaf whose place gets another value is only set."""
    old, new = flat(tree_of(before)), flat(tree_of(after))
    added = [leaf for leaf in new if leaf not in set(old)]
    replaced = {leaf.path[:length] for leaf in added for length in range(1, len(leaf.path) + 1)}
    return [leaf for leaf in old if leaf not in set(new) and leaf.path not in replaced], added


def loaded(config: Config, text: str) -> Config:
    """`config` after ``nv config patch`` with a file of this text."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise NvueError(f"invalid YAML: {cause}") from None
    if not isinstance(document, list) or not all(isinstance(part, dict) for part in document):
        raise NvueError("the file is not a list of 'set' and 'unset' maps")
    for part in document:
        for leaf in flat(part.get("unset") or {}):
            config = unset(config, list(leaf.words))
        for leaf in flat(part.get("set") or {}):
            config = changed(config, list(leaf.words))
    return config


def show(switch: Switch, what: list[str]) -> str:
    """``nv show WHAT``."""
    as_json = bool({"json", "--output=json"} & set(what))
    plain = [
        word for word in what if word not in {"-o", "--output", "json", "--output=json", "--applied", "--operational"}
    ]
    match plain:
        case ["interface"]:
            return _json(_interfaces(switch)) if as_json else _table(_interfaces(switch), switch)
        case ["interface", "lldp"]:
            return _json(_lldp(switch)) if as_json else _lldp_text(switch)
        case ["interface", port, *rest] if port in switch.running.ports:
            return _json(_of_port(switch, port, rest))
        case ["bridge", "domain", "br_default", "port"]:
            return _json({port: {"vlan": {str(switch.vlan_of(port)): {}}} for port in switch.running.ports})
        case ["system"]:
            release = {"product-name": "Cumulus Linux", "product-release": "5.9.1"}
            return _json({"hostname": switch.running.hostname} | release)
    raise NvueError("The requested item does not exist.")


def _of_port(switch: Switch, port: str, rest: list[str]) -> dict[str, Any]:
    match rest:
        case []:
            return dict(_interfaces(switch)[port])
        case ["lldp"]:
            return dict(_lldp(switch).get(port, {}).get("lldp", {}))
        case ["bridge", "domain", "br_default"]:
            return {"access": switch.vlan_of(port), "learning": "on", "stp": {}}
    raise NvueError("The requested item does not exist.")


def _json(document: Any) -> str:
    return json.dumps(document, indent=2)


def _interfaces(switch: Switch) -> dict[str, Any]:
    up = {neighbour.port for neighbour in switch.neighbours()}
    return {
        port: {
            "bridge": {"domain": {"br_default": {"access": switch.vlan_of(port)}}},
            "description": said.description,
            "link": {"mtu": 9216, "speed": "100G", "oper-status": "up" if port in up else "down"},
            "type": "swp",
        }
        for port, said in switch.running.ports.items()
    }


def _table(found: dict[str, Any], switch: Switch) -> str:
    remote = {neighbour.port: neighbour for neighbour in switch.neighbours()}
    lines = [
        "Interface  State  Speed  MTU   Type  Remote Host       Remote Port",
        "---------  -----  -----  ----  ----  ----------------  -----------",
    ]
    for port, said in found.items():
        far = remote.get(port)
        host, far_port = (far.system, far.remote_port) if far else ("", "")
        lines.append(f"{port:<10} {said['link']['oper-status']:<6} 100G   9216  swp   {host:<17} {far_port}".rstrip())
    return "\n".join(lines)


def _lldp(switch: Switch) -> dict[str, Any]:
    return {
        near.port: {
            "lldp": {
                "neighbor": {
                    near.system: {
                        "chassis": {"system-name": near.system},
                        "port": {"name": near.remote_port, "type": "ifname", "ttl": 120},
                    }
                }
            }
        }
        for near in switch.neighbours()
    }


def _lldp_text(switch: Switch) -> str:
    lines = [
        "Interface  Speed  Type  Remote Host       Remote Port",
        "---------  -----  ----  ----------------  -----------",
    ]
    lines += [f"{n.port:<10} 100G   swp   {n.system:<17} {n.remote_port}" for n in switch.neighbours()]
    return "\n".join(lines)
