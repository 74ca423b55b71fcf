"""One leaf switch: its configuration, what takes effect, what LLDP hears. Command lines are beside it (eos, nvue)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from fleet.sim.cabling import Cabling
from fleet.sim.faults import Effect, NodeFaults
from fleet.sim.layout import SwitchSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PortConfig:
    """One access port, as configured."""

    vlan: int = 1
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration; changes make a new one."""

    hostname: str
    ports: dict[str, PortConfig] = field(default_factory=dict)
    vlans: dict[int, str] = field(default_factory=dict)
    """VLAN -> name."""

    def with_port(self, port: str, **changes: Any) -> "Config":
        """The same with another port configuration."""
        return replace(self, ports=self.ports | {port: replace(self.ports[port], **changes)})

    def with_vlan(self, vlan: int, name: str = "") -> "Config":
        """The same with this VLAN."""
        return replace(self, vlans=dict(sorted((self.vlans | {vlan: name or self.vlans.get(vlan, "")}).items())))

    def without_vlan(self, vlan: int) -> "Config":
        """The same without this VLAN."""
        return replace(self, vlans={number: name for number, name in self.vlans.items() if number != vlan})

    def cleaned(self) -> "Config":
        """What a switch has that nobody configured."""
        return replace(self, ports=dict.fromkeys(self.ports, PortConfig()), vlans={})


class Outcome(StrEnum):
    """What became of a commit."""

    DONE = "done"
    REFUSED = "refused"
    DROPPED = "dropped"
    """The connection breaks in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a command line prints, prompt not included."""

    text: str = ""
    delay_s: float = 0.0
    ends: bool = False
    """The session ends in an orderly way."""
    breaks: bool = False
    """The connection breaks."""
    quick: bool = False
    """The next prompt comes at once: the line was only taken down (a here-document)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One entry of the LLDP table."""

    port: str
    system: str
    remote_port: str


class Switch:
    """One switch."""

    def __init__(
        self, spec: SwitchSpec, cabling: Cabling, faults: NodeFaults, *, secret: str, heard: Callable[[str], bool]
    ) -> None:
        """`heard(device)`: whether it sends LLDP now. `secret`: for enable and sudo."""
        self.spec = spec
        self.faults = faults
        self.secret = secret
        self.logins = 0
        self.commits = 0
        self.refused = 0
        self.sessions: dict[str, Config] = {}
        """Configuration sessions that were begun and neither committed nor aborted (Arista)."""
        self._cabling = cabling
        self._heard = heard
        ports = dict.fromkeys((*cabling.ports_of(spec.name), *spec.ports, *spec.vlans))
        vlans = {*spec.vlans.values(), *({spec.provisioning_vlan} if spec.provisioning_vlan else ())} - {1}
        self.running = Config(
            hostname=spec.name,
            ports={port: PortConfig(vlan=spec.vlans.get(port, 1)) for port in ports},
            vlans=dict.fromkeys(sorted(vlans), ""),
        )

    def commit(self, config: Config) -> Outcome:
        """Let `config` take effect, if nothing is wrong today."""
        if self.faults.take(Effect.COMMIT_REFUSED):
            self.refused += 1
            return Outcome.REFUSED
        dropped = self.faults.take(Effect.LINK_DROPS_IN_COMMIT)
        if dropped is None or dropped.parameters.get("applied", True):
            self.running = config
            self.commits += 1
        return Outcome.DONE if dropped is None else Outcome.DROPPED

    def vlan_of(self, port: str) -> int:
        """The VLAN that a port really is in; 0: shut down, or a VLAN that does not exist."""
        configured = self.running.ports[port]
        exists = self.spec.platform != "arista_eos" or configured.vlan == 1 or configured.vlan in self.running.vlans
        return configured.vlan if configured.enabled and exists else 0

    def neighbours(self) -> tuple[Neighbour, ...]:
        """What LLDP hears now."""
        found = []
        for port, configured in self.running.ports.items():
            far = self._cabling.far_end(self.spec.name, port)
            if far is not None and configured.enabled and self._heard(far[0]):
                found.append(Neighbour(port=port, system=far[0], remote_port=far[1]))
        return tuple(found)

    def delay_s(self, reply: Reply) -> float:
        """How long the switch takes until its prompt is there again."""
        if reply.quick:
            return reply.delay_s
        slow = next((rule for rule in self.faults.rules if rule.effect is Effect.PROMPT_SLOW), None)
        return reply.delay_s + (0.1 if slow is None else slow.number("delay_s", 60))

    def truth(self) -> dict[str, Any]:
        """The ground truth, as plain data."""
        cables = {port: self._cabling.far_end(self.spec.name, port) for port in self.running.ports}
        return {
            "platform": self.spec.platform,
            "vlans": {port: self.vlan_of(port) for port in self.running.ports},
            "neighbours": {port: ":".join(far) for port, far in cables.items() if far is not None},
            "commits": self.commits,
            "refused": self.refused,
            "logins": self.logins,
            "faults": [rule.name for rule in self.faults.rules],
        }
