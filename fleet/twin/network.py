"""TCP without sockets, within one loop: who listens, and ends that hand each other bytes. What speaks over it is the real thing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Factory = Callable[[], asyncio.BaseProtocol]
_FIRST_PORT = 49_152
"""Of those that are given to whoever asks for any (RFC 6335)."""
_CLIENT = ("192.0.2.254", 0)


@dataclass(frozen=True, slots=True)
class _Name:
    """As much of a listening socket as a server is asked for."""

    address: tuple[str, int]

    def getsockname(self) -> tuple[str, int]:
        return self.address


class Listener:
    """Where somebody listens: as much of asyncio.Server as a server is asked for."""

    def __init__(self, network: "Network", address: tuple[str, int], factory: Factory) -> None:
        self._network = network
        self.address = address
        self.factory = factory

    @property
    def sockets(self) -> tuple[_Name, ...]:
        """One, in name only."""
        return (_Name(self.address),)

    def close(self) -> None:
        """Nobody listens there any more."""
        self._network.leave(self)

    async def wait_closed(self) -> None:
        """It is closed at once."""


class Network:
    """All listeners of one loop."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, int], Listener] = {}

    def listen(self, host: str, port: int, factory: Factory) -> Listener:
        """Raises OSError where somebody listens already."""
        address = (
            host,
            port or next(each for each in range(_FIRST_PORT, 1 << 16) if (host, each) not in self._listeners),
        )
        if address in self._listeners:
            raise OSError(f"{host} port {port}: somebody listens there")
        return self._listeners.setdefault(address, Listener(self, address, factory))

    def at(self, address: tuple[str, int]) -> Listener | None:
        """Who listens there."""
        return self._listeners.get(address)

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        if self.at(listener.address) is listener:
            del self._listeners[listener.address]

    def connect(
        self, loop: asyncio.AbstractEventLoop, host: str, port: int, factory: Factory
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """A connection, both of its ends told. Raises ConnectionRefusedError where nobody listens."""
        listener = self.at((host, port))
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {host} port {port}")
        near, far = _End(loop, (host, port)), _End(loop, _CLIENT)
        near.far, far.far = far, near
        far.begin(listener.factory())
        return near, near.begin(factory())


class _End(asyncio.Transport):
    """One end. Bytes arrive in the next turn of the loop, in order; None is the end of them."""

    far: "_End"

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer})
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self._inbox: list[bytes | None] = []
        self._reading = True
        self._closing = False

    def begin(self, protocol: asyncio.BaseProtocol) -> asyncio.BaseProtocol:
        """Connected."""
        self._protocol = protocol
        protocol.connection_made(self)
        return protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._deliver)

    def write(self, data: Any) -> None:
        if not self._closing:
            self._loop.call_soon(self.far.arrive, bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self.far.arrive, None)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def arrive(self, data: bytes | None) -> None:
        """From the other end."""
        self._inbox.append(data)
        self._deliver()

    def _deliver(self) -> None:
        while self._inbox and self._reading and not self._closing:
            data = self._inbox.pop(0)
            if data is None:
                self.close()
            elif isinstance(self._protocol, asyncio.Protocol):
                self._protocol.data_received(data)
