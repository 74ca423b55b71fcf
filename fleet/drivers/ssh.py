"""Shells on nodes over SSH (asyncssh): one connection a node, one host key that may answer, output with a limit.

Nothing of the machine that we run on takes part: no ~/.ssh/config, no agent, no known_hosts file, no default key.
"""

import asyncio
import contextlib
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from fleet.clock import Clock
from fleet.edges import CommandResult
from fleet.errors import NodeFault, Reason, Transient, UsageError

OUTPUT_LIMIT_BYTES = 4 * 2**20
"""Of each stream. A kernel log is at most a few MiB, a dcgmi document 100 KiB."""
CUT_NOTE = b"\n[cut by fleet: more than %d bytes]\n" % OUTPUT_LIMIT_BYTES
"""Ends a stream that was longer than that; the command was ended then, so that its exit status is None."""
_HOST_KEY_KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""What OpenSSH makes keys of; SHA-1 signatures are not among them."""
_CONNECT_S = 30.0
_KEEPALIVE_S = 15.0
_KEEPALIVES = 3
"""A host whose power was cut sends no FIN: after 45 s without an answer the connection counts as broken."""
_CLOSE_S = 5.0
_CHUNK_BYTES = 65_536
_KEY_LIMIT_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """Where a node's SSH server answers, and as whom we log in."""

    host: str
    port: int = 22
    user: str = "root"

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def read_client_key(path: Path) -> asyncssh.SSHKey:
    """The private key in a file that only its owner may read; no passphrase. UsageError names the file, never its content."""
    try:
        # Without O_NONBLOCK the open of a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path}: the SSH client key cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _KEY_LIMIT_BYTES:
            raise UsageError(f"{path}: is no private key")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{path}: the SSH client key can be read by others; run: chmod 600 {path}")
        content = os.read(descriptor, _KEY_LIMIT_BYTES)
    finally:
        os.close(descriptor)
    try:
        return asyncssh.import_private_key(content)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise UsageError(f"{path}: is no private key that can be used without a passphrase") from None


class SshShell:
    """Fulfils fleet.edges.HostShell for one node. The connection is made when it is needed, and again when it has broken."""

    def __init__(self, *, address: SshAddress, host_key: str, client_key: asyncssh.SSHKey, clock: Clock) -> None:
        """`host_key` is the OpenSSH public key line of the one machine that may answer.

        Raises:
            NodeFault: UNTRUSTED_TLS, `host_key` is no public key, so that nobody could be trusted.
        """
        try:
            trusted = asyncssh.import_public_key(host_key)
        except asyncssh.KeyImportError:
            raise NodeFault(
                Reason.UNTRUSTED_TLS, f"no usable SSH host key is known for {address}; nothing was asked of it"
            ) from None
        self._address = address
        self._trusted = trusted
        self._client_key = client_key
        self._clock = clock
        self._connection: asyncssh.SSHClientConnection | None = None
        self._connecting = asyncio.Lock()

    async def run(self, argv: tuple[str, ...], *, timeout_s: float) -> CommandResult:
        """Run one command and wait for it.

        Raises:
            Transient: no connection, or no channel on it; the command was not started.
            NodeFault: LOGIN_REFUSED; UNTRUSTED_TLS, another host key answers.
        """
        if not argv:
            raise ValueError("an empty command")
        began = self._clock.now()
        process = await self._start(shlex.join(argv))
        stdout, stderr = _Stream(process.stdout), _Stream(process.stderr)
        status: int | None = None
        try:
            async with asyncio.timeout(self._clock.io_timeout_s(timeout_s)):
                async with asyncio.TaskGroup() as streams:
                    streams.create_task(stdout.read())
                    streams.create_task(stderr.read())
                await process.wait_closed()
                status = process.returncode
        except* (TimeoutError, asyncssh.Error, OSError, _TooMuchError):
            status = None
        finally:
            _end(process)
        return CommandResult(
            argv=argv,
            exit_status=status,
            stdout=bytes(stdout.content),
            stderr=bytes(stderr.content),
            duration_s=self._clock.now() - began,
        )

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await connection.wait_closed()
        except (TimeoutError, asyncssh.Error, OSError):
            connection.abort()

    async def _start(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        """A started command. A connection that had been kept may be dead by now; then a new one is made, once."""
        while True:
            kept = self._connection
            connection = await self._connected()
            try:
                async with asyncio.timeout(self._clock.io_timeout_s(_CONNECT_S)):
                    return await connection.create_process(command, encoding=None, stdin=asyncssh.DEVNULL)
            except (TimeoutError, asyncssh.Error, OSError) as broken:
                connection.abort()
                if self._connection is connection:
                    self._connection = None
                if connection is not kept:
                    raise Transient(f"{self._address}: no SSH channel: {_why(broken)}") from broken

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        where = self._address
        try:
            async with asyncio.timeout(self._clock.io_timeout_s(_CONNECT_S)):
                return await asyncssh.connect(
                    where.host,
                    where.port,
                    username=where.user,
                    client_keys=[self._client_key],
                    known_hosts=([self._trusted], [], []),
                    config=None,
                    agent_path=None,
                    # The known kind first, then all: a server without it shows a key that is refused, instead of hanging up.
                    server_host_key_algs=sorted(
                        _HOST_KEY_KINDS, key=lambda kind: kind.encode() not in self._trusted.sig_algorithms
                    ),
                    preferred_auth="publickey",
                    x509_trusted_certs=None,
                    keepalive_interval=_KEEPALIVE_S,
                    keepalive_count_max=_KEEPALIVES,
                )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as other:
            raise NodeFault(
                Reason.UNTRUSTED_TLS,
                f"{where}: the SSH server does not hold the host key {self._trusted.get_fingerprint()} ({_why(other)})",
            ) from other
        except asyncssh.PermissionDenied as refused:
            raise NodeFault(Reason.LOGIN_REFUSED, f"{where}: SSH refuses our key: {_why(refused)}") from refused
        except (TimeoutError, asyncssh.Error, OSError) as silent:
            raise Transient(f"{where}: no SSH connection: {_why(silent)}") from silent


class _TooMuchError(Exception):
    """A stream has passed its limit; nobody waits for the other one."""


class _Stream:
    """One stream of a command, up to the limit."""

    def __init__(self, reader: asyncssh.SSHReader[bytes]) -> None:
        self._reader = reader
        self.content = bytearray()

    async def read(self) -> None:
        """To its end. Raises _TooMuchError beyond the limit, and `content` says so."""
        while chunk := await self._reader.read(_CHUNK_BYTES):
            room = OUTPUT_LIMIT_BYTES - len(self.content)
            self.content += chunk[:room]
            if len(chunk) > room:
                self.content += CUT_NOTE
                raise _TooMuchError


def _end(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Ask for its end. OpenSSH refuses signals in sessions of root: there it ends when it writes to the closed channel."""
    if process.returncode is None and not process.is_closing():
        with contextlib.suppress(asyncssh.Error, OSError):
            process.kill()
    process.close()


def _why(error: BaseException) -> str:
    """The first line of what was said, bounded: some of it comes from the other side."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
