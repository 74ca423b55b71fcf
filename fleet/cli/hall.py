"""A running simulated hall, seen from the command line: where it is, how fast its time runs, and the inventory as it answers.

Time compression exists only through a hall: there is no way to run the engine's clock faster against real machines.
"""

import ipaddress
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fleet.clock import SystemClock
from fleet.errors import UsageError
from inventory.model import Bmc, Credential, CredentialId, Node, SecretRef, SecretScheme, Tls

_CREDENTIAL = CredentialId("simulated-hall")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningHall:
    """What hall.json says."""

    directory: Path
    speed: float
    started: float
    """Epoch seconds at which compressed time began."""
    credential: Credential
    bmcs: dict[str, Bmc]

    def clock(self) -> SystemClock:
        """Field time as the hall lives it."""
        return SystemClock(speed=self.speed, origin=self.started)

    def overlay(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """The nodes at the addresses where the hall answers. Raises UsageError for a node that it does not simulate."""
        found = []
        for node in nodes:
            bmc = self.bmcs.get(str(node.id))
            if bmc is None:
                raise UsageError(
                    f"{self.directory}: the hall does not simulate node {node.id}; start it with the same inventory and selection"
                )
            found.append(replace(node, bmc=bmc))
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
        found = json.loads(path.read_text())
        started = path.stat().st_mtime
        password = SecretRef(scheme=SecretScheme.FILE, name=str(Path(found["password_file"]).resolve()))
        tls = Tls(ca=Path(found["ca"]).resolve())
        bmcs = {
            name: Bmc(address=bmc["address"], port=int(bmc["port"]), credential=_CREDENTIAL, tls=tls)
            for name, bmc in found["bmcs"].items()
        }
        speed = float(found["speed"])
        user = str(found["user"])
    except FileNotFoundError as error:
        raise UsageError(
            f"{directory}: no hall runs there (no hall.json); start one with `fleet sim --directory {directory}`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: not what a running hall writes ({error}); stop the hall and start it again"
        ) from error
    for name, bmc in bmcs.items():
        if not ipaddress.ip_address(bmc.address).is_loopback:
            raise UsageError(f"{path}: {name} is at {bmc.address}; a simulated hall is on loopback addresses only")
    credential = Credential(id=_CREDENTIAL, user=user, password=password)
    return RunningHall(directory=directory, speed=speed, started=started, credential=credential, bmcs=bmcs)


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
