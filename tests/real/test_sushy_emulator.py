"""A second opinion on Redfish: OpenStack's emulator, driven over TLS with Basic authentication, the only one it has."""

import asyncio
import hashlib
import ipaddress
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.clock import SystemClock
from fleet.drivers.images import ImageServer
from fleet.drivers.redfish import RedfishBmc, RedfishDriver
from fleet.errors import NodeFault, Reason, Transient
from fleet.ports import PowerAction, PowerState
from fleet.vendors import classify, profile_named
from inventory.baseline import Activation
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, RackId, SecretRef, Tls

PASSWORD = "emulated-only"
SPEED = 60.0
"""The emulator answers at once; waits between reads need not be real."""
SPAWN = "import random, sys; random.seed(3587); from sushy_tools.emulator.main import main; sys.exit(main())"
"""Its fake machine takes random.randint(1, 11) real seconds to change power; with this seed it draws ones."""


class NoSessions:
    """The emulator has none: logins are announced and judged (Basic), and a session written down is a mistake."""

    def __init__(self) -> None:
        self.judged: list[str] = []

    async def opening(self, context: str) -> None:
        """See `SessionLedger`."""

    async def opened(self, uri: str, context: str) -> None:
        """See `SessionLedger`."""
        raise AssertionError(uri, context)

    async def refused(self, context: str) -> None:
        """See `SessionLedger`."""
        self.judged.append("refused")

    async def accepted(self, context: str) -> None:
        """See `SessionLedger`."""
        self.judged.append("accepted")

    async def absent(self, context: str) -> None:
        """See `SessionLedger`."""
        raise AssertionError(context)

    async def closed(self, uri: str) -> None:
        """See `SessionLedger`."""
        raise AssertionError(uri)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certificate(directory: Path) -> str:
    """Write cert.pem and key.pem; the fingerprint, as an inventory pins it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sushy-emulator")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return "sha256:" + hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


def configure(directory: Path, port: int) -> Path:
    """The emulator's own configuration: its fake machine, TLS, Basic authentication."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (directory / "htpasswd").write_text(f"admin:{hashed}\n")
    config = directory / "emulator.conf"
    config.write_text(
        "\n".join(
            [
                "SUSHY_EMULATOR_FAKE_DRIVER = True",
                "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'",
                f"SUSHY_EMULATOR_LISTEN_PORT = {port}",
                f"SUSHY_EMULATOR_SSL_CERT = {str(directory / 'cert.pem')!r}",
                f"SUSHY_EMULATOR_SSL_KEY = {str(directory / 'key.pem')!r}",
                f"SUSHY_EMULATOR_AUTH_FILE = {str(directory / 'htpasswd')!r}",
                f"SUSHY_EMULATOR_STATE_DIR = {str(directory)!r}",
            ]
        )
    )
    return config


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A running emulator, as an inventory declares it."""
    pytest.importorskip("sushy_tools", reason="sushy-tools is not installed")
    fingerprint, port = certificate(tmp_path), free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SPAWN, "--config", str(configure(tmp_path, port))),
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    bmc = Bmc(address="127.0.0.1", port=port, credential=CredentialId("emulator"), tls=Tls(fingerprint=fingerprint))
    try:
        yield Node(id=NodeId("vm1"), model="fake", rack=RackId("r1"), slot=1, feeds=(FeedId("a"),), bmc=bmc)
    finally:
        process.terminate()
        await process.wait()


def driver_with(directory: Path, password: str) -> RedfishDriver:
    """A driver whose credential holds this password."""
    secret = directory / "secret"
    secret.write_text(password)
    secret.chmod(0o600)
    credential = Credential(id=CredentialId("emulator"), user="admin", password=SecretRef.parse(f"file:{secret}"))
    return RedfishDriver([credential], clock=SystemClock(speed=SPEED))


async def connected(driver: RedfishDriver, node: Node) -> RedfishBmc:
    """Its BMC, once the emulator listens: it is a process that takes seconds to start."""
    bmc = driver.bmc(node, profile_named("generic-dmtf"), NoSessions())
    while True:
        try:
            await bmc.connect()
        except Transient:
            continue  # each failed connect has waited already: reads are retried with back-off
        else:
            return bmc


async def test_power_and_virtual_media(node: Node, tmp_path: Path) -> None:
    driver = driver_with(tmp_path, PASSWORD)
    bmc = await connected(driver, node)
    found = await driver.discover(node, NoSessions())
    assert (found.manufacturer, classify(found).name) == ("Sushy Emulator", "generic")
    assert bmc.offers() >= {Activation.WARM_RESET, Activation.DC_CYCLE}

    for action, state in (
        (PowerAction.ON, PowerState.ON),
        (PowerAction.FORCE_OFF, PowerState.OFF),
        (PowerAction.FORCE_OFF, PowerState.OFF),
        (PowerAction.ON, PowerState.ON),
    ):
        await bmc.power(action)
        while await bmc.power_state() is not state:
            await SystemClock(speed=SPEED).sleep(6)

    iso = tmp_path / "installer.iso"
    iso.write_bytes(b"\x00CD001" * 1000)
    images = ImageServer(host="127.0.0.1")
    await images.start()
    sha256 = hashlib.sha256(iso.read_bytes()).hexdigest()
    url = await images.publish(iso, size_bytes=iso.stat().st_size, sha256=sha256)
    await bmc.insert_media(url)
    await bmc.insert_media(url)  # what an earlier run left is taken out first
    assert images.served_bytes["127.0.0.1"] == 2 * iso.stat().st_size
    await bmc.eject_media()
    await bmc.eject_media()
    await images.close()
    await bmc.close()


async def test_a_wrong_password_is_refused_at_once(node: Node, tmp_path: Path) -> None:
    await (await connected(driver_with(tmp_path, PASSWORD), node)).close()
    ledger = NoSessions()
    bmc = driver_with(tmp_path, "wrong").bmc(node, profile_named("generic-dmtf"), ledger)
    with pytest.raises(NodeFault) as refused:
        await bmc.connect()
    await bmc.close()
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert ledger.judged == ["refused"]
