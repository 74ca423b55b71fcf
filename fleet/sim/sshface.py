"""A listening port that hands each connection to asyncssh: nothing of SSH is held in memory until somebody connects."""

import asyncio
import socket
import struct
from collections.abc import Callable

import asyncssh

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close() sends RST."""


class SshPort:
    """One SSH server at one address."""

    def __init__(
        self, name: str, address: str, port: int, *, options: Callable[[], asyncssh.SSHServerConnectionOptions | None]
    ) -> None:
        """`options()` is asked per connection; None resets the connection."""
        self._name = name
        self._address = address
        self._port = port
        self._options = options
        self._listener: socket.socket | None = None
        self._open: set[asyncssh.SSHServerConnection] = set()
        self._work: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address is taken.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._address, self._port))
        except OSError as cause:
            listener.close()
            raise OSError(f"{self._name}: cannot listen on {self._address}:{self._port}: {cause.strerror}") from cause
        listener.listen(16)
        listener.setblocking(False)  # noqa: FBT003  the name of the argument is the method's
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    def abort(self) -> None:
        """Drop every connection: the machine went away."""
        for connection in tuple(self._open):
            connection.abort()

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
        for task in self._work:
            task.cancel()
        self.abort()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            link, _ = self._listener.accept()
        except OSError:  # it was gone before we looked
            return
        options = self._options()
        if options is None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            link.close()
            return
        link.setblocking(False)  # noqa: FBT003  the name of the argument is the method's
        task = asyncio.ensure_future(self._serve(link, options))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _serve(self, link: socket.socket, options: asyncssh.SSHServerConnectionOptions) -> None:
        try:
            connection = await asyncssh.run_server(link, options=options)
        except (asyncssh.Error, OSError):  # the client gave up, or was refused
            link.close()
            return
        self._open.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._open.discard(connection)
