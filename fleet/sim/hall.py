"""The hall: many boxes in one process, each behind its own TLS face, and their ground truth."""

import asyncio
import json
import os
import resource
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from fleet.sim.bmc import Bmc, BoxSpec
from fleet.sim.boxmodel import load_box
from fleet.sim.breakers import BreakerSpec
from fleet.sim.certificates import Authority
from fleet.sim.clock import ScaledClock
from fleet.sim.courier import HttpCourier
from fleet.sim.face import Face
from fleet.sim.faults import FaultBook
from fleet.sim.layout import HallError, Layout, LinkSpec, PduSpec, SwitchSpec
from fleet.sim.message import Fetch
from fleet.sim.pull import PullError, pull
from fleet.sim.surroundings import Surroundings, write_secret
from fleet.sim.truth import TruthServer

__all__ = ["BoxSpec", "Hall", "HallError", "HallSpec"]

_UNIX_PATH_BYTES = 107
"""sun_path of Linux is 108 bytes with its NUL (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HallSpec:
    """A hall to start."""

    boxes: tuple[BoxSpec, ...]
    directory: Path
    """Where ca.pem, password, hall.json, truth.sock and the keys are written."""
    switches: tuple[SwitchSpec, ...] = ()
    pdus: tuple[PduSpec, ...] = ()
    links: tuple[LinkSpec, ...] = ()
    breakers: tuple[BreakerSpec, ...] = ()
    speed: float = 600.0
    """Simulated seconds per real second."""
    seed: int = 0
    faults: FaultBook = field(default_factory=FaultBook)
    user: str = "admin"
    password: str = field(default="", repr=False)
    """Empty: a random one is made; it is written to `directory`/password and nowhere else."""


class Hall:
    """A running hall: ``async with Hall(spec) as hall``."""

    def __init__(self, spec: HallSpec) -> None:
        self.spec = spec
        self.clock = ScaledClock(spec.speed)
        self.faces: dict[str, Face] = {}
        self._password = spec.password or secrets.token_urlsafe(12)
        self._stop = asyncio.Event()
        self._client: aiohttp.ClientSession | None = None
        self._truth = TruthServer(self)
        self.around: Surroundings | None = None

    async def __aenter__(self) -> Self:
        """Start every BMC, then write hall.json.

        Raises:
            HallError: an address is taken, a model unknown, or the directory's path too long.
        """
        socket_path = self.spec.directory / "truth.sock"
        if len(os.fsencode(socket_path.absolute())) > _UNIX_PATH_BYTES:
            raise HallError(
                f"{socket_path}: longer than {_UNIX_PATH_BYTES} bytes, no Unix socket can be there; "
                "choose a shorter directory"
            )
        self.spec.directory.mkdir(parents=True, exist_ok=True)
        _raise_open_files()
        self.clock = ScaledClock(self.spec.speed)
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        try:
            await self._start(socket_path)
        except OSError as cause:
            await self.close()
            raise HallError(f"{cause}; stop the other hall or give the boxes other addresses or ports") from cause
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def bmcs(self) -> dict[str, Bmc]:
        """The BMCs by node name."""
        return {name: face.bmc for name, face in self.faces.items()}

    def stop(self) -> None:
        """Let `serve_forever` return."""
        self._stop.set()

    async def serve_forever(self) -> None:
        """Wait until `stop` (or POST /quit on the truth socket)."""
        await self._stop.wait()

    def ac_cycle(self, name: str, off_s: float = 30.0) -> None:
        """Switch all feeds of a node off and on again: what a PDU would do."""
        self.faces[name].bmc.ac_cycle(self.clock.now(), off_s=off_s)  # the PDUs' own outlets stay as they are
        self.faces[name].touch()

    def close_breaker(self, name: str) -> None:
        """Somebody goes there and closes a breaker that tripped. KeyError: there is none of this name."""
        if self.around is None:
            raise KeyError(name)
        self.around.grid.close(name, self.clock.now())

    async def close(self) -> None:
        """Stop everything; hall.json and the truth socket are removed."""
        (self.spec.directory / "hall.json").unlink(missing_ok=True)
        await self._truth.close()
        if self.around is not None:
            await self.around.close()
        await asyncio.gather(*(face.close() for face in self.faces.values()))
        if self._client is not None:
            await self._client.close()

    async def _start(self, socket_path: Path) -> None:
        authority = Authority()
        if self._client is None:
            raise HallError("the hall is closed")
        listed: dict[str, dict[str, Any]] = {}
        epoch = datetime.now(UTC)
        layout = Layout(
            boxes=self.spec.boxes,
            switches=self.spec.switches,
            pdus=self.spec.pdus,
            links=self.spec.links,
            breakers=self.spec.breakers,
        ).completed()
        courier = HttpCourier(self._client)
        for box_spec in layout.boxes:
            identity = authority.issue(box_spec.name, box_spec.address)
            bmc = self._bmc(box_spec, epoch)
            face = Face(
                bmc,
                self.clock,
                identity,
                box_spec.address,
                box_spec.port,
                puller=self._pull,
                courier=courier,
                renew=partial(authority.issue, box_spec.name, box_spec.address),
            )
            self.faces[box_spec.name] = face
            await face.open()
            listed[box_spec.name] = {
                "address": box_spec.address,
                "port": box_spec.port,
                "fingerprint": identity.fingerprint,
                "serial": box_spec.serial,
                "uuid": box_spec.uuid,
                "model": box_spec.model,
            }
        self.around = Surroundings(layout, self.faces, self.clock, self.spec.faults, self.spec.directory.absolute())
        self.around.open()
        await self._truth.open(socket_path)
        self._write(authority.pem(), listed, self.around.listed())

    def _bmc(self, spec: BoxSpec, epoch: datetime) -> Bmc:
        try:
            box = load_box(spec.model)
        except ValueError as cause:
            raise HallError(f"{spec.name}: {cause}") from cause
        return Bmc(
            spec,
            box,
            user=self.spec.user,
            password=self._password,
            seed=self.spec.seed,
            faults=self.spec.faults,
            epoch=epoch,
        )

    def _write(self, ca: bytes, listed: dict[str, dict[str, Any]], around: dict[str, Any]) -> None:
        directory = self.spec.directory.absolute()
        (directory / "ca.pem").write_bytes(ca)
        secret = write_secret(directory / "password", self._password)
        document = {
            "version": 1,
            "speed": self.spec.speed,
            "user": self.spec.user,
            "password_file": str(secret),
            "ca": str(directory / "ca.pem"),
            "truth": "truth.sock",
            "bmcs": listed,
        } | around
        draft = directory / "hall.json.new"
        draft.write_text(json.dumps(document, indent=1))
        draft.replace(directory / "hall.json")

    async def _pull(self, fetch: Fetch) -> tuple[bytes | None, str]:
        if self._client is None:
            return None, "the hall is closed"
        try:
            return await pull(self._client, fetch), ""
        except PullError as cause:
            return None, str(cause)


def _raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
