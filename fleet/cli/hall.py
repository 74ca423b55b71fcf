"""A running simulated hall, seen from the command line: where it is, how fast its time runs, and the inventory as it answers.

Time compression exists only through a hall: there is no way to run the engine's clock faster against real machines.
"""

import ipaddress
import json
import math
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fleet.clock import SystemClock
from fleet.errors import UsageError
from inventory.model import Bmc, Credential, CredentialId, Host, Node, SecretRef, SecretScheme, Tls

_CREDENTIAL = CredentialId("simulated-hall")
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class HallHost:
    """The OS of a node, as SSH reaches it."""

    address: str
    port: int
    user: str
    host_key: str
    """OpenSSH public key line of what was installed when the hall started; empty where nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HallSwitch:
    """A switch's command line over SSH."""

    address: str
    port: int
    platform: str
    """In Netmiko's words: `arista_eos`, `cumulus_linux`."""
    user: str
    password: SecretRef
    """Also the enable and sudo secret."""
    host_key: str
    """OpenSSH public key line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HallPdu:
    """A PDU over SNMPv3 authPriv (SHA, AES-128)."""

    address: str
    port: int
    mib: str
    """Where its outlets are kept: `raritan-px`, `apc-rpdu2`."""
    user: str
    auth_key: SecretRef
    priv_key: SecretRef
    outlets: Mapping[int, str]
    """Outlet number -> the node that it feeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningHall:
    """What hall.json says."""

    directory: Path
    speed: float
    started: float
    """Epoch seconds at which compressed time began."""
    credential: Credential
    bmcs: dict[str, Bmc]
    hosts: Mapping[str, HallHost]
    """By node."""
    client_key: Path
    """Private SSH key that the hosts let in."""
    switches: Mapping[str, HallSwitch]
    pdus: Mapping[str, HallPdu]

    def clock(self) -> SystemClock:
        """Field time as the hall lives it."""
        return SystemClock(speed=self.speed, origin=self.started)

    def overlay(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """The nodes at the addresses where the hall answers; none keeps a host of the inventory's, which may be a real one.

        Raises:
            UsageError: the hall does not simulate one of them.
        """
        found = []
        for node in nodes:
            bmc = self.bmcs.get(str(node.id))
            if bmc is None:
                raise UsageError(
                    f"{self.directory}: the hall does not simulate node {node.id}; start it with the same inventory and selection"
                )
            at = self.hosts.get(node.id)
            host = Host(address=at.address, port=at.port) if at is not None else None
            found.append(replace(node, bmc=bmc, host=host))
        return tuple(found)

    def truth(self) -> dict[str, Any]:
        """The hall's ground truth: for reports and tests, never for decisions."""
        answer = ask(self.directory / "truth.sock", "GET", "/truth")
        found: dict[str, Any] = json.loads(answer)
        return found


def read_hall(directory: Path) -> RunningHall:
    """Read DIR/hall.json. Raises UsageError where no hall runs, or where it claims an address that is not loopback."""
    path = directory / "hall.json"
    try:
        hall = _read(json.loads(path.read_text()), directory, started=path.stat().st_mtime)
    except FileNotFoundError as error:
        raise UsageError(
            f"{directory}: no hall runs there (no hall.json); start one with `fleet sim --directory {directory}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: not what a running hall writes ({error}); stop the hall and start it again"
        ) from error
    devices = (hall.bmcs, hall.hosts, hall.switches, hall.pdus)
    for name, address in [(name, each.address) for kind in devices for name, each in kind.items()]:
        if not _is_loopback(address):
            raise UsageError(f"{path}: {name} is at {address}; a simulated hall is on loopback addresses only")
    return hall


def _read(found: Any, directory: Path, *, started: float) -> RunningHall:
    """Raises ValueError, KeyError, TypeError or AttributeError for what no hall writes."""
    speed = float(found["speed"])
    if not speed > 0 or math.isinf(speed):
        raise ValueError(f"speed is {speed}")
    tls = Tls(ca=Path(found["ca"]).resolve())
    bmcs = {
        name: Bmc(address=_text(bmc, "address"), port=_port(bmc), credential=_CREDENTIAL, tls=tls)
        for name, bmc in found["bmcs"].items()
    }
    return RunningHall(
        directory=directory,
        speed=speed,
        started=started,
        credential=Credential(id=_CREDENTIAL, user=_text(found, "user"), password=_secret(found, "password_file")),
        bmcs=bmcs,
        hosts={name: _host(host) for name, host in found["hosts"].items()},
        client_key=Path(found["host_client_key"]).resolve(),
        switches={name: _switch(switch) for name, switch in found.get("switches", {}).items()},
        pdus={name: _pdu(pdu) for name, pdu in found.get("pdus", {}).items()},
    )


def _host(said: Any) -> HallHost:
    host_key = _text(said, "host_key") if "host_key" in said else ""
    return HallHost(address=_text(said, "address"), port=_port(said), user=_text(said, "user"), host_key=host_key)


def _switch(said: Any) -> HallSwitch:
    return HallSwitch(
        address=_text(said, "address"),
        port=_port(said),
        platform=_text(said, "platform"),
        user=_text(said, "user"),
        password=_secret(said, "password_file"),
        host_key=_text(said, "host_key"),
    )


def _pdu(said: Any) -> HallPdu:
    return HallPdu(
        address=_text(said, "address"),
        port=_port(said),
        mib=_text(said, "model"),
        user=_text(said, "user"),
        auth_key=_secret(said, "auth_key_file"),
        priv_key=_secret(said, "priv_key_file"),
        outlets={int(number): str(node) for number, node in said["outlets"].items()},
    )


def _text(said: Any, key: str) -> str:
    value = said[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} is {value!r}, not a text")
    return value


def _port(said: Any) -> int:
    port = said["port"]
    if not isinstance(port, int) or not 1 <= port <= _LAST_PORT:
        raise ValueError(f"port is {port!r}")
    return port


def _secret(said: Any, key: str) -> SecretRef:
    return SecretRef(scheme=SecretScheme.FILE, name=str(Path(_text(said, key)).resolve()))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a host name: who knows where it leads
        return False


class _UnixConnection(HTTPConnection):
    """HTTP over the hall's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, target: str) -> bytes:
    """One request to the hall's truth socket. Raises UsageError where nobody listens."""
    link = _UnixConnection(path)
    try:
        link.request(method, target)
        return link.getresponse().read()
    except OSError as error:
        raise UsageError(f"{path}: the hall does not answer ({error})") from error
    finally:
        link.close()
