"""Everything of a hall that is not a BMC: operating systems, switches, PDUs, and the files that say how to reach them."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

import asyncssh

from fleet.sim.clock import ScaledClock
from fleet.sim.disk import public_line
from fleet.sim.face import Face
from fleet.sim.faults import FaultBook
from fleet.sim.grid import PowerGrid
from fleet.sim.hostface import HostFace
from fleet.sim.layout import Layout
from fleet.sim.leaves import Leaves
from fleet.sim.snmpface import USER, SnmpFace
from fleet.sim.sshface import SshPort
from fleet.sim.switch import Switch
from fleet.sim.switchface import USERS, SwitchFace


class Surroundings:
    """The other faces of a hall."""

    def __init__(
        self, layout: Layout, faces: dict[str, Face], clock: ScaledClock, faults: FaultBook, directory: Path
    ) -> None:
        self._layout = layout
        self._faces = faces
        self._clock = clock
        self._directory = directory
        self._client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._secrets = {
            name: secrets.token_urlsafe(12) for name in ("switch_password", "pdu_auth_key", "pdu_priv_key")
        }
        self._switch_key = asyncssh.generate_private_key("ssh-ed25519")
        bmcs = {name: face.bmc for name, face in faces.items()}
        self._timer: asyncio.TimerHandle | None = None
        for face in faces.values():
            face.bmc.disturbed = face.touch
        leaves = Leaves(
            layout, bmcs, faults, secret=self._secrets["switch_password"], look=lambda node: faces[node].look()
        )
        self.switches = leaves.switches
        self.grid = PowerGrid(
            layout.pdus,
            bmcs,
            faults,
            touch=lambda node: faces[node].touch(),
            breakers=layout.breakers,
            wake=self._wake,
        )
        clients = asyncssh.import_authorized_keys(self._client_key.export_public_key().decode())
        self._hosts = [HostFace(face.bmc, clock, clients=clients, touch=face.look) for face in faces.values()]
        self._switch_faces = [SwitchFace(switch, clock, self._switch_key) for switch in self.switches.values()]
        self._snmp = SnmpFace(
            self.grid.pdus, clock, auth_key=self._secrets["pdu_auth_key"], priv_key=self._secrets["pdu_priv_key"]
        )

    def open(self) -> None:
        """Listen everywhere.

        Raises:
            OSError: an address is taken.
        """
        for port in self._ports():
            port.open()
        if self.grid.pdus:
            self._snmp.open()

    async def close(self) -> None:
        """Stop listening."""
        if self._timer is not None:
            self._timer.cancel()
        for port in self._ports():
            await port.close()
        self._snmp.close()

    def _ports(self) -> list[SshPort]:
        return [*(face.port for face in self._hosts), *(face.port for face in self._switch_faces)]

    def listed(self) -> dict[str, Any]:
        """What hall.json says of all this; the secrets that it names are written now."""
        key = write_secret(self._directory / "host_key", self._client_key.export_private_key().decode())
        (self._directory / "host_key.pub").write_bytes(self._client_key.export_public_key())
        found: dict[str, Any] = {
            "host_user": "root",
            "host_client_key": str(key),
            "hosts": {face.bmc.spec.name: _host(face) for face in self._hosts},
        }
        files = {name: str(write_secret(self._directory / name, text)) for name, text in self._secrets.items()}
        if self.switches:
            found["switches"] = {name: self._switch(each, files) for name, each in self.switches.items()}
        if self.grid.pdus:
            found["pdus"] = {
                name: {
                    "address": pdu.spec.address,
                    "port": pdu.spec.port,
                    "model": pdu.spec.model,
                    "user": USER,
                    "auth": "SHA",
                    "priv": "AES",
                    "auth_key_file": files["pdu_auth_key"],
                    "priv_key_file": files["pdu_priv_key"],
                    "outlets": {str(outlet.number): outlet.node for outlet in pdu.outlets.values()},
                }
                for name, pdu in self.grid.pdus.items()
            }
        return found

    def truth(self, now: float) -> dict[str, Any]:
        """The ground truth of switches, PDUs and breakers."""
        for pdu in self.grid.pdus.values():
            pdu.agenda.advance(now)
        return {
            "switches": {name: switch.truth() for name, switch in self.switches.items()},
            "pdus": {name: pdu.truth() for name, pdu in self.grid.pdus.items()},
            "breakers": self.grid.truth(now),
        }

    def _wake(self, at: float) -> None:
        """Let the breakers look at `at`; an earlier look stands."""
        loop = asyncio.get_running_loop()
        when = loop.time() + self._clock.wall_s(max(0.0, at - self._clock.now()))
        if self._timer is not None and not self._timer.cancelled() and self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        self.grid.settle(self._clock.now())

    def _switch(self, switch: Switch, files: dict[str, str]) -> dict[str, Any]:
        return {
            "address": switch.spec.address,
            "port": switch.spec.port,
            "platform": switch.spec.platform,
            "user": USERS[switch.spec.platform],
            "password_file": files["switch_password"],
            "host_key": public_line(self._switch_key),
        }


def _host(face: HostFace) -> dict[str, Any]:
    spec = face.bmc.spec
    said: dict[str, Any] = {"address": spec.host_address, "port": spec.host_port, "user": "root"}
    if face.bmc.disk.host_key_line:
        said["host_key"] = face.bmc.disk.host_key_line
    return said


def write_secret(path: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path
