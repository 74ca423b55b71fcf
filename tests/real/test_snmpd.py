"""SNMPv3 against net-snmp's own agent: our GET and SET paths, with the keys of a PDU."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.steps import LeapClock

from fleet.drivers.snmp import Auth, Endpoint, Oid, Priv, Snmp, SnmpUser
from fleet.errors import NodeFault, Reason, Transient
from inventory.model import SecretRef
from inventory.secrets import resolve

SNMPD = shutil.which("snmpd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(SNMPD is None, reason="snmpd is not installed (tests/real/install.sh)")

SYS_DESCR: Oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
SYS_SERVICES: Oid = (1, 3, 6, 1, 2, 1, 1, 7, 0)
USERS = {Auth.SHA: ("SHA", Priv.AES, "AES"), Auth.SHA256: ("SHA-256", Priv.AES, "AES")}


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """An snmpd with one v3 user per way of signing."""
    assert SNMPD is not None
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    made = [f'createUser u-{a} {auth} "auth {a} key" {priv} "priv {a} key"' for a, (auth, _, priv) in USERS.items()]
    lines = [
        f"agentAddress udp:127.0.0.1:{number}",
        "sysDescr a rack PDU",
        "sysServices 76",
        *made,
        *(f"rouser u-{auth} authPriv" for auth in USERS),
    ]
    conf = tmp_path / "snmpd.conf"
    conf.write_text("\n".join(lines) + "\n")
    environment = {"PATH": os.environ["PATH"], "SNMP_PERSISTENT_DIR": str(tmp_path / "state")}
    process = await asyncio.create_subprocess_exec(
        *(SNMPD, "-f", "-C", "-c", str(conf), "-Lf", str(tmp_path / "log"), "-I", "-smux"), env=environment
    )
    try:
        yield number
    finally:
        process.terminate()
        await process.wait()


def endpoint(port: int, auth: Auth, directory: Path, *, auth_key: str = "") -> Endpoint:
    """As an inventory would lead to it."""
    keys = {"auth": auth_key or f"auth {auth} key", "priv": f"priv {auth} key"}
    secrets = {}
    for kind, key in keys.items():
        path = directory / f"{kind}-{auth}-{bool(auth_key)}"
        path.write_text(key)
        path.chmod(0o600)
        secrets[kind] = resolve(SecretRef.parse(f"file:{path}"))
    user = SnmpUser(
        name=f"u-{auth}", auth_key=secrets["auth"], priv_key=secrets["priv"], auth=auth, priv=USERS[auth][1]
    )
    return Endpoint(device="snmpd", address="127.0.0.1", port=port, user=user)


class Brisk(LeapClock):
    """Gives a reply a second: the agent may not listen yet."""

    def io_timeout_s(self, seconds: float) -> float:
        """Few."""
        return min(seconds, 1.0)


async def described(snmp: Snmp, where: Endpoint) -> int | str | None:
    """sysDescr, once the agent listens; the test's own timeout ends a vain wait."""
    while True:
        try:
            return await snmp.get(where, SYS_DESCR)
        except Transient:
            continue


@pytest.mark.parametrize("auth", list(USERS))
async def test_get_and_a_refused_set(auth: Auth, port: int, tmp_path: Path) -> None:
    snmp = Snmp(Brisk())
    where = endpoint(port, auth, tmp_path)
    assert await described(snmp, where) == "a rack PDU"
    assert await snmp.get(where, SYS_SERVICES) == 76
    assert await snmp.get(where, (1, 3, 6, 1, 2, 1, 1, 99, 0)) is None
    with pytest.raises(NodeFault, match="write access") as refused:
        await snmp.put(where, SYS_SERVICES, 1)
    assert refused.value.reason is Reason.NO_ACTIVATION
    assert await snmp.get(where, SYS_SERVICES) == 76
    snmp.close()


async def test_a_wrong_key_is_refused_at_once(port: int, tmp_path: Path) -> None:
    snmp = Snmp(Brisk())
    assert await described(snmp, endpoint(port, Auth.SHA, tmp_path)) == "a rack PDU"
    with pytest.raises(NodeFault) as refused:
        await snmp.get(endpoint(port, Auth.SHA, tmp_path, auth_key="quite another key"), SYS_DESCR)
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert "quite another" not in str(refused.value)
    snmp.close()
