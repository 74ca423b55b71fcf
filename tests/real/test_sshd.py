"""The SSH driver against a real OpenSSH server, run as ourselves on a port of its own (see install.sh)."""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from fleet.drivers.ssh import CUT_NOTE, OUTPUT_LIMIT_BYTES, SshAddress, SshShell, read_client_key
from fleet.errors import NodeFault, Reason, Transient, UsageError
from playbooks.burnin.judging import argv, judge
from playbooks.burnin.profile import profile_named
from playbooks.burnin.verdict import Verdict

SSHD = "/usr/sbin/sshd"
CLOCK = SystemClock()

pytestmark = pytest.mark.skipif(not Path(SSHD).exists(), reason=f"{SSHD} is missing: run tests/real/install.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running sshd."""

    port: int
    directory: Path
    host_key: str

    def shell(self, *, host_key: str = "", client_key: Path | None = None) -> SshShell:
        """As the user that runs these tests."""
        return SshShell(
            address=SshAddress(host="127.0.0.1", port=self.port, user=getpass.getuser()),
            host_key=host_key or self.host_key,
            client_key=read_client_key(client_key or self.directory / "client"),
            clock=CLOCK,
        )


def make_key(path: Path, kind: str = "ed25519") -> str:
    """A key pair by OpenSSH's own tool; the public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text()


@pytest.fixture(scope="module", autouse=True)
def _separation() -> None:
    """The directory that Debian's service makes, and that sshd of root insists on."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


@asynccontextmanager
async def serving(directory: Path, port: int, kind: str = "ed25519") -> AsyncIterator[Server]:
    """OpenSSH in the foreground, with nothing of the machine's own configuration."""
    host = directory / f"host_{kind}"
    public = make_key(host, kind)
    config = directory / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {directory / 'client.pub'}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    process = await asyncio.create_subprocess_exec(
        SSHD, "-D", "-e", "-f", str(config), stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stderr is not None
        line = b""
        while b"Server listening" not in line:
            line = await process.stderr.readline()
            assert line, "sshd ended"
        yield Server(port=port, directory=directory, host_key=public)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """With a host key and our key of its own."""
    make_key(tmp_path / "client")
    async with serving(tmp_path, free_port()) as running:
        yield running


async def test_output_status_and_quoting_are_those_of_the_command(server: Server) -> None:
    shell = server.shell()
    odd = "a  b'\"$HOME;`id`\\\n*"
    plain = await shell.run(("printf", "%s", odd), timeout_s=20)
    failed = await shell.run(("sh", "-c", "printf no >&2; exit 3"), timeout_s=20)
    killed = await shell.run(("sh", "-c", "kill -9 $$"), timeout_s=20)
    missing = await shell.run(("/no/such/tool",), timeout_s=20)
    await shell.close()
    assert (plain.stdout, plain.exit_status) == (odd.encode(), 0)
    assert (failed.stderr, failed.exit_status) == (b"no", 3)
    assert killed.exit_status == -9
    assert missing.exit_status == 127


async def test_many_commands_share_one_connection(server: Server) -> None:
    shell = server.shell()
    said = [await shell.run(("sh", "-c", "echo $SSH_CONNECTION"), timeout_s=20) for _ in range(5)]
    await shell.close()
    later = await shell.run(("sh", "-c", "echo $SSH_CONNECTION"), timeout_s=20)
    await shell.close()
    assert len({each.stdout for each in said}) == 1
    assert later.stdout not in {b"", said[0].stdout}


async def test_what_takes_too_long_has_no_status_and_the_connection_lives(server: Server) -> None:
    shell = server.shell()
    hung = await shell.run(("sh", "-c", "echo begun; exec sleep 5"), timeout_s=1)
    after = await shell.run(("echo", "on"), timeout_s=20)
    await shell.close()
    assert (hung.exit_status, hung.stdout, after.stdout) == (None, b"begun\n", b"on\n")


async def test_endless_output_is_cut_and_says_so(server: Server) -> None:
    shell = server.shell()
    flood = await shell.run(("yes",), timeout_s=60)
    exact = await shell.run(("head", "-c", str(OUTPUT_LIMIT_BYTES), "/dev/zero"), timeout_s=60)
    await shell.close()
    assert (flood.exit_status, len(flood.stdout)) == (None, OUTPUT_LIMIT_BYTES + len(CUT_NOTE))
    assert flood.stdout.endswith(CUT_NOTE)
    assert (exact.exit_status, len(exact.stdout)) == (0, OUTPUT_LIMIT_BYTES)


async def test_only_the_known_host_key_is_spoken_to(server: Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    with pytest.raises(NodeFault) as changed:
        await server.shell(host_key=other).run(("touch", str(tmp_path / "reached")), timeout_s=20)
    with pytest.raises(NodeFault) as none:
        server.shell(host_key="ssh-ed25519 not-a-key")
    with pytest.raises(NodeFault) as refused:
        await server.shell(client_key=tmp_path / "other").run(("true",), timeout_s=20)
    assert (changed.value.reason, none.value.reason) == (Reason.UNTRUSTED_TLS, Reason.UNTRUSTED_TLS)
    assert refused.value.reason is Reason.LOGIN_REFUSED
    assert not (tmp_path / "reached").exists()


async def test_a_server_with_keys_of_another_kind_only_is_another_machine(tmp_path: Path) -> None:
    make_key(tmp_path / "client")
    known = make_key(tmp_path / "known")
    async with serving(tmp_path, free_port(), "ecdsa") as server:
        with pytest.raises(NodeFault) as changed:
            await server.shell(host_key=known).run(("true",), timeout_s=20)
    assert changed.value.reason is Reason.UNTRUSTED_TLS


async def test_a_server_that_went_away_is_transient_and_one_that_came_back_is_used(tmp_path: Path) -> None:
    make_key(tmp_path / "client")
    port = free_port()
    async with serving(tmp_path, port) as server:
        shell = server.shell()
        first = await shell.run(("sh", "-c", "echo $PPID"), timeout_s=20)
        broken = await shell.run(("sh", "-c", "kill $PPID; sleep 600"), timeout_s=60)
        again = await shell.run(("sh", "-c", "echo $PPID"), timeout_s=20)
        await shell.close()
    with pytest.raises(Transient):
        await shell.run(("true",), timeout_s=20)
    assert (first.exit_status, broken.exit_status, again.exit_status) == (0, None, 0)
    assert first.stdout != again.stdout


def test_a_client_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "client")
    (tmp_path / "client").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_client_key(tmp_path / "client")
    (tmp_path / "text").write_text("do-not-print-me")
    (tmp_path / "text").chmod(0o600)
    with pytest.raises(UsageError) as wrong:
        read_client_key(tmp_path / "text")
    assert "do-not-print-me" not in str(wrong.value)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has GPUs: its burn-in would be one")
async def test_a_machine_without_the_tools_passes_nothing(server: Server) -> None:
    shell = server.shell()
    profile = profile_named("hgx-8gpu-quick")
    for test in profile.tests:
        ran = await shell.run(argv(test, profile), timeout_s=30)
        assert judge(test, profile, ran.stdout, ran.exit_status, {}).verdict is Verdict.UNJUDGED
    await shell.close()
