"""Lines that put a leaf port into a VLAN, and the lines that put it back. Pure but for the templates, which are read once."""

import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import takewhile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

from fleet.errors import NodeFault, Reason
from playbooks.cables import same_port

_LIBRARY = Path(__file__).parent / "library" / "network"
_PORT = re.compile(r"[A-Za-z][A-Za-z0-9/._-]{0,62}")
"""What may stand in a template: nothing that ends a line or begins another command."""
_VLANS = range(1, 4095)
_BACK_CHARS = 4096
"""The former configuration of one access port is a few lines."""


def vlan_id(text: str) -> str:
    """The VLAN of a playbook, checked. Raises ValueError with a sentence."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) in _VLANS):  # noqa: PLR2004  4094
        raise ValueError(f"{text[:20]!r} is no VLAN: a number from 1 to 4094, quoted")
    return str(int(text))


def rendered(platform: str, ports: Iterable[str], vlan: str) -> tuple[str, ...]:
    """Lines for `fleet.edges.SwitchCli.push` that put these ports into the VLAN."""
    try:
        template = _templates().get_template(f"{platform}.j2")
    except TemplateNotFound:
        raise NodeFault(
            Reason.SWITCH_REFUSED, f"no template for switches of platform {platform!r} in {_LIBRARY}"
        ) from None
    texts = (template.render(port=_checked(port), vlan=vlan_id(vlan)) for port in ports)
    return tuple(line for text in texts for line in text.splitlines() if line.strip())


def former(platform: str, config: str, ports: Iterable[str]) -> tuple[str, ...]:
    """Lines that give these ports back what `config`, a backup, says of their VLANs. Nothing else is touched."""
    of_one = {"arista_eos": _former_eos, "cumulus_linux": _former_nvue}[platform]
    back = [of_one(config, _checked(port)) for port in ports]
    if any(sum(map(len, lines)) > _BACK_CHARS for lines in back):
        raise NodeFault(
            Reason.PROTOCOL, "the former configuration of a port is longer than any port's: nothing was sent"
        )
    return tuple(line for lines in back for line in lines)


def _former_eos(config: str, port: str) -> tuple[str, ...]:
    lines = iter(config.splitlines())
    if not any(line.startswith("interface ") and same_port(line.split()[-1], port) for line in lines):
        raise NodeFault(Reason.PROTOCOL, f"the running configuration has no 'interface {port}': nothing was sent")
    block = [line.rstrip() for line in takewhile(lambda line: line.startswith(" "), lines)]
    return (
        f"interface {port}",
        "   no switchport access vlan",
        *(line for line in block if line.split()[:2] in (["switchport", "mode"], ["switchport", "access"])),
    )


def _former_nvue(config: str, port: str) -> tuple[str, ...]:
    try:
        said = next(part["set"] for part in json.loads(config) if "set" in part)
        bridge = said.get("interface", {}).get(port, {}).get("bridge", {})
    except (ValueError, RecursionError, TypeError, AttributeError, StopIteration):
        raise NodeFault(Reason.PROTOCOL, "the running configuration is no NVUE document: nothing was sent") from None
    back = [json.dumps({"unset": {"interface": {port: {"bridge": {}}}}})]
    if bridge:
        back.append(json.dumps({"set": {"interface": {port: {"bridge": bridge}}}}))
    return tuple(f"- {part}" for part in back)


def _checked(port: str) -> str:
    if not _PORT.fullmatch(port):
        raise NodeFault(
            Reason.SWITCH_REFUSED, f"{port[:80]!r} is no port that a switch has: correct the inventory's links"
        )
    return port


@cache
def _templates() -> Environment:
    return Environment(  # noqa: S701  a configuration, not a web page: what is filled in is checked above
        loader=FileSystemLoader(_LIBRARY), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
