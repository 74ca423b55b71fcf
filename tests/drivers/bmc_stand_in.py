"""A small TLS server to talk to, and what a driver needs beside it. It believes nothing: a test tells it what to answer."""

import asyncio
import hashlib
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.vendors import profile_named
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, SecretScheme, Tls

PASSWORD = "do-not-print-me-7Q"
USER = "admin"
SESSIONS = "/redfish/v1/SessionService/Sessions"
ROOT = {
    "@odata.id": "/redfish/v1",
    "Links": {"Sessions": {"@odata.id": SESSIONS}},
    "Systems": {"@odata.id": "/redfish/v1/Systems"},
    "Managers": {"@odata.id": "/redfish/v1/Managers"},
    "UpdateService": {"@odata.id": "/redfish/v1/UpdateService"},
    "Tasks": {"@odata.id": "/redfish/v1/TaskService"},
}


class FieldClock:
    """Field time that passes only when somebody sleeps; sockets get real seconds."""

    def __init__(self, *, io_timeout_s: float = 10.0) -> None:
        self.at = 1_800_000_000.0
        self.slept_s: list[float] = []
        self._io_timeout_s = io_timeout_s

    def now(self) -> float:
        """Field time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let field time pass, at once."""
        self.at += seconds
        self.slept_s.append(seconds)
        await asyncio.sleep(0)

    async def sleep_wall(self, seconds: float) -> None:
        """As `sleep`."""
        await self.sleep(seconds)

    def wall_s(self) -> float:
        """Wall time, as far as this clock has any."""
        return self.at

    def io_timeout_s(self, seconds: float) -> float:
        """Real seconds, few."""
        return min(seconds, self._io_timeout_s)


class MemoryLedger:
    """What was written down about sessions, in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, ...]] = []

    async def opening(self, context: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("opening", context))

    async def opened(self, uri: str, context: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("opened", uri, context))

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("refused", context))

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("accepted", context))

    async def absent(self, context: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("absent", context))

    async def closed(self, uri: str) -> None:
        """See `SessionLedger`."""
        self.lines.append(("closed", uri))

    @property
    def open_uris(self) -> set[str]:
        """Sessions that were opened and not closed."""
        opened = {line[1] for line in self.lines if line[0] == "opened"}
        return opened - {line[1] for line in self.lines if line[0] == "closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate and how an inventory pins it."""

    pem: Path
    """Certificate and key in one file."""
    fingerprint: str


def make_certificate(directory: Path, name: str = "bmc") -> Certificate:
    """A self-signed certificate for 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / f"{name}.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    return Certificate(pem=pem, fingerprint=f"sha256:{digest}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


Answer = Callable[[Seen], Awaitable[web.StreamResponse] | web.StreamResponse]
Stream = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class StandIn:
    """A BMC as far as a test needs one."""

    certificate: Certificate
    answer: Answer
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0

    def node(self, tls: Tls | None = None) -> Node:
        """The node that an inventory would declare for it."""
        bmc = Bmc(
            address="127.0.0.1",
            port=self.port,
            credential=CredentialId("bmc"),
            tls=tls or Tls(fingerprint=self.certificate.fingerprint),
        )
        return Node(id=NodeId("gpu1"), model="X", rack=RackId("r1"), slot=1, feeds=(FeedId("a"),), bmc=bmc)

    def effects(self) -> list[tuple[str, str]]:
        """Everything that was not a read."""
        return [(seen.method, seen.path) for seen in self.seen if seen.method != "GET"]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and let the test answer."""
        self.in_flight += 1
        self.max_in_flight = max(self.in_flight, self.max_in_flight)
        try:
            seen = Seen(
                method=request.method,
                path=request.path,
                query=request.query_string,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await request.read(),
            )
            self.seen.append(seen)
            answer = self.answer(seen)
            return await answer if isinstance(answer, Awaitable) else answer
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def serving(
    certificate: Certificate, answer: Answer, streams: Mapping[str, Stream] | None = None
) -> AsyncIterator[StandIn]:
    """Serve at a free port of 127.0.0.1; `streams` answers reads of some paths with the raw request in hand."""
    stand_in = StandIn(certificate=certificate, answer=answer)
    application = web.Application(client_max_size=2**30)
    for path, stream in (streams or {}).items():
        application.router.add_get(path, stream)
    application.router.add_route("*", "/{path:.*}", stand_in.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.pem)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    stand_in.port = runner.addresses[0][1]
    try:
        yield stand_in
    finally:
        await runner.cleanup()


def credential(directory: Path) -> Credential:
    """The credential of the stand-ins, its password in a file that only we may read."""
    path = directory / "password"
    path.write_text(PASSWORD)
    path.chmod(0o600)
    return Credential(id=CredentialId("bmc"), user=USER, password=SecretRef(scheme=SecretScheme.FILE, name=str(path)))


def reply(document: Any, status: int = 200, **headers: str) -> web.Response:
    """JSON."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(document, status=status, headers=names)


def session_reply(number: int = 1) -> web.Response:
    """What a Sessions collection answers to the right password."""
    uri = f"{SESSIONS}/{number}"
    return reply({"@odata.id": uri}, 201, X_Auth_Token=f"token-{number}", Location=uri)


def error(status: int, message_id: str, message: str, **headers: str) -> web.Response:
    """A Redfish error with ExtendedInfo."""
    info = {"MessageId": message_id, "Message": message}
    return reply(
        {"error": {"code": message_id, "message": message, "@Message.ExtendedInfo": [info]}}, status, **headers
    )


SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
DOCUMENTS = {
    "/redfish/v1/": ROOT,
    "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
    SYSTEM: {"PowerState": "On", "Actions": {"#ComputerSystem.Reset": {"target": RESET}}},
    "/redfish/v1/Managers": {"Members": []},
    "/redfish/v1/UpdateService": {},
    "/redfish/v1/TaskService": {},
}


def honest(seen: Seen) -> web.StreamResponse:
    """A small BMC without faults."""
    if seen.method == "DELETE":
        return web.Response(status=204)
    if seen.method == "POST":
        return session_reply() if seen.path == SESSIONS else web.Response(status=204)
    document = DOCUMENTS.get(seen.path)
    return error(404, "Base.1.0.ResourceMissingAtURI", seen.path) if document is None else reply(document)


def instead(path: str, *faults: Answer, method: str = "GET") -> Answer:
    """An honest BMC that answers the first requests for one path with faults."""
    left = iter(faults)

    def answer(seen: Seen) -> Awaitable[web.StreamResponse] | web.StreamResponse:
        if (seen.method, seen.path) == (method, path) and (fault := next(left, None)) is not None:
            return fault(seen)
        return honest(seen)

    return answer


def always(path: str, fault: Answer, method: str = "GET") -> Answer:
    """An honest BMC that answers one path with a fault, for ever."""
    return lambda seen: fault(seen) if (seen.method, seen.path) == (method, path) else honest(seen)


def html(_seen: Seen) -> web.StreamResponse:
    """What a BMC's web server says while Redfish starts."""
    return web.Response(text="<html>starting</html>", content_type="text/html")


def refuse_login(_seen: Seen) -> web.StreamResponse:
    """401."""
    return error(401, "Base.1.0.NoValidSession", "no")


def bmc_of(driver: RedfishDriver, served: StandIn, ledger: MemoryLedger, tls: Tls | None = None) -> RedfishBmc:
    """The BMC of a stand-in, under the profile that a person chose."""
    return driver.bmc(served.node(tls), profile_named("generic-dmtf"), ledger)
