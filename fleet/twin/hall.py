"""A hall in memory: a simulated BMC for every node, at the addresses where the inventory has them, on one virtual clock."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.clock import as_utc
from fleet.drivers.redfish.driver import TransportMaker
from fleet.edges import Outlet, PduMeter
from fleet.errors import UsageError
from fleet.limits import Limits
from fleet.sim.bmc import Bmc, BoxSpec
from fleet.sim.boxmodel import box_names, load_box
from fleet.sim.faults import FaultBook
from fleet.sim.grid import introduce
from fleet.sim.layout import Layout, LinkSpec, SwitchSpec, complete_box
from fleet.sim.leaves import Leaves
from fleet.twin.attend import Attendant
from fleet.twin.clock import VirtualClock
from fleet.twin.port import Port, Puller, nobody_serves
from fleet.twin.transport import TwinTransport
from fleet.words import plural
from inventory.model import Bmc as DeclaredBmc
from inventory.model import Credential, CredentialId, End, Link, Node, Pdu, SecretRef, SecretScheme, Switch

if TYPE_CHECKING:
    from fleet.twin.power import TwinPower

CREDENTIAL = CredentialId("twin")
_USER, PASSWORD = "admin", "rehearsal"
"""Nobody listens: it opens nothing outside this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSpec:
    """A hall to be built."""

    nodes: tuple[Node, ...]
    clock: VirtualClock
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Node -> inventory item or family -> version installed at the start; the box's own where nothing is said."""
    seed: int = 0
    faults: FaultBook = field(default_factory=FaultBook)
    puller: Puller = nobody_serves
    pdus: tuple[Pdu, ...] = ()
    """Those whose outlets feed these nodes and can be switched."""
    switches: tuple[Switch, ...] = ()
    """Those that these nodes are cabled to and whose command line is known."""
    cables: tuple[Link, ...] = ()
    """Between the nodes and these switches, as declared."""
    provisioning_vlan: int = 0
    """The VLAN in which a phone-home arrives; 0: any."""


def require_boxes(nodes: Iterable[Node]) -> None:
    """Raises UsageError where there is no simulated box for a node's model."""
    known = box_names()
    unknown = Counter(node.model for node in nodes if node.model not in known)
    if unknown:
        first = min(unknown)
        raise UsageError(
            f"there is no simulated box for {', '.join(sorted(unknown))} ({plural(unknown.total(), 'node')}): how such a machine"
            f" behaves is not known here. Leave them out with --select '!model={first}'; there are boxes for {', '.join(known)}"
        )


class TwinHall:
    """Built at once; there is nothing to start or to stop. Its faults hit the same nodes as those of a hall over TLS."""

    def __init__(self, spec: TwinSpec) -> None:
        """Raises UsageError where nobody knows how a node's model behaves."""
        require_boxes(spec.nodes)
        self._clock = spec.clock
        self._origin = spec.clock.now()
        self._ports: dict[tuple[str, int], Port] = {}
        self.bmcs: dict[str, Bmc] = {}
        """By node."""
        self.attendants: dict[str, Attendant] = {}
        """By node."""
        for node in spec.nodes:
            name, bmc = str(node.id), self._bmc(spec, node)
            attendant = Attendant(bmc, spec.clock, origin=self._origin)
            self.bmcs[name], self.attendants[name] = bmc, attendant
            port = Port(attendant, spec.clock, origin=self._origin, puller=spec.puller)
            self._ports[node.bmc.address, node.bmc.port] = port
        introduce(self.bmcs.values())
        leaves = Leaves(_layout(spec, self.bmcs), self.bmcs, spec.faults, secret=PASSWORD, look=self._look)
        self.switches = leaves.switches
        self._power = self._powered(spec) if any(pdu.mib for pdu in spec.pdus) else None

    def _bmc(self, spec: TwinSpec, node: Node) -> Bmc:
        box = BoxSpec(
            name=str(node.id),
            model=node.model,
            rack=str(node.rack),
            slot=node.slot,
            address=node.bmc.address,
            port=node.bmc.port,
            serial=node.serial or "",
            uuid=node.uuid or "",
            feeds=tuple(map(str, node.feeds)),
            versions=spec.versions.get(str(node.id), {}),
            host_address="127.0.0.1",
            chassis=node.chassis or "",
        )
        return Bmc(
            complete_box(box),
            load_box(node.model),
            user=_USER,
            password=PASSWORD,
            seed=spec.seed,
            faults=spec.faults,
            epoch=as_utc(self._origin),
        )

    def _powered(self, spec: TwinSpec) -> "TwinPower":
        from fleet.twin.power import TwinPower  # noqa: PLC0415 (pysnmp takes 0.4 s to import)

        return TwinPower(spec.pdus, self.bmcs, spec.faults, spec.clock, origin=self._origin, touch=self._look)

    def _look(self, node: str) -> None:
        self.attendants[node].look()

    def transports(self, limits: Limits) -> TransportMaker:
        """What a RedfishDriver takes as its `transport`: the way to each BMC of this hall, and to no other machine."""

        def way(bmc: DeclaredBmc) -> TwinTransport:
            return TwinTransport(self._ports.get((bmc.address, bmc.port)), limits)

        return way

    def outlets(self, node: Node) -> tuple[Outlet, ...]:
        """The outlets that feed a node; none where one of its feeds cannot be switched."""
        return self._power.outlets(node) if self._power is not None else ()

    def meters(self) -> tuple[PduMeter, ...]:
        """The inlets of those PDUs."""
        return self._power.meters() if self._power is not None else ()

    def truth(self) -> dict[str, Any]:
        """The ground truth, as a hall over TLS tells it (fleet.sim.truth), but for what only a process has."""
        now = self._clock.now() - self._origin
        nodes = {}
        for name, bmc in self.bmcs.items():
            bmc.agenda.advance(now)
            nodes[name] = bmc.truth()
        requests = sum(bmc.ledger.requests for bmc in self.bmcs.values())
        switches = {name: switch.truth() for name, switch in self.switches.items()}
        pdus = self._power.truth() if self._power is not None else {}
        return {"now": now, "nodes": nodes, "switches": switches, "pdus": pdus, "process": {"requests": requests}}

    def starts(self) -> Iterator[tuple[float, float]]:
        """(from, to) of every start of a host: its POST, also one that is not over."""
        now = self._clock.now() - self._origin
        for bmc in self.bmcs.values():
            bmc.agenda.advance(now)
            over = -math.inf
            for boot in bmc.ledger.boots:
                began = max(0.0, boot["at"] - bmc.host.post_s)
                if (
                    began >= over
                ):  # what boots from its disk because its media could not be read does not start a second time
                    yield began, boot["at"]
                over = boot["at"]
            if bmc.host.posting(now):
                yield bmc.host.last_reset, bmc.host.post_until


def _layout(spec: TwinSpec, bmcs: Mapping[str, Bmc]) -> Layout:
    """The boxes, and what they are cabled to."""
    switches = tuple(
        SwitchSpec(
            name=str(switch.id),
            platform=str(switch.platform),
            rack=str(switch.rack),
            slot=switch.slot,
            provisioning_vlan=spec.provisioning_vlan,
        )
        for switch in spec.switches
    )
    links = tuple(_link(cable.a, cable.b) for cable in spec.cables)
    return Layout(boxes=tuple(bmc.spec for bmc in bmcs.values()), switches=switches, links=links)


def _link(a: End, b: End) -> LinkSpec:
    return LinkSpec(a=(str(a.device), a.port), b=(str(b.device), b.port))


def in_twin(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes as a twin has them: where they are, with its login, and without an OS that could be reached."""
    return tuple(replace(node, bmc=replace(node.bmc, credential=CREDENTIAL), host=None) for node in nodes)


def credential(directory: Path) -> Credential:
    """The login of every twin."""
    return Credential(id=CREDENTIAL, user=_USER, password=secret(directory))


def secret(directory: Path) -> SecretRef:
    """The password of all that is in a twin. It lies in `directory`, since a password is always fetched from somewhere."""
    path = directory / "password"
    path.touch(mode=0o600)
    path.write_text(PASSWORD)
    return SecretRef(scheme=SecretScheme.FILE, name=str(path))
