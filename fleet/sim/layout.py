"""What stands in a hall and how it is wired: boxes, switches, PDUs, links (docs/hall.md)."""

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, TypeVar

from fleet.sim.bmc import BoxSpec
from fleet.sim.breakers import BreakerSpec

SSH_PORT = 2222
_BMC_PORT = 8443
SNMP_PORT = 1161
_SPACE = uuid.UUID("6f2b7f0e-6a3b-4b0e-9d39-3a6f3f6d0c11")
_HOST_OCTETS = 100
_HOST_PORTS = 12000
_SECTIONS = ("boxes", "switches", "pdus", "links", "breakers")
PLATFORMS = ("arista_eos", "cumulus_linux")
PDU_MODELS = ("raritan-px", "apc-rpdu2")


class HallError(Exception):
    """The hall cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSpec:
    """One leaf switch."""

    name: str
    platform: str
    rack: str = "r1"
    slot: int = 40
    address: str = ""
    port: int = SSH_PORT
    ports: tuple[str, ...] = ()
    """Ports beyond those that links name."""
    vlans: Mapping[str, int] = field(default_factory=dict)
    """Port -> access VLAN at the start; 1 if not given."""
    provisioning_vlan: int = 0
    """The VLAN in which an installer reaches its home; 0: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PduSpec:
    """One PDU."""

    name: str
    rack: str = "r1"
    slot: int = 1
    feed: str = "A"
    model: str = "raritan-px"
    address: str = ""
    port: int = SNMP_PORT
    outlets: Mapping[int, str] = field(default_factory=dict)
    """Outlet -> node; empty: by slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One cable."""

    a: tuple[str, str]
    """(device, port)."""
    b: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All of it, complete: no empty address, serial or outlet map."""

    boxes: tuple[BoxSpec, ...]
    switches: tuple[SwitchSpec, ...] = ()
    pdus: tuple[PduSpec, ...] = ()
    links: tuple[LinkSpec, ...] = ()
    breakers: tuple[BreakerSpec, ...] = ()

    def completed(self) -> "Layout":
        """With every default filled in.

        Raises:
            HallError: a name is used twice, a link or outlet leads nowhere, or an address cannot be made.
        """
        boxes = tuple(complete_box(box) for box in self.boxes)
        switches = tuple(replace(each, address=_address(each, 201)) for each in self.switches)
        names = [*(box.name for box in boxes), *(each.name for each in switches), *(each.name for each in self.pdus)]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise HallError(f"two devices are called {twice[0]!r}")
        nodes = {box.name for box in boxes}
        pdus = tuple(replace(each, address=_address(each, 202), outlets=_outlets(each, boxes)) for each in self.pdus)
        for pdu in pdus:
            if missing := set(pdu.outlets.values()) - nodes:
                raise HallError(f"{pdu.name}: an outlet feeds {min(missing)!r}, which is no box")
        known = {each.name for each in switches}
        for link in self.links:
            ends = {link.a[0], link.b[0]}
            if not ends & known or ends - known - nodes:
                raise HallError(
                    f"the link {':'.join(link.a)} - {':'.join(link.b)} does not join a switch and a box or switch"
                )
        return Layout(boxes=boxes, switches=switches, pdus=pdus, links=self.links, breakers=_hung(self.breakers))


def read_layout(document: Any, where: str) -> Layout:
    """A layout from plain data: a list of boxes, or a mapping with the sections.

    Raises:
        HallError: with the entry that is wrong.
    """
    sections = {"boxes": document} if isinstance(document, list) else document
    if not isinstance(sections, dict) or "boxes" not in sections or set(sections) - set(_SECTIONS):
        raise HallError(f"{where}: a list of boxes is needed, or a mapping of {', '.join(_SECTIONS)}")
    return Layout(
        boxes=_each(sections, "boxes", where, lambda raw: BoxSpec(**raw | {"feeds": tuple(raw.get("feeds", ()))})),
        switches=_each(sections, "switches", where, _switch),
        pdus=_each(sections, "pdus", where, _pdu),
        breakers=_each(sections, "breakers", where, _breaker),
        links=_each(sections, "links", where, lambda raw: LinkSpec(a=_end(raw.pop("a")), b=_end(raw.pop("b")), **raw)),
    )


T = TypeVar("T")


def _each(sections: dict[str, Any], name: str, where: str, make: Any) -> tuple[Any, ...]:
    made = []
    for number, raw in enumerate(sections.get(name) or (), 1):
        try:
            made.append(make(dict(raw)))
        except (TypeError, AttributeError, ValueError, KeyError) as cause:
            singular = {"boxes": "box", "switches": "switch"}.get(name, name.removesuffix("s"))
            raise HallError(f"{where}: {singular} {number}: {cause}") from cause
    return tuple(made)


def _switch(raw: dict[str, Any]) -> SwitchSpec:
    spec = SwitchSpec(**raw | {"ports": tuple(raw.get("ports", ()))})
    if spec.platform not in PLATFORMS:
        raise ValueError(f"no platform is called {spec.platform!r}; there are {', '.join(PLATFORMS)}")
    return spec


def _pdu(raw: dict[str, Any]) -> PduSpec:
    spec = PduSpec(**raw | {"outlets": {int(n): str(node) for n, node in raw.get("outlets", {}).items()}})
    if spec.model not in PDU_MODELS:
        raise ValueError(f"no PDU model is called {spec.model!r}; there are {', '.join(PDU_MODELS)}")
    return spec


def _breaker(raw: dict[str, Any]) -> BreakerSpec:
    spec = BreakerSpec(**raw | {key: tuple(raw.get(key, ())) for key in ("racks", "pdus", "nodes")})
    if not spec.rating_w > 0 or not spec.trip_s >= 0 or spec.starts < 0 or not spec.within_s > 0:
        raise ValueError("rating_w and within_s are above 0, trip_s and starts are not below it")
    return spec


def _hung(breakers: tuple[BreakerSpec, ...]) -> tuple[BreakerSpec, ...]:
    """The same, if they hang together as a tree."""
    above = {spec.name: spec.above for spec in breakers}
    if len(above) != len(breakers):
        raise HallError("two breakers have the same name")
    for name, parent in above.items():
        seen, at = {name}, parent
        while at:
            if at not in above or at in seen:
                raise HallError(f"breaker {name}: above it stands {at!r}, which is no breaker or hangs on itself")
            seen.add(at)
            at = above[at]
    return breakers


def _end(text: str) -> tuple[str, str]:
    device, colon, port = text.partition(":")
    if not (device and colon and port):
        raise ValueError(f"an end is written device:port, not {text!r}")
    return device, port


def _outlets(pdu: PduSpec, boxes: tuple[BoxSpec, ...]) -> Mapping[int, str]:
    if pdu.outlets:
        return pdu.outlets
    fed = [box for box in boxes if box.rack == pdu.rack and (not box.feeds or pdu.feed in box.feeds)]
    return {box.slot: box.name for box in fed}


def complete_box(spec: BoxSpec) -> BoxSpec:
    """With address, serial and uuid made from the name where they are not given."""
    digest = hashlib.sha256(spec.name.encode()).hexdigest()
    address = _address(spec, 1)
    return replace(
        spec,
        address=address,
        serial=spec.serial or f"SIM{int(digest[:10], 16):013d}",
        uuid=spec.uuid or str(uuid.uuid5(_SPACE, spec.name)),
        host_address=spec.host_address or _host_address(address),
        host_port=spec.host_port or _host_port(spec.port, shared=_host_address(address) == address),
    )


def _host_port(bmc_port: int, *, shared: bool) -> int:
    """Halls that share addresses differ in their BMCs' ports: their hosts must differ as well."""
    if shared:
        return bmc_port + _HOST_PORTS
    return SSH_PORT + max(0, bmc_port - _BMC_PORT)


def _host_address(address: str) -> str:
    first, second, third, fourth = ip_address(address).packed[-4:]
    if (first, second, third, fourth) == (127, 0, 0, 1):
        return address  # a system with one loopback address: ports tell hosts from BMCs
    return (
        f"{first}.{(second + _HOST_OCTETS) if second <= 255 - _HOST_OCTETS else second - _HOST_OCTETS}.{third}.{fourth}"
    )


def _address(spec: BoxSpec | SwitchSpec | PduSpec, octet: int) -> str:
    if spec.address:
        return spec.address
    rack = re.search(r"\d+", spec.rack)
    if rack is None or not 0 <= int(rack[0]) <= 255 or not 1 <= spec.slot <= 254:  # noqa: PLR2004  an octet
        raise HallError(f"{spec.name}: no address given, and rack {spec.rack!r} slot {spec.slot} is not 0-255/1-254")
    return f"127.{octet}.{int(rack[0])}.{spec.slot}"
